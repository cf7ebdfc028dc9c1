#if os(Linux) || os(macOS)
import Foundation

@testable import Pairlight

/// Where the programs of this repository are, as cargo built them; without it what needs a relay is not run.
let programs = ProcessInfo.processInfo.environment["PAIRLIGHT_PROGRAMS"]

/// Nothing here takes longer unless it is broken, seconds.
let deadline = 60

/// A relay of its own process with these limits on top of generous ones, and a folder that goes with it.
final class World: Sendable {
    private let relay: Process
    private let folder: URL
    let address: RelayAddress

    init(limits: [String] = []) throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("pairlight-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let relay = Process()
        relay.executableURL = URL(fileURLWithPath: programs! + "/pairlight")
        relay.arguments = ["relay", "--listen", "127.0.0.1:0", "--limits", "generous", "--store", "memory"] + limits
        let words = Pipe()
        relay.standardOutput = words
        relay.standardError = words
        try relay.run()
        self.relay = relay
        // One that says nothing is ended: then there is no more to read.
        let silence = DispatchWorkItem { end(relay) }
        DispatchQueue.global().asyncAfter(deadline: .now() + .seconds(deadline), execute: silence)
        var heard = ""
        while !heard.contains("attestation key") || !heard.hasSuffix("\n") {
            let more = words.fileHandleForReading.availableData
            guard !more.isEmpty else { throw PairlightError.Offline(what: "no relay: \(heard)") }
            heard += String(decoding: more, as: UTF8.self)
        }
        silence.cancel()
        let line = heard.split(whereSeparator: \.isWhitespace).map(String.init)
        func word(after name: String) -> String { line[line.firstIndex(of: name)! + 1] }
        address = RelayAddress(url: word(after: "relay"), key: word(after: "key"))
    }

    deinit {
        end(relay)
        try? FileManager.default.removeItem(at: folder)
    }

    func path(_ name: String) -> String {
        folder.appendingPathComponent(name).path
    }

    func phone(_ approver: (any Approving)? = nil) async throws -> PrimaryAccount {
        try await PrimaryAccount.open(
            path: path("phone.db"), key: SoftKey(), relay: address, name: "Phone", policy: .development, approver: approver
        )
    }

    func tablet(relay: RelayAddress? = nil) async throws -> LinkedAccount {
        try await LinkedAccount.open(path: path("tablet.db"), key: SoftKey(), relay: relay ?? address)
    }
}

/// Not with `terminate`: the threads of Swift block that signal, and what they start inherits this.
private func end(_ program: Process) {
    kill(program.processIdentifier, SIGKILL)
}

/// Wraps with a key of this process.
struct SoftKey: KeyWrapping {
    func wrap(_ key: Data) -> Data { Data(key.map { $0 ^ 0x5A }) }
    func unwrap(_ wrapped: Data) -> Data { wrap(wrapped) }
}

/// A picture of a code, as the brightness plane of a camera: rows are padded.
struct Photo: Sendable {
    let side: Int
    let rowStride: Int
    let luma: [UInt8]

    init(of code: CodePicture) {
        let (size, scale) = (Int(code.size), 4)
        side = (size + 8) * scale
        rowStride = side + 24
        var luma = [UInt8](repeating: 255, count: rowStride * side)
        for y in 0..<side {
            for x in 0..<side {
                let (column, row) = (x / scale - 4, y / scale - 4)
                if (0..<size).contains(column), (0..<size).contains(row), code.modules[row * size + column] == 1 {
                    luma[y * rowStride + x] = 0
                }
            }
        }
        self.luma = luma
    }

    @discardableResult
    func offer(to scanner: CodeScanner) throws -> CodeScanner.Fate {
        try luma.withUnsafeBytes {
            try scanner.offer(plane: $0, width: side, height: side, rowStride: rowStride)
        }
    }
}

/// The tasks of the library once what earlier tests left has ended: the number holds still for a while.
func settledTasks() async throws -> UInt32 {
    let began = DispatchTime.now().uptimeNanoseconds
    var (tasks, still) = (try PairlightLibrary.activity().tasks, 0)
    while still < 60 {
        try inTime(began, "the number of tasks never holds still")
        try await Task.sleep(nanoseconds: 5_000_000)
        let now = try PairlightLibrary.activity().tasks
        (tasks, still) = now == tasks ? (tasks, still + 1) : (now, 0)
    }
    return tasks
}

private func inTime(_ began: UInt64, _ trouble: String) throws {
    if DispatchTime.now().uptimeNanoseconds - began > UInt64(deadline) * 1_000_000_000 {
        throw PairlightError.Internal(what: trouble)
    }
}

/// Milliseconds until the library does no more than `idle` tasks.
func untilIdle(_ idle: UInt32) async throws -> Double {
    let began = DispatchTime.now().uptimeNanoseconds
    while try PairlightLibrary.activity().tasks > idle {
        try inTime(began, "work goes on, and no more than \(idle) tasks should")
        try await Task.sleep(nanoseconds: 200_000)
    }
    return Double(DispatchTime.now().uptimeNanoseconds - began) / 1_000_000
}
#endif
