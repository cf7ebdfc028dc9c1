package org.pairlight.sample

import android.Manifest
import android.content.Context
import android.content.Intent
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import android.graphics.Path
import android.net.Uri
import android.provider.Settings
import android.view.HapticFeedbackConstants
import android.view.Surface
import android.view.SurfaceHolder
import android.view.SurfaceView
import android.view.View
import android.widget.Button
import android.widget.FrameLayout
import android.widget.LinearLayout
import android.widget.TextView
import kotlinx.coroutines.launch
import org.pairlight.CameraFeed
import org.pairlight.CameraState
import org.pairlight.ScanReport
import org.pairlight.Scanner

/** Looks for a linking code. Says what it sees; marks the corners. */
class ScanScreen(activity: MainActivity) : Screen(activity), SurfaceHolder.Callback {
    private val scanner = Scanner()
    private val feed = CameraFeed(activity, scanner)
    private val corners = CornersView(activity)
    private lateinit var said: TextView
    private lateinit var remedy: Button
    private var lit = false
    private var found = false

    override fun open(): View {
        heading(R.string.link_a_device)
        text(activity.getString(R.string.scan_hint))
        said = spoken()
        remedy = button(R.string.camera_allow) {}
        remedy.visibility = View.GONE
        val light = button(R.string.torch) {
            lit = !lit
            feed.setTorch(lit)
        }
        light.visibility = View.GONE
        val preview = SurfaceView(activity).apply {
            contentDescription = activity.getString(R.string.camera_preview)
            holder.addCallback(this@ScanScreen)
        }
        val stack = FrameLayout(activity).apply {
            addView(preview)
            addView(corners)
        }
        column.addView(stack, LinearLayout.LayoutParams(LinearLayout.LayoutParams.MATCH_PARENT, 0, 1f))
        scope.launch { feed.monitor.state.collect(::show) }
        scope.launch {
            scanner.reports.collect { report ->
                corners.show(report)
                // Only when it is dark, or to turn it off again.
                light.visibility = if (report.torch || lit) View.VISIBLE else View.GONE
                take(report)
            }
        }
        return column
    }

    private fun take(report: ScanReport) {
        val code = report.codes.firstOrNull { it.isNew }
        when {
            found -> return
            code == null -> report.hints.firstOrNull()?.let { say(it.text) }
                ?: run { if (report.sawCode) say(activity.getString(R.string.code_in_view)) }
            // Named, never opened.
            !code.meaning.isOffer -> say(activity.getString(R.string.other_code, code.meaning.title))
            else -> {
                found = true
                said.performHapticFeedback(HapticFeedbackConstants.LONG_PRESS)
                say(activity.getString(R.string.code_read))
                activity.go(ReviewScreen(activity, code.bytes))
            }
        }
    }

    /** A screen reader says each new line once. */
    private fun say(words: String) {
        if (said.text.toString() != words) said.text = words
    }

    private fun show(state: CameraState) {
        remedy.visibility = View.GONE
        when (state) {
            is CameraState.NotAllowed -> if (state.canAskAgain) {
                trouble(R.string.camera_ask, R.string.camera_allow) { ask() }
            } else {
                trouble(R.string.camera_ask, R.string.camera_settings) { openSettings() }
            }
            CameraState.None -> say(activity.getString(R.string.camera_none))
            CameraState.Forbidden -> say(activity.getString(R.string.camera_forbidden))
            CameraState.InUse -> trouble(R.string.camera_in_use, R.string.camera_restart) { restart() }
            is CameraState.NoFrames -> trouble(R.string.camera_no_frames, R.string.camera_restart) { restart() }
            CameraState.Disconnected -> trouble(R.string.camera_disconnected, R.string.camera_restart) { restart() }
            is CameraState.Broken -> trouble(R.string.camera_broken, R.string.camera_restart) { restart() }
            CameraState.Off, CameraState.Opening, CameraState.Running -> say("")
        }
    }

    private fun trouble(words: Int, action: Int, act: () -> Unit) {
        say(activity.getString(words))
        remedy.setText(action)
        remedy.setOnClickListener { act() }
        remedy.visibility = View.VISIBLE
    }

    private fun ask() = activity.requestPermissions(arrayOf(Manifest.permission.CAMERA), 1)

    /** The person answered the system's question. */
    fun answered() {
        val again = activity.shouldShowRequestPermissionRationale(Manifest.permission.CAMERA)
        feed.monitor.permission(feed.isAllowed(), again)
        if (feed.isAllowed()) restart()
    }

    private fun openSettings() = activity.startActivity(
        Intent(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, Uri.fromParts("package", activity.packageName, null)),
    )

    private var surface: Surface? = null

    private fun restart() {
        feed.stop()
        @Suppress("DEPRECATION") // the one that Android 8 has
        val turned = activity.windowManager.defaultDisplay.rotation * 90
        feed.start(surface, turned)
    }

    override fun surfaceCreated(holder: SurfaceHolder) {
        surface = holder.surface
        restart()
    }

    override fun surfaceChanged(holder: SurfaceHolder, format: Int, width: Int, height: Int) = Unit

    override fun surfaceDestroyed(holder: SurfaceHolder) {
        surface = null
        feed.stop()
    }

    override fun close() {
        super.close()
        feed.close()
        scanner.close()
    }
}

/** Marks the codes that were read. */
class CornersView(context: Context) : View(context) {
    private val paint = Paint().apply {
        color = Color.GREEN
        style = Paint.Style.STROKE
        strokeWidth = 4 * resources.displayMetrics.density
    }
    private var report: ScanReport? = null

    init {
        importantForAccessibility = IMPORTANT_FOR_ACCESSIBILITY_NO
    }

    fun show(report: ScanReport) {
        this.report = report
        invalidate()
    }

    override fun onDraw(canvas: Canvas) {
        val report = report ?: return
        // The preview fills the view; corners are in upright pixels of the frame.
        val (sx, sy) = width.toFloat() / report.width to height.toFloat() / report.height
        for (code in report.codes) {
            val path = Path()
            code.corners.forEachIndexed { i, corner ->
                if (i == 0) path.moveTo(corner.x * sx, corner.y * sy) else path.lineTo(corner.x * sx, corner.y * sy)
            }
            path.close()
            canvas.drawPath(path, paint)
        }
    }
}
