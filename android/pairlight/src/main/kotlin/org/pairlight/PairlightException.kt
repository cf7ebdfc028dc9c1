package org.pairlight

import org.pairlight.bridge.PairlightException as BridgeException

/** Why a call failed. Closed: a `when` over it is complete, and each case says what an app does about it. */
public sealed class PairlightException(message: String, cause: Throwable? = null) : Exception(message, cause) {
    /** The caller gave something impossible: a short buffer, a bad address, an unknown id. Correct the call. */
    public class Misuse(what: String) : PairlightException(what)

    /** The network or the relay is out of reach. Say so; try again later. */
    public class Offline(what: String) : PairlightException(what)

    /** The relay asks for patience. Disable the button for [retryAfterMs]; 0 = not stated. */
    public class TooManyAttempts(public val retryAfterMs: Long) : PairlightException("too many attempts")

    /** The relay refuses. */
    public class Refused(what: String) : PairlightException(what)

    /** One of the two programs is too old. */
    public class UpdateNeeded : PairlightException("an update is needed")

    /** Something was altered, or somebody lies. Nothing was changed here; show it as a warning. */
    public class NotAuthentic : PairlightException("something is not authentic")

    /** The store cannot be used: full, locked, damaged, open elsewhere. */
    public class Storage(what: String) : PairlightException(what)

    /** The key store refused, or its key is gone: after a reset of the lock screen, say. */
    public class KeyStore(what: String, cause: Throwable? = null) : PairlightException(what, cause)

    /** The person did not unlock the device. The approval screen stays. */
    public class NotConfirmed : PairlightException("nobody unlocked this device")

    /** There is no account or link here yet, or the store is of the other role. */
    public class NoAccount(what: String) : PairlightException(what)

    /** The flow or line has ended; its last state says why. */
    public class Ended : PairlightException("this has ended")

    /** A defect of this library. The app lives on; report it. */
    public class Internal(where: String, cause: Throwable? = null) : PairlightException(where, cause)
}

internal fun BridgeException.own(): PairlightException = when (this) {
    is BridgeException.Misuse -> PairlightException.Misuse(what)
    is BridgeException.Offline -> PairlightException.Offline(what)
    is BridgeException.TooManyAttempts -> PairlightException.TooManyAttempts(retryAfterMs.toLong())
    is BridgeException.Refused -> PairlightException.Refused(what)
    is BridgeException.UpdateNeeded -> PairlightException.UpdateNeeded()
    is BridgeException.NotAuthentic -> PairlightException.NotAuthentic()
    is BridgeException.Storage -> PairlightException.Storage(what)
    is BridgeException.KeyStore -> PairlightException.KeyStore(what)
    is BridgeException.NotConfirmed -> PairlightException.NotConfirmed()
    is BridgeException.NoAccount -> PairlightException.NoAccount(what)
    is BridgeException.Ended -> PairlightException.Ended()
    is BridgeException.Internal -> PairlightException.Internal(what)
}

/** Runs a call of the bridge; what it throws becomes one of ours. */
internal inline fun <T> own(call: () -> T): T = try {
    call()
} catch (e: BridgeException) {
    throw e.own()
} catch (e: org.pairlight.bridge.InternalException) {
    throw PairlightException.Internal(e.message ?: "the bridge", e)
} catch (e: IllegalStateException) {
    // The bridge says so of an object that was closed. A cancellation is one of these too, and goes on as it is.
    if (e is kotlin.coroutines.cancellation.CancellationException) throw e
    throw PairlightException.Ended()
}
