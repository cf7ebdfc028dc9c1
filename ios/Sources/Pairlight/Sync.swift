import Foundation
import PairlightBridge

/// What happens while a device is online.
public enum SyncChange: Sendable, Equatable {
    /// Messages or conversations changed; `conversations` are their ids, empty for "read everything anew".
    case records(conversations: Set<String>)
    /// A transfer of history moved on.
    case history
    /// A passing word of another device, such as "is typing".
    case signal(from: String, name: String, body: Data)
    /// Bytes of the app's own from another device.
    case bytes(from: String, body: Data)
    case online
    /// Out of reach; tried again by itself. What is written meanwhile goes out then.
    case offline(retryMs: UInt64)
    /// The account has a new device list.
    case devices
    /// Something to tell the person; `device` is an id.
    case alert(device: String?, text: String)
    /// The permission of this device has ended: open the store again and link anew.
    case locked(reason: String)
    /// This device was removed and its data is erased. The last one.
    case removed(reason: String)
    /// The relay refuses this device; nothing is erased. The last one.
    case refused
    /// It cannot go on. The last one.
    case broken(PairlightError)

    public var isFinal: Bool {
        switch self {
        case .removed, .refused, .broken: true
        default: false
        }
    }
}

/// A device that is online and keeps its conversations in step. Iterate over it, in one task, for as long as it is to be
/// online: a device whose changes are not taken stands still. Letting go of it goes offline.
public final class Sync: AsyncSequence, Sendable {
    public typealias Element = SyncChange
    public typealias Failure = Never

    private let bridge: PairlightBridge.Sync

    init(_ bridge: PairlightBridge.Sync) {
        self.bridge = bridge
    }

    public func makeAsyncIterator() -> Iterator {
        Iterator(bridge: bridge)
    }

    /// The conversations, latest first.
    public func conversations() async throws -> [Conversation] {
        try await bridge.conversations()
    }

    /// A page of messages older than `before` (nil: the newest), newest first.
    public func messages(in conversation: String, before: PageMark? = nil, limit: Int = 100) async throws -> [Message] {
        try await bridge.messages(conversation: conversation, before: before, limit: UInt32(clamping: limit))
    }

    /// Messages that contain a text, newest first; on this device alone.
    public func search(_ text: String, limit: Int = 50) async throws -> [Message] {
        try await bridge.search(text: text, limit: UInt32(clamping: limit))
    }

    /// Begins a conversation. Gives its id.
    public func beginConversation(_ title: String) async throws -> String {
        try await bridge.beginConversation(title: title)
    }

    /// Writes a message; durable here when this returns. Gives its id.
    @discardableResult
    public func send(_ text: String, as sender: String, to conversation: String) async throws -> String {
        try await bridge.send(conversation: conversation, sender: sender, text: text)
    }

    /// Deletes a message on all devices.
    public func deleteMessage(_ message: String) async throws {
        try await bridge.deleteMessage(message: message)
    }

    /// Marks a conversation as read up to a time on all devices.
    public func markRead(_ conversation: String, upToMs: UInt64) async throws {
        try await bridge.markRead(conversation: conversation, upToMs: upToMs)
    }

    /// Tells the devices that are online something that is worthless after `lifeMs`.
    public func signal(_ name: String, lifeMs: UInt64, body: Data = Data()) async throws {
        try await bridge.signal(name: name, lifeMs: lifeMs, body: body)
    }

    /// Seals bytes of the app's own for a device, and waits until the relay has stored them.
    public func sendBytes(_ body: Data, to device: String) async throws {
        try await bridge.sendBytes(to: device, body: body)
    }

    /// How the transfers of history are doing.
    public func history() async throws -> [History] {
        try await bridge.history()
    }

    /// Stops a transfer of history. What is stored stays.
    public func cancelHistory(_ device: String) async throws {
        try await bridge.cancelHistory(device: device)
    }

    /// Begins a transfer of history anew, without a new link.
    public func retryHistory(_ device: String) async throws {
        try await bridge.retryHistory(device: device)
    }

    /// Whether every device has confirmed what was written here.
    public func isInStep() async throws -> Bool {
        try await bridge.isInStep()
    }

    public struct Iterator: AsyncIteratorProtocol {
        let bridge: PairlightBridge.Sync
        var isOver = false

        init(bridge: PairlightBridge.Sync) {
            self.bridge = bridge
        }

        public mutating func next() async -> SyncChange? {
            while !isOver && !Task.isCancelled {
                do {
                    guard let event = try await bridge.nextEvent() else {
                        break
                    }
                    if let change = Self.change(of: event) {
                        isOver = change.isFinal
                        return change
                    }
                } catch {
                    isOver = true
                    return .broken(error.own)
                }
            }
            return nil
        }

        private static func change(of event: SyncEvent) -> SyncChange? {
            switch event {
            case let .changed(records):
                let groups = records.map(\.group)
                // A deletion does not say where.
                return .records(conversations: groups.contains(nil) ? [] : Set(groups.compactMap { $0 }))
            case .missed: return .records(conversations: [])
            case .historyMoved: return .history
            case let .signal(from, name, body): return .signal(from: from, name: name, body: body)
            case let .line(event): return change(of: event)
            }
        }

        /// `nil` for what a person can do nothing about.
        private static func change(of event: LineEvent) -> SyncChange? {
            switch event {
            case .online: return .online
            case let .offline(retryMs): return .offline(retryMs: retryMs)
            case let .message(from, body): return .bytes(from: from, body: body)
            case .devicesChanged: return .devices
            case let .silent(forMs):
                return .alert(device: nil, text: "The device that holds the account has been silent for \(forMs) ms.")
            case let .locked(reason): return .locked(reason: reason)
            case .forked: return .alert(device: nil, text: "Devices of this account are shown different lists.")
            case let .discrepancy(device, words), let .notice(device, words):
                return .alert(device: device, text: words)
            case let .removed(reason): return .removed(reason: reason)
            case .refused: return .refused
            case let .failed(error): return .broken(error)
            case .unreadable, .withheld, .leased, .rolledBack, .sessionReset: return nil
            }
        }
    }
}
