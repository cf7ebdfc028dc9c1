package org.pairlight

import java.util.UUID
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.first
import org.pairlight.bridge.LinkingEvent
import org.pairlight.bridge.LinkingFlow

/** Where a link stands on the device that joins. */
public sealed interface ShowState {
    /** The first code is being made. */
    public data object Preparing : ShowState

    /** Draw this code; the next one comes by itself. */
    public data class ShowCode(val code: CodePicture) : ShowState

    /** No code is live any more: a button that calls [ShowFlow.showAgain]. */
    public data object Paused : ShowState

    /** The relay is out of reach; tried again by itself in [afterMs]. */
    public data class Reconnecting(val afterMs: Long) : ShowState

    /** "Phone connected: confirm there." The code is gone from the screen. */
    public data object Claimed : ShowState

    /** Ask for the six digits that the other device shows; [triesLeft] after a wrong try. */
    public data class EnterCheckCode(val triesLeft: Int?) : ShowState

    /** They were right; the other device decides now. */
    public data object Deciding : ShowState

    /**
     * The account asks for evidence that only the app can get: answer with [ShowFlow.give], with nothing where it cannot.
     * [attestation] has 32 bytes that one must be bound to.
     */
    public class EvidenceWanted internal constructor(public val passkey: PasskeyWanted?, public val attestation: ByteArray?) :
        ShowState

    /** Linked. The last state. Linked is not synchronised yet: see [Sync.history]. */
    public data class Linked(val device: String, val primary: String?) : ShowState

    /** Ended, for the same reason on both sides. [retryAfterMs] as in [LinkState.Failed]. The last state. */
    public data class Failed(val reason: EndedReason, val retryAfterMs: Long? = null) : ShowState

    /** It cannot go on here. The last state. */
    public data class Broken(val cause: PairlightException) : ShowState

    public val isFinal: Boolean
        get() = this is Linked || this is Failed || this is Broken
}

/** A link that is under way, on the device that joins. Lives in its scope, as [LinkFlow] does. */
public class ShowFlow internal constructor(private val bridge: LinkingFlow, scope: CoroutineScope) : AutoCloseable {
    private val states = MutableStateFlow<ShowState>(ShowState.Preparing)
    private val intruder = MutableStateFlow(false)
    private var retryAfterMs: Long? = null

    /** Where it stands. */
    public val state: StateFlow<ShowState> = states.asStateFlow()

    /** Whether somebody else tried to scan the code; they were refused. Tell the person. */
    public val secondScanner: StateFlow<Boolean> = intruder.asStateFlow()

    private val job = scope.takingEvents(bridge::nextEvent, ::take) { failure ->
        if (!states.value.isFinal) {
            states.value = failure?.let(ShowState::Broken) ?: ShowState.Failed(EndedReason.CANCELLED)
        }
        bridge.close()
    }

    private fun take(event: LinkingEvent) {
        states.value = when (event) {
            is LinkingEvent.ShowCode -> ShowState.ShowCode(event.code.own())
            LinkingEvent.Paused -> ShowState.Paused
            is LinkingEvent.Reconnecting -> ShowState.Reconnecting(event.afterMs.toLong())
            LinkingEvent.Claimed -> ShowState.Claimed
            LinkingEvent.EnterCheckCode -> ShowState.EnterCheckCode(null)
            is LinkingEvent.WrongCheckCode -> ShowState.EnterCheckCode(event.triesLeft.toInt())
            LinkingEvent.CheckCodeAccepted -> ShowState.Deciding
            is LinkingEvent.EvidenceWanted -> ShowState.EvidenceWanted(event.passkey?.own(), event.attestation)
            is LinkingEvent.Linked -> ShowState.Linked(event.device, event.primary)
            is LinkingEvent.Failed -> ShowState.Failed(event.reason.own(), retryAfterMs)
            is LinkingEvent.TooManyAttempts -> {
                retryAfterMs = event.retryAfterMs.toLong()
                return
            }
            LinkingEvent.SecondScanner -> {
                intruder.value = true
                return
            }
        }
    }

    /** The person typed the check code, with or without a gap. */
    public suspend fun enterCheckCode(typed: String): Unit = own { bridge.enterCheckCode(typed) }

    /** The person asks for a new code after [ShowState.Paused]. */
    public suspend fun showAgain(): Unit = own { bridge.showAgain() }

    /** The answer to [ShowState.EvidenceWanted]. An attestation has 4,096 bytes at most. */
    public suspend fun give(passkey: PasskeyAssertion? = null, attestation: ByteArray? = null) {
        own { bridge.giveEvidence(passkey?.bridge(), attestation) }
        states.compareAndSet(states.value as? ShowState.EvidenceWanted ?: return, ShowState.Deciding)
    }

    /** The radio heard a service UUID. */
    public suspend fun heard(uuid: UUID): Unit = own { bridge.heard(uuid.toString()) }

    /** What the app sends over a cable or a tap, 16 bytes; null before the check code is asked for. */
    public fun tapWord(): ByteArray? = own { bridge.tapWord() }

    /** The person closed the screen. Both devices say so. */
    public suspend fun cancel(): Unit = own { bridge.cancel() }

    /** Waits for the end. */
    public suspend fun await(): ShowState = state.first { it.isFinal }

    /** Ends the work here at once, without a word to the other device. */
    override fun close(): Unit = job.cancel()
}
