@_exported import CoreMedia
@_exported import Foundation

public struct AVMediaType: Sendable {
    public static let video = AVMediaType()
}

public enum AVAuthorizationStatus: Sendable {
    case notDetermined, restricted, denied, authorized
}

public final class AVCaptureDevice: NSObject, @unchecked Sendable {
    public struct DeviceType: Sendable {
        public static let builtInWideAngleCamera = DeviceType()
    }

    public enum Position: Sendable {
        case unspecified, back, front
    }

    public static let wasDisconnectedNotification = Notification.Name("AVCaptureDeviceWasDisconnected")

    public class func requestAccess(for type: AVMediaType) async -> Bool { fatalError() }
    public class func authorizationStatus(for type: AVMediaType) -> AVAuthorizationStatus { fatalError() }
    public class func `default`(_ kind: DeviceType, for type: AVMediaType?, position: Position) -> AVCaptureDevice? { fatalError() }
}

open class AVCaptureInput: NSObject {}

public final class AVCaptureDeviceInput: AVCaptureInput {
    public init(device: AVCaptureDevice) throws { fatalError() }
}

open class AVCaptureOutput: NSObject {}

public final class AVCaptureConnection: NSObject {}

public protocol AVCaptureVideoDataOutputSampleBufferDelegate: NSObjectProtocol {
    func captureOutput(_ output: AVCaptureOutput, didOutput sampleBuffer: CMSampleBuffer, from connection: AVCaptureConnection)
}

public final class AVCaptureVideoDataOutput: AVCaptureOutput {
    public var videoSettings: [String: Any]!
    public var alwaysDiscardsLateVideoFrames = true
    public func setSampleBufferDelegate(_ delegate: (any AVCaptureVideoDataOutputSampleBufferDelegate)?, queue: DispatchQueue?) {}
}

public final class AVCaptureSession: NSObject, @unchecked Sendable {
    public struct Preset: Sendable {
        public static let hd1280x720 = Preset()
    }

    public static let wasInterruptedNotification = Notification.Name("AVCaptureSessionWasInterrupted")
    public static let interruptionEndedNotification = Notification.Name("AVCaptureSessionInterruptionEnded")
    public static let runtimeErrorNotification = Notification.Name("AVCaptureSessionRuntimeError")

    public var inputs: [AVCaptureInput] { fatalError() }
    public var sessionPreset: Preset {
        get { fatalError() }
        set {}
    }
    public func beginConfiguration() {}
    public func commitConfiguration() {}
    public func canAddInput(_ input: AVCaptureInput) -> Bool { fatalError() }
    public func addInput(_ input: AVCaptureInput) {}
    public func canAddOutput(_ output: AVCaptureOutput) -> Bool { fatalError() }
    public func addOutput(_ output: AVCaptureOutput) {}
    public func startRunning() {}
    public func stopRunning() {}
}

public struct AVLayerVideoGravity: Sendable {
    public static let resize = AVLayerVideoGravity()
}

open class CALayer: NSObject {}

public final class AVCaptureVideoPreviewLayer: CALayer {
    public var session: AVCaptureSession?
    public var videoGravity = AVLayerVideoGravity.resize
}
