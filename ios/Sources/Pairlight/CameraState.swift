import Foundation

/// How the camera is. Each state is a screen, or a line on it.
public enum CameraState: Sendable, Equatable {
    /// Not started, or stopped by the app.
    case off
    /// The person has not allowed it. `canAsk`: the system's question was never answered; otherwise only the settings help.
    case notAllowed(canAsk: Bool)
    /// There is none. Offer a picture or pasting.
    case none
    /// Another app, or another window beside this one, has it.
    case inUse
    case opening
    /// Frames come.
    case running
    /// It is open and has given no frame for so long: a black preview.
    case noFrames(ms: Int)
    /// It went away while it ran.
    case disconnected
    /// It failed.
    case broken(String)
}

/// What is known of the camera, from what the platform says. `CameraFeed` feeds it. Time is milliseconds of any clock that
/// does not jump. Not safe to share: whoever owns it calls it on one queue.
public struct CameraMonitor: Sendable {
    /// So long without a frame is a fault, ms.
    public static let patienceMs = 2000

    public private(set) var state = CameraState.off
    private var lastFrame = 0

    public init() {}

    public mutating func permission(granted: Bool, canAsk: Bool) {
        if !granted {
            state = .notAllowed(canAsk: canAsk)
        } else if case .notAllowed = state {
            state = .off
        }
    }

    public mutating func opening(now: Int) {
        lastFrame = now
        state = .opening
    }

    public mutating func frame(now: Int) {
        lastFrame = now
        switch state {
        case .opening, .noFrames: state = .running
        default: break
        }
    }

    /// Time goes by: call it twice a second while the camera is on.
    public mutating func tick(now: Int) {
        let silent = now - lastFrame
        switch state {
        case .opening, .running, .noFrames:
            if silent >= Self.patienceMs {
                state = .noFrames(ms: silent)
            }
        default: break
        }
    }

    /// The platform says what is wrong.
    public mutating func fails(_ trouble: CameraState) {
        state = trouble
    }

    /// The interruption is over: frames should come again.
    public mutating func resumes(now: Int) {
        switch state {
        case .inUse, .disconnected: opening(now: now)
        default: break
        }
    }

    /// The app closed the camera. What kept it from running stays said.
    public mutating func closed() {
        switch state {
        case .opening, .running, .noFrames: state = .off
        default: break
        }
    }
}
