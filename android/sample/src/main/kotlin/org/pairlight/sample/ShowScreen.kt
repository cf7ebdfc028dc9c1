package org.pairlight.sample

import android.graphics.Bitmap
import android.graphics.Color
import android.text.InputType
import android.view.View
import android.view.WindowManager
import android.widget.EditText
import android.widget.ImageView
import kotlinx.coroutines.launch
import org.pairlight.CodePicture
import org.pairlight.KeystoreVault
import org.pairlight.LinkedAccount
import org.pairlight.PairlightException
import org.pairlight.ShowFlow
import org.pairlight.ShowState

/** This device joins an account: it shows a code. */
class ShowScreen(activity: MainActivity) : Screen(activity) {
    override fun open(): View {
        activity.window.addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON)
        scope.launch {
            try {
                val account = LinkedAccount.open(activity.path("linked.db"), KeystoreVault("pairlight-linked"), activity.relay())
                val os = "Android ${android.os.Build.VERSION.RELEASE}"
                val show = account.resume(this) ?: account.link(android.os.Build.MODEL, os, "Pairlight sample", this)
                show.state.collect { draw(show, it) }
            } catch (e: PairlightException) {
                column.removeAllViews()
                spoken().text = e.message
            }
        }
        return column
    }

    private fun draw(show: ShowFlow, state: ShowState) {
        column.removeAllViews()
        when (state) {
            ShowState.Preparing -> spoken().setText(R.string.connecting)
            is ShowState.ShowCode -> {
                heading(R.string.show_title)
                column.addView(picture(state.code))
            }
            ShowState.Paused -> {
                spoken().setText(R.string.show_paused)
                button(R.string.show_new) { scope.launch { show.showAgain() } }
            }
            is ShowState.Reconnecting -> spoken().setText(R.string.reconnecting)
            ShowState.Claimed -> spoken().setText(R.string.show_claimed)
            is ShowState.EnterCheckCode -> {
                heading(R.string.show_enter)
                state.triesLeft?.let { spoken().text = activity.getString(R.string.show_tries, it) }
                val digits = EditText(activity).apply {
                    inputType = InputType.TYPE_CLASS_NUMBER
                    setHint(R.string.show_enter)
                    textDirection = View.TEXT_DIRECTION_LTR
                    column.addView(this)
                    requestFocus()
                }
                button(R.string.send) { scope.launch { show.enterCheckCode(digits.text.toString()) } }
            }
            // This sample has no passkey: it says so when it opens the account, and is not asked.
            ShowState.Deciding, is ShowState.EvidenceWanted -> spoken().setText(R.string.show_claimed)
            is ShowState.Linked -> spoken().setText(R.string.linked)
            is ShowState.Failed -> {
                spoken().text = activity.words(state.reason, state.retryAfterMs)
                again(state.retryAfterMs) { activity.go(ShowScreen(activity)) }
            }
            is ShowState.Broken -> spoken().text = state.cause.message
        }
    }

    /** Dark on light with four modules of margin in every theme, and never mirrored. */
    private fun picture(code: CodePicture) = ImageView(activity).apply {
        val side = code.size + 2 * MARGIN
        val pixels = IntArray(side * side) { Color.WHITE }
        for (y in 0 until code.size) for (x in 0 until code.size) {
            if (code.modules[y * code.size + x]) pixels[(y + MARGIN) * side + x + MARGIN] = Color.BLACK
        }
        val small = Bitmap.createBitmap(pixels, side, side, Bitmap.Config.ARGB_8888)
        val scale = maxOf(1, resources.displayMetrics.widthPixels * 9 / 10 / side)
        setImageBitmap(Bitmap.createScaledBitmap(small, side * scale, side * scale, false))
        contentDescription = activity.getString(R.string.show_picture)
    }

    override fun close() {
        activity.window.clearFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON)
        super.close()
    }

    private companion object {
        const val MARGIN = 4
    }
}
