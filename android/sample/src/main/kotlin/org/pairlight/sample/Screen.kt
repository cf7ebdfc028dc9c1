package org.pairlight.sample

import android.app.Activity
import android.os.Build
import android.view.View
import android.view.ViewGroup.LayoutParams.MATCH_PARENT
import android.view.ViewGroup.LayoutParams.WRAP_CONTENT
import android.widget.Button
import android.widget.LinearLayout
import android.widget.TextView
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.cancel
import kotlinx.coroutines.delay
import kotlinx.coroutines.launch
import org.pairlight.EndedReason

/** A column of views that lives while it is in front. What runs in [scope] ends with it. */
abstract class Screen(protected val activity: MainActivity) {
    protected val scope = CoroutineScope(SupervisorJob() + Dispatchers.Main.immediate)
    protected val column = LinearLayout(activity).apply {
        orientation = LinearLayout.VERTICAL
        val gap = (16 * resources.displayMetrics.density).toInt()
        setPaddingRelative(gap, gap, gap, gap)
    }

    /** Builds the views. */
    abstract fun open(): View

    open fun close() = scope.cancel()

    protected fun text(words: CharSequence, size: Float = 16f) = TextView(activity).apply {
        text = words
        textSize = size
        textAlignment = View.TEXT_ALIGNMENT_VIEW_START
        column.addView(this, LinearLayout.LayoutParams(MATCH_PARENT, WRAP_CONTENT))
    }

    protected fun heading(words: Int) = text(activity.getString(words), 22f).apply {
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.P) isAccessibilityHeading = true
    }

    /** A line that a screen reader says whenever it changes. */
    protected fun spoken() = text("").apply { accessibilityLiveRegion = View.ACCESSIBILITY_LIVE_REGION_POLITE }

    /** The button to begin anew, once there is use in it. */
    protected fun again(retryAfterMs: Long? = null, onClick: () -> Unit) {
        val button = button(R.string.again, onClick)
        button.isEnabled = retryAfterMs == null
        scope.launch {
            delay(retryAfterMs ?: 0)
            button.isEnabled = true
        }
    }

    protected fun button(words: Int, onClick: () -> Unit) = Button(activity).apply {
        setText(words)
        setOnClickListener { onClick() }
        column.addView(this, LinearLayout.LayoutParams(MATCH_PARENT, WRAP_CONTENT))
    }
}

/** What a person reads about an end; the same on both devices. [retryAfterMs]: until when there is no use in trying, if known. */
fun Activity.words(reason: EndedReason, retryAfterMs: Long?): String = getString(
    when (reason) {
        EndedReason.CANCELLED -> R.string.ended_cancelled
        EndedReason.DECLINED -> R.string.ended_declined
        EndedReason.TIMED_OUT -> R.string.ended_timed_out
        EndedReason.TAMPERED -> R.string.ended_tampered
        EndedReason.WRONG_CHECK_CODE -> R.string.ended_wrong_check_code
        EndedReason.CONFLICT -> R.string.ended_conflict
        EndedReason.EXPIRED -> R.string.ended_expired
        EndedReason.REFUSED -> R.string.ended_refused
        EndedReason.STORAGE_FAILED -> R.string.ended_storage_failed
        EndedReason.OUTDATED -> R.string.ended_outdated
        EndedReason.SUPERSEDED -> R.string.ended_superseded
        EndedReason.NOT_PUBLISHED -> R.string.ended_not_published
        EndedReason.RATE_LIMITED -> R.string.ended_rate_limited
        EndedReason.UNREACHABLE -> R.string.ended_unreachable
    },
) + (retryAfterMs?.let { "\n" + getString(R.string.again_in, (it + 59_999) / 60_000) } ?: "") + "\n" + getString(R.string.safe)
