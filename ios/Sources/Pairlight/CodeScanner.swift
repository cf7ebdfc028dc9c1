import Foundation
import PairlightBridge

#if canImport(CoreMedia)
import CoreMedia
#endif
#if canImport(CoreVideo)
import CoreVideo
#endif

/// Reads codes from the frames of one camera. Frames are taken on any thread and looked at on threads of the library; when
/// they come faster than that, the newest wins. Not `Scanner`: Foundation has one.
public final class CodeScanner: Sendable {
    /// The clockwise turn that makes a frame upright.
    public typealias Turn = PairlightBridge.Turn
    /// A part of a frame, in stored pixels.
    public typealias Region = PairlightBridge.Region
    /// What became of a frame.
    public typealias Fate = PairlightBridge.FrameFate

    private let bridge: PairlightBridge.Scanner

    /// - Parameter thorough: for still pictures instead of a camera
    public init(thorough: Bool = false) throws {
        bridge = try PairlightBridge.Scanner(thorough: thorough)
    }

    deinit {
        try? bridge.stop()
    }

    /// Hands over a luma plane and returns at once. The memory is read in place and is free again when this returns.
    ///
    /// - Throws: `PairlightError.Misuse` for a plane that is shorter than it says
    @discardableResult
    public func offer(
        plane: UnsafeRawBufferPointer,
        width: Int,
        height: Int,
        rowStride: Int,
        pixelStride: Int = 1,
        turn: Turn = .none,
        mirrored: Bool = false,
        crop: Region? = nil,
        taken: Date = Date()
    ) throws -> Fate {
        guard let start = plane.baseAddress, width > 0, height > 0, rowStride > 0, pixelStride > 0 else {
            throw PairlightError.Misuse(what: "a plane has memory, and sizes and strides are positive")
        }
        let info = FrameInfo(
            width: UInt32(width),
            height: UInt32(height),
            rowStride: UInt32(rowStride),
            pixelStride: UInt32(pixelStride),
            turn: turn,
            mirrored: mirrored,
            crop: crop,
            takenMs: UInt64(max(0, taken.timeIntervalSince1970 * 1000))
        )
        let luma = Data(
            bytesNoCopy: UnsafeMutableRawPointer(mutating: start),
            count: plane.count,
            deallocator: .none
        )
        return try bridge.submit(luma: luma, info: info)
    }

    /// What the newest frame gave, for as long as somebody iterates; ends with `stop`. A code that was announced is
    /// announced again until it is taken. For one reader.
    public var reports: Reports {
        Reports(bridge: bridge)
    }

    /// Announces whatever is in view once more: when the person starts to scan again.
    public func rearm() throws {
        try bridge.rearm()
    }

    /// How many frames were handed over, looked at and dropped.
    public func counts() throws -> ScanCounts {
        try bridge.counts()
    }

    /// Ends it: frames are refused, `reports` ends.
    public func stop() {
        try? bridge.stop()
    }

    /// The sequence of `CodeScanner.reports`.
    public struct Reports: AsyncSequence, Sendable {
        public typealias Element = ScanReport
        let bridge: PairlightBridge.Scanner

        public struct Iterator: AsyncIteratorProtocol, Sendable {
            let bridge: PairlightBridge.Scanner

            public mutating func next() async throws -> ScanReport? {
                try Task.checkCancellation()
                while try await bridge.waitForReport() {
                    // Nothing is cancelled between the taking and the caller: a report that is taken has come.
                    if let report = try bridge.takeReport() {
                        return report
                    }
                }
                return nil
            }
        }

        public func makeAsyncIterator() -> Iterator {
            Iterator(bridge: bridge)
        }
    }
}

#if canImport(CoreMedia) && canImport(CoreVideo)
extension CodeScanner {
    /// Hands over a frame of a camera, in any format with a brightness plane (`420YpCbCr8BiPlanar` is the one to ask
    /// for). The buffer is locked while this runs and not kept.
    @discardableResult
    public func offer(_ sample: CMSampleBuffer, turn: Turn, mirrored: Bool = false) throws -> Fate {
        guard let pixels = CMSampleBufferGetImageBuffer(sample) else {
            throw PairlightError.Misuse(what: "the sample has no picture")
        }
        return try offer(pixels, turn: turn, mirrored: mirrored)
    }

    /// The same for a pixel buffer.
    @discardableResult
    public func offer(_ pixels: CVPixelBuffer, turn: Turn, mirrored: Bool = false) throws -> Fate {
        CVPixelBufferLockBaseAddress(pixels, .readOnly)
        defer { CVPixelBufferUnlockBaseAddress(pixels, .readOnly) }
        guard CVPixelBufferIsPlanar(pixels), let start = CVPixelBufferGetBaseAddressOfPlane(pixels, 0) else {
            throw PairlightError.Misuse(what: "the picture has no brightness plane: ask for 420YpCbCr8BiPlanar")
        }
        let (width, height) = (CVPixelBufferGetWidthOfPlane(pixels, 0), CVPixelBufferGetHeightOfPlane(pixels, 0))
        let stride = CVPixelBufferGetBytesPerRowOfPlane(pixels, 0)
        // The last row may end with its last pixel.
        let plane = UnsafeRawBufferPointer(start: start, count: stride * (height - 1) + width)
        return try offer(
            plane: plane, width: width, height: height, rowStride: stride, turn: turn, mirrored: mirrored
        )
    }
}
#endif
