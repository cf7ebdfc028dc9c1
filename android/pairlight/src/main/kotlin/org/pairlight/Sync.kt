package org.pairlight

import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.channels.BufferOverflow
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.MutableSharedFlow
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.SharedFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asSharedFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.receiveAsFlow
import org.pairlight.bridge.LineEvent
import org.pairlight.bridge.SyncEvent
import org.pairlight.bridge.Sync as BridgeSync

/** Whether the device is in touch. */
public sealed interface LineState {
    public data object Connecting : LineState
    public data object Online : LineState

    /** Out of reach; tried again by itself in [retryMs]. What is written meanwhile goes out then. */
    public data class Offline(val retryMs: Long) : LineState

    /** The permission of this device has ended: open the store again and link anew. */
    public data class Locked(val reason: String) : LineState

    /** This device was removed and its data is erased. The last state. */
    public data class Removed(val reason: String) : LineState

    /** The relay refuses this device; nothing is erased. The last state. */
    public data object Refused : LineState

    /** It cannot go on. The last state. */
    public data class Broken(val cause: PairlightException) : LineState

    /** Closed by the app. The last state. */
    public data object Closed : LineState

    public val isFinal: Boolean
        get() = this is Removed || this is Refused || this is Broken || this is Closed
}

/** How long this linked device may stay, unless it is renewed; [restriction] says why it may not do everything, in English. */
public data class Lease(val untilMs: Long, val restriction: String?)

/** Bytes of the app's own from another device. */
public class Parcel internal constructor(public val from: String, public val body: ByteArray)

/** A passing word of another device, such as "is typing". */
public class Signal internal constructor(public val from: String, public val name: String, public val body: ByteArray)

/**
 * A device that is online and keeps its conversations in step, for as long as its scope lives. What is read here is what is
 * on this device; what is written is durable here when the call returns, and goes out when both devices are online.
 */
public class Sync internal constructor(
    private val bridge: BridgeSync,
    scope: CoroutineScope,
    /** Of the account that this device holds. */
    private val list: Devices? = null,
) : AutoCloseable {
    private val lines = MutableStateFlow<LineState>(LineState.Connecting)
    /** Conversations in which something changed; none for "read everything again". */
    private val changed = Changes<Set<String>>()
    private val moved = Changes<Unit>()
    private val devices = burst<Unit>(replay = 1)
    private val told = Alerts()
    private val signalled = burst<Signal>()
    private val leases = MutableStateFlow<Lease?>(null)
    /** The file that moved; nothing for "ask for all of them". */
    private val filesMoved = Changes<String>()
    private val arrived = Channel<Parcel>(WAITING, BufferOverflow.DROP_OLDEST)

    /** Whether it is in touch. */
    public val line: StateFlow<LineState> = lines.asStateFlow()

    /** On a linked device: its permission, since the last renewal; null before it. */
    public val lease: StateFlow<Lease?> = leases.asStateFlow()

    /** Files of messages. */
    public val files: Files = Files(bridge, filesMoved)

    /**
     * What to tell the person; nothing of the kind is left out, but what is for a developer's screen while 256 of that wait. For one
     * collector: what comes before it collects waits for it.
     */
    public val alerts: Flow<Alert> = told.all

    /** Passing words of other devices. */
    public val signals: SharedFlow<Signal> = signalled.asSharedFlow()

    /**
     * Bytes that other devices sent with [sendBytes]. For one collector: what comes before it collects waits for it, the newest 256
     * of them.
     */
    public val parcels: Flow<Parcel> = arrived.receiveAsFlow()

    /** That the account has a new device list; the last time also to who comes later. [PrimaryAccount.devices] hears it by itself. */
    public val devicesChanged: SharedFlow<Unit> = devices.asSharedFlow()

    /** The conversations, latest first: now, and again after each change, as long as the line is open. */
    public val conversations: Flow<List<Conversation>> =
        changed.reading { own { bridge.conversations() }.map { it.own() } }

    /** How the transfers of history are doing: now, and again whenever one moves, as long as the line is open. */
    public val history: Flow<List<History>> = moved.reading { own { bridge.history() }.map { it.own() } }

    /** The [limit] newest messages of a conversation, newest first: now, and again after each change, as long as the line is open. */
    public fun messages(conversation: String, limit: Int = 100): Flow<List<Message>> =
        changed.reading({ it.isEmpty() || conversation in it }) { older(conversation, null, limit) }

    /** A page of messages older than [before] (null: the newest), newest first. */
    public suspend fun older(conversation: String, before: PageMark?, limit: Int): List<Message> {
        val place = before?.let { org.pairlight.bridge.PageMark(it.order, it.change) }
        return own { bridge.messages(conversation, place, limit.toUInt()) }.map { it.own() }
    }

    /** Messages that contain a text, newest first; on this device alone, nobody else learns the word. */
    public suspend fun search(text: String, limit: Int = 50): List<Message> =
        own { bridge.search(text, limit.toUInt()) }.map { it.own() }

    /** Begins a conversation. Gives its id. */
    public suspend fun beginConversation(title: String): String = own { bridge.beginConversation(title) }

    /**
     * Writes a message. Gives its id.
     *
     * @param sender how the person calls themselves
     * @param attachments files that [Files.add] took, 32 at most
     * @param replyTo the id of the message that it answers
     */
    public suspend fun send(
        conversation: String,
        sender: String,
        text: String,
        attachments: List<Attachment> = emptyList(),
        replyTo: String? = null,
    ): String = own { bridge.send(conversation, sender, text, replyTo, attachments.map { it.bridge() }) }

    /** Gives a message another text on all devices. */
    public suspend fun editMessage(message: String, text: String): Unit = own { bridge.editMessage(message, text) }

    /** Deletes a message on all devices. */
    public suspend fun deleteMessage(message: String): Unit = own { bridge.deleteMessage(message) }

    /** Marks a conversation as read up to a time on all devices. */
    public suspend fun markRead(conversation: String, upToMs: Long): Unit =
        own { bridge.markRead(conversation, upToMs.toULong()) }

    /** Tells the devices that are online something that is worthless after [lifeMs]. */
    public suspend fun signal(name: String, lifeMs: Long, body: ByteArray = ByteArray(0)): Unit =
        own { bridge.signal(name, lifeMs.toULong(), body) }

    /** Seals bytes of the app's own for a device, and waits until the relay has stored them. */
    public suspend fun sendBytes(to: String, body: ByteArray): Unit = own { bridge.sendBytes(to, body) }

    /**
     * On a linked device: asks the device that holds the account for [count] messages of a conversation older than [beforeMs].
     * They arrive as changes.
     */
    public suspend fun askOlder(conversation: String, beforeMs: Long, count: Int): Unit =
        own { bridge.askOlder(conversation, beforeMs.toULong(), count.toUInt()) }

    /** Stops a transfer of history: to [device], or to this one. What is stored stays. */
    public suspend fun cancelHistory(device: String): Unit = own { bridge.cancelHistory(device) }

    /** Begins a transfer of history anew, without a new link. */
    public suspend fun retryHistory(device: String): Unit = own { bridge.retryHistory(device) }

    /** The person proved presence, to free what the policy holds back of the history of [device]. */
    public suspend fun presenceShown(device: String): Unit = own { bridge.presenceShown(device) }

    /** Whether every device has confirmed what was written here. */
    public suspend fun isInStep(): Boolean = own { bridge.isInStep() }

    /**
     * After [PairlightException.Storage] said that a record is damaged: deletes such records and asks the other devices for
     * everything again. Gives how many were lost here.
     */
    public suspend fun repair(): Long = own { bridge.repair() }.toLong()

    private val job = scope.takingEvents(bridge::nextEvent, ::take) { failure ->
        if (!lines.value.isFinal) lines.value = failure?.let(LineState::Broken) ?: LineState.Closed
        changed.end()
        moved.end()
        filesMoved.end()
        bridge.close()
    }

    private fun take(event: SyncEvent) {
        when (event) {
            is SyncEvent.Changed -> {
                // A deletion does not say where: then all conversations are read again.
                val groups = event.records.map { it.group }
                changed.tell(if (groups.any { it == null }) emptySet() else groups.filterNotNull().toSet())
            }
            SyncEvent.Missed -> {
                changed.tell(emptySet())
                moved.tell(Unit)
                filesMoved.tell("")
            }
            SyncEvent.HistoryMoved -> moved.tell(Unit)
            is SyncEvent.Signal -> signalled.tryEmit(Signal(event.from, event.name, event.body))
            is SyncEvent.FileMoved -> filesMoved.tell(event.file)
            is SyncEvent.Line -> take(event.event)
        }
    }

    private fun take(event: LineEvent) {
        when (event) {
            LineEvent.Online -> lines.value = LineState.Online
            is LineEvent.Offline -> lines.value = LineState.Offline(event.retryMs.toLong())
            is LineEvent.Locked -> lines.value = LineState.Locked(event.reason)
            is LineEvent.Removed -> lines.value = LineState.Removed(event.reason)
            LineEvent.Refused -> lines.value = LineState.Refused
            is LineEvent.Failed -> lines.value = LineState.Broken(event.error.own())
            LineEvent.DevicesChanged -> {
                list?.refresh()
                devices.tryEmit(Unit)
            }
            is LineEvent.Message -> arrived.trySend(Parcel(event.from, event.body))
            is LineEvent.Alerted -> tell(event.alert.own())
            is LineEvent.Leased -> leases.value = Lease(event.untilMs.toLong(), event.restriction)
        }
    }

    private fun tell(alert: Alert) {
        // It may be about what this device did by itself, which is no list that somebody else published.
        if (!alert.kind.isForDevelopers) list?.refresh()
        told.tell(alert)
    }

    /** Goes offline. */
    override fun close(): Unit = job.cancel()

    private companion object {
        /** What waits for a slow reader. */
        const val WAITING = 256

        /** Told to whoever listens now; a reader that is very slow loses the oldest, never the line its events. */
        fun <T> burst(replay: Int = 0) = MutableSharedFlow<T>(replay, WAITING, BufferOverflow.DROP_OLDEST)
    }
}
