#if GUIDE && os(Linux)
import Foundation
import Pairlight
import Testing

// What the guide uses of Apple's platforms: here they are of this test.

/// A camera that looks at the screen of another device.
final class CameraFeed: Sendable {
    static let seen = LockedPhoto()
    private let scanner: CodeScanner
    private let running = LockedTask()

    init(_ scanner: CodeScanner) {
        self.scanner = scanner
    }

    func start() async {
        let scanner = scanner
        running.put(Task {
            while !Task.isCancelled {
                _ = try? CameraFeed.seen.photo?.offer(to: scanner)
                try? await Task.sleep(nanoseconds: 33_000_000)
            }
        })
    }

    func stop() async {
        running.put(nil)
    }

    final class LockedPhoto: @unchecked Sendable {
        private let lock = NSLock()
        private var held: Photo?
        var photo: Photo? {
            get { lock.withLock { held } }
            set { lock.withLock { held = newValue } }
        }
    }

    final class LockedTask: @unchecked Sendable {
        private let lock = NSLock()
        private var held: Task<Void, Never>?
        func put(_ task: Task<Void, Never>?) {
            lock.withLock {
                held?.cancel()
                held = task
            }
        }
    }
}

struct KeychainVault: KeyWrapping {
    func wrap(_ key: Data) -> Data { SoftKey().wrap(key) }
    func unwrap(_ wrapped: Data) -> Data { SoftKey().unwrap(wrapped) }
}

struct PresenceApprover: Approving {
    let reason: String
    func confirms(deviceName: String) -> Bool { true }
}

/// The new user's way: the programs of the guide, as they stand on its page, link a device and hear from it.
@Suite(.serialized, patience, .enabled(if: programs != nil)) struct GuideTests {
    @Test func theProgramsOfTheGuideLinkADeviceAndHearFromIt() async throws {
        let world = try World()
        let (account, tablet) = (try await world.phone(), try await world.tablet())
        let show = try await tablet.link(name: "Tablet", os: "Linux", app: "test")
        let showing = Task { () -> ShowState? in
            var last: ShowState?
            for await state in show {
                last = state
                if case let .showCode(code) = state { CameraFeed.seen.photo = Photo(of: code) }
            }
            return last
        }
        let screens = Typing(show)
        try await firstLink(account, screens)
        guard case .linked = await screens.ended, case .linked = try await showing.outcome() else {
            throw PairlightError.Internal(what: "not linked: \(String(describing: await screens.ended))")
        }

        let line = try await tablet.sync()
        let reading = Task { for await _ in line {} }
        let (words, told) = AsyncStream.makeStream(of: String.self)
        let staying = Task {
            try await stayInStep(account) { page in
                if let newest = page.first { told.yield(newest.text) }
            }
        }
        let talk = try await line.beginConversation("Kim")
        try await line.send("hello from the tablet", as: "Tablet", to: talk)
        for await heard in words where heard == "hello from the tablet" { break }
        staying.cancel()
        // It returns when it waited for a change; a call that was under way says that it was cancelled.
        do { try await staying.outcome() } catch is CancellationError {}
        reading.cancel()
    }

    @Test func eachProgramOfTheGuideIsShorterThanSixtyLines() throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("FromGuide")
        let programs = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        #expect(programs.count >= 3)
        for program in programs {
            let lines = try String(contentsOf: program, encoding: .utf8).split(separator: "\n")
            #expect(lines.filter { !$0.hasPrefix("import") }.count < 60, "\(program.lastPathComponent)")
        }
    }
}

/// A person who looks at both screens and types on the tablet what the phone shows.
actor Typing: Screens {
    private let show: ShowFlow
    private(set) var ended: LinkState?

    init(_ show: ShowFlow) {
        self.show = show
    }

    func hint(_ words: String) {}
    func approves(_ approval: Approval) -> Bool { approval.deviceName == "Tablet" }
    func warns(holdMs: UInt64) async -> Bool {
        try? await Task.sleep(nanoseconds: holdMs * 1_000_000)
        return true
    }
    func digits(_ code: String) async {
        try? await show.enterCheckCode(code)
    }
    func spinner() {}
    func end(_ state: LinkState) { ended = state }
}
#endif
