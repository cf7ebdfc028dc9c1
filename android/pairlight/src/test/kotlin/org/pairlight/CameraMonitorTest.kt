package org.pairlight

import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraDevice
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test

class CameraMonitorTest {
    private val monitor = CameraMonitor()

    private fun shows(state: CameraState) = assertEquals(state, monitor.state.value)

    @Test
    fun `no for now can be asked again, no for ever cannot, and yes begins anew`() {
        monitor.permission(granted = false, canAskAgain = true)
        shows(CameraState.NotAllowed(canAskAgain = true))
        monitor.permission(granted = false, canAskAgain = false)
        shows(CameraState.NotAllowed(canAskAgain = false))
        monitor.permission(granted = true, canAskAgain = false)
        shows(CameraState.Off)
    }

    @Test
    fun `two seconds without a frame is a fault that a frame ends`() {
        monitor.opening(1_000)
        monitor.tick(2_999)
        shows(CameraState.Opening)
        monitor.tick(3_000)
        shows(CameraState.NoFrames(2_000))
        monitor.tick(3_500)
        shows(CameraState.NoFrames(2_500))
        monitor.frame(3_600)
        shows(CameraState.Running)
        monitor.tick(5_599)
        shows(CameraState.Running)
        monitor.tick(5_600)
        shows(CameraState.NoFrames(2_000))
        monitor.closed()
        shows(CameraState.Off)
        monitor.tick(99_000)
        shows(CameraState.Off)
    }

    @Test
    fun `what the platform says is told apart, and closing does not hide it`() {
        val device = mapOf(
            CameraDevice.StateCallback.ERROR_CAMERA_IN_USE to CameraState.InUse,
            CameraDevice.StateCallback.ERROR_MAX_CAMERAS_IN_USE to CameraState.InUse,
            CameraDevice.StateCallback.ERROR_CAMERA_DISABLED to CameraState.Forbidden,
            CameraDevice.StateCallback.ERROR_CAMERA_SERVICE to CameraState.Broken(5),
        )
        for ((code, state) in device) {
            monitor.opening(0)
            monitor.deviceError(code)
            monitor.closed()
            monitor.frame(10)
            monitor.tick(9_999)
            shows(state)
        }
        val access = mapOf(
            CameraAccessException.CAMERA_IN_USE to CameraState.InUse,
            CameraAccessException.CAMERA_DISABLED to CameraState.Forbidden,
            CameraAccessException.CAMERA_DISCONNECTED to CameraState.Disconnected,
            CameraAccessException.CAMERA_ERROR to CameraState.Broken(CameraAccessException.CAMERA_ERROR),
        )
        for ((reason, state) in access) {
            monitor.opening(0)
            monitor.accessError(reason)
            shows(state)
        }
        monitor.disconnected()
        shows(CameraState.Disconnected)
        monitor.none()
        shows(CameraState.None)
    }
}
