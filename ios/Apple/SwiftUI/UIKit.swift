@_exported import AVFoundation

@MainActor open class UIView: NSObject {
    open class var layerClass: AnyClass { CALayer.self }
    public var layer: CALayer { fatalError() }
    public override init() { super.init() }
}

@MainActor public final class UIDevice {
    public static var current: UIDevice { fatalError() }
    public var name: String { fatalError() }
    public var systemVersion: String { fatalError() }
}

@MainActor public final class UIApplication {
    public static var shared: UIApplication { fatalError() }
    public nonisolated static var openSettingsURLString: String { fatalError() }
    public var isIdleTimerDisabled = false
}

@MainActor public enum UIAccessibility {
    public struct Notification: Sendable {
        public static let announcement = Notification()
    }

    public static var isVoiceOverRunning: Bool { fatalError() }
    public static func post(notification: Notification, argument: Any?) {}
}

@MainActor public final class UINotificationFeedbackGenerator {
    public enum FeedbackType: Sendable {
        case success, warning, error
    }

    public init() {}
    public func notificationOccurred(_ kind: FeedbackType) {}
}

public enum UIKeyboardType: Sendable {
    case `default`, numberPad
}
