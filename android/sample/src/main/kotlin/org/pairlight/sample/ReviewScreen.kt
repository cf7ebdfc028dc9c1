package org.pairlight.sample

import android.view.MotionEvent
import android.view.View
import android.view.accessibility.AccessibilityManager
import android.widget.ScrollView
import kotlinx.coroutines.Job
import kotlinx.coroutines.delay
import kotlinx.coroutines.launch
import org.pairlight.Approval
import org.pairlight.CodeSource
import org.pairlight.LinkFlow
import org.pairlight.LinkState
import org.pairlight.PairlightException

/** Who asks, yes or no, the digits, and the end. */
class ReviewScreen(activity: MainActivity, private val code: ByteArray) : Screen(activity) {
    private var link: LinkFlow? = null

    override fun open(): View {
        val scroll = ScrollView(activity).apply { addView(column) }
        scope.launch {
            try {
                val link = activity.account().link(code, CodeSource.LIVE_CAMERA, this)
                this@ReviewScreen.link = link
                launch { link.secondScanner.collect { if (it) text(activity.getString(R.string.second_scanner)) } }
                link.state.collect(::show)
            } catch (e: PairlightException) {
                end(e.message.orEmpty())
            }
        }
        return scroll
    }

    private fun show(state: LinkState) {
        column.removeAllViews()
        when (state) {
            LinkState.Connecting -> spoken().setText(R.string.connecting)
            is LinkState.Review -> review(state.approval)
            is LinkState.ReviewAgain -> {
                heading(R.string.review_title)
                text(activity.getString(R.string.review_consequence))
                decision(state.holdMs) { it.approveAgain() }
            }
            LinkState.Approved, LinkState.Finishing -> spoken().setText(R.string.finishing)
            is LinkState.CheckCodeConfirmed -> spoken().setText(R.string.finishing)
            is LinkState.ShowCheckCode -> {
                heading(R.string.check_code_title)
                // Digit by digit for a screen reader, left to right in every language.
                text(state.digits, 48f).apply {
                    contentDescription = state.digits.toList().joinToString(" ")
                    textDirection = View.TEXT_DIRECTION_LTR
                }
            }
            is LinkState.Linked -> {
                spoken().setText(R.string.linked)
                button(R.string.devices) { activity.go(DevicesScreen(activity)) }
            }
            is LinkState.Failed -> {
                val words = listOf(activity.words(state.reason, state.retryAfterMs)) + state.help.map { it.text }
                end(words.joinToString("\n"), state.retryAfterMs)
            }
            is LinkState.Broken -> end(state.cause.message.orEmpty())
        }
    }

    private fun review(approval: Approval) {
        heading(R.string.review_title)
        text(activity.getString(R.string.review_consequence))
        // Each in a field of its own: what the other device says is no sentence of ours.
        fact(R.string.review_name, approval.deviceName)
        fact(R.string.review_system, approval.os)
        fact(R.string.review_program, approval.app)
        approval.origin?.let { fact(R.string.review_origin, it) }
        approval.place?.let { fact(R.string.review_place, it) }
        approval.warnings.forEach { text("⚠ ${it.text}") }
        decision(approval.holdMs) { it.approve() }
    }

    private fun fact(label: Int, value: String) {
        text(activity.getString(label), 12f)
        text(value, 20f).apply { textDirection = View.TEXT_DIRECTION_FIRST_STRONG }
    }

    /** No is first, larger and in focus. Yes must be held where the policy says so. */
    private fun decision(holdMs: Long, yes: suspend (LinkFlow) -> Unit) {
        val said = spoken()
        val act = {
            scope.launch {
                try {
                    link?.let { yes(it) }
                } catch (_: PairlightException.NotConfirmed) {
                    said.setText(R.string.review_consequence)
                } catch (e: PairlightException) {
                    said.text = e.message
                }
            }
            Unit
        }
        button(R.string.decline) { scope.launch { link?.decline() } }.apply {
            isFocusedByDefault = true
            requestFocus()
        }
        val spokenTo = activity.getSystemService(AccessibilityManager::class.java).isTouchExplorationEnabled
        if (holdMs == 0L || spokenTo) {
            // Who cannot hold a finger on a button waits as long instead.
            val approve = button(R.string.approve, act)
            approve.isEnabled = holdMs == 0L
            scope.launch {
                delay(holdMs)
                approve.isEnabled = true
            }
        } else {
            hold(holdMs, act)
        }
    }

    private fun hold(holdMs: Long, act: () -> Unit) {
        var held: Job? = null
        button(R.string.approve_hold) {}.setOnTouchListener { view, event ->
            when (event.actionMasked) {
                MotionEvent.ACTION_DOWN -> held = scope.launch {
                    delay(holdMs)
                    act()
                }
                MotionEvent.ACTION_UP, MotionEvent.ACTION_CANCEL -> {
                    held?.cancel()
                    view.performClick()
                }
            }
            true
        }
    }

    private fun end(words: String, retryAfterMs: Long? = null) {
        column.removeAllViews()
        spoken().text = words
        again(retryAfterMs) { activity.go(ScanScreen(activity)) }
    }
}
