import Foundation
import Testing

@testable import Pairlight

@Suite(patience) struct ScannerTests {
    @Test func aPlaneThatIsShorterThanItSaysIsRefused() throws {
        let scanner = try CodeScanner()
        let memory = [UInt8](repeating: 0, count: 100)
        memory.withUnsafeBytes { plane in
            #expect(throws: PairlightError.self) {
                try scanner.offer(plane: plane, width: 640, height: 480, rowStride: 640)
            }
        }
    }

    @Test func framesAreCountedAndTheNewestWins() async throws {
        let scanner = try CodeScanner()
        let memory = [UInt8](repeating: 0, count: 320 * 240)
        for _ in 0..<50 {
            _ = try memory.withUnsafeBytes { try scanner.offer(plane: $0, width: 320, height: 240, rowStride: 320) }
        }
        var reports = scanner.reports.makeAsyncIterator()
        let report = try await reports.next()
        #expect(report?.codes.isEmpty == true)
        #expect(try scanner.counts().submitted == 50)
        scanner.stop()
        #expect(throws: PairlightError.Ended) {
            _ = try memory.withUnsafeBytes { try scanner.offer(plane: $0, width: 320, height: 240, rowStride: 320) }
        }
    }

    @Test func aCodeIsNamedAndNeverOpened() throws {
        let meaning = try PairlightLibrary.explain(Data("https://example.org".utf8))
        #expect(!meaning.isOffer)
        #expect(!meaning.title.isEmpty)
    }
}

@Suite struct CameraMonitorTests {
    @Test func twoSecondsWithoutAFrameIsAFaultThatAFrameEnds() {
        var monitor = CameraMonitor()
        monitor.opening(now: 1000)
        monitor.tick(now: 2999)
        #expect(monitor.state == .opening)
        monitor.tick(now: 3000)
        #expect(monitor.state == .noFrames(ms: 2000))
        monitor.frame(now: 3100)
        #expect(monitor.state == .running)
        monitor.closed()
        #expect(monitor.state == .off)
    }

    @Test func whatThePlatformSaysIsNotHiddenByClosing() {
        var monitor = CameraMonitor()
        monitor.permission(granted: false, canAsk: false)
        monitor.closed()
        #expect(monitor.state == .notAllowed(canAsk: false))
        monitor.permission(granted: true, canAsk: false)
        #expect(monitor.state == .off)
    }
}
