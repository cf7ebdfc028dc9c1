package org.pairlight

import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.update
import kotlinx.coroutines.launch
import org.pairlight.bridge.PairingEvent
import org.pairlight.bridge.PairingFlow

/** Where a link stands on the device that holds the account. One screen for each. */
public sealed interface LinkState {
    /** The code is being claimed at the relay. A spinner; it ends by itself. */
    public data object Connecting : LinkState

    /** Who asks. Answer with [LinkFlow.approve] or [LinkFlow.decline]. */
    public data class Review(val approval: Approval) : LinkState

    /** "Yes" was said; the secure channel is being set up. */
    public data object Approved : LinkState

    /** Show these six digits; they are typed on the other device. */
    public data class ShowCheckCode(val digits: String) : LinkState {
        /** Without the digits: they belong in no log. */
        override fun toString(): String = "ShowCheckCode"
    }

    /** They were typed right. */
    public data class CheckCodeConfirmed(val grade: Grade) : LinkState

    /** Weak evidence: show the warning in full. Answer with [LinkFlow.approveAgain] or [LinkFlow.decline]. */
    public data class ReviewAgain(val holdMs: Long) : LinkState

    /** The certificate is signed and on its way; the person can only wait. */
    public data object Finishing : LinkState

    /** Linked. The last state. */
    public data class Linked(val device: String) : LinkState

    /**
     * Ended without a device, for the same reason on both sides. [retryAfterMs] is with [EndedReason.RATE_LIMITED], when the relay
     * said until when: disable the button for so long. The last state.
     */
    public data class Failed(val reason: EndedReason, val help: List<Phrase>, val retryAfterMs: Long? = null) : LinkState

    /** It cannot go on here, and the other side ends by itself. The last state. */
    public data class Broken(val cause: PairlightException) : LinkState

    public val isFinal: Boolean
        get() = this is Linked || this is Failed || this is Broken
}

/** A piece of evidence: its number in `docs/protocol.md` 10, 0 to 7, and what is wrong with it; null when it holds. */
public data class EvidenceCheck(val bit: Int, val refuted: String?)

/**
 * A link that is under way, on the device that holds the account. It lives in the scope that it was begun in: when that is
 * cancelled, the work ends and the state is [LinkState.Failed] with [EndedReason.CANCELLED].
 */
public class LinkFlow internal constructor(
    private val bridge: PairingFlow,
    private val scope: CoroutineScope,
    private val judge: Judge?,
    private val devices: Devices,
) : AutoCloseable {
    private val states = MutableStateFlow<LinkState>(LinkState.Connecting)
    private val intruder = MutableStateFlow(false)
    private val checks = MutableStateFlow<List<EvidenceCheck>>(emptyList())
    private var help: List<Phrase> = emptyList()
    private var retryAfterMs: Long? = null

    /** Where it stands. */
    public val state: StateFlow<LinkState> = states.asStateFlow()

    /** Whether somebody else tried to scan the code; they were refused. Tell the person. */
    public val secondScanner: StateFlow<Boolean> = intruder.asStateFlow()

    /** Evidence that was checked so far; for a developer's screen, the grade says what came of it. */
    public val evidence: StateFlow<List<EvidenceCheck>> = checks.asStateFlow()

    private val job = scope.takingEvents(bridge::nextEvent, ::take) { failure ->
        if (!states.value.isFinal) {
            states.value = failure?.let(LinkState::Broken) ?: LinkState.Failed(EndedReason.CANCELLED, emptyList())
        }
        bridge.close()
        // However it ended: a link that is cancelled at its last step may have come about.
        devices.refresh()
    }

    private fun take(event: PairingEvent) {
        states.value = when (event) {
            is PairingEvent.Review -> LinkState.Review(event.approval.own())
            is PairingEvent.ShowCheckCode -> LinkState.ShowCheckCode(event.digits)
            is PairingEvent.CheckCodeConfirmed -> LinkState.CheckCodeConfirmed(grade(event.grade))
            is PairingEvent.ApproveAgain -> LinkState.ReviewAgain(event.holdMs.toLong())
            PairingEvent.Certified, PairingEvent.Accepted -> LinkState.Finishing
            is PairingEvent.Linked -> LinkState.Linked(event.device)
            is PairingEvent.Failed -> LinkState.Failed(event.reason.own(), help, retryAfterMs)
            is PairingEvent.TooManyAttempts -> {
                retryAfterMs = event.retryAfterMs.toLong()
                return
            }
            is PairingEvent.EvidenceMissing -> {
                help = phrases(event.helpKeys, event.help)
                return
            }
            PairingEvent.SecondScanner -> {
                intruder.value = true
                return
            }
            is PairingEvent.EvidenceChecked -> {
                checks.update { it + EvidenceCheck(event.bit.toInt(), event.refuted) }
                return
            }
            is PairingEvent.JudgeAttestation -> return judge(Attestation(event.challenge, event.devicePk, event.proof))
            // The other device was told which evidence would help; what came of it is in the checks.
            is PairingEvent.AskedForEvidence -> return
        }
    }

    private fun judge(attestation: Attestation) {
        scope.launch(Dispatchers.IO) {
            // A judge that fails vouches for nobody. The link may have ended meanwhile.
            val vouches = runCatching { judge?.vouches(attestation) == true }.getOrDefault(false)
            runCatching { bridge.judge(vouches) }
        }
    }

    /**
     * The person said yes. First the device's own unlock is asked for.
     *
     * @throws PairlightException.NotConfirmed when that is refused; the review stays
     */
    public suspend fun approve() {
        own { bridge.approve() }
        states.compareAndSet(states.value as? LinkState.Review ?: return, LinkState.Approved)
    }

    /** The person said yes again, on the warning screen. As [approve]. */
    public suspend fun approveAgain() {
        own { bridge.approveAgain() }
        states.compareAndSet(states.value as? LinkState.ReviewAgain ?: return, LinkState.Finishing)
    }

    /** What the other device's app sent over a cable or a tap ([ShowFlow.tapWord]) has arrived; the app answers for the medium. */
    public suspend fun tapped(medium: TapMedium, word: ByteArray): Unit =
        own { bridge.tapped(org.pairlight.bridge.TapMedium.valueOf(medium.name), word) }

    /** The person said no. Both devices say so. */
    public suspend fun decline(): Unit = own { bridge.decline() }

    /** The person closed the screen. Both devices say so. */
    public suspend fun cancel(): Unit = own { bridge.cancel() }

    /** Waits for the end. */
    public suspend fun await(): LinkState = state.first { it.isFinal }

    /** Ends the work here at once, without a word to the other device. */
    override fun close(): Unit = job.cancel()
}
