package org.pairlight.sample

import android.app.AlertDialog
import android.text.format.DateUtils
import android.view.View
import android.widget.ScrollView
import kotlinx.coroutines.launch
import org.pairlight.Device
import org.pairlight.Devices
import org.pairlight.PairlightException

/** Who is linked, when they reported, and a way to take them off. */
class DevicesScreen(activity: MainActivity) : Screen(activity) {
    override fun open(): View {
        scope.launch {
            try {
                val devices = activity.account().devices
                // Online, the list hears what other devices change.
                activity.line()
                devices.all.collect { list(devices, it) }
            } catch (e: PairlightException) {
                spoken().text = e.message
            }
        }
        return ScrollView(activity).apply { addView(column) }
    }

    private fun list(devices: Devices, all: List<Device>) {
        column.removeAllViews()
        heading(R.string.devices)
        for (device in all) {
            text(device.name ?: device.id, 20f)
            val seen = device.lastCheckInMs?.let {
                activity.getString(R.string.reported, DateUtils.getRelativeTimeSpanString(it))
            }
            text(if (device.isThis) activity.getString(R.string.this_device) else seen ?: activity.getString(R.string.never_reported))
            device.restriction?.let { text("⚠ $it") }
            if (!device.isThis) {
                val name = device.name ?: device.id
                button(R.string.remove) { ask(name) { devices.revoke(device.id) } }
                    .contentDescription = activity.getString(R.string.remove_ask, name)
            }
        }
    }

    private fun ask(name: String, remove: suspend () -> Unit) {
        AlertDialog.Builder(activity)
            .setMessage(activity.getString(R.string.remove_ask, name))
            .setNegativeButton(R.string.cancel, null)
            .setPositiveButton(R.string.remove) { _, _ ->
                scope.launch {
                    try {
                        remove()
                    } catch (e: PairlightException) {
                        spoken().text = e.message
                    }
                }
            }
            .show()
    }
}
