package org.pairlight

import java.util.concurrent.CountDownLatch
import java.util.concurrent.Executors
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.asCoroutineDispatcher
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.onEach
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** A flow that says "now, and again after each change" holds to it: for changes of this device's own, and for slow readers. */
class FlowsTest {
    private fun awaiting(work: suspend CoroutineScope.() -> Unit) = runBlocking(Dispatchers.Default) {
        withTimeout(120_000) { coroutineScope(work) }
    }

    private suspend fun World.phone(clock: (() -> Long)? = null) =
        PrimaryAccount.open(path("phone.db"), SoftKey(), address, "Phone", LinkPolicy.DEVELOPMENT, clock = clock)

    @Test
    fun `the list of devices hears of a link of its own account`() = awaiting {
        World().use { world ->
            val phone = world.phone()
            val tablet = LinkedAccount.open(world.path("tablet.db"), SoftKey(), world.address)
            val lists = Channel<List<Device>>(Channel.UNLIMITED)
            val screen = launch { phone.devices.all.collect(lists::send) }
            assertEquals(1, lists.receive().size)
            val device = linked(phone, tablet)
            while (lists.receive().none { it.id == device }) Unit
            phone.devices.rename(device, "Den")
            while (lists.receive().none { it.name == "Den" }) Unit
            screen.cancelAndJoin()
            phone.close()
            tablet.close()
        }
    }

    @Test
    fun `a reader that is slow misses no change of its conversation`() = awaiting {
        World().use { world ->
            val phone = world.phone()
            val line = CoroutineScope(Dispatchers.Default)
            val sync = phone.sync(line)
            val (kim, noise) = sync.beginConversation("Kim") to sync.beginConversation("Noise")
            Executors.newSingleThreadExecutor().asCoroutineDispatcher().use { main ->
                val pages = Channel<List<Message>>(Channel.UNLIMITED)
                val screen = CoroutineScope(main).launch { sync.messages(kim).collect(pages::send) }
                assertTrue(pages.receive().isEmpty())
                // The app is busy drawing, say, while much happens.
                val (busy, drawn) = CountDownLatch(1) to CountDownLatch(1)
                main.executor.execute {
                    busy.countDown()
                    drawn.await()
                }
                busy.await()
                sync.send(kim, "Phone", "see you at eight")
                repeat(300) { sync.send(noise, "Phone", "$it") }
                // All of that has been told to those who are quick.
                sync.messages(noise, 1).first { it.singleOrNull()?.text == "299" }
                drawn.countDown()
                while (pages.receive().singleOrNull()?.text != "see you at eight") Unit
                screen.cancelAndJoin()
            }
            sync.close()
            phone.close()
        }
    }

    @Test
    fun `what is collected from a line ends with it`() = awaiting {
        World().use { world ->
            val phone = world.phone()
            val sync = phone.sync(CoroutineScope(Dispatchers.Default))
            val talk = sync.beginConversation("Kim")
            val file = Attachment("00".repeat(32), "a.txt", "text/plain", 10)
            val begun = Channel<Unit>(Channel.UNLIMITED)
            val flows = listOf(sync.conversations, sync.messages(talk), sync.history, sync.files.state(file))
            // An exception in one of them would end this test.
            val screens = flows.map { flow -> launch { flow.collect { begun.send(Unit) } } }
            repeat(flows.size) { begun.receive() }
            sync.close()
            screens.forEach { it.join() }
            for (flow in flows) assertThrows(PairlightException.Ended::class.java) { runBlocking { flow.first() } }
            assertThrows(PairlightException.Ended::class.java) { runBlocking { sync.files.fetch(file) } }
            phone.close()
        }
    }

    @Test
    fun `reports end with the scanner, also for who looks at one just then`() = awaiting {
        val scanner = Scanner()
        SyntheticImage(Photo.black()).use { scanner.offer(it, 0) }
        assertEquals(1, scanner.reports.onEach { scanner.close() }.toList().size)
        assertThrows(PairlightException.Ended::class.java) { runBlocking { scanner.reports.first() } }
    }

    @Test
    fun `no number of alerts for developers pushes out that a device was linked`() = awaiting {
        val alerts = Alerts()
        val noise = Alert(AlertKind.UNREADABLE, "aa", "dropped")
        val linked = Alert(AlertKind.LINKED, "bb", "linked")
        repeat(300) { alerts.tell(noise) }
        alerts.tell(linked)
        repeat(300) { alerts.tell(noise) }
        assertEquals(List(Alerts.FOR_DEVELOPERS) { noise } + linked, alerts.all.take(Alerts.FOR_DEVELOPERS + 1).toList())
        // What was taken makes room.
        alerts.tell(noise)
        assertEquals(noise, alerts.all.first())
    }

    @Test
    fun `an error of the app's in a callback is no answer`() = awaiting {
        World().use { world ->
            val unfinished = object : KeyWrap {
                override fun wrap(key: ByteArray): ByteArray = throw NotImplementedError("the vault")
                override fun unwrap(wrapped: ByteArray): ByteArray = throw NotImplementedError("the vault")
            }
            val refused = assertThrows(PairlightException.KeyStore::class.java) {
                runBlocking { PrimaryAccount.open(world.path("a.db"), unfinished, world.address, "Phone") }
            }
            assertTrue("the vault" in refused.message!!, refused.message)
            // A clock that fails is not asked: no time is taken that nobody gave.
            val before = System.currentTimeMillis()
            val phone = world.phone { throw AssertionError("no clock") }
            assertTrue(phone.devices.list().single().linkedMs >= before)
            phone.close()
        }
    }
}
