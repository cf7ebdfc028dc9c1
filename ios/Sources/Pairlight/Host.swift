import Foundation
import PairlightBridge

/// Wraps the store's data key with a key that never leaves the platform's key store. Called once when a store is opened, on
/// a thread of the library, where it may block. On a phone use `KeychainVault`.
public protocol KeyWrapping: Sendable {
    /// Wraps 32 bytes. What comes out is authenticated and is stored in clear.
    func wrap(_ key: Data) throws -> Data
    /// Unwraps what `wrap` gave, or throws.
    func unwrap(_ wrapped: Data) throws -> Data
}

/// Asks whoever holds the device to unlock it. Called before each approval takes effect, on a thread of the library, where
/// it may block until the person has answered. On a phone use `PresenceApprover`.
public protocol Approving: Sendable {
    /// Whether the person proved presence. `deviceName` is what the other device calls itself.
    func confirms(deviceName: String) throws -> Bool
}

/// What concerns the library as a whole. Not called as its module is: then no app could write `Pairlight.Message` where it has a
/// `Message` of its own.
public enum PairlightLibrary {
    /// Sends lines of `level` and graver ones to `sink`; once in the life of the process. No line holds a secret.
    public static func startLogging(
        _ level: LogLevel,
        sink: @escaping @Sendable (LogLevel, _ place: String, _ text: String) -> Void
    ) throws {
        try PairlightBridge.startLogging(level: level, sink: SinkBridge(sink))
    }

    /// Changes how much is told, at once.
    public static func setLogLevel(_ level: LogLevel) throws {
        try PairlightBridge.setLogLevel(level: level)
    }

    /// What a code means; for content that did not come from a `CodeScanner`.
    public static func explain(_ content: Data) throws -> Meaning {
        try PairlightBridge.explain(content: content)
    }

    /// How busy the library is: its threads, and the calls, flows and lines that are alive.
    public static func activity() throws -> Activity {
        try PairlightBridge.activity()
    }

    /// Ends all threads of the library and what runs on them. A later call starts them anew.
    public static func shutdown() throws {
        try PairlightBridge.shutdown()
    }
}

final class KeyBridge: PairlightBridge.KeyWrap {
    private let key: any KeyWrapping

    init(_ key: any KeyWrapping) {
        self.key = key
    }

    func wrap(key data: Data) throws -> Data {
        try answering { try key.wrap(data) }
    }

    func unwrapKey(wrapped: Data) throws -> Data {
        try answering { try key.unwrap(wrapped) }
    }
}

final class ApproverBridge: PairlightBridge.Approver {
    private let approver: any Approving

    init(_ approver: any Approving) {
        self.approver = approver
    }

    func confirms(deviceName: String) throws -> Bool {
        try answering { try approver.confirms(deviceName: deviceName) }
    }
}

final class ClockBridge: PairlightBridge.Clock {
    private let now: @Sendable () -> UInt64

    init(_ now: @escaping @Sendable () -> UInt64) {
        self.now = now
    }

    func nowMs() -> UInt64 {
        now()
    }
}

final class SinkBridge: PairlightBridge.LogSink {
    private let sink: @Sendable (LogLevel, String, String) -> Void

    init(_ sink: @escaping @Sendable (LogLevel, String, String) -> Void) {
        self.sink = sink
    }

    func line(level: LogLevel, place: String, text: String) {
        sink(level, place, text)
    }
}

/// What an app's function throws must not be lost on the way through the library.
func answering<T>(_ call: () throws -> T) throws -> T {
    do {
        return try call()
    } catch let error as PairlightError {
        throw error
    } catch {
        throw PairlightError.KeyStore(what: String(describing: error))
    }
}
