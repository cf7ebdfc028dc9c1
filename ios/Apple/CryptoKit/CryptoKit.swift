import Foundation
import Security

public protocol HashFunction {}

public struct SHA256: HashFunction {}

public struct SymmetricKeySize: Sendable {
    public static let bits256 = SymmetricKeySize()
}

public struct SymmetricKey: ContiguousBytes, Sendable {
    public init(size: SymmetricKeySize) {}
    public init<D: ContiguousBytes>(data: D) {}
    public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R { fatalError() }
}

public enum AES {
    public enum GCM {
        public struct SealedBox: Sendable {
            public init<D: DataProtocol>(combined: D) throws { fatalError() }
            public var combined: Data? { fatalError() }
        }

        public struct Nonce: Sendable {}

        public static func seal<Plain: DataProtocol, Extra: DataProtocol>(
            _ message: Plain, using key: SymmetricKey, nonce: Nonce? = nil, authenticating data: Extra
        ) throws -> SealedBox { fatalError() }

        public static func open<Extra: DataProtocol>(
            _ box: SealedBox, using key: SymmetricKey, authenticating data: Extra
        ) throws -> Data { fatalError() }
    }
}

public struct SharedSecret: Sendable {
    public func hkdfDerivedSymmetricKey<H: HashFunction, Salt: DataProtocol, Info: DataProtocol>(
        using hash: H.Type, salt: Salt, sharedInfo: Info, outputByteCount: Int
    ) -> SymmetricKey { fatalError() }
}

public enum P256 {
    public enum KeyAgreement {
        public struct PublicKey: Sendable {
            public init<D: ContiguousBytes>(x963Representation: D) throws { fatalError() }
            public var x963Representation: Data { fatalError() }
        }

        public struct PrivateKey: Sendable {
            public init(compactRepresentable: Bool = true) { fatalError() }
            public var publicKey: PublicKey { fatalError() }
        }
    }
}

public enum SecureEnclave {
    public static var isAvailable: Bool { fatalError() }

    public enum P256 {
        public enum KeyAgreement {
            public struct PrivateKey: Sendable {
                public init(compactRepresentable: Bool = true, accessControl: SecAccessControl) throws { fatalError() }
                public init(dataRepresentation: Data) throws { fatalError() }
                public var dataRepresentation: Data { fatalError() }
                public func sharedSecretFromKeyAgreement(
                    with other: CryptoKit.P256.KeyAgreement.PublicKey
                ) throws -> SharedSecret { fatalError() }
            }
        }
    }
}
