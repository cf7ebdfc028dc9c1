package org.pairlight

import org.pairlight.bridge.PairlightException as BridgeException

/**
 * Wraps the store's data key with a key that never leaves the platform's key store. Called once when a store is opened, on a
 * thread of the library, where it may block. On a phone use [KeystoreVault].
 */
public interface KeyWrap {
    /** Wraps 32 bytes. What comes out is authenticated and is stored in clear. */
    public fun wrap(key: ByteArray): ByteArray

    /** Unwraps what [wrap] gave, or throws. */
    public fun unwrap(wrapped: ByteArray): ByteArray
}

/**
 * Asks whoever holds the device to unlock it. Called before each approval takes effect, on a thread of the library, where it
 * may block until the person has answered. On a phone use [PresenceApprover].
 */
public fun interface Approver {
    /** Whether the person proved presence. [deviceName] is what the other device calls itself. */
    public fun confirms(deviceName: String): Boolean
}

/** Where log lines go. Called on threads of the library, several at once; must not block or call the library. */
public fun interface LogSink {
    public fun line(level: LogLevel, place: String, text: String)
}

/** How much is told. */
public enum class LogLevel { ERROR, WARN, INFO, DEBUG, TRACE }

/** How busy the library is: its threads, and the calls, flows and lines that are alive. */
public data class Activity(val threads: Int, val tasks: Int)

/** What concerns the library as a whole. */
public object Pairlight {
    /**
     * Sends lines of [level] and graver ones to [sink]; once in the life of the process. No line holds a key, a code, a
     * digit or a content.
     *
     * @throws PairlightException.Misuse the second time
     */
    public fun startLogging(level: LogLevel, sink: LogSink): Unit = own {
        org.pairlight.bridge.startLogging(
            level.bridge(),
            object : org.pairlight.bridge.LogSink {
                override fun line(level: org.pairlight.bridge.LogLevel, place: String, text: String) {
                    answering { sink.line(LogLevel.valueOf(level.name), place, text) }
                }
            },
        )
    }

    /** Changes how much is told, at once. */
    public fun setLogLevel(level: LogLevel): Unit = own { org.pairlight.bridge.setLogLevel(level.bridge()) }

    /** What a code means; for content that did not come from a [Scanner]. */
    public fun explain(content: ByteArray): Meaning = own { org.pairlight.bridge.explain(content).own() }

    /** How busy it is. */
    public fun activity(): Activity =
        own { org.pairlight.bridge.activity() }.let { Activity(it.threads.toInt(), it.tasks.toInt()) }

    /** Ends all threads of the library and what runs on them. What was committed stays; a later call starts them anew. */
    public fun shutdown(): Unit = own { org.pairlight.bridge.shutdown() }
}

private fun LogLevel.bridge() = org.pairlight.bridge.LogLevel.valueOf(name)

/** What an app's function throws must not be lost on the way through the library. */
internal inline fun <T> answering(call: () -> T): T = try {
    call()
} catch (e: BridgeException) {
    throw e
} catch (e: PairlightException.NotConfirmed) {
    throw BridgeException.NotConfirmed()
} catch (e: Throwable) {
    // An `Error` too: the bridge lets none through, and would take an answer that was never given.
    throw BridgeException.KeyStore(e.message ?: e.javaClass.simpleName)
}

internal fun KeyWrap.bridge(): org.pairlight.bridge.KeyWrap = object : org.pairlight.bridge.KeyWrap {
    override fun wrap(key: ByteArray): ByteArray = answering { this@bridge.wrap(key) }

    override fun unwrapKey(wrapped: ByteArray): ByteArray = answering { this@bridge.unwrap(wrapped) }
}

internal fun Approver.bridge(): org.pairlight.bridge.Approver = object : org.pairlight.bridge.Approver {
    override fun confirms(deviceName: String): Boolean = answering { this@bridge.confirms(deviceName) }
}

internal fun (() -> Long).bridge(): org.pairlight.bridge.Clock = object : org.pairlight.bridge.Clock {
    override fun nowMs(): ULong = answering { this@bridge().toULong() }
}
