import Foundation
import PairlightBridge

/// A Bluetooth Low Energy radio of the app's, for evidence that both devices are in one room. Called on threads of the library; must
/// not block. One that is off or not allowed does nothing: then there is no such evidence.
public protocol Radio: Sendable {
    /// On the device that holds the account: advertise this service UUID until told to stop.
    func advertise(_ uuid: UUID) throws
    /// On the device that joins: listen, and report each 128-bit service UUID with `ShowFlow.heard`.
    func listen() throws
    /// Be silent and deaf again.
    func stop() throws
}

/// An attestation of an organisation: it must be bound to `challenge` and be of the device whose public key is `deviceKey`.
public struct Attestation: Sendable {
    public let challenge: Data
    public let deviceKey: Data
    /// As the other device's app gave it.
    public let proof: Data
}

/// Judges attestations for the app's organisation. Called on a task of its own.
public typealias Judge = @Sendable (Attestation) async -> Bool

/// A passkey that the app has just made, to be registered: its public key in COSE form (ES256, or EdDSA with Ed25519).
public typealias Passkey = PairlightBridge.Passkey
/// A passkey that was registered.
public typealias RegisteredPasskey = PairlightBridge.RegisteredPasskey
/// What to ask the platform's passkeys for, with user verification required.
public typealias PasskeyWanted = PairlightBridge.PasskeyWanted
/// A WebAuthn assertion, as the platform gave it.
public typealias PasskeyAssertion = PairlightBridge.PasskeyAssertion
/// What carried a word from one device to the other.
public typealias TapMedium = PairlightBridge.TapMedium

/// The account's passkeys: a device that can is asked for the assertion of one, which makes the link strong.
public struct Passkeys: Sendable {
    private let bridge: PairlightBridge.PrimaryAccount

    init(_ bridge: PairlightBridge.PrimaryAccount) {
        self.bridge = bridge
    }

    /// Those that are registered.
    public func list() async throws -> [RegisteredPasskey] {
        try await bridge.passkeys()
    }

    /// Registers one that the app has made.
    ///
    /// - Throws: `PairlightError.Misuse` for a key of another algorithm, or an origin that is not of the relying party
    public func register(_ passkey: Passkey) async throws {
        try await bridge.registerPasskey(passkey: passkey)
    }

    /// Forgets one, by its credential id.
    public func forget(_ credential: Data) async throws {
        try await bridge.forgetPasskey(credential: credential)
    }
}

final class RadioBridge: PairlightBridge.Radio {
    private let radio: any Radio

    init(_ radio: any Radio) {
        self.radio = radio
    }

    func advertise(uuid: String) throws {
        try answering {
            guard let uuid = UUID(uuidString: uuid) else { throw PairlightError.Misuse(what: "not a UUID") }
            try radio.advertise(uuid)
        }
    }

    func listen() throws {
        try answering { try radio.listen() }
    }

    func stop() throws {
        try answering { try radio.stop() }
    }
}
