package org.pairlight

import org.pairlight.bridge.CodePicture as BridgeCode

/** Where the relay is, and which one: [key] is its pinned attestation key, 64 hexadecimal digits. */
public data class RelayAddress(val url: String, val key: String)

/** Which evidence a link needs, and what it grants. */
public enum class LinkPolicy { BALANCED, STRICT, STRONG_ONLY, DEVELOPMENT }

/** How a code reached this device. Only [LIVE_CAMERA], of the app's own link screen, is strong. */
public enum class CodeSource { LIVE_CAMERA, PICTURE, PASTED }

/** Why a link ended without a device; the same word on both sides. `docs/guides/embed-android.md` says what to show. */
public enum class EndedReason {
    CANCELLED, DECLINED, TIMED_OUT, TAMPERED, WRONG_CHECK_CODE, CONFLICT, EXPIRED, REFUSED, STORAGE_FAILED, OUTDATED,
    SUPERSEDED, NOT_PUBLISHED, RATE_LIMITED, UNREACHABLE,
}

/** How sure it is that the other device is the person's own. */
public enum class Grade { UNKNOWN, WEAK, MEDIUM, STRONG }

/** Something to say: [key] for translations, [text] in English. */
public data class Phrase(val key: String, val text: String)

/** What the approval screen must show. No is the default. Texts of the other device are data: show them in a field. */
public data class Approval(
    val deviceName: String,
    val os: String,
    val app: String,
    val inBrowser: Boolean,
    /** Origin of the page that shows the code. */
    val origin: String?,
    /** Where it is, as far as the relay knows. */
    val place: String?,
    val samePlace: Boolean,
    val warnings: List<Phrase>,
    /** What would help, where the policy refuses the grade so far. */
    val help: List<Phrase>,
    /** The name in the account of the lapsed device that this one claims to be. */
    val returning: String?,
    val gradeSoFar: Grade,
    /** How long "approve" must be held, ms. */
    val holdMs: Long,
    /** Whether the person will be asked again unless further evidence comes. */
    val asksTwice: Boolean,
)

/**
 * A code to draw: dark on light, with four modules of margin, whatever the theme. [modules] row by row, true = dark.
 * [text] is what it says, a secret, for a person who cannot use a camera.
 */
public class CodePicture internal constructor(
    public val size: Int,
    public val modules: BooleanArray,
    public val shownMs: Long,
    public val text: String,
) {
    override fun toString(): String = "CodePicture(size=$size)"
}

/** What a device may do now. */
public enum class DeviceStanding { GOOD, RESTRICTED, QUARANTINED, LOCKED }

/** One device of the account. Times are ms since 1970. */
public data class Device(
    val id: String,
    /** Null when it cannot be read. */
    val name: String?,
    val isThis: Boolean,
    val isPrimary: Boolean,
    val linkedMs: Long,
    val grade: Grade,
    /** Null before the first report and for this device. */
    val lastCheckInMs: Long?,
    val leaseUntilMs: Long?,
    val standing: DeviceStanding,
    /** Why it may not do all, in English. */
    val restriction: String?,
)

/** A device that left the account within the last 180 days. */
public data class RemovedDevice(val id: String, val reason: String, val atMs: Long)

/** How this linked device stands. */
public data class OwnStanding(
    val device: String,
    val primary: String?,
    val isLocked: Boolean,
    val restriction: String?,
    val endsMs: Long,
    /** How long the device that holds the account has been silent. */
    val silentMs: Long,
    /** Device lists that contradict each other, if some were seen; see [LinkedAccount.keepOwnList]. */
    val fork: Fork?,
)

/** What an [Alert] is about: the key of its translation. */
public enum class AlertKind {
    /** A device was linked; again; removed. */
    LINKED, RELINKED, REMOVED,

    /** Something about a device does not add up. */
    DISCREPANCY,

    /** Another root key, another recovery key holds the account. */
    ROOT_CHANGED, RECOVERY_CHANGED,

    /** Different devices are shown different lists: show both hashes of the [Fork], and have the person compare them. */
    FORKED,

    /** The relay shows an older device list than before; this device keeps the newer one. */
    ROLLED_BACK,

    /** The device that holds the account has not been seen for long; the permission of this one will end. */
    SILENT,

    /** For a developer's screen: a message was dropped because it does not open, or its sender may not send now. */
    UNREADABLE, WITHHELD,

    /** For a developer's screen: the session with a device was made anew under the pinned keys. */
    SESSION_RESET,
    ;

    internal val isForDevelopers: Boolean
        get() = this == UNREADABLE || this == WITHHELD || this == SESSION_RESET
}

/** Something to tell the person. [device] is the id of the device that it is about, if any; [text] says it in English. */
public data class Alert(val kind: AlertKind, val device: String?, val text: String)

/** Two device lists that contradict each other: their number and hashes, to be compared with those of another device. */
public data class Fork(val epoch: Long, val ours: String, val theirs: String)

/** Where a listing stands; what comes next is older. */
public data class PageMark internal constructor(internal val order: ULong, internal val change: ULong)

/** A message. [id] and [conversation] are hexadecimal digits, times ms since 1970. Texts come from other devices. */
public data class Message(
    val id: String,
    val conversation: String,
    val sender: String,
    val text: String,
    val sentMs: Long,
    val editedMs: Long?,
    val replyTo: String?,
    val attachments: List<Attachment>,
    val place: PageMark,
)

/** A conversation in a list. */
public data class Conversation(val id: String, val title: String, val latest: Message?, val readUpToMs: Long)

/** What a transfer of history is busy with. */
public enum class HistoryStage { FIRST_SCREEN, RECENT, REST, COMPLETE }

/** How a transfer of history is doing. Linked is not synchronised: until [Done], say how far it is. */
public sealed interface HistoryState {
    public data object Waiting : HistoryState
    public data object Running : HistoryState
    /** The policy holds back what follows, until then; null = until somebody frees it. */
    public data class Held(val untilMs: Long?) : HistoryState
    public data object Cancelled : HistoryState
    public data object Done : HistoryState
}

/** Progress of a transfer: [records] of [total], [bytes] sealed. */
public data class History(
    val device: String,
    val state: HistoryState,
    val stage: HistoryStage,
    val records: Long,
    val total: Long,
    val bytes: Long,
)

// -- from the bridge

internal fun ULong?.ms(): Long? = this?.toLong()

internal fun grade(number: UByte): Grade = Grade.entries.getOrElse(number.toInt()) { Grade.UNKNOWN }

internal fun RelayAddress.bridge() = org.pairlight.bridge.RelayAddress(url, key)

internal fun LinkPolicy.bridge() = org.pairlight.bridge.PolicyPreset.valueOf(name)

internal fun CodeSource.bridge() = org.pairlight.bridge.Source.valueOf(name)

internal fun org.pairlight.bridge.EndedReason.own() = EndedReason.valueOf(name)

internal fun phrases(keys: List<String>, texts: List<String>) = keys.zip(texts) { key, text -> Phrase(key, text) }

internal fun org.pairlight.bridge.Approval.own() = Approval(
    deviceName, os, app, inBrowser, origin, place, samePlace, phrases(warningKeys, warnings), phrases(helpKeys, help),
    returning, grade(gradeSoFar), holdMs.toLong(), asksTwice,
)

internal fun BridgeCode.own() =
    CodePicture(size.toInt(), BooleanArray(modules.size) { modules[it] != 0.toByte() }, shownMs.toLong(), text)

internal fun org.pairlight.bridge.Device.own() = Device(
    id, name, isThis, isPrimary, linkedMs.toLong(), grade(grade), lastCheckInMs.ms(), leaseUntilMs.ms(),
    DeviceStanding.valueOf(standing.name), restriction,
)

internal fun org.pairlight.bridge.Message.own() = Message(
    id, conversation, sender, text, sentMs.toLong(), editedMs.ms(), replyTo, attachments.map { it.own() },
    PageMark(place.order, place.change),
)

internal fun org.pairlight.bridge.Alert.own() = Alert(AlertKind.valueOf(kind.name), device, text)

internal fun org.pairlight.bridge.Fork.own() = Fork(epoch.toLong(), ours, theirs)

internal fun org.pairlight.bridge.Conversation.own() = Conversation(id, title, latest?.own(), readUpToMs.toLong())

internal fun org.pairlight.bridge.History.own() = History(
    device,
    when (val state = state) {
        org.pairlight.bridge.HistoryState.Waiting -> HistoryState.Waiting
        org.pairlight.bridge.HistoryState.Running -> HistoryState.Running
        is org.pairlight.bridge.HistoryState.Held -> HistoryState.Held(state.untilMs.ms())
        org.pairlight.bridge.HistoryState.Cancelled -> HistoryState.Cancelled
        org.pairlight.bridge.HistoryState.Done -> HistoryState.Done
    },
    HistoryStage.valueOf(stage.name),
    records.toLong(),
    total.toLong(),
    bytes.toLong(),
)
