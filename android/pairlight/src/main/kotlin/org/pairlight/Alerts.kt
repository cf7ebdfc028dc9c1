package org.pairlight

import java.util.concurrent.atomic.AtomicInteger
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.onEach
import kotlinx.coroutines.flow.receiveAsFlow

/**
 * Alerts that wait for the app. Those for a person all do; those for a developer's screen, of which another device can cause any
 * number, only while few do: they must not push out that a device was linked.
 */
internal class Alerts {
    private val waiting = Channel<Alert>(Channel.UNLIMITED)
    private val forDevelopers = AtomicInteger()

    val all: Flow<Alert> = waiting.receiveAsFlow().onEach { if (it.kind.isForDevelopers) forDevelopers.decrementAndGet() }

    /** Called by one thread at a time. */
    fun tell(alert: Alert) {
        if (alert.kind.isForDevelopers) {
            if (forDevelopers.get() >= FOR_DEVELOPERS) return
            forDevelopers.incrementAndGet()
        }
        waiting.trySend(alert)
    }

    companion object {
        const val FOR_DEVELOPERS = 256
    }
}
