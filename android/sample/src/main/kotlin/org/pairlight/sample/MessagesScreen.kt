package org.pairlight.sample

import android.view.View
import android.widget.EditText
import android.widget.LinearLayout
import android.widget.ScrollView
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import org.pairlight.HistoryState
import org.pairlight.LineState
import org.pairlight.PairlightException
import org.pairlight.Sync

/** The latest conversation: its messages, and a field to write. */
class MessagesScreen(activity: MainActivity) : Screen(activity) {
    private val list = LinearLayout(activity).apply { orientation = LinearLayout.VERTICAL }

    override fun open(): View {
        heading(R.string.messages)
        val said = spoken()
        val progress = spoken()
        val scroll = ScrollView(activity).apply { addView(list) }
        column.addView(scroll, LinearLayout.LayoutParams(LinearLayout.LayoutParams.MATCH_PARENT, 0, 1f))
        val field = EditText(activity).apply {
            setHint(R.string.write)
            column.addView(this)
        }
        scope.launch {
            try {
                val line = activity.line()
                launch { line.line.collect { said.text = words(it) } }
                launch {
                    line.history.collect { transfers ->
                        val running = transfers.firstOrNull { it.state == HistoryState.Running }
                        progress.text = running?.let {
                            activity.getString(R.string.history_progress, it.records, it.total)
                        }
                    }
                }
                val talk = conversation(line)
                button(R.string.send) {
                    val words = field.text.toString()
                    field.text = null
                    scope.launch { line.send(talk, android.os.Build.MODEL, words) }
                }
                line.messages(talk).collect { page ->
                    list.removeAllViews()
                    for (message in page.asReversed()) {
                        val view = text("${message.sender}\n${message.text}")
                        column.removeView(view)
                        list.addView(view)
                    }
                }
            } catch (e: PairlightException) {
                said.text = e.message
            }
        }
        return column
    }

    private suspend fun conversation(line: Sync): String =
        line.conversations.first().firstOrNull()?.id ?: line.beginConversation(activity.getString(R.string.messages))

    private fun words(state: LineState): String = when (state) {
        LineState.Connecting -> activity.getString(R.string.connecting)
        LineState.Online -> activity.getString(R.string.online)
        is LineState.Offline -> activity.getString(R.string.offline)
        is LineState.Locked -> state.reason
        is LineState.Removed -> state.reason
        is LineState.Broken -> state.cause.message.orEmpty()
        LineState.Refused, LineState.Closed -> activity.getString(R.string.offline)
    }
}
