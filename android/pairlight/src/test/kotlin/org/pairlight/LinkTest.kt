package org.pairlight

import java.io.ByteArrayInputStream
import java.io.ByteArrayOutputStream
import java.io.File
import java.util.concurrent.atomic.AtomicInteger
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.flow.onEach
import kotlinx.coroutines.job
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class LinkTest {
    private fun <T> awaiting(work: suspend CoroutineScope.() -> T): T = runBlocking(Dispatchers.Default) {
        withTimeout(120_000) { coroutineScope(work) }
    }

    private suspend fun World.phone(approver: Approver? = null) =
        PrimaryAccount.open(path("phone.db"), SoftKey(), address, "Phone", LinkPolicy.DEVELOPMENT, approver)

    /** Links the device that shows [code], which gets the digits by [type]. Gives its id. */
    private suspend fun linkBy(phone: PrimaryAccount, code: ByteArray, type: suspend (String) -> Unit): String =
        coroutineScope {
            val link = phone.link(code, CodeSource.LIVE_CAMERA, this)
            link.state.first { it is LinkState.Review }
            link.approve()
            type((link.state.first { it is LinkState.ShowCheckCode } as LinkState.ShowCheckCode).digits)
            (link.await() as LinkState.Linked).device
        }

    /** Looks at a code with the camera until it is read. */
    private suspend fun scanned(photo: Photo, degrees: Int = 90): ScannedCode = Scanner().use { scanner ->
        SyntheticImage(photo.turnedBack(degrees), rowPadding = 48, leading = 64).use { image ->
            // A live scanner may need more than one look; what it is given is the same picture.
            repeat(20) {
                scanner.offer(image, degrees)
                val code = scanner.reports.first().codes.firstOrNull()
                if (code != null) return code
            }
        }
        error("the code was not read")
    }

    @Test
    fun `a picture of a code becomes a linked device whose messages arrive in a flow`() = awaiting {
        World().use { world ->
            val terminal = world.show()
            val text = terminal.hear("PAIRLIGHT:")
            val code = scanned(world.photograph(text))
            assertTrue(code.meaning.isOffer)
            assertEquals(text, code.text)
            assertTrue("PAIRLIGHT" !in code.toString(), "a log line with the code in it would be a leak")

            val asked = AtomicInteger()
            val phone = world.phone { asked.incrementAndGet() > 1 }
            val link = phone.link(code.bytes, CodeSource.LIVE_CAMERA, this)
            val review = link.state.first { it is LinkState.Review } as LinkState.Review
            assertEquals("pairlight terminal", review.approval.app)
            assertEquals("linux", review.approval.os)
            assertTrue(review.approval.warnings.any { it.key == "development_policy" })
            assertThrows(PairlightException.NotConfirmed::class.java) { runBlocking { link.approve() } }
            assertInstanceOf(LinkState.Review::class.java, link.state.value)
            link.approve()
            assertEquals(2, asked.get())
            val shown = link.state.first { it is LinkState.ShowCheckCode } as LinkState.ShowCheckCode
            terminal.hear("Type the six digits")
            terminal.type(shown.digits)
            val linked = assertInstanceOf(LinkState.Linked::class.java, link.await())
            assertTrue(terminal.hear("linked as").contains(linked.device))
            assertEquals(0, terminal.end())
            phone.devices.rename(linked.device, "Laptop")
            val names = phone.devices.all.first().map { it.name }
            assertEquals(listOf("Phone", "Laptop"), names)

            // History first, then live both ways.
            val line = CoroutineScope(coroutineContext + kotlinx.coroutines.Job(coroutineContext.job))
            val sync = phone.sync(line)
            sync.line.first { it is LineState.Online }
            val talk = sync.beginConversation("Kim")
            sync.send(talk, "Phone", "written before")
            val follower = world.laptop("messages", "follow", "Kim")
            follower.hear("written before")
            follower.type("see you at eight")
            val page = sync.messages(talk).first { page -> page.size == 2 }
            assertEquals(listOf("see you at eight", "written before"), page.map { it.text })
            assertEquals("Kim", sync.conversations.first().single().title)
            assertEquals(listOf(page[0].id), sync.search("EIGHT").map { it.id })
            assertEquals(listOf(page[1].id), sync.older(talk, page[0].place, 10).map { it.id })
            sync.send(talk, "Phone", "and bring the key")
            follower.hear("bring the key")
            val history = sync.history.first { it.singleOrNull()?.state == HistoryState.Done }
            assertEquals(linked.device, history.single().device)
            assertTrue(phone.devices.list().single { !it.isThis }.lastCheckInMs != null, "it has reported")

            // A file each way. What the linked device attaches comes to the phone by itself.
            follower.close()
            val picture = ByteArray(700_000) { (it * 31).toByte() }
            val shot = File(world.path("shot.jpg")).apply { writeBytes(picture) }
            val attaching = world.laptop("messages", "attach", "Kim", shot.path, "--text", "look")
            val look = sync.messages(talk).first { it.first().text == "look" }.first().attachments.single()
            assertEquals(Attachment(look.file, "shot.jpg", "image/jpeg", 700_000), look)
            sync.files.state(look).first { it?.isComplete == true }
            assertEquals(0, attaching.end())
            val saved = ByteArrayOutputStream()
            sync.files.save(look, saved)
            assertArrayEquals(picture, saved.toByteArray())
            val note = sync.files.add("note.txt", "text/plain", ByteArrayInputStream("bring the key".toByteArray()))
            val answered = sync.send(talk, "Phone", "read this", listOf(note), replyTo = page[0].id)
            assertEquals(page[0].id, sync.messages(talk).first().first { it.id == answered }.replyTo)
            val again = world.laptop("messages", "follow", "Kim")
            again.hear("read this")
            sync.editMessage(answered, "read this first")
            again.hear("read this first")
            again.close()
            val out = world.path("note.txt")
            assertEquals(0, world.laptop("messages", "save", note.file.take(12), "--out", out).end())
            assertEquals("bring the key", File(out).readText())

            // Taken off the account: the terminal says so and erases itself.
            val last = world.laptop("messages", "follow")
            last.hear("online")
            phone.devices.revoke(linked.device)
            last.hear("removed from the account")
            assertEquals(1, phone.devices.list().size)
            assertEquals(linked.device, phone.devices.removed().single().id)
            sync.close()
            sync.line.first { it is LineState.Closed }
            line.coroutineContext.job.cancelAndJoin()
            phone.close()
        }
    }

    @Test
    fun `a no is the same word on both devices`() = awaiting {
        World().use { world ->
            val terminal = world.show()
            val text = terminal.hear("PAIRLIGHT:")
            val phone = world.phone()
            val link = phone.link(text.toByteArray(), CodeSource.PASTED, this)
            val review = link.state.first { it is LinkState.Review } as LinkState.Review
            assertTrue(review.approval.warnings.any { it.key == "not_from_camera" })
            link.decline()
            assertEquals(EndedReason.DECLINED, (link.await() as LinkState.Failed).reason)
            terminal.hear("declined")
            assertThrows(PairlightException.Ended::class.java) { runBlocking { link.approve() } }
            phone.close()
        }
    }

    @Test
    fun `a device that the relay bids to wait hears for how long`() = awaiting {
        World("--claims-per-ten-minutes", "1").use { world ->
            val phone = world.phone()
            val tablet = LinkedAccount.open(world.path("tablet.db"), SoftKey(), world.address)
            suspend fun claim(): Pair<ShowFlow, LinkFlow> {
                val show = tablet.link("Tablet", "Android", "test", this)
                val code = (show.state.first { it is ShowState.ShowCode } as ShowState.ShowCode).code
                return show to phone.link(code.text.toByteArray(), CodeSource.LIVE_CAMERA, this)
            }
            val (_, first) = claim()
            first.state.first { it is LinkState.Review }
            first.decline()
            assertEquals(LinkState.Failed(EndedReason.DECLINED, emptyList(), null), first.await())
            val (show, second) = claim()
            val failed = second.await() as LinkState.Failed
            assertEquals(EndedReason.RATE_LIMITED, failed.reason)
            assertTrue(failed.retryAfterMs!! in 1L..600_000L, "$failed")
            show.close()
            phone.close()
            tablet.close()
        }
        World("--opens-per-hour", "1").use { world ->
            val tablet = LinkedAccount.open(world.path("tablet.db"), SoftKey(), world.address)
            val shown = tablet.link("Tablet", "Android", "test", this)
            shown.state.first { it is ShowState.ShowCode }
            val failed = tablet.link("Tablet", "Android", "test", this).await() as ShowState.Failed
            assertEquals(EndedReason.RATE_LIMITED, failed.reason)
            assertTrue(failed.retryAfterMs!! in 1L..3_600_000L, "$failed")
            shown.close()
            tablet.close()
        }
    }

    @Test
    fun `the digits are not in what is printed of a state`() {
        val state: LinkState = LinkState.ShowCheckCode("123 456")
        assertEquals("ShowCheckCode", "$state")
    }

    @Test
    fun `a phone shows a code and another links it`() = awaiting {
        World().use { world ->
            val tablet = LinkedAccount.open(world.path("tablet.db"), SoftKey(), world.address)
            assertEquals(null, tablet.standing())
            val show = tablet.link("Tablet", "Android 14", "sample", this)
            val code = (show.state.first { it is ShowState.ShowCode } as ShowState.ShowCode).code
            assertEquals(code.size * code.size, code.modules.size)
            val phone = world.phone()
            val link = phone.link(code.text.toByteArray(), CodeSource.LIVE_CAMERA, this)
            link.state.first { it is LinkState.Review }
            link.approve()
            val digits = (link.state.first { it is LinkState.ShowCheckCode } as LinkState.ShowCheckCode).digits
            show.state.first { it is ShowState.EnterCheckCode }
            show.enterCheckCode(if (digits.startsWith("0")) "111 111" else "000 000")
            assertEquals(2, (show.state.first { it is ShowState.EnterCheckCode && it.triesLeft != null } as ShowState.EnterCheckCode).triesLeft)
            show.enterCheckCode(digits)
            val linked = show.await() as ShowState.Linked
            assertEquals((link.await() as LinkState.Linked).device, linked.device)
            assertEquals(linked.device, tablet.standing()?.device)

            val (here, there) = phone.sync(this) to tablet.sync(this)
            there.line.first { it is LineState.Online }
            val parcel = launch { assertEquals("ping", here.parcels.first().body.decodeToString()) }
            there.sendBytes(linked.primary!!, "ping".toByteArray())
            parcel.join()
            here.close()
            phone.close()
            settledTasks()

            // Nobody is there who hears it, and what is written is on the screen all the same.
            val talk = there.beginConversation("Kim")
            val shown = async(start = CoroutineStart.UNDISPATCHED) {
                there.messages(talk).onEach { if (it.isEmpty()) there.send(talk, "Tablet", "hello") }.first { it.isNotEmpty() }
            }
            assertEquals("hello", shown.await().single().text)

            // Nobody is there who has the file, or says that it does not: the end of the line ends the waiting.
            val file = Attachment("00".repeat(32), "a.txt", "text/plain", 10)
            val fetching = async { runCatching { there.files.fetch(file) } }
            there.files.state(file).first { it?.isWanted == true }
            there.close()
            assertInstanceOf(PairlightException.Ended::class.java, fetching.await().exceptionOrNull())
            tablet.close()
        }
    }

    @Test
    fun `the other devices hear of a link and of a removal, and their permission is renewed`() = awaiting {
        World().use { world ->
            val phone = world.phone()
            val tablet = LinkedAccount.open(world.path("tablet.db"), SoftKey(), world.address)
            val show = tablet.link("Tablet", "Android 14", "sample", this)
            val code = (show.state.first { it is ShowState.ShowCode } as ShowState.ShowCode).code
            val own = linkBy(phone, code.text.toByteArray()) { digits ->
                show.state.first { it is ShowState.EnterCheckCode }
                show.enterCheckCode(digits)
            }
            assertEquals(own, (show.await() as ShowState.Linked).device)
            val (here, there) = phone.sync(this) to tablet.sync(this)
            val lease = there.lease.first { it != null }!!
            assertEquals(null, lease.restriction)
            assertTrue(lease.untilMs > System.currentTimeMillis(), "$lease")
            assertTrue(phone.devices.list().single { it.id == own }.lastCheckInMs != null, "it has reported")

            val terminal = world.show()
            val laptop = linkBy(phone, terminal.hear("PAIRLIGHT:").toByteArray()) {
                terminal.hear("Type the six digits")
                terminal.type(it)
            }
            val linked = there.alerts.first { it.kind == AlertKind.LINKED }
            assertEquals(Alert(AlertKind.LINKED, laptop, "a device was linked"), linked)
            phone.devices.revoke(laptop)
            val removed = there.alerts.first { it.kind == AlertKind.REMOVED }
            assertEquals(laptop, removed.device)
            assertTrue("removed by hand" in removed.text, removed.text)
            assertEquals(null, phone.devices.fork())
            assertEquals(null, tablet.standing()!!.fork)
            here.close()
            there.close()
            phone.close()
            tablet.close()
        }
    }

    @Test
    fun `a lost phone's account comes to another one by its words`() = awaiting {
        World().use { world ->
            val phone = world.phone()
            val words = phone.createRecovery()
            val terminal = world.show()
            linkBy(phone, terminal.hear("PAIRLIGHT:").toByteArray()) {
                terminal.hear("Type the six digits")
                terminal.type(it)
            }
            phone.close()
            suspend fun recover(words: String, store: String) =
                PrimaryAccount.recover(words, world.path(store), SoftKey(), world.address, "New phone")
            assertThrows(PairlightException.Misuse::class.java) { runBlocking { recover("nonsense", "a.db") } }
            val recovered = recover(words, "b.db")
            assertEquals(24, recovered.words.split(' ').size)
            assertEquals(listOf(false, true), recovered.account.devices.list().map { it.isPrimary })
            recovered.account.close()
        }
    }

    @Test
    fun `cancelling a coroutine ends the work of the library and leaves a usable account`() = awaiting {
        World().use { world ->
            // No relay is there: it tries again for as long as it lives.
            val nowhere = RelayAddress("http://127.0.0.1:9", world.address.key)
            val tablet = LinkedAccount.open(world.path("tablet.db"), SoftKey(), nowhere)
            val idle = settledTasks()
            val worst = (1..20).maxOf {
                val screen = CoroutineScope(Dispatchers.Default)
                val show = tablet.link("Tablet", "Android", "test", screen)
                show.state.first { it is ShowState.Reconnecting }
                val underWay = Pairlight.activity().tasks
                val began = System.nanoTime()
                screen.coroutineContext.job.cancelAndJoin()
                assertTrue(underWay > idle, "nothing was under way")
                untilIdle(idle)
                assertEquals(ShowState.Failed(EndedReason.CANCELLED), show.state.value)
                (System.nanoTime() - began) / 1_000
            }
            println("cancelled coroutine to no work left in the library, worst of 20: $worst us")
            assertEquals(null, tablet.standing())
            tablet.close()
        }
    }

    @Test
    fun `each failure of a call is the case of the one error that says so`() = awaiting {
        World().use { world ->
            val phone = world.phone()
            suspend fun <E : PairlightException> fails(kind: Class<E>, call: suspend () -> Unit) {
                assertThrows(kind) { runBlocking { call() } }
            }
            fails(PairlightException.Misuse::class.java) { phone.link("https://example.org".toByteArray(), CodeSource.PICTURE, this) }
            fails(PairlightException.Misuse::class.java) { phone.devices.revoke("nonsense") }
            fails(PairlightException.Misuse::class.java) { phone.devices.revoke("00".repeat(16)) }
            fails(PairlightException.Misuse::class.java) {
                PrimaryAccount.open(world.path("x.db"), SoftKey(), RelayAddress("ftp://x", "00".repeat(32)), "x")
            }
            fails(PairlightException.Storage::class.java) {
                PrimaryAccount.open(world.path("phone.db"), SoftKey(), world.address, "the same file twice")
            }
            val refusing = object : KeyWrap {
                override fun wrap(key: ByteArray): ByteArray = error("the person cancelled")
                override fun unwrap(wrapped: ByteArray): ByteArray = error("the person cancelled")
            }
            val refused = assertThrows(PairlightException.KeyStore::class.java) {
                runBlocking { PrimaryAccount.open(world.path("y.db"), refusing, world.address, "y") }
            }
            assertTrue("the person cancelled" in refused.message!!, refused.message)
            val nowhere = RelayAddress("http://127.0.0.1:9", world.address.key)
            val lost = PrimaryAccount.open(world.path("lost.db"), SoftKey(), nowhere, "lost")
            val terminal = world.show()
            val text = terminal.hear("PAIRLIGHT:")
            fails(PairlightException.Offline::class.java) { lost.link(text.toByteArray(), CodeSource.PASTED, this) }
            fails(PairlightException.NoAccount::class.java) {
                LinkedAccount.open(world.path("fresh.db"), SoftKey(), world.address).use { it.sync(this) }
            }
            lost.close()
            phone.close()
            fails(PairlightException.Ended::class.java) { phone.devices.list() }
        }
    }
}
