package org.pairlight

import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Job
import kotlinx.coroutines.launch

/**
 * Takes what comes out of an object of the bridge for as long as this scope lives: [next] until it gives null. Three objects
 * are read so: both flows and the line.
 *
 * @param end called once, whatever ended it: with the error that did, or null after the last event and after a cancellation
 */
internal fun <E : Any> CoroutineScope.takingEvents(
    next: suspend () -> E?,
    take: (E) -> Unit,
    end: (PairlightException?) -> Unit,
): Job {
    var failure: PairlightException? = null
    val job = launch {
        try {
            while (true) take(own { next() } ?: break)
        } catch (e: PairlightException) {
            failure = e
        }
    }
    // Not in the coroutine: one that is cancelled before it begins never runs.
    job.invokeOnCompletion { end(failure) }
    return job
}
