import Foundation
import PairlightBridge

/// What happens while a device is online.
public enum SyncChange: Sendable, Equatable {
    /// Messages or conversations changed; `conversations` are their ids. Empty for "read everything anew": changes were too
    /// many to keep, so also ask for the history and for the state of files that are shown.
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
    /// Something changed about a file: ask `Files.state`.
    case file(String)
    /// Something to tell the person; nothing of the kind is left out.
    case alert(AccountAlert)
    /// On a linked device: its permission was renewed, ms since 1970; `restriction` says why it may not do everything.
    case leased(untilMs: UInt64, restriction: String?)
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
/// online: a device whose changes are not taken stands still. Letting go of it goes offline; so does cancelling the task that
/// reads, at once, and `stop`.
public final class Sync: AsyncSequence, Sendable {
    public typealias Element = SyncChange
    public typealias Failure = Never

    private let bridge: PairlightBridge.Sync

    /// Files of messages.
    public let files: Files

    init(_ bridge: PairlightBridge.Sync) {
        self.bridge = bridge
        files = Files(bridge)
    }

    public func makeAsyncIterator() -> Iterator {
        Iterator(bridge: bridge)
    }

    /// Goes offline: whoever reads gets what had come before, then the end. What is written here from now on goes out the next
    /// time.
    public func stop() {
        try? bridge.stop()
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
    ///
    /// - Parameters:
    ///   - sender: how the person calls themselves
    ///   - attachments: files that `Files.add` took, 32 at most
    ///   - replyTo: the id of the message that it answers
    @discardableResult
    public func send(
        _ text: String,
        as sender: String,
        to conversation: String,
        attachments: [Attachment] = [],
        replyTo: String? = nil
    ) async throws -> String {
        try await bridge.send(
            conversation: conversation, sender: sender, text: text, replyTo: replyTo, attachments: attachments
        )
    }

    /// Gives a message another text on all devices.
    public func editMessage(_ message: String, text: String) async throws {
        try await bridge.editMessage(message: message, text: text)
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

    /// On a linked device: asks the device that holds the account for `count` messages of a conversation older than
    /// `beforeMs`. They arrive as changes.
    public func askOlder(in conversation: String, beforeMs: UInt64, count: Int) async throws {
        try await bridge.askOlder(conversation: conversation, beforeMs: beforeMs, count: UInt32(clamping: count))
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

    /// The person proved presence, to free what the policy holds back of the history of `device`.
    public func presenceShown(_ device: String) async throws {
        try await bridge.presenceShown(device: device)
    }

    /// Whether every device has confirmed what was written here.
    public func isInStep() async throws -> Bool {
        try await bridge.isInStep()
    }

    /// After `PairlightError.Storage` said that a record is damaged: deletes such records and asks the other devices for
    /// everything again. Gives how many were lost here.
    public func repair() async throws -> UInt64 {
        try await bridge.repair()
    }

    public struct Iterator: AsyncIteratorProtocol, Sendable {
        let bridge: PairlightBridge.Sync
        var isOver = false

        init(bridge: PairlightBridge.Sync) {
            self.bridge = bridge
        }

        public mutating func next() async -> SyncChange? {
            if isOver {
                return nil
            }
            let bridge = bridge
            do {
                let next = try await withTaskCancellationHandler {
                    try await bridge.nextEvent()
                } onCancel: {
                    try? bridge.stop()
                }
                guard let event = next else {
                    isOver = true
                    return nil
                }
                let change = Self.change(of: event)
                isOver = change.isFinal
                return change
            } catch is CancellationError {
                isOver = true
                return nil
            } catch {
                isOver = true
                return .broken(error.own)
            }
        }

        private static func change(of event: SyncEvent) -> SyncChange {
            switch event {
            case let .changed(records):
                let groups = records.map(\.group)
                // A deletion does not say where.
                return .records(conversations: groups.contains(nil) ? [] : Set(groups.compactMap { $0 }))
            case .missed: return .records(conversations: [])
            case .historyMoved: return .history
            case let .fileMoved(file): return .file(file)
            case let .signal(from, name, body): return .signal(from: from, name: name, body: body)
            case let .line(event): return change(of: event)
            }
        }

        private static func change(of event: LineEvent) -> SyncChange {
            switch event {
            case .online: .online
            case let .offline(retryMs): .offline(retryMs: retryMs)
            case let .message(from, body): .bytes(from: from, body: body)
            case .devicesChanged: .devices
            case let .alerted(alert): .alert(alert)
            case let .leased(untilMs, restriction): .leased(untilMs: untilMs, restriction: restriction)
            case let .locked(reason): .locked(reason: reason)
            case let .removed(reason): .removed(reason: reason)
            case .refused: .refused
            case let .failed(error): .broken(error)
            }
        }
    }
}
