import Foundation
import PairlightBridge

/// Files of messages, sealed in the store. What a linked device adds goes to the device that holds the account by itself; every
/// other one comes when it is wanted.
public struct Files: Sendable {
    /// As the store keeps them, bytes.
    private static let piece = 256 * 1024
    private let bridge: PairlightBridge.Sync

    init(_ bridge: PairlightBridge.Sync) {
        self.bridge = bridge
    }

    /// Takes the file at `url` into the store, to be sent with `Sync.send`; 4 GiB at most.
    public func add(_ url: URL, mediaType: String) async throws -> Attachment {
        let content = try FileHandle(forReadingFrom: url)
        defer { try? content.close() }
        let file = try await bridge.beginFile()
        while let piece = try content.read(upToCount: Self.piece), !piece.isEmpty {
            try await file.write(bytes: piece)
        }
        return try await file.finish(name: url.lastPathComponent, mediaType: mediaType)
    }

    /// The same for a content in memory.
    public func add(_ content: Data, name: String, mediaType: String) async throws -> Attachment {
        let file = try await bridge.beginFile()
        try await file.write(bytes: content)
        return try await file.finish(name: name, mediaType: mediaType)
    }

    /// How much of a file is here; `nil` when nothing is known of it. Ask again after each `SyncChange.file`.
    public func state(_ attachment: Attachment) async throws -> FileState? {
        try await bridge.file(file: attachment.file)
    }

    /// Has a file come from another device, also after a restart of the app. Each piece of it is a `SyncChange.file`.
    @discardableResult
    public func want(_ attachment: Attachment) async throws -> FileState {
        try await bridge.wantFile(file: attachment.file, size: attachment.size)
    }

    /// Writes the content of a file that is here to `url`, in place of what is there.
    ///
    /// - Throws: `PairlightError.Misuse` when it is not here, or not all of it
    public func save(_ attachment: Attachment, to url: URL) async throws {
        guard try await bridge.file(file: attachment.file)?.isComplete == true else {
            throw PairlightError.Misuse(what: "the file is not here: want it first")
        }
        try Data().write(to: url, options: .atomic)
        let out = try FileHandle(forWritingTo: url)
        defer { try? out.close() }
        var index: UInt64 = 0
        while let piece = try await bridge.filePiece(file: attachment.file, index: index) {
            try out.write(contentsOf: piece)
            index += 1
        }
    }
}
