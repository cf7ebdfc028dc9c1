package org.pairlight

import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.StrongBoxUnavailableException
import java.io.InputStream
import java.io.OutputStream
import java.security.Key
import java.security.KeyStoreSpi
import java.security.Provider
import java.security.SecureRandom
import java.security.Security
import java.security.cert.Certificate
import java.security.spec.AlgorithmParameterSpec
import java.util.Collections
import java.util.Date
import java.util.Enumeration
import javax.crypto.KeyGeneratorSpi
import javax.crypto.SecretKey
import javax.crypto.spec.SecretKeySpec
import kotlinx.coroutines.delay
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNotEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test

/** The provider that [KeystoreVault] asks for, in memory: keeps keys by alias and remembers how they were ordered. */
object SoftKeystore : Provider("AndroidKeyStore", "1", "a key store in memory, for tests") {
    val held = mutableMapOf<String, SecretKey>()
    val orders = mutableListOf<KeyGenParameterSpec>()
    var hasStrongBox = true

    init {
        put("KeyStore.AndroidKeyStore", Store::class.java.name)
        put("KeyGenerator.AES", Generator::class.java.name)
    }

    private fun readResolve(): Any = SoftKeystore

    class Generator : KeyGeneratorSpi() {
        private lateinit var order: KeyGenParameterSpec
        override fun engineInit(random: SecureRandom?) = error("not without an order")
        override fun engineInit(size: Int, random: SecureRandom?) = error("not without an order")
        override fun engineInit(spec: AlgorithmParameterSpec, random: SecureRandom?) {
            order = spec as KeyGenParameterSpec
        }

        override fun engineGenerateKey(): SecretKey {
            if (order.isStrongBoxBacked && !hasStrongBox) throw StrongBoxUnavailableException("none here")
            orders += order
            val bytes = ByteArray(order.keySize / 8).also { SecureRandom().nextBytes(it) }
            return SecretKeySpec(bytes, "AES").also { held[order.keystoreAlias] = it }
        }
    }

    class Store : KeyStoreSpi() {
        override fun engineGetKey(alias: String, password: CharArray?): Key? = held[alias]
        override fun engineDeleteEntry(alias: String) {
            held.remove(alias)
        }
        override fun engineContainsAlias(alias: String) = alias in held
        override fun engineLoad(stream: InputStream?, password: CharArray?) = Unit
        override fun engineGetCertificateChain(alias: String): Array<Certificate>? = null
        override fun engineGetCertificate(alias: String): Certificate? = null
        override fun engineGetCreationDate(alias: String): Date? = null
        override fun engineSetKeyEntry(alias: String, key: Key, password: CharArray?, chain: Array<Certificate>?) = error("no")
        override fun engineSetKeyEntry(alias: String, key: ByteArray, chain: Array<Certificate>?) = error("no")
        override fun engineSetCertificateEntry(alias: String, cert: Certificate) = error("no")
        override fun engineAliases(): Enumeration<String> = Collections.enumeration(held.keys)
        override fun engineSize() = held.size
        override fun engineIsKeyEntry(alias: String) = alias in held
        override fun engineIsCertificateEntry(alias: String) = false
        override fun engineGetCertificateAlias(cert: Certificate): String? = null
        override fun engineStore(stream: OutputStream?, password: CharArray?) = Unit
    }
}

class VaultTest {
    @BeforeEach
    fun install() {
        Security.addProvider(SoftKeystore)
        SoftKeystore.held.clear()
        SoftKeystore.orders.clear()
        SoftKeystore.hasStrongBox = true
    }

    @AfterEach
    fun remove() {
        Security.removeProvider("AndroidKeyStore")
    }

    @Test
    fun `what is wrapped comes back, differs each time, and an altered byte is refused`() {
        val (vault, secret) = KeystoreVault() to ByteArray(32) { it.toByte() }
        val wrapped = vault.wrap(secret)
        assertArrayEquals(secret, vault.unwrap(wrapped))
        assertArrayEquals(secret, KeystoreVault().unwrap(wrapped), "the key is found again by its alias")
        assertNotEquals(wrapped.toList(), vault.wrap(secret).toList())
        for (at in wrapped.indices) {
            val altered = wrapped.clone().also { it[at] = (it[at].toInt() xor 1).toByte() }
            assertThrows(PairlightException.KeyStore::class.java, { vault.unwrap(altered) }, "byte $at")
        }
        for (length in 0 until 14) {
            assertThrows(PairlightException.KeyStore::class.java) { vault.unwrap(wrapped.copyOf(length)) }
        }
        vault.forget()
        assertThrows(PairlightException.KeyStore::class.java) { vault.unwrap(wrapped) }
    }

    @Test
    fun `the key is ordered for unlocked devices, in StrongBox where there is one`() {
        KeystoreVault("a").wrap(ByteArray(32))
        SoftKeystore.hasStrongBox = false
        KeystoreVault("b").wrap(ByteArray(32))
        val (first, second) = SoftKeystore.orders
        assertTrue(first.isStrongBoxBacked && !second.isStrongBoxBacked)
        for (order in listOf(first, second)) {
            assertTrue(order.isUnlockedDeviceRequired)
            assertFalse(order.isUserAuthenticationRequired)
            assertEquals(256, order.keySize)
        }
    }

    @Test
    fun `presence is proved by a key that must be unlocked for each use`() {
        assertTrue(PresenceApprover({ cipher, name -> cipher.takeIf { name == "Laptop" } }).confirms("Laptop"))
        assertFalse(PresenceApprover({ _, _ -> null }).confirms("Laptop"))
        val order = SoftKeystore.orders.single()
        assertTrue(order.isUserAuthenticationRequired)
        assertEquals(0, order.userAuthenticationValidityDurationSeconds)
        // A prompt that says yes without having unlocked the cipher proves nothing.
        val locked = javax.crypto.Cipher.getInstance("AES/GCM/NoPadding")
        val liar = PresenceApprover({ _, _ -> locked })
        val outcome = runCatching { liar.confirms("Laptop") }
        assertTrue(outcome.isFailure, "$outcome")
    }

    @Test
    fun `a store opens again under the vault, and not when the Keystore has lost its key`() = runBlocking {
        World().use { world ->
            suspend fun open() =
                PrimaryAccount.open(world.path("phone.db"), KeystoreVault(), world.address, "Phone")
            val id = open().use { it.devices.list().single().id }
            awaitClosed { open().use { assertEquals(id, it.devices.list().single().id) } }
            SoftKeystore.held.clear()
            awaitClosed {
                val lost = runCatching { open() }.exceptionOrNull()
                if (lost is PairlightException.Storage) throw lost
                assertTrue(lost is PairlightException.KeyStore, "$lost")
                assertTrue("gone" in lost!!.message!!, lost.message)
            }
        }
    }

    /** A closed store is let go on a thread of the library: until then its file is in use. */
    private suspend fun awaitClosed(work: suspend () -> Unit) {
        val began = System.nanoTime()
        while (true) {
            try {
                return work()
            } catch (e: PairlightException.Storage) {
                if ("using this store" !in e.message!! || System.nanoTime() - began > 60_000_000_000) throw e
                delay(5)
            }
        }
    }
}
