package org.pairlight.sample

import android.app.Activity
import android.app.AlertDialog
import android.content.Intent
import android.os.Build
import android.os.Bundle
import android.widget.EditText
import android.view.View
import java.io.File
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.cancel
import kotlinx.coroutines.launch
import org.pairlight.Alert
import org.pairlight.AlertKind
import org.pairlight.Approver
import org.pairlight.FrameworkPrompt
import org.pairlight.KeystoreVault
import org.pairlight.PairlightException
import org.pairlight.PresenceApprover
import org.pairlight.PrimaryAccount
import org.pairlight.RelayAddress
import org.pairlight.Sync

/** One activity, five screens: scan, review, show, devices, messages. */
class MainActivity : Activity() {
    /** As long as the activity: the account and its line. */
    val scope = CoroutineScope(SupervisorJob() + Dispatchers.Main.immediate)
    private var screen: Screen? = null
    private var account: PrimaryAccount? = null
    private var line: Sync? = null

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        go(HomeScreen(this))
    }

    fun go(next: Screen) {
        screen?.close()
        screen = next
        setContentView(next.open())
    }

    fun settings() = getSharedPreferences("relay", MODE_PRIVATE)

    fun relay() = RelayAddress(settings().getString("url", "").orEmpty(), settings().getString("key", "").orEmpty())

    /** A file in the folder that no backup takes along: a copied store is a copied device. */
    fun path(name: String): String = File(noBackupFilesDir, name).path

    suspend fun account(): PrimaryAccount = account ?: PrimaryAccount.open(
        path = path("primary.db"),
        key = KeystoreVault(),
        relay = relay(),
        name = android.os.Build.MODEL,
        approver = approver(),
    ).also { account = it }

    /** The framework has a prompt from Android 9 on; an app that is used before it brings one of its own. */
    private fun approver(): Approver? {
        if (Build.VERSION.SDK_INT < Build.VERSION_CODES.P) return null
        return PresenceApprover(FrameworkPrompt(this, getString(R.string.review_title), getString(R.string.decline)))
    }

    suspend fun line(): Sync = line?.takeUnless { it.line.value.isFinal } ?: account().sync(scope).also {
        line = it
        scope.launch { it.alerts.collect(::tell) }
    }

    /** What the person has to be told, whichever screen is in front. */
    private fun tell(alert: Alert) {
        val words = when (alert.kind) {
            AlertKind.LINKED, AlertKind.RELINKED -> R.string.alert_linked
            AlertKind.REMOVED -> R.string.alert_removed
            AlertKind.DISCREPANCY -> R.string.alert_discrepancy
            AlertKind.ROOT_CHANGED, AlertKind.RECOVERY_CHANGED -> R.string.alert_key_changed
            AlertKind.FORKED -> R.string.alert_forked
            AlertKind.ROLLED_BACK -> R.string.alert_rolled_back
            AlertKind.SILENT -> R.string.alert_silent
            // For a developer's screen.
            AlertKind.UNREADABLE, AlertKind.WITHHELD, AlertKind.SESSION_RESET -> return
        }
        AlertDialog.Builder(this).setMessage(words).setPositiveButton(android.R.string.ok, null).show()
    }

    @Suppress("OVERRIDE_DEPRECATION", "DEPRECATION") // the one that Android 8 has
    override fun onActivityResult(request: Int, result: Int, data: Intent?) {
        data?.data?.takeIf { result == RESULT_OK }?.let { (screen as? MessagesScreen)?.attach(it) }
    }

    override fun onRequestPermissionsResult(code: Int, permissions: Array<String>, results: IntArray) {
        (screen as? ScanScreen)?.answered()
    }

    @Suppress("OVERRIDE_DEPRECATION", "DEPRECATION") // the one that Android 8 has
    override fun onBackPressed() = if (screen is HomeScreen) super.onBackPressed() else go(HomeScreen(this))

    override fun onDestroy() {
        screen?.close()
        scope.cancel()
        account?.close()
        super.onDestroy()
    }
}

/** Where to go, and which relay. */
class HomeScreen(activity: MainActivity) : Screen(activity) {
    override fun open(): View {
        heading(R.string.app_name)
        val url = field(R.string.relay_url, "url")
        val key = field(R.string.relay_key, "key")
        val said = spoken()
        button(R.string.save) {
            activity.settings().edit().putString("url", url.text.toString()).putString("key", key.text.toString()).apply()
            scope.launch {
                said.text = try {
                    activity.account()
                    ""
                } catch (e: PairlightException) {
                    e.message
                }
            }
        }
        button(R.string.link_a_device) { activity.go(ScanScreen(activity)) }
        button(R.string.show_a_code) { activity.go(ShowScreen(activity)) }
        button(R.string.devices) { activity.go(DevicesScreen(activity)) }
        button(R.string.messages) { activity.go(MessagesScreen(activity)) }
        return column
    }

    private fun field(words: Int, setting: String) = EditText(activity).apply {
        setHint(words)
        setText(activity.settings().getString(setting, ""))
        textDirection = View.TEXT_DIRECTION_LTR
        column.addView(this)
    }
}
