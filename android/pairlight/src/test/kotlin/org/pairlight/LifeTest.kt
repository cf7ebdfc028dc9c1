package org.pairlight

import java.io.File
import java.nio.ByteBuffer
import java.util.concurrent.CopyOnWriteArrayList
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class LifeTest {
    /**
     * By how many KiB the resident memory grows in each half of so many rounds, after a tenth as many to warm up: what a leak
     * adds it adds in both, what an allocator keeps for later it keeps once.
     */
    private suspend fun growth(rounds: Int, round: suspend () -> Unit): List<Long> {
        val idle = settledTasks()
        repeat(rounds / 10) { round() }
        var before = resident()
        return List(2) {
            repeat(rounds / 2) { round() }
            untilIdle(idle)
            val after = resident()
            (after - before).also { before = after }
        }
    }

    @Test
    fun `ten thousand scanners come and go and leave nothing`() = runBlocking(Dispatchers.Default) {
        val plane = ByteBuffer.allocateDirect(32 * 32)
        val grown = growth(10_000) {
            Scanner().use { scanner ->
                scanner.offer(plane, 32, 32, 32)
                assertEquals(0, scanner.reports.first().codes.size)
            }
        }
        println("10,000 scanners, by halves: memory grew by $grown KiB, threads of the library ${libraryThreads()}")
        // One scanner that stayed would keep its buffers, its slot and its reader: more than 16 KiB each.
        assertTrue(grown.min() < 16 * 1024, "grew by $grown KiB")
    }

    @Test
    fun `a thousand links begin and are cancelled and leave nothing`() = runBlocking(Dispatchers.Default) {
        World().use { world ->
            val tablet = LinkedAccount.open(world.path("tablet.db"), SoftKey(), world.address)
            val grown = growth(1_000) {
                coroutineScope {
                    val show = tablet.link("Tablet", "Android", "test", this)
                    show.close()
                    assertEquals(ShowState.Failed(EndedReason.CANCELLED), show.await())
                }
            }
            println("1,000 links begun and closed, by halves: memory grew by $grown KiB")
            // One that stayed would keep its machine and its keys, some 10 KiB.
            assertTrue(grown.min() < 5 * 1024, "grew by $grown KiB")
            tablet.close()
        }
    }

    @Test
    fun `a panic in the library is an internal error here and the next call works`() {
        val internal = assertThrows(PairlightException.Internal::class.java) {
            Planted.within("explain") { Pairlight.explain("x".toByteArray()) }
        }
        assertEquals("explain", internal.message)
        assertTrue(Pairlight.explain("just words".toByteArray()).title.isNotEmpty())
        Scanner().use { scanner ->
            val plane = ByteBuffer.allocateDirect(64 * 64)
            assertThrows(PairlightException.Internal::class.java) {
                Planted.within("Scanner.read") {
                    scanner.offer(plane, 64, 64, 64)
                    runBlocking { scanner.reports.first() }
                }
            }
            scanner.offer(plane, 64, 64, 64)
            assertEquals(1, runBlocking { scanner.reports.first() }.counts.run { submitted - scanned })
        }
        World().use { world ->
            runBlocking {
                val phone = PrimaryAccount.open(world.path("phone.db"), SoftKey(), world.address, "Phone")
                val planted = runCatching { Planted.within("PrimaryAccount.devices") { runBlocking { phone.devices.list() } } }
                assertTrue(planted.exceptionOrNull() is PairlightException.Internal)
                assertEquals(1, phone.devices.list().size)
                phone.close()
            }
        }
    }

    @Test
    fun `the log is begun once, has no secret, and its level changes while it runs`() = runBlocking(Dispatchers.Default) {
        val lines = CopyOnWriteArrayList<String>()
        Pairlight.startLogging(LogLevel.TRACE) { level, place, text -> lines += "$level $place $text" }
        assertThrows(PairlightException.Misuse::class.java) { Pairlight.startLogging(LogLevel.INFO) { _, _, _ -> } }
        World().use { world ->
            val nowhere = RelayAddress("http://127.0.0.1:9", world.address.key)
            suspend fun reconnects() = coroutineScope {
                val tablet = LinkedAccount.open(world.path("tablet-${lines.size}.db"), SoftKey(), nowhere)
                val show = tablet.link("a name to keep", "Android", "test", this)
                show.state.first { it is ShowState.Reconnecting }
                show.close()
                tablet.close()
            }
            reconnects()
            assertTrue(lines.any { it.startsWith("DEBUG pairlight") }, "$lines")
            assertTrue(lines.none { "a name to keep" in it })
            Pairlight.setLogLevel(LogLevel.ERROR)
            val told = lines.size
            reconnects()
            assertEquals(told, lines.size)
        }
    }

    private fun resident(): Long {
        repeat(3) {
            System.gc()
            Thread.sleep(50)
        }
        val line = File("/proc/self/status").readLines().first { it.startsWith("VmRSS:") }
        return line.filter(Char::isDigit).toLong()
    }

    private fun libraryThreads(): Int = File("/proc/self/task").listFiles().orEmpty()
        .count { task -> runCatching { File(task, "comm").readText().startsWith("pairlight-") }.getOrDefault(false) }
}
