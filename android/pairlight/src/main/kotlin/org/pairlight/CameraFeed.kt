package org.pairlight

import android.Manifest
import android.annotation.SuppressLint
import android.content.Context
import android.content.pm.PackageManager
import android.graphics.ImageFormat
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraCaptureSession
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraDevice
import android.hardware.camera2.CameraManager
import android.hardware.camera2.CaptureRequest
import android.media.ImageReader
import android.os.Handler
import android.os.HandlerThread
import android.os.SystemClock
import android.view.Surface

/**
 * The rear camera into a [Scanner], by Camera2 alone: no Play services, no AndroidX. An app with CameraX uses
 * [Scanner.offer] in its analyzer instead.
 *
 * Start and stop it with the screen. What it does is in [monitor].
 */
public class CameraFeed(private val context: Context, private val scanner: Scanner) : AutoCloseable {
    /** How the camera is. */
    public val monitor: CameraMonitor = CameraMonitor()

    private val manager = context.getSystemService(Context.CAMERA_SERVICE) as CameraManager
    private var thread: HandlerThread? = null
    private var camera: CameraDevice? = null
    private var session: CameraCaptureSession? = null
    private var reader: ImageReader? = null
    private var builder: CaptureRequest.Builder? = null

    /** Whether the app may use the camera. If not: ask, then tell [monitor] the answer. */
    public fun isAllowed(): Boolean =
        context.checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED

    /**
     * Opens the camera.
     *
     * @param preview where the person sees what the camera sees
     * @param displayDegrees how far the screen is turned from its natural way: 0, 90, 180, 270
     */
    @SuppressLint("MissingPermission")
    @Synchronized
    public fun start(preview: Surface?, displayDegrees: Int = 0) {
        if (thread != null) return
        if (!isAllowed()) return monitor.permission(granted = false, canAskAgain = true)
        monitor.permission(granted = true, canAskAgain = true)
        try {
            val id = rearCamera() ?: return monitor.none()
            val sensor = manager.getCameraCharacteristics(id).get(CameraCharacteristics.SENSOR_ORIENTATION) ?: 0
            val turn = Math.floorMod(sensor - displayDegrees, 360)
            val thread = HandlerThread("pairlight-camera").apply { start() }
            this.thread = thread
            val handler = Handler(thread.looper)
            monitor.opening(SystemClock.elapsedRealtime())
            // One in the scanner's hands, one waiting, one being filled.
            val reader = ImageReader.newInstance(WIDTH, HEIGHT, ImageFormat.YUV_420_888, 3)
            this.reader = reader
            reader.setOnImageAvailableListener({ source ->
                source.acquireLatestImage()?.use { image ->
                    monitor.frame(SystemClock.elapsedRealtime())
                    try {
                        scanner.offer(image, turn)
                    } catch (_: PairlightException) {
                        // The scanner was closed while this frame was on its way.
                    }
                }
            }, handler)
            val surfaces = listOfNotNull(preview, reader.surface)
            manager.openCamera(id, Opened(surfaces, handler), handler)
            watch(handler)
        } catch (e: CameraAccessException) {
            monitor.accessError(e.reason)
            release()
        } catch (e: SecurityException) {
            monitor.permission(granted = false, canAskAgain = true)
            release()
        }
    }

    /** Lets the scanner ask for light. Does nothing where there is no torch. */
    @Synchronized
    public fun setTorch(on: Boolean) {
        val builder = builder ?: return
        builder.set(CaptureRequest.FLASH_MODE, if (on) CaptureRequest.FLASH_MODE_TORCH else CaptureRequest.FLASH_MODE_OFF)
        repeat(builder)
    }

    /** Closes the camera; [start] opens it again. */
    @Synchronized
    public fun stop() {
        release()
        monitor.closed()
    }

    override fun close(): Unit = stop()

    private fun rearCamera(): String? = manager.cameraIdList.firstOrNull {
        val facing = manager.getCameraCharacteristics(it).get(CameraCharacteristics.LENS_FACING)
        facing != CameraCharacteristics.LENS_FACING_FRONT
    }

    private fun watch(handler: Handler) {
        handler.postDelayed({
            monitor.tick(SystemClock.elapsedRealtime())
            if (thread != null) watch(handler)
        }, CameraMonitor.PATIENCE_MS / 4)
    }

    @Synchronized
    private fun release() {
        session?.close()
        session = null
        camera?.close()
        camera = null
        reader?.close()
        reader = null
        builder = null
        thread?.quitSafely()
        thread = null
    }

    @Synchronized
    private fun repeat(builder: CaptureRequest.Builder) {
        try {
            session?.setRepeatingRequest(builder.build(), null, null)
        } catch (e: CameraAccessException) {
            monitor.accessError(e.reason)
        } catch (_: IllegalStateException) {
            // Closed meanwhile; the device's callback says why.
        }
    }

    private inner class Opened(private val surfaces: List<Surface>, private val handler: Handler) :
        CameraDevice.StateCallback() {
        override fun onOpened(device: CameraDevice) {
            synchronized(this@CameraFeed) {
                if (thread == null) return device.close()
                camera = device
                try {
                    val request = device.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW)
                    surfaces.forEach(request::addTarget)
                    request.set(CaptureRequest.CONTROL_AF_MODE, CaptureRequest.CONTROL_AF_MODE_CONTINUOUS_PICTURE)
                    builder = request
                    @Suppress("DEPRECATION") // the one that Android 8 has
                    device.createCaptureSession(surfaces, Configured(request), handler)
                } catch (e: CameraAccessException) {
                    monitor.accessError(e.reason)
                }
            }
        }

        override fun onDisconnected(device: CameraDevice) {
            release()
            monitor.disconnected()
        }

        override fun onError(device: CameraDevice, error: Int) {
            release()
            monitor.deviceError(error)
        }
    }

    private inner class Configured(private val request: CaptureRequest.Builder) : CameraCaptureSession.StateCallback() {
        override fun onConfigured(configured: CameraCaptureSession) {
            synchronized(this@CameraFeed) {
                session = configured
                repeat(request)
            }
        }

        override fun onConfigureFailed(failed: CameraCaptureSession) {
            monitor.deviceError(CameraDevice.StateCallback.ERROR_CAMERA_DEVICE)
        }
    }

    private companion object {
        /** Enough for a code that fills a third of the picture; more costs time at each frame. */
        const val WIDTH = 1280
        const val HEIGHT = 720
    }
}
