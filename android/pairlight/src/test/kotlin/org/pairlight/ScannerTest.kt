package org.pairlight

import android.graphics.Rect
import java.nio.ByteBuffer
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.AfterAll
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.BeforeAll
import org.junit.jupiter.api.Test

class ScannerTest {
    companion object {
        private const val TEXT = "HTTPS://EXAMPLE.ORG/A-CODE-AS-LONG-AS-THOSE-OF-A-LINK-0123456789-0123456789"
        private lateinit var world: World
        private lateinit var photo: Photo

        @BeforeAll
        @JvmStatic
        fun shoot() {
            world = World()
            photo = world.photograph(TEXT)
        }

        @AfterAll
        @JvmStatic
        fun leave() = world.close()
    }

    private fun look(scanner: Scanner, image: SyntheticImage, degrees: Int): ScanReport = runBlocking {
        repeat(20) {
            scanner.offer(image, degrees)
            val report = scanner.reports.first()
            if (report.codes.isNotEmpty()) return@runBlocking report
        }
        error("not read")
    }

    @Test
    fun `every turn, padded rows, gaps between pixels and a buffer with a position give the same corners`() {
        val straight = Scanner(thorough = true).use { look(it, SyntheticImage(photo), 0) }
        assertEquals(TEXT, straight.codes.single().text)
        for (degrees in listOf(0, 90, 180, 270)) for (pixelStride in listOf(1, 2)) {
            Scanner(thorough = true).use { scanner ->
                val sideways = photo.turnedBack(degrees)
                SyntheticImage(sideways, rowPadding = 80, pixelStride, leading = 4096).use { image ->
                    val report = look(scanner, image, degrees)
                    val code = report.codes.single()
                    assertArrayEquals(TEXT.toByteArray(), code.bytes)
                    assertEquals(photo.width to photo.height, report.width to report.height)
                    for ((here, there) in code.corners.zip(straight.codes.single().corners)) {
                        val apart = maxOf(Math.abs(here.x - there.x), Math.abs(here.y - there.y))
                        assertTrue(apart <= 2, "a corner is off by $apart pixels after $degrees degrees")
                    }
                }
            }
        }
    }

    @Test
    fun `a plane from the middle of a buffer is read from its position and not from its start`() {
        // What lies before the position is a picture of another code: reading from the start would find it.
        val other = world.photograph("SOMETHING ELSE ENTIRELY, ON ANOTHER SCREEN, OF THE SAME LENGTH, ABOUT AS LONG", 2)
        val both = ByteBuffer.allocateDirect(other.luma.size + photo.luma.size)
        both.put(other.luma)
        both.put(photo.luma)
        both.position(other.luma.size)
        Scanner(thorough = true).use { scanner ->
            scanner.offer(both, photo.width, photo.height, photo.width)
            val report = runBlocking { scanner.reports.first() }
            assertEquals(TEXT, report.codes.single().text)
            assertEquals(other.luma.size, both.position())
            // Neither direct nor at its start: copied, from its position too.
            val heap = ByteBuffer.allocate(both.capacity()).apply {
                put(other.luma)
                put(photo.luma)
                position(other.luma.size)
            }
            scanner.rearm()
            scanner.offer(heap, photo.width, photo.height, photo.width)
            assertTrue(runBlocking { scanner.reports.first() }.codes.single().isNew)
        }
    }

    @Test
    fun `a code outside of the region is not seen`() {
        val code = Scanner(thorough = true).use { look(it, SyntheticImage(photo), 0) }.codes.single()
        val left = code.corners.minOf { it.x }.toInt()
        Scanner(thorough = true).use { scanner ->
            SyntheticImage(photo, crop = Rect(0, 0, maxOf(left, 64), photo.height)).use { scanner.offer(it, 0) }
            assertEquals(emptyList<ScannedCode>(), runBlocking { scanner.reports.first() }.codes)
        }
    }

    @Test
    fun `the newest frame wins, the others are counted, and a code is announced once`() = runBlocking {
        Scanner().use { scanner ->
            SyntheticImage(photo, rowPadding = 16).use { image ->
                repeat(300) { scanner.offer(image, 0) }
            }
            until("all frames") { scanner.counts.run { scanned + dropped } >= 300 }
            assertEquals(300, scanner.counts.submitted)
            assertTrue(scanner.counts.dropped > 0)
            assertEquals(1, scanner.reports.first().codes.count { it.isNew })
            scanner.close()
            assertThrows(PairlightException.Ended::class.java) { runBlocking { scanner.reports.toList() } }
            assertThrows(PairlightException.Ended::class.java) { scanner.counts }
        }
        Unit
    }

    @Test
    fun `what makes no sense is refused before anything is read`() = Scanner().use { scanner ->
        val plane = ByteBuffer.allocateDirect(100)
        assertThrows(PairlightException.Misuse::class.java) { scanner.offer(plane, 640, 480, 640) }
        assertThrows(PairlightException.Misuse::class.java) { scanner.offer(plane, 10, 10, 9) }
        assertThrows(PairlightException.Misuse::class.java) { scanner.offer(plane, 0, 10, 10) }
        assertThrows(PairlightException.Misuse::class.java) { scanner.offer(plane, 10, 10, 10, rotationDegrees = 45) }
        assertThrows(PairlightException.Misuse::class.java) { scanner.offer(plane, 10, 10, 10, crop = Rect(5, 5, 20, 8)) }
        Unit
    }

    @Test
    fun `a frame in place costs its call, a frame as an array is copied twice on the way`() {
        val (width, height) = 1920 to 1080
        val plane = ByteBuffer.allocateDirect(width * height)
        val array = ByteArray(width * height)
        Scanner().use { scanner ->
            fun median(rounds: Int, call: () -> Unit): Long {
                repeat(rounds / 3) { call() }
                return LongArray(rounds) {
                    // Not while a frame is being looked at: the memory is measured, not the neighbours.
                    until("no frame under way") { scanner.counts.run { scanned + dropped >= submitted } }
                    val began = System.nanoTime()
                    call()
                    System.nanoTime() - began
                }.sorted()[rounds / 2]
            }
            val inPlace = median(60) { scanner.offer(plane, width, height, width) }
            val asArray = median(60) {
                val copy = ByteBuffer.allocateDirect(array.size)
                copy.put(array)
                copy.flip()
                scanner.offer(copy, width, height, width)
            }
            // The bridge's own way with arrays, on a call that refuses this one after a look at its length.
            val throughTheBridge = median(9) {
                assertThrows(PairlightException.Misuse::class.java) { Pairlight.explain(array) }
            }
            val empty = median(60) { scanner.rearm() }
            println(
                "1080p luma, medians: in place ${inPlace / 1_000} us (0 bytes copied at the border, one copy kept " +
                    "behind it), array put into a direct buffer first ${asArray / 1_000} us, array through the bridge " +
                    "to a call that refuses it ${throughTheBridge / 1_000} us, empty call ${empty / 1_000} us",
            )
            // No bound in milliseconds.
            assertTrue(inPlace < throughTheBridge, "in place $inPlace ns, through the bridge $throughTheBridge ns")
        }
    }
}
