package org.pairlight.sample

import android.content.Intent
import android.net.Uri
import android.provider.OpenableColumns
import android.text.format.Formatter
import android.view.View
import android.widget.Button
import android.widget.EditText
import android.widget.LinearLayout
import android.widget.ScrollView
import java.io.IOException
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import org.pairlight.Attachment
import org.pairlight.HistoryState
import org.pairlight.LineState
import org.pairlight.PairlightException
import org.pairlight.Sync

/** The latest conversation: its messages, and a field to write. */
class MessagesScreen(activity: MainActivity) : Screen(activity) {
    private val list = LinearLayout(activity).apply { orientation = LinearLayout.VERTICAL }
    private var talk: String? = null

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
                this@MessagesScreen.talk = talk
                @Suppress("DEPRECATION") // the one that Android 8 has
                button(R.string.file_attach) { activity.startActivityForResult(pick(), 1) }
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
                        message.attachments.forEach { list.addView(file(line, it)) }
                    }
                }
            } catch (e: PairlightException) {
                said.text = e.message
            }
        }
        return column
    }

    /** A file of a message: its name, its size, and a tap has it come. */
    private fun file(line: Sync, attachment: Attachment) = Button(activity).apply {
        val size = Formatter.formatShortFileSize(activity, attachment.size)
        text = activity.getString(R.string.file_size, attachment.name, size)
        contentDescription = activity.getString(R.string.file_fetch, attachment.name)
        setOnClickListener { scope.launch { line.files.fetch(attachment) } }
        scope.launch { line.files.state(attachment).collect { isEnabled = it?.isComplete != true } }
    }

    private fun pick() = Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType("*/*")

    /** The person chose a document. */
    fun attach(document: Uri) {
        val talk = talk ?: return
        scope.launch {
            try {
                val resolver = activity.contentResolver
                val name = resolver.query(document, arrayOf(OpenableColumns.DISPLAY_NAME), null, null, null)?.use {
                    if (it.moveToFirst()) it.getString(0) else null
                }
                val line = activity.line()
                val taken = resolver.openInputStream(document)?.use {
                    line.files.add(name ?: "file", resolver.getType(document) ?: "application/octet-stream", it)
                }
                line.send(talk, android.os.Build.MODEL, "", listOfNotNull(taken))
            } catch (e: PairlightException) {
                spoken().text = e.message
            } catch (e: IOException) {
                spoken().text = e.message
            }
        }
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
