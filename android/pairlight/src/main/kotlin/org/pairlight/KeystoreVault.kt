package org.pairlight

import android.os.Build
import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyProperties
import android.security.keystore.StrongBoxUnavailableException
import java.security.GeneralSecurityException
import java.security.KeyStore
import java.security.ProviderException
import java.security.UnrecoverableKeyException
import javax.crypto.Cipher
import javax.crypto.KeyGenerator
import javax.crypto.SecretKey
import javax.crypto.spec.GCMParameterSpec

/** Makes and finds keys that never leave the Android Keystore. */
internal class KeystoreKeys(private val alias: String, private val eachUse: Boolean) {
    private fun store(): KeyStore = KeyStore.getInstance(PROVIDER).apply { load(null) }

    fun find(): SecretKey? = store().getKey(alias, null) as SecretKey?

    fun delete() = store().deleteEntry(alias)

    /** In StrongBox where there is one, else in the processor's secure world. */
    fun make(): SecretKey = if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.P) {
        try {
            generate(inStrongBox = true)
        } catch (_: StrongBoxUnavailableException) {
            generate(inStrongBox = false)
        } catch (e: ProviderException) {
            // Some phones wrap it.
            if (e.cause !is StrongBoxUnavailableException) throw e
            generate(inStrongBox = false)
        }
    } else {
        generate(inStrongBox = false)
    }

    private fun generate(inStrongBox: Boolean): SecretKey {
        val purposes = KeyProperties.PURPOSE_ENCRYPT or KeyProperties.PURPOSE_DECRYPT
        val spec = KeyGenParameterSpec.Builder(alias, purposes)
            .setKeySize(256)
            .setBlockModes(KeyProperties.BLOCK_MODE_GCM)
            .setEncryptionPaddings(KeyProperties.ENCRYPTION_PADDING_NONE)
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.P) {
            spec.setUnlockedDeviceRequired(true)
            spec.setIsStrongBoxBacked(inStrongBox)
        }
        if (eachUse) {
            spec.setUserAuthenticationRequired(true)
            if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.R) {
                val ways = KeyProperties.AUTH_BIOMETRIC_STRONG or KeyProperties.AUTH_DEVICE_CREDENTIAL
                spec.setUserAuthenticationParameters(0, ways)
            }
        }
        val generator = KeyGenerator.getInstance(KeyProperties.KEY_ALGORITHM_AES, PROVIDER)
        generator.init(spec.build())
        return generator.generateKey()
    }

    companion object {
        const val PROVIDER = "AndroidKeyStore"
        const val CIPHER = "AES/GCM/NoPadding"
    }
}

/**
 * Keeps the store's key under an AES key of the Android Keystore: in StrongBox where there is one, usable only while the
 * device is unlocked. The wrapped form is one byte of version, 12 of nonce, and the sealed key.
 *
 * If the Keystore has lost its key (a reset of the lock screen, a restored backup), opening the store fails with
 * [PairlightException.KeyStore]: the store is of no use any more. Delete it and [forget], then link again.
 */
public class KeystoreVault(alias: String = "pairlight-store") : KeyWrap {
    private val keys = KeystoreKeys(alias, eachUse = false)
    private val context = "pairlight store key".toByteArray()

    override fun wrap(key: ByteArray): ByteArray = speaking {
        val cipher = Cipher.getInstance(KeystoreKeys.CIPHER)
        cipher.init(Cipher.ENCRYPT_MODE, keys.find() ?: keys.make())
        cipher.updateAAD(context)
        val sealed = cipher.doFinal(key)
        byteArrayOf(VERSION) + cipher.iv + sealed
    }

    override fun unwrap(wrapped: ByteArray): ByteArray = speaking {
        if (wrapped.size <= 1 + NONCE || wrapped[0] != VERSION) throw PairlightException.KeyStore("not a wrapped key")
        val key = keys.find() ?: throw PairlightException.KeyStore("the key is gone from the Android Keystore")
        val cipher = Cipher.getInstance(KeystoreKeys.CIPHER)
        cipher.init(Cipher.DECRYPT_MODE, key, GCMParameterSpec(128, wrapped, 1, NONCE))
        cipher.updateAAD(context)
        cipher.doFinal(wrapped, 1 + NONCE, wrapped.size - 1 - NONCE)
    }

    /** Deletes the key: what it wrapped can never be opened again. */
    public fun forget(): Unit = speaking { keys.delete() }

    private companion object {
        const val VERSION: Byte = 1
        const val NONCE = 12
    }
}

/** Shows the system's prompt for a cipher and waits for the answer. [FrameworkPrompt] is the one of the framework. */
public fun interface PresencePrompt {
    /** The unlocked cipher, or null when the person said no. Called on a thread that may block, never the main one. */
    public fun unlock(cipher: Cipher, deviceName: String): Cipher?
}

/**
 * Proves presence with a second key of the Android Keystore, which has to be unlocked for each use: a prompt that merely says
 * "yes" proves nothing, a cipher that works does.
 */
public class PresenceApprover(private val prompt: PresencePrompt, alias: String = "pairlight-presence") : Approver {
    private val keys = KeystoreKeys(alias, eachUse = true)

    override fun confirms(deviceName: String): Boolean = speaking {
        val cipher = Cipher.getInstance(KeystoreKeys.CIPHER)
        try {
            cipher.init(Cipher.ENCRYPT_MODE, keys.find() ?: keys.make())
        } catch (_: java.security.InvalidKeyException) {
            // New fingerprints were enrolled: a new key asks again, and guards nothing but this question.
            keys.delete()
            cipher.init(Cipher.ENCRYPT_MODE, keys.make())
        }
        val unlocked = prompt.unlock(cipher, deviceName) ?: return@speaking false
        unlocked.doFinal(ByteArray(32)).isNotEmpty()
    }
}

/** What the Keystore throws, as the one error of this library. */
private inline fun <T> speaking(call: () -> T): T = try {
    call()
} catch (e: UnrecoverableKeyException) {
    throw PairlightException.KeyStore("the key cannot be used any more", e)
} catch (e: GeneralSecurityException) {
    throw PairlightException.KeyStore("the Android Keystore refuses: ${e.javaClass.simpleName}", e)
} catch (e: ProviderException) {
    throw PairlightException.KeyStore("the Android Keystore refuses: ${e.javaClass.simpleName}", e)
}
