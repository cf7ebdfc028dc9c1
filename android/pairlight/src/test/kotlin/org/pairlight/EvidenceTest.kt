package org.pairlight

import java.security.KeyPairGenerator
import java.security.MessageDigest
import java.security.Signature
import java.util.Base64
import java.util.UUID
import java.util.concurrent.LinkedBlockingQueue
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.takeWhile
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** Evidence that the app brings, under a policy that links with nothing weaker. */
class EvidenceTest {
    private fun <T> awaiting(work: suspend CoroutineScope.() -> T): T = runBlocking(Dispatchers.Default) {
        withTimeout(120_000) { coroutineScope(work) }
    }

    /** A passkey in software: Ed25519, as a platform gives it. */
    private class Authenticator {
        private val keys = KeyPairGenerator.getInstance("Ed25519").generateKeyPair()
        private val origin = "https://link.example.com"

        fun passkey(): Passkey {
            val cose = byteArrayOf(0xa4.toByte(), 1, 1, 3, 0x27, 0x20, 6, 0x21, 0x58, 0x20)
            // The last 32 bytes of the X.509 form are the key.
            return Passkey("id".toByteArray(), cose + keys.public.encoded.takeLast(32), "example.com", listOf(origin))
        }

        fun signs(wanted: PasskeyWanted): PasskeyAssertion {
            val challenge = Base64.getUrlEncoder().withoutPadding().encodeToString(wanted.challenge)
            val client = """{"type":"webauthn.get","challenge":"$challenge","origin":"$origin","crossOrigin":false}""".toByteArray()
            val data = sha256(wanted.rpId.toByteArray()) + byteArrayOf(5, 0, 0, 0, 1)
            val signature = Signature.getInstance("Ed25519").run {
                initSign(keys.private)
                update(data + sha256(client))
                sign()
            }
            return PasskeyAssertion(wanted.credentials.single(), data, client, signature)
        }

        private fun sha256(bytes: ByteArray) = MessageDigest.getInstance("SHA-256").digest(bytes)
    }

    private suspend fun World.phone(radio: Radio? = null, judge: Judge? = null) = PrimaryAccount.open(
        path("phone.db"), SoftKey(), address, "Phone", LinkPolicy.STRONG_ONLY,
        radio = radio, judge = judge, localNetwork = false,
    )

    private suspend fun World.tablet(radio: Radio? = null, passkey: Boolean = false, attestation: Boolean = false) =
        LinkedAccount.open(path("tablet.db"), SoftKey(), address, radio, passkey, attestation, localNetwork = false)

    /** Links, and lets [digits] and [asked] bring what they have. Gives the end and what was checked. */
    private suspend fun link(
        phone: PrimaryAccount,
        tablet: LinkedAccount,
        digits: suspend (LinkFlow, ShowFlow) -> Unit = { _, _ -> },
        asked: suspend (ShowFlow, ShowState.EvidenceWanted) -> Unit = { show, _ -> show.give() },
    ): Pair<LinkState, List<EvidenceCheck>> = coroutineScope {
        val show = tablet.link("Tablet", "Android", "test", this)
        launch {
            show.state.takeWhile { !it.isFinal }.collect { if (it is ShowState.EvidenceWanted) asked(show, it) }
        }
        show.state.takeWhile { it !is ShowState.ShowCode }.collect {}
        val code = (show.state.value as ShowState.ShowCode).code.text
        val link = phone.link(code.toByteArray(), CodeSource.LIVE_CAMERA, this)
        link.state.takeWhile { !it.isFinal }.collect { state ->
            when (state) {
                is LinkState.Review -> {
                    delay(state.approval.holdMs)
                    link.approve()
                }
                is LinkState.ShowCheckCode -> {
                    while (show.tapWord() == null) delay(5)
                    digits(link, show)
                    show.enterCheckCode(state.digits)
                }
                else -> Unit
            }
        }
        val end = link.await()
        show.await()
        end to link.evidence.value
    }

    @Test
    fun `a registered passkey is asked for and its assertion links`() = awaiting {
        World().use { world ->
            val (phone, tablet) = world.phone() to world.tablet(passkey = true)
            val authenticator = Authenticator()
            val foreign = Passkey("id".toByteArray(), authenticator.passkey().publicKey, "example.com", listOf("https://example.org"))
            assertThrows(PairlightException.Misuse::class.java) { runBlocking { phone.passkeys.register(foreign) } }
            phone.passkeys.register(authenticator.passkey())
            assertArrayEquals("id".toByteArray(), phone.passkeys.list().single().credential)

            val (without, nothing) = link(phone, tablet)
            assertEquals(EndedReason.REFUSED, (without as LinkState.Failed).reason)
            assertTrue(nothing.isEmpty() && without.help.any { it.key == "passkey" }, "${without.help}")
            val (other, checked) = link(phone, tablet, asked = { show, _ ->
                show.give(authenticator.signs(PasskeyWanted("example.com", listOf("id".toByteArray()), ByteArray(32))))
            })
            assertEquals(EndedReason.REFUSED, (other as LinkState.Failed).reason)
            assertEquals(listOf(EvidenceCheck(4, "the passkey signed for another link")), checked)
            val (linked, proven) = link(phone, tablet, asked = { show, wanted -> show.give(authenticator.signs(wanted.passkey!!)) })
            assertInstanceOf(LinkState.Linked::class.java, linked)
            assertEquals(listOf(EvidenceCheck(4, null)), proven)
            assertEquals(Grade.STRONG, phone.devices.list().single { !it.isThis }.grade)
            phone.passkeys.forget("id".toByteArray())
            assertTrue(phone.passkeys.list().isEmpty())
            phone.close()
            tablet.close()
        }
    }

    /** A radio whose advertisements are heard through [air]. */
    private class Simulated(private val air: LinkedBlockingQueue<UUID>) : Radio {
        override fun advertise(uuid: UUID) = air.put(uuid)
        override fun listen() = Unit
        override fun stop() = error("a radio that fails ends nothing")
    }

    @Test
    fun `what one radio says and the other hears links, and so does a word over a tap`() = awaiting {
        World().use { world ->
            val air = LinkedBlockingQueue<UUID>()
            val (phone, tablet) = world.phone(Simulated(air)) to world.tablet(Simulated(LinkedBlockingQueue()))
            val (heard, byRadio) = link(phone, tablet, digits = { _, show -> show.heard(air.take()) })
            assertInstanceOf(LinkState.Linked::class.java, heard)
            assertEquals(listOf(EvidenceCheck(3, null)), byRadio)
            phone.devices.revokeAll()
            phone.close()
            tablet.close()
        }
        World().use { world ->
            val (phone, tablet) = world.phone() to world.tablet()
            val (other, wrong) = link(phone, tablet, digits = { link, _ -> link.tapped(TapMedium.CABLE, ByteArray(16)) })
            assertEquals(EndedReason.REFUSED, (other as LinkState.Failed).reason)
            assertEquals(1, wrong.count { it.bit == 5 && it.refuted != null })
            val (tapped, right) = link(phone, tablet, digits = { link, show -> link.tapped(TapMedium.NFC, show.tapWord()!!) })
            assertInstanceOf(LinkState.Linked::class.java, tapped)
            assertEquals(listOf(EvidenceCheck(5, null)), right)
            phone.close()
            tablet.close()
        }
    }

    @Test
    fun `the app judges an attestation`() = awaiting {
        World().use { world ->
            var fails = true
            val judge = Judge {
                if (fails) error("a judge that fails vouches for nobody")
                it.deviceKey.size == 32 && it.proof.contentEquals("we vouch".toByteArray() + it.challenge)
            }
            val (phone, tablet) = world.phone(judge = judge) to world.tablet(attestation = true)
            val vouching: suspend (ShowFlow, ShowState.EvidenceWanted) -> Unit =
                { show, wanted -> show.give(attestation = "we vouch".toByteArray() + wanted.attestation!!) }
            val (no, refuted) = link(phone, tablet, asked = vouching)
            assertEquals(EndedReason.REFUSED, (no as LinkState.Failed).reason)
            assertEquals(1, refuted.count { it.bit == 7 && it.refuted != null })
            fails = false
            val (yes, proven) = link(phone, tablet, asked = vouching)
            assertInstanceOf(LinkState.Linked::class.java, yes)
            assertEquals(listOf(EvidenceCheck(7, null)), proven)
            phone.close()
            tablet.close()
        }
    }
}
