package org.pairlight

import java.util.UUID
import org.pairlight.bridge.PrimaryAccount as BridgePrimary

/**
 * A Bluetooth Low Energy radio of the app's, for evidence that both devices are in one room. Called on threads of the library; must
 * not block. One that is off or not allowed does nothing: then there is no such evidence.
 */
public interface Radio {
    /** On the device that holds the account: advertise this service UUID until told to stop. */
    public fun advertise(uuid: UUID)

    /** On the device that joins: listen, and report each 128-bit service UUID with [ShowFlow.heard]. */
    public fun listen()

    /** Be silent and deaf again. */
    public fun stop()
}

/** An attestation of an organisation: it must be bound to [challenge] and be of the device whose public key is [deviceKey]. */
public class Attestation internal constructor(
    public val challenge: ByteArray,
    public val deviceKey: ByteArray,
    /** As the other device's app gave it. */
    public val proof: ByteArray,
)

/** Judges attestations for the app's organisation. Called on a thread that may block. */
public fun interface Judge {
    /** Whether the organisation vouches for this device in this link. */
    public fun vouches(attestation: Attestation): Boolean
}

/** What carried a word from one device to the other. */
public enum class TapMedium { CABLE, NFC }

/**
 * A passkey that the app has just made, to be registered. [publicKey] in COSE form (ES256, or EdDSA with Ed25519), [rpId] such as
 * `example.com`, [origins] the pages that may ask it (`https://link.example.com`), one to eight.
 */
public class Passkey(
    public val credential: ByteArray,
    public val publicKey: ByteArray,
    public val rpId: String,
    public val origins: List<String>,
)

/** A passkey that was registered. */
public class RegisteredPasskey internal constructor(public val credential: ByteArray, public val rpId: String)

/** What to ask the platform's passkeys for, with user verification required. [challenge] has 32 bytes. */
public class PasskeyWanted internal constructor(
    public val rpId: String,
    public val credentials: List<ByteArray>,
    public val challenge: ByteArray,
)

/** A WebAuthn assertion, as the platform gave it. [clientData] is `clientDataJSON`. */
public class PasskeyAssertion(
    public val credential: ByteArray,
    public val authenticatorData: ByteArray,
    public val clientData: ByteArray,
    public val signature: ByteArray,
)

/** The account's passkeys: a device that can is asked for the assertion of one, which makes the link strong. */
public class Passkeys internal constructor(private val bridge: BridgePrimary) {
    /** Those that are registered. */
    public suspend fun list(): List<RegisteredPasskey> =
        own { bridge.passkeys() }.map { RegisteredPasskey(it.credential, it.rpId) }

    /**
     * Registers one that the app has made.
     *
     * @throws PairlightException.Misuse for a key of another algorithm, or an origin that is not of the relying party
     */
    public suspend fun register(passkey: Passkey): Unit = own {
        bridge.registerPasskey(
            org.pairlight.bridge.Passkey(passkey.credential, passkey.publicKey, passkey.rpId, passkey.origins),
        )
    }

    /** Forgets one, by its credential id. */
    public suspend fun forget(credential: ByteArray): Unit = own { bridge.forgetPasskey(credential) }
}

internal fun Radio.bridge(): org.pairlight.bridge.Radio = object : org.pairlight.bridge.Radio {
    override fun advertise(uuid: String): Unit = answering { this@bridge.advertise(UUID.fromString(uuid)) }

    override fun listen(): Unit = answering { this@bridge.listen() }

    override fun stop(): Unit = answering { this@bridge.stop() }
}

internal fun org.pairlight.bridge.PasskeyWanted.own() = PasskeyWanted(rpId, credentials, challenge)

internal fun PasskeyAssertion.bridge() =
    org.pairlight.bridge.PasskeyAssertion(credential, authenticatorData, clientData, signature)
