package org.pairlight

import android.annotation.TargetApi
import android.content.Context
import android.hardware.biometrics.BiometricManager
import android.hardware.biometrics.BiometricPrompt
import android.os.Build
import android.os.CancellationSignal
import java.util.concurrent.ArrayBlockingQueue
import java.util.concurrent.TimeUnit
import javax.crypto.Cipher

/**
 * The framework's prompt for a fingerprint, a face or the lock of the screen, for [PresenceApprover]. From Android 9; before
 * it the app brings a [PresencePrompt] of its own.
 *
 * @param context the activity that is in front
 * @param title what the person is asked, in their language
 */
@TargetApi(Build.VERSION_CODES.P)
public class FrameworkPrompt(private val context: Context, private val title: String, private val no: String) :
    PresencePrompt {
    override fun unlock(cipher: Cipher, deviceName: String): Cipher? {
        // An answer is a cipher or nothing: a queue of one, because a callback must not wait.
        val answer = ArrayBlockingQueue<List<Cipher>>(1)
        val builder = BiometricPrompt.Builder(context).setTitle(title).setDescription(deviceName)
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.R) {
            val ways = BiometricManager.Authenticators.BIOMETRIC_STRONG or
                BiometricManager.Authenticators.DEVICE_CREDENTIAL
            builder.setAllowedAuthenticators(ways)
        } else {
            builder.setNegativeButton(no, context.mainExecutor) { _, _ -> answer.offer(emptyList()) }
        }
        val callback = object : BiometricPrompt.AuthenticationCallback() {
            override fun onAuthenticationSucceeded(result: BiometricPrompt.AuthenticationResult) {
                answer.offer(listOfNotNull(result.cryptoObject?.cipher))
            }

            override fun onAuthenticationError(code: Int, words: CharSequence) {
                answer.offer(emptyList())
            }
        }
        val signal = CancellationSignal()
        builder.build()
            .authenticate(BiometricPrompt.CryptoObject(cipher), signal, context.mainExecutor, callback)
        val given = answer.poll(PATIENCE_S, TimeUnit.SECONDS)
        if (given == null) signal.cancel()
        return given?.firstOrNull()
    }

    private companion object {
        /** As long as a review may take; then the link ends anyway. */
        const val PATIENCE_S = 120L
    }
}
