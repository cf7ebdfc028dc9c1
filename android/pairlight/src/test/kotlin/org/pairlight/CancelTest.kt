package org.pairlight

import java.util.concurrent.atomic.AtomicBoolean
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancel
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.job
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/**
 * What a screen that is left leaves behind: no work. Prints how long that took, from the cancelling of the coroutine;
 * `bindings/tests/panics.rs` goes through each exported function, this through what waits by its nature.
 */
class CancelTest {
    private val rounds = 5

    private companion object {
        /** Collectors that are cancelled at all moments. */
        const val ROUNDS = 600

        /** Nothing takes so long unless it is broken. */
        const val PATIENCE_NS = 60_000_000_000
    }

    /**
     * Begins something in a scope, cancels the scope once it is under way, and waits until its [own] tasks in the library are gone.
     * Others may stay: connections that are kept for the next call.
     */
    private suspend fun leave(what: String, own: Int, before: suspend () -> AutoCloseable? = { null }, begin: suspend CoroutineScope.() -> Unit) {
        require(own > 0) { "$what: nothing would be measured" }
        val worst = (1..rounds).maxOf {
            before().use {
                val screen = CoroutineScope(Dispatchers.Default)
                screen.begin()
                val underWay = settledTasks()
                assertTrue(underWay >= own, "$what: $underWay tasks")
                val began = System.nanoTime()
                screen.coroutineContext.job.cancelAndJoin()
                untilIdle(underWay - own)
                (System.nanoTime() - began) / 1_000
            }
        }
        println("cancelled coroutine to the end of its work in the library, worst of $rounds: $what $worst us")
    }

    /** What waits without a task of its own in the library: cancels it, and prints how soon the coroutine has ended. */
    private suspend fun stopWaiting(what: String, begin: suspend CoroutineScope.() -> Unit) {
        val worst = (1..rounds).maxOf {
            val screen = CoroutineScope(Dispatchers.Default)
            screen.begin()
            val underWay = settledTasks()
            val began = System.nanoTime()
            screen.coroutineContext.job.cancelAndJoin()
            val took = (System.nanoTime() - began) / 1_000
            assertTrue(settledTasks() <= underWay, "$what: it left work behind")
            took
        }
        println("cancelled coroutine to its own end, which waits without work in the library, worst of $rounds: $what $worst us")
    }

    @Test
    fun `what comes at the moment of the cancelling does not stay open`() = runBlocking(Dispatchers.Default) {
        World().use { world ->
            val tablet = LinkedAccount.open(world.path("tablet.db"), SoftKey(), world.address)
            val idle = settledTasks()
            suspend fun round(patienceNs: Long) {
                val screen = CoroutineScope(Dispatchers.Default)
                val begin = screen.launch { tablet.link("Tablet", "Android", "test", screen) }
                val began = System.nanoTime()
                while (begin.isActive && System.nanoTime() - began < patienceNs) Thread.onSpinWait()
                screen.cancel()
                begin.join()
            }
            repeat(100) { round(Long.MAX_VALUE) }
            val began = System.nanoTime()
            repeat(100) { round(Long.MAX_VALUE) }
            val usual = (System.nanoTime() - began) / 100
            repeat(3_000) { round(usual * (it % 100) / 66) }
            // One that stayed would show codes for as long as the process lives.
            untilIdle(idle)
            tablet.close()
        }
    }

    @Test
    fun `a code that is read at the moment of the cancelling is announced to who collects next`() = runBlocking(Dispatchers.Default) {
        World().use { world ->
            val tablet = LinkedAccount.open(world.path("tablet.db"), SoftKey(), world.address)
            val code = Photo.of(tablet.link("Tablet", "Android", "test", this).use { it.code() })
            Scanner().use { scanner ->
                // Whether the one who leaves was told of the code; who comes next is, or else not.
                suspend fun round(patienceNs: Long): Boolean {
                    scanner.rearm()
                    val wasTold = AtomicBoolean()
                    // Not `first`, which may keep what came to itself when it is cancelled.
                    val screen = launch { scanner.reports.collect { report -> if (report.codes.any { it.isNew }) wasTold.set(true) } }
                    SyntheticImage(code).use { scanner.offer(it, 0) }
                    val began = System.nanoTime()
                    while (!wasTold.get() && System.nanoTime() - began < patienceNs) Thread.onSpinWait()
                    screen.cancelAndJoin()
                    until("the frame was looked at") { scanner.counts.run { scanned + dropped == submitted } }
                    // So that there is a report in any case.
                    SyntheticImage(Photo.black()).use { scanner.offer(it, 0) }
                    assertEquals(!wasTold.get(), scanner.reports.first().codes.any { it.isNew }, "told: $wasTold")
                    return wasTold.get()
                }
                repeat(20) { round(PATIENCE_NS) }
                val began = System.nanoTime()
                repeat(20) { assertTrue(round(PATIENCE_NS)) }
                val usual = (System.nanoTime() - began) / 20
                val told = (0 until ROUNDS).count { round(usual * (it % 100) / 66) }
                println("cancelled $ROUNDS collectors of a scanner at all moments; $told had the code already, who came next had it otherwise")
            }
            tablet.close()
        }
    }

    @Test
    fun `a screen that is left leaves no work behind, and the account can be used`() = runBlocking(Dispatchers.Default) {
        withTimeout(240_000) {
            World().use { world ->
                val phone = PrimaryAccount.open(world.path("phone.db"), SoftKey(), world.address, "Phone", LinkPolicy.DEVELOPMENT)
                val tablet = LinkedAccount.open(world.path("tablet.db"), SoftKey(), world.address)
                suspend fun show() = tablet.link("Tablet", "Android", "test", this)

                leave("ShowFlow", own = 1) { tablet.link("Tablet", "Android", "test", this).code() }
                lateinit var code: ByteArray
                leave("LinkFlow", own = 2, { show().also { code = it.code().text.toByteArray() } }) {
                    phone.link(code, CodeSource.LIVE_CAMERA, this).state.first { it is LinkState.Review }
                }

                // It can be used: the two are linked now.
                linked(phone, tablet)

                leave("Sync", own = 3) { phone.sync(this).line.first { it is LineState.Online } }
                val line = tablet.sync(this)
                // Nobody is there who has it.
                val file = Attachment("00".repeat(32), "a.txt", "text/plain", 10)
                stopWaiting("Files.fetch") {
                    launch { line.files.fetch(file) }
                    line.files.state(file).first { it?.isWanted == true }
                }
                assertTrue(line.files.state(file).first()!!.isWanted, "the transfer goes on")
                Scanner().use { scanner ->
                    stopWaiting("Scanner.reports") { launch { scanner.reports.first() } }
                    // Who gave up took nothing from who comes next.
                    SyntheticImage(Photo.black()).use { scanner.offer(it, 0) }
                    assertTrue(scanner.reports.first().codes.isEmpty())
                }
                assertEquals(0, line.conversations.first().size)
                line.close()
                phone.close()
                tablet.close()
            }
        }
    }
}
