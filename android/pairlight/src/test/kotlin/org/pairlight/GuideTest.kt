package org.pairlight

import java.io.PrintStream
import java.nio.file.Files
import java.nio.file.Path
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.job
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.pairlight.guide.FirstLink
import org.pairlight.guide.Screens
import org.pairlight.guide.linkFromTerminal
import org.pairlight.guide.stayInStep

/** What `docs/guides/embed-android.md` tells a new user to write links a device: its code is compiled into this test. */
class GuideTest {
    @Test
    fun `the program of the guide links a terminal and shows its messages`() = runBlocking(Dispatchers.Default) {
        withTimeout(120_000) {
            World().use { world ->
                val terminal = world.show()
                val photo = world.photograph(terminal.hear("PAIRLIGHT:"))
                val account = PrimaryAccount.open(
                    world.path("phone.db"), SoftKey(), world.address, "Phone", LinkPolicy.DEVELOPMENT,
                )
                val ended = CompletableDeferred<LinkState>()
                val screens = object : Screens {
                    override fun hint(words: String) = Unit
                    override suspend fun approves(approval: Approval) = approval.app == "pairlight terminal"
                    override suspend fun warns(holdMs: Long) = true
                    override fun digits(code: String) {
                        terminal.hear("Type the six digits")
                        terminal.type(code)
                    }
                    override fun spinner() = Unit
                    override fun end(state: LinkState) {
                        ended.complete(state)
                    }
                }
                val link = FirstLink(account, screens)
                coroutineScope {
                    val camera = launch {
                        // A camera does not stop when nobody looks any more.
                        while (true) {
                            runCatching { link.onFrame(SyntheticImage(photo.turnedBack(90), rowPadding = 32), 90) }
                            delay(33)
                        }
                    }
                    val outcome = async { link.run() }
                    assertInstanceOf(LinkState.Linked::class.java, outcome.await())
                    camera.cancelAndJoin()
                }
                assertEquals(ended.await(), LinkState.Linked(account.devices.list().single { !it.isThis }.id))
                assertEquals(0, terminal.end())

                val line = CoroutineScope(Dispatchers.Default)
                val shown = CompletableDeferred<String>()
                val sync = stayInStep(account, line) { page -> page.firstOrNull()?.let { shown.complete(it.text) } }
                val follower = world.laptop("messages", "follow", "Kim")
                follower.hear("online")
                follower.type("hello from the terminal")
                assertEquals("hello from the terminal", shown.await())
                follower.close()
                sync.close()
                line.coroutineContext.job.cancelAndJoin()
                account.close()
            }
        }
    }

    @Test
    fun `the program for the JVM links a terminal`() = World().use { world ->
        val terminal = world.show()
        val code = terminal.hear("PAIRLIGHT:")
        val screen = System.out
        // A person who types on the terminal what the program prints.
        System.setOut(object : PrintStream(screen) {
            override fun println(line: Any?) {
                val digits = "$line".substringAfter("type on the other device: ", "")
                if (digits.isNotEmpty()) {
                    terminal.hear("Type the six digits")
                    terminal.type(digits)
                }
            }
        })
        try {
            val end = runBlocking(Dispatchers.Default) {
                withTimeout(120_000) { linkFromTerminal(world.address, world.path("phone.db"), code) }
            }
            assertInstanceOf(LinkState.Linked::class.java, end)
            assertEquals(0, terminal.end())
        } finally {
            System.setOut(screen)
        }
    }

    @Test
    fun `each program of the guide is shorter than sixty lines`() {
        val guide = Files.readString(Path.of(System.getProperty("pairlight.guide")))
        val programs = Regex("```kotlin\n(.*?)```", RegexOption.DOT_MATCHES_ALL).findAll(guide).map { it.groupValues[1] }
        val lengths = programs.map { it.lines().count { line -> line.isNotBlank() && !line.startsWith("import") } }.toList()
        // The first is for the JVM alone; the others are the app.
        assertTrue(lengths.size >= 4 && lengths.drop(1).sum() < 90 && lengths.all { it < 60 }, "$lengths")
    }
}
