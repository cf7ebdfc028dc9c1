package org.pairlight

import kotlinx.coroutines.CoroutineScope
import org.pairlight.bridge.LinkedAccount as BridgeLinked
import org.pairlight.bridge.LinkedHooks
import org.pairlight.bridge.PrimaryAccount as BridgePrimary
import org.pairlight.bridge.PrimaryHooks

/** The account, on the device that holds it: the phone, mostly. */
public class PrimaryAccount private constructor(internal val bridge: BridgePrimary, private val judge: Judge?) : AutoCloseable {
    /** The account's devices. */
    public val devices: Devices = Devices(bridge)

    /** The account's passkeys. */
    public val passkeys: Passkeys = Passkeys(bridge)

    /**
     * Links the device whose code was scanned. The link lives in [scope].
     *
     * @throws PairlightException.Misuse for a code that is not an offer, see [Meaning.isOffer]
     * @throws PairlightException.Offline when the relay is out of reach
     */
    public suspend fun link(code: ByteArray, source: CodeSource, scope: CoroutineScope): LinkFlow =
        LinkFlow(own { bridge.link(code, source.bridge()) }, scope, judge, devices)

    /** Goes on with links that were interrupted by the end of the app. Call it once after [open]. */
    public suspend fun resume(scope: CoroutineScope): List<LinkFlow> =
        own { bridge.resume() }.map { LinkFlow(it, scope, judge, devices) }

    /** Goes online for as long as [scope] lives, and keeps the records of all devices in step. One at a time. */
    public suspend fun sync(scope: CoroutineScope): Sync = Sync(own { bridge.sync() }, scope, devices)

    /**
     * Makes a recovery key in place of any before. Gives its 24 words: a secret, to be shown once and written down; they are
     * kept nowhere.
     */
    public suspend fun createRecovery(): String = own { bridge.createRecovery() }

    /** Brings the account under a new root key: when somebody may have seen the old one. Devices stay. */
    public suspend fun rotateRoot(): Unit = own { bridge.rotateRoot() }

    /** Closes the store. Flows and lines of this account go on until they end. */
    override fun close(): Unit = bridge.close()

    public companion object {
        /**
         * Opens the account in the store at [path], or makes one called [name].
         *
         * @param path a file in the app's no-backup folder: a copied store is a copied device
         * @param approver asked before each approval takes effect; without one the app answers for the unlock by itself
         * @param radio advertises while a device is linked
         * @param judge judges attestations of an organisation
         * @param localNetwork whether the other device is looked for on the local network
         * @throws PairlightException.KeyStore when the key is gone or the person cancelled
         * @throws PairlightException.Storage when the file cannot be used
         */
        public suspend fun open(
            path: String,
            key: KeyWrap,
            relay: RelayAddress,
            name: String,
            policy: LinkPolicy = LinkPolicy.BALANCED,
            approver: Approver? = null,
            radio: Radio? = null,
            judge: Judge? = null,
            localNetwork: Boolean = true,
            clock: (() -> Long)? = null,
        ): PrimaryAccount = own {
            val hooks = PrimaryHooks(approver?.bridge(), localNetwork, radio?.bridge(), judge != null, clock?.bridge())
            val bridge = BridgePrimary.open(path, key.bridge(), relay.bridge(), policy.bridge(), name, hooks)
            PrimaryAccount(bridge, judge)
        }

        /**
         * Brings an account to this device with the 24 words of its recovery key. The store at [path] must be new. The lost
         * device is removed, linked devices stay. The other parameters are those of [open].
         *
         * @throws PairlightException.Misuse for words that were mistyped, [PairlightException.Refused] for those of no account
         */
        public suspend fun recover(
            words: String,
            path: String,
            key: KeyWrap,
            relay: RelayAddress,
            name: String,
            policy: LinkPolicy = LinkPolicy.BALANCED,
            approver: Approver? = null,
            radio: Radio? = null,
            judge: Judge? = null,
            localNetwork: Boolean = true,
            clock: (() -> Long)? = null,
        ): RecoveredAccount = own {
            val hooks = PrimaryHooks(approver?.bridge(), localNetwork, radio?.bridge(), judge != null, clock?.bridge())
            val recovered = org.pairlight.bridge.recoverAccount(
                words, path, key.bridge(), relay.bridge(), policy.bridge(), name, hooks,
            )
            RecoveredAccount(PrimaryAccount(recovered.account, judge), recovered.words)
        }
    }
}

/** An account that was brought to this device. [words] are the new ones, in place of those that are spent now: show them once. */
public class RecoveredAccount internal constructor(public val account: PrimaryAccount, public val words: String)

/** A device that is, or wants to be, linked. */
public class LinkedAccount private constructor(private val bridge: BridgeLinked) : AutoCloseable {
    /** How this device stands; null when it is not linked. */
    public suspend fun standing(): OwnStanding? = own { bridge.standing() }?.let {
        OwnStanding(
            it.device, it.primary, it.isLocked, it.restriction, it.endsMs.toLong(), it.silentMs.toLong(), it.fork?.own(),
        )
    }

    /** The person compared the hashes of [OwnStanding.fork] and keeps the list of this device: lists are taken again. */
    public suspend fun keepOwnList(): Unit = own { bridge.keepOwnList() }

    /** Shows codes until somebody links this device, as long as [scope] lives. [name] is how it calls itself. */
    public suspend fun link(name: String, os: String, app: String, scope: CoroutineScope): ShowFlow =
        ShowFlow(own { bridge.link(name, os, app) }, scope)

    /** As [link], for a device that is [locked][OwnStanding.isLocked]: it comes back as the device that it was. */
    public suspend fun relink(name: String, os: String, app: String, scope: CoroutineScope): ShowFlow =
        ShowFlow(own { bridge.relink(name, os, app) }, scope)

    /** Goes on with a link that was interrupted by the end of the app; null when there is none. Before [link]. */
    public suspend fun resume(scope: CoroutineScope): ShowFlow? = own { bridge.resume() }?.let { ShowFlow(it, scope) }

    /** Goes online for as long as [scope] lives. One at a time. */
    public suspend fun sync(scope: CoroutineScope): Sync = Sync(own { bridge.sync() }, scope)

    /** Erases everything that this device knows. */
    public suspend fun forget(): Unit = own { bridge.forget() }

    /** Closes the store. */
    override fun close(): Unit = bridge.close()

    public companion object {
        /**
         * Opens the store at [path]; see [PrimaryAccount.open].
         *
         * @param radio listens while this device is linked
         * @param passkey whether the app can use passkeys, and [attestation] whether it has one: it answers
         * [ShowState.EvidenceWanted]
         * @param localNetwork whether to answer on the local network
         */
        public suspend fun open(
            path: String,
            key: KeyWrap,
            relay: RelayAddress,
            radio: Radio? = null,
            passkey: Boolean = false,
            attestation: Boolean = false,
            localNetwork: Boolean = true,
            clock: (() -> Long)? = null,
        ): LinkedAccount = own {
            val hooks = LinkedHooks(localNetwork, radio?.bridge(), passkey, attestation, clock?.bridge())
            LinkedAccount(BridgeLinked.open(path, key.bridge(), relay.bridge(), hooks))
        }
    }
}
