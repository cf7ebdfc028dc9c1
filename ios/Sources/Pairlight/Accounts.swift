import Foundation
import PairlightBridge

/// The account, on the device that holds it: the phone, mostly.
public final class PrimaryAccount: Sendable {
    private let bridge: PairlightBridge.PrimaryAccount

    private let judge: Judge?

    /// The account's devices.
    public let devices: Devices
    /// The account's passkeys.
    public let passkeys: Passkeys

    private init(_ bridge: PairlightBridge.PrimaryAccount, _ judge: Judge?) {
        self.bridge = bridge
        self.judge = judge
        devices = Devices(bridge)
        passkeys = Passkeys(bridge)
    }

    /// Opens the account in the store at `path`, or makes one called `name`.
    ///
    /// - Parameters:
    ///   - path: a file that is excluded from backups: a copied store is a copied device
    ///   - approver: asked before each approval takes effect; without one the app answers for the unlock by itself
    ///   - radio: advertises while a device is linked
    ///   - judge: judges attestations of an organisation
    ///   - localNetwork: whether the other device is looked for on the local network; the system asks the person before
    ///   - clock: milliseconds since 1970, in place of the system's clock; for tests
    public static func open(
        path: String,
        key: any KeyWrapping,
        relay: RelayAddress,
        name: String,
        policy: LinkPolicy = .balanced,
        approver: (any Approving)? = nil,
        radio: (any Radio)? = nil,
        judge: Judge? = nil,
        localNetwork: Bool = true,
        clock: (@Sendable () -> UInt64)? = nil
    ) async throws -> PrimaryAccount {
        let bridge = try await PairlightBridge.PrimaryAccount.open(
            path: path, key: KeyBridge(key), relay: relay, policy: policy, name: name,
            hooks: hooks(approver, radio, judge, localNetwork, clock)
        )
        return PrimaryAccount(bridge, judge)
    }

    private static func hooks(
        _ approver: (any Approving)?,
        _ radio: (any Radio)?,
        _ judge: Judge?,
        _ localNetwork: Bool,
        _ clock: (@Sendable () -> UInt64)?
    ) -> PrimaryHooks {
        PrimaryHooks(
            approver: approver.map { ApproverBridge($0) }, localNetwork: localNetwork,
            radio: radio.map { RadioBridge($0) }, judges: judge != nil, clock: clock.map { ClockBridge($0) }
        )
    }

    /// Brings an account to this device with the 24 words of its recovery key. The store at `path` must be new. The lost device
    /// is removed, linked devices stay. Gives the new words too: show them once, the old ones are spent.
    ///
    /// - Throws: `PairlightError.Misuse` for words that were mistyped, `PairlightError.Refused` for those of no account
    public static func recover(
        words: String,
        path: String,
        key: any KeyWrapping,
        relay: RelayAddress,
        name: String,
        policy: LinkPolicy = .balanced,
        approver: (any Approving)? = nil,
        radio: (any Radio)? = nil,
        judge: Judge? = nil,
        localNetwork: Bool = true,
        clock: (@Sendable () -> UInt64)? = nil
    ) async throws -> (account: PrimaryAccount, words: String) {
        let recovered = try await PairlightBridge.recoverAccount(
            words: words, path: path, key: KeyBridge(key), relay: relay, policy: policy, name: name,
            hooks: hooks(approver, radio, judge, localNetwork, clock)
        )
        return (account: PrimaryAccount(recovered.account, judge), words: recovered.words)
    }

    /// Makes a recovery key in place of any before. Gives its 24 words: a secret, to be shown once and written down; they are
    /// kept nowhere.
    public func createRecovery() async throws -> String {
        try await bridge.createRecovery()
    }

    /// Brings the account under a new root key: when somebody may have seen the old one. Devices stay.
    public func rotateRoot() async throws {
        try await bridge.rotateRoot()
    }

    /// Links the device whose code was scanned.
    ///
    /// - Throws: `PairlightError.Misuse` for a code that is not an offer, see `Meaning.isOffer`
    public func link(_ code: Data, source: CodeSource) async throws -> LinkFlow {
        LinkFlow(try await bridge.link(code: code, source: source), judge)
    }

    /// Goes on with links that were interrupted by the end of the app. Call it once after `open`.
    public func resume() async throws -> [LinkFlow] {
        try await bridge.resume().map { LinkFlow($0, judge) }
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

    /// Device lists that contradict each other, if some were seen; `nil` when there are none.
    public func fork() async throws -> Fork? {
        try await bridge.fork()
    }

    /// The person compared the hashes of a fork and keeps the list of this device.
    public func keepOwnList() async throws {
        try await bridge.keepOwnList()
    }

    /// Alerts that are due on this device now, such as the reminder of a link some hours later; each is given out once. A `Sync`
    /// gives them out by itself.
    public func dueAlerts() async throws -> [AccountAlert] {
        try await bridge.dueAlerts()
    }
}

/// A device that is, or wants to be, linked.
public final class LinkedAccount: Sendable {
    private let bridge: PairlightBridge.LinkedAccount

    private init(_ bridge: PairlightBridge.LinkedAccount) {
        self.bridge = bridge
    }

    /// Opens the store at `path`; see `PrimaryAccount.open`.
    ///
    /// - Parameters:
    ///   - radio: listens while this device is linked
    ///   - passkey: whether the app can use passkeys: it answers `ShowState.evidenceWanted`
    ///   - attestation: whether it has one: likewise
    ///   - localNetwork: whether to answer on the local network; the system asks the person before
    public static func open(
        path: String,
        key: any KeyWrapping,
        relay: RelayAddress,
        radio: (any Radio)? = nil,
        passkey: Bool = false,
        attestation: Bool = false,
        localNetwork: Bool = true,
        clock: (@Sendable () -> UInt64)? = nil
    ) async throws -> LinkedAccount {
        let hooks = LinkedHooks(
            localNetwork: localNetwork, radio: radio.map { RadioBridge($0) }, passkey: passkey, attestation: attestation,
            clock: clock.map { ClockBridge($0) }
        )
        let bridge = try await PairlightBridge.LinkedAccount.open(
            path: path, key: KeyBridge(key), relay: relay, hooks: hooks
        )
        return LinkedAccount(bridge)
    }

    /// How this device stands; `nil` when it is not linked.
    public func standing() async throws -> OwnStanding? {
        try await bridge.standing()
    }

    /// The person compared the hashes of `OwnStanding.fork` and keeps the list of this device: lists are taken again.
    public func keepOwnList() async throws {
        try await bridge.keepOwnList()
    }

    /// As `link`, for a device whose permission has ended: it comes back as the device that it was.
    public func relink(name: String, os: String, app: String) async throws -> ShowFlow {
        ShowFlow(try await bridge.relink(name: name, os: os, app: app))
    }

    /// Shows codes until somebody links this device.
    public func link(name: String, os: String, app: String) async throws -> ShowFlow {
        ShowFlow(try await bridge.link(name: name, os: os, app: app))
    }

    /// Goes on with a link that was interrupted by the end of the app; `nil` when there is none. Before `link`.
    public func resume() async throws -> ShowFlow? {
        try await bridge.resume().map { ShowFlow($0) }
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
