package org.pairlight

import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.channels.SendChannel
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow

/**
 * Has each reader read again after a change that matters to it. What waits for a slow reader is one word, "again": however many
 * changes come meanwhile, none is lost and none queues up.
 */
internal class Changes<T> {
    private class Reader<T>(val matters: (T) -> Boolean, val again: SendChannel<Unit>)

    private val readers = mutableSetOf<Reader<T>>()
    private var isOver = false

    /** Something changed. */
    @Synchronized
    fun tell(what: T) = readers.forEach { if (it.matters(what)) it.again.trySend(Unit) }

    /** Nothing will change any more: readers end, and who comes later hears [PairlightException.Ended]. */
    @Synchronized
    fun end() {
        isOver = true
        readers.forEach { it.again.close() }
    }

    /** What [read] gives now, and again after each change that [matters]. */
    fun <R> reading(matters: (T) -> Boolean = { true }, read: suspend () -> R): Flow<R> = flow {
        val again = Channel<Unit>(Channel.CONFLATED)
        val reader = Reader(matters, again)
        // Before the first read: a change while it reads has it read once more.
        enter(reader)
        try {
            emit(read())
            for (wake in again) {
                val now = try {
                    read()
                } catch (e: PairlightException) {
                    // What there was to read is closed.
                    if (over()) break
                    throw e
                }
                emit(now)
            }
        } finally {
            leave(reader)
        }
    }

    @Synchronized
    private fun enter(reader: Reader<T>) {
        if (isOver) throw PairlightException.Ended()
        readers += reader
    }

    @Synchronized
    private fun leave(reader: Reader<T>) {
        readers -= reader
    }

    @Synchronized
    private fun over() = isOver
}
