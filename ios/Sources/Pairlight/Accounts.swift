import Foundation
import PairlightBridge

/// The account, on the device that holds it: the phone, mostly.
public final class PrimaryAccount: Sendable {
    private let bridge: PairlightBridge.PrimaryAccount

    /// The account's devices.
    public let devices: Devices

    private init(_ bridge: PairlightBridge.PrimaryAccount) {
        self.bridge = bridge
        devices = Devices(bridge)
    }

    /// Opens the account in the store at `path`, or makes one called `name`.
    ///
    /// - Parameters:
    ///   - path: a file that is excluded from backups: a copied store is a copied device
    ///   - approver: asked before each approval takes effect; without one the app answers for the unlock by itself
    public static func open(
        path: String,
        key: any KeyWrapping,
        relay: RelayAddress,
        name: String,
        policy: LinkPolicy = .balanced,
        approver: (any Approving)? = nil
    ) async throws -> PrimaryAccount {
        let bridge = try await PairlightBridge.PrimaryAccount.open(
            path: path, key: KeyBridge(key), relay: relay, policy: policy, name: name,
            approver: approver.map(ApproverBridge.init), clock: nil
        )
        return PrimaryAccount(bridge)
    }

    /// Links the device whose code was scanned.
    ///
    /// - Throws: `PairlightError.Misuse` for a code that is not an offer, see `Meaning.isOffer`
    public func link(_ code: Data, source: CodeSource) async throws -> LinkFlow {
        LinkFlow(try await bridge.link(code: code, source: source))
    }

    /// Goes on with links that were interrupted by the end of the app. Call it once after `open`.
    public func resume() async throws -> [LinkFlow] {
        try await bridge.resume().map(LinkFlow.init)
    }

    /// Goes online and keeps the records of all devices in step, until the line is closed. One at a time.
    public func sync() async throws -> Sync {
        Sync(try await bridge.sync())
    }
}

/// The account's devices: who they are, when they reported, and what the person can do about them.
public struct Devices: Sendable {
    private let bridge: PairlightBridge.PrimaryAccount

    init(_ bridge: PairlightBridge.PrimaryAccount) {
        self.bridge = bridge
    }

    /// The devices now, the first linked first.
    public func list() async throws -> [Device] {
        try await bridge.devices()
    }

    /// Devices that left within the last 180 days, the latest first.
    public func removed() async throws -> [RemovedDevice] {
        try await bridge.removedDevices()
    }

    /// Gives a device another name.
    public func rename(_ device: String, to name: String) async throws {
        try await bridge.rename(device: device, name: name)
    }

    /// Takes a device off the account: its sessions end and its data is erased there.
    public func revoke(_ device: String) async throws {
        try await bridge.revoke(device: device)
    }

    /// Takes every device but this one off the account.
    public func revokeAll() async throws {
        try await bridge.revokeAll()
    }

    /// The person confirms a device that was restricted.
    public func confirm(_ device: String) async throws {
        try await bridge.confirm(device: device)
    }
}

/// A device that is, or wants to be, linked.
public final class LinkedAccount: Sendable {
    private let bridge: PairlightBridge.LinkedAccount

    private init(_ bridge: PairlightBridge.LinkedAccount) {
        self.bridge = bridge
    }

    /// Opens the store at `path`; see `PrimaryAccount.open`.
    public static func open(path: String, key: any KeyWrapping, relay: RelayAddress) async throws -> LinkedAccount {
        LinkedAccount(
            try await PairlightBridge.LinkedAccount.open(path: path, key: KeyBridge(key), relay: relay, clock: nil)
        )
    }

    /// How this device stands; `nil` when it is not linked.
    public func standing() async throws -> OwnStanding? {
        try await bridge.standing()
    }

    /// Shows codes until somebody links this device.
    public func link(name: String, os: String, app: String) async throws -> ShowFlow {
        ShowFlow(try await bridge.link(name: name, os: os, app: app))
    }

    /// Goes on with a link that was interrupted by the end of the app; `nil` when there is none. Before `link`.
    public func resume() async throws -> ShowFlow? {
        try await bridge.resume().map(ShowFlow.init)
    }

    /// Goes online until the line is closed. One at a time.
    public func sync() async throws -> Sync {
        Sync(try await bridge.sync())
    }

    /// Erases everything that this device knows.
    public func forget() async throws {
        try await bridge.forget()
    }
}
