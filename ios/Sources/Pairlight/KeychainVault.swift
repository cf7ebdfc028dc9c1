#if canImport(Security) && canImport(CryptoKit)
import CryptoKit
import Foundation
import Security

/// Keeps the store's key under a key of the Secure Enclave, or, on a device without one, under a random key in the Keychain.
/// Neither leaves this device: `ThisDeviceOnly`, readable only while the device is unlocked.
///
/// The wrapped form is one byte of version, then a sealed box. If the Keychain has lost its key, opening the store
/// fails with `PairlightError.KeyStore`: delete the store and `forget()`, then link again.
public struct KeychainVault: KeyWrapping {
    private let account: String
    private let service = "org.pairlight.store"
    private let context = Data("pairlight store key".utf8)

    public init(account: String = "store") {
        self.account = account
    }

    public func wrap(_ key: Data) throws -> Data {
        let wrapping = try load() ?? make()
        let sealed = try AES.GCM.seal(key, using: wrapping, authenticating: context)
        guard let combined = sealed.combined else {
            throw PairlightError.KeyStore(what: "the key could not be sealed")
        }
        return Data([1]) + combined
    }

    public func unwrap(_ wrapped: Data) throws -> Data {
        guard wrapped.first == 1 else {
            throw PairlightError.KeyStore(what: "not a wrapped key")
        }
        guard let wrapping = try load() else {
            throw PairlightError.KeyStore(what: "the key is gone from the Keychain")
        }
        do {
            let box = try AES.GCM.SealedBox(combined: wrapped.dropFirst())
            return try AES.GCM.open(box, using: wrapping, authenticating: context)
        } catch {
            throw PairlightError.KeyStore(what: "the wrapped key was altered")
        }
    }

    /// Deletes the key: what it wrapped can never be opened again.
    public func forget() throws {
        let status = SecItemDelete(query() as CFDictionary)
        guard status == errSecSuccess || status == errSecItemNotFound else {
            throw refused(status)
        }
    }

    private func query() -> [CFString: Any] {
        [
            kSecClass: kSecClassGenericPassword,
            kSecAttrService: service,
            kSecAttrAccount: account,
        ]
    }

    /// The Enclave does not give out its key; what is stored is a handle that only this Enclave can use, and our half of an
    /// agreement. Without an Enclave the item is the key itself.
    private func load() throws -> SymmetricKey? {
        var wanted = query()
        wanted[kSecReturnData] = true
        var found: CFTypeRef?
        let status = SecItemCopyMatching(wanted as CFDictionary, &found)
        if status == errSecItemNotFound {
            return nil
        }
        guard status == errSecSuccess, let item = found as? Data, let kind = item.first else {
            throw refused(status)
        }
        return try key(of: kind, item: item.dropFirst())
    }

    private func make() throws -> SymmetricKey {
        let item: Data
        if SecureEnclave.isAvailable {
            let held = try SecureEnclave.P256.KeyAgreement.PrivateKey(accessControl: control())
            let ours = P256.KeyAgreement.PrivateKey()
            // 65 bytes of our public half, then the handle. The private half is thrown away: only the Enclave can agree again.
            item = Data([Kind.enclave]) + ours.publicKey.x963Representation + held.dataRepresentation
        } else {
            item = Data([Kind.keychain]) + SymmetricKey(size: .bits256).withUnsafeBytes { Data($0) }
        }
        var added = query()
        added[kSecValueData] = item
        added[kSecAttrAccessible] = kSecAttrAccessibleWhenUnlockedThisDeviceOnly
        let status = SecItemAdd(added as CFDictionary, nil)
        guard status == errSecSuccess, let kind = item.first else {
            throw refused(status)
        }
        return try key(of: kind, item: item.dropFirst())
    }

    private func key(of kind: UInt8, item: Data) throws -> SymmetricKey {
        switch kind {
        case Kind.enclave where item.count > 65:
            let held = try SecureEnclave.P256.KeyAgreement.PrivateKey(dataRepresentation: Data(item.dropFirst(65)))
            let ours = try P256.KeyAgreement.PublicKey(x963Representation: item.prefix(65))
            let secret = try held.sharedSecretFromKeyAgreement(with: ours)
            return secret.hkdfDerivedSymmetricKey(
                using: SHA256.self, salt: Data(), sharedInfo: context, outputByteCount: 32
            )
        case Kind.keychain where item.count == 32:
            return SymmetricKey(data: item)
        default:
            throw PairlightError.KeyStore(what: "the Keychain holds something else")
        }
    }

    private func control() throws -> SecAccessControl {
        var error: Unmanaged<CFError>?
        let made = SecAccessControlCreateWithFlags(
            nil, kSecAttrAccessibleWhenUnlockedThisDeviceOnly, .privateKeyUsage, &error
        )
        guard let made else {
            throw PairlightError.KeyStore(what: "no access control: \(String(describing: error?.takeRetainedValue()))")
        }
        return made
    }

    private func refused(_ status: OSStatus) -> PairlightError {
        .KeyStore(what: "the Keychain refuses: \(status)")
    }

    private enum Kind {
        static let enclave: UInt8 = 1
        static let keychain: UInt8 = 2
    }
}
#endif

#if canImport(LocalAuthentication)
import Foundation
import LocalAuthentication

/// Asks for Face ID, Touch ID or the passcode before each approval.
public struct PresenceApprover: Approving {
    private let reason: String

    /// - Parameter reason: what the person is asked, in their language
    public init(reason: String) {
        self.reason = reason
    }

    public func confirms(deviceName: String) throws -> Bool {
        let answer = Answer()
        let context = LAContext()
        context.evaluatePolicy(.deviceOwnerAuthentication, localizedReason: reason) { success, _ in
            answer.give(success)
        }
        return answer.wait()
    }

    /// One answer, given on a thread of the system and waited for on one of the library.
    private final class Answer: @unchecked Sendable {
        private let given = DispatchSemaphore(value: 0)
        private var success = false

        func give(_ success: Bool) {
            self.success = success
            given.signal()
        }

        func wait() -> Bool {
            given.wait()
            return success
        }
    }
}
#endif
