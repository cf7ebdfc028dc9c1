package org.pairlight

import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.flow.update
import org.pairlight.bridge.PrimaryAccount as BridgePrimary

/** The account's devices: who they are, when they reported, and what the person can do about them. */
public class Devices internal constructor(private val bridge: BridgePrimary) {
    private val changes = MutableStateFlow(0)

    /**
     * The devices now, the first linked first, and again after each change: by this object, by a link of this account, and what a
     * [Sync] of this account hears while it is open.
     */
    public val all: Flow<List<Device>> = changes.map { list() }

    /** The devices now. */
    public suspend fun list(): List<Device> = own { bridge.devices() }.map { it.own() }

    /** Devices that left within the last 180 days, the latest first. */
    public suspend fun removed(): List<RemovedDevice> =
        own { bridge.removedDevices() }.map { RemovedDevice(it.id, it.reason, it.atMs.toLong()) }

    /** Gives a device another name. */
    public suspend fun rename(device: String, name: String): Unit = changing { bridge.rename(device, name) }

    /** Takes a device off the account: its sessions end and its data is erased there, at once when it is online. */
    public suspend fun revoke(device: String): Unit = changing { bridge.revoke(device) }

    /** Takes every device but this one off the account. */
    public suspend fun revokeAll(): Unit = changing { bridge.revokeAll() }

    /** The person confirms a device that was restricted. */
    public suspend fun confirm(device: String): Unit = changing { bridge.confirm(device) }

    /** Device lists that contradict each other, if some were seen; null when there are none. */
    public suspend fun fork(): Fork? = own { bridge.fork() }?.own()

    /** The person compared the hashes of [fork] and keeps the list of this device. */
    public suspend fun keepOwnList(): Unit = changing { bridge.keepOwnList() }

    /**
     * Alerts that are due on this device now, such as the reminder of a link some hours later; each is given out once. A [Sync]
     * gives them out by itself.
     */
    public suspend fun dueAlerts(): List<Alert> = own { bridge.dueAlerts() }.map { it.own() }

    /** Reads the list again for those who collect [all]: by a pull of the finger, say, for when each device reported last. */
    public fun refresh(): Unit = changes.update { it + 1 }

    private suspend fun changing(change: suspend () -> Unit) {
        try {
            own { change() }
        } finally {
            // What failed may have been done in part: here, and not yet at the relay.
            refresh()
        }
    }
}
