package org.pairlight

import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraDevice
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow

/** How the camera is. Each state is a screen, or a line on it. */
public sealed interface CameraState {
    /** Not started, or stopped by the app. */
    public data object Off : CameraState

    /** The person has not allowed it. [canAskAgain]: ask by the system's dialog; otherwise only the settings help. */
    public data class NotAllowed(val canAskAgain: Boolean) : CameraState

    /** There is none that looks away from the person. Offer a picture or pasting. */
    public data object None : CameraState

    /** Another app has it. Tried again when the person comes back. */
    public data object InUse : CameraState

    /** The device's administrator has turned cameras off. */
    public data object Forbidden : CameraState

    public data object Opening : CameraState

    /** Frames come. */
    public data object Running : CameraState

    /** It is open and has given no frame for [forMs]: a black preview. Restarting it helps mostly. */
    public data class NoFrames(val forMs: Long) : CameraState

    /** It went away while it ran: taken by another app, or unplugged. */
    public data object Disconnected : CameraState

    /** The camera or its service failed. Restart it; if that fails too, the device. */
    public data class Broken(val code: Int) : CameraState
}

/**
 * What is known of the camera, from what the platform says. [CameraFeed] feeds it; an app with CameraX calls the functions
 * itself. Time is milliseconds of any clock that does not jump.
 */
public class CameraMonitor {
    private val states = MutableStateFlow<CameraState>(CameraState.Off)
    private var lastFrame = 0L

    public val state: StateFlow<CameraState> = states.asStateFlow()

    private fun become(state: CameraState) {
        states.value = state
    }

    /** What the system says of the permission. "May ask again" is `shouldShowRequestPermissionRationale` after a no. */
    @Synchronized
    public fun permission(granted: Boolean, canAskAgain: Boolean) {
        if (!granted) become(CameraState.NotAllowed(canAskAgain))
        else if (states.value is CameraState.NotAllowed) become(CameraState.Off)
    }

    @Synchronized
    public fun opening(now: Long) {
        lastFrame = now
        become(CameraState.Opening)
    }

    /** A frame came. */
    @Synchronized
    public fun frame(now: Long) {
        lastFrame = now
        val state = states.value
        if (state is CameraState.Opening || state is CameraState.NoFrames) become(CameraState.Running)
    }

    /** Time goes by: call it twice a second while the camera is on. */
    @Synchronized
    public fun tick(now: Long) {
        val state = states.value
        val waits = state is CameraState.Running || state is CameraState.Opening || state is CameraState.NoFrames
        val silent = now - lastFrame
        if (waits && silent >= PATIENCE_MS) become(CameraState.NoFrames(silent))
    }

    /** There is no camera that could be opened. */
    @Synchronized
    public fun none(): Unit = become(CameraState.None)

    /** `CameraDevice.StateCallback.onDisconnected`. */
    @Synchronized
    public fun disconnected(): Unit = become(CameraState.Disconnected)

    /** `CameraDevice.StateCallback.onError`. */
    @Synchronized
    public fun deviceError(code: Int): Unit = become(
        when (code) {
            CameraDevice.StateCallback.ERROR_CAMERA_IN_USE,
            CameraDevice.StateCallback.ERROR_MAX_CAMERAS_IN_USE,
            -> CameraState.InUse
            CameraDevice.StateCallback.ERROR_CAMERA_DISABLED -> CameraState.Forbidden
            else -> CameraState.Broken(code)
        },
    )

    /** What a call of `CameraManager` threw, by its [reason][CameraAccessException.getReason]. */
    @Synchronized
    public fun accessError(reason: Int): Unit = become(
        when (reason) {
            CameraAccessException.CAMERA_IN_USE, CameraAccessException.MAX_CAMERAS_IN_USE -> CameraState.InUse
            CameraAccessException.CAMERA_DISABLED -> CameraState.Forbidden
            CameraAccessException.CAMERA_DISCONNECTED -> CameraState.Disconnected
            else -> CameraState.Broken(reason)
        },
    )

    /** The app closed the camera. What kept it from running stays said. */
    @Synchronized
    public fun closed() {
        val state = states.value
        if (state is CameraState.Running || state is CameraState.Opening || state is CameraState.NoFrames) {
            become(CameraState.Off)
        }
    }

    public companion object {
        /** So long without a frame is a fault. */
        public const val PATIENCE_MS: Long = 2_000
    }
}
