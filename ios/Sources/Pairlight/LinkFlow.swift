import Foundation
import PairlightBridge

/// Where a link stands on the device that holds the account. One screen for each.
public enum LinkState: Sendable, Equatable {
    /// The code is being claimed at the relay. A spinner; it ends by itself.
    case connecting
    /// Who asks. Answer with `approve` or `decline`.
    case review(Approval)
    /// Somebody else tried to scan the code and was refused: a line on the screen that is shown, no screen of its own.
    case secondScanner
    /// Show these six digits; they are typed on the other device.
    case showCheckCode(CheckCode)
    /// They were typed right.
    case checkCodeConfirmed(Grade)
    /// Weak evidence: show the warning in full. Answer with `approveAgain` or `decline`.
    case reviewAgain(holdMs: UInt64)
    /// The certificate is signed and on its way; the person can only wait.
    case finishing
    /// Linked. The last state.
    case linked(device: String)
    /// Ended without a device, for the same reason on both sides. `retryAfterMs` is with `rateLimited`, when the relay said until
    /// when: disable the button for so long. The last state.
    case failed(EndedReason, help: [Phrase], retryAfterMs: UInt64? = nil)
    /// It cannot go on here, and the other side ends by itself. The last state.
    case broken(PairlightError)

    public var isFinal: Bool {
        switch self {
        case .linked, .failed, .broken: true
        default: false
        }
    }
}

/// Six digits that are typed on the other device. They belong in no log: what is printed of this has none.
public struct CheckCode: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// As `123 456`.
    public let digits: String

    public var description: String { "CheckCode" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// A link that is under way, on the device that holds the account. Its states are an asynchronous sequence for one reader:
///
///     for await state in link { show(state) }
///
/// When the task that reads is cancelled, the link is cancelled too, and both devices say so.
public final class LinkFlow: AsyncSequence, Sendable {
    public typealias Element = LinkState
    public typealias Failure = Never

    private let bridge: PairingFlow
    private let judge: Judge?

    init(_ bridge: PairingFlow, _ judge: Judge?) {
        self.bridge = bridge
        self.judge = judge
    }

    public func makeAsyncIterator() -> Iterator {
        Iterator(bridge: bridge, judge: judge)
    }

    /// The person said yes. First the device's own unlock is asked for.
    ///
    /// - Throws: `PairlightError.NotConfirmed` when that is refused; the review stays
    public func approve() async throws {
        try await bridge.approve()
    }

    /// The person said yes again, on the warning screen. As `approve`.
    public func approveAgain() async throws {
        try await bridge.approveAgain()
    }

    /// What the other device's app sent over a cable or a tap (`ShowFlow.tapWord`) has arrived; the app answers for the medium.
    public func tapped(_ medium: TapMedium, _ word: Data) async throws {
        try await bridge.tapped(medium: medium, word: word)
    }

    /// The person said no. Both devices say so.
    public func decline() async throws {
        try await bridge.decline()
    }

    /// The person closed the screen. Both devices say so.
    public func cancel() async throws {
        try await bridge.cancel()
    }

    public struct Iterator: AsyncIteratorProtocol, Sendable {
        let bridge: PairingFlow
        let judge: Judge?
        var help: [Phrase] = []
        var retryAfterMs: UInt64?
        var isBegun = false
        var isOver = false

        init(bridge: PairingFlow, judge: Judge?) {
            self.bridge = bridge
            self.judge = judge
        }

        public mutating func next() async -> LinkState? {
            if isOver {
                return nil
            }
            if !isBegun {
                isBegun = true
                return .connecting
            }
            let state = await nextState()
            isOver = state.isFinal
            return state
        }

        private mutating func nextState() async -> LinkState {
            do {
                while let event = try await bridge.nextEventCancelling() {
                    if let state = take(event) {
                        return state
                    }
                }
                return .failed(.cancelled, help: help)
            } catch is CancellationError {
                return .failed(.cancelled, help: help)
            } catch {
                return .broken(error.own)
            }
        }

        /// `nil` for what changes no screen.
        private mutating func take(_ event: PairingEvent) -> LinkState? {
            switch event {
            case let .review(approval): return .review(approval)
            case let .showCheckCode(digits): return .showCheckCode(CheckCode(digits: digits))
            case let .checkCodeConfirmed(grade): return .checkCodeConfirmed(Grade(number: grade))
            case let .approveAgain(holdMs): return .reviewAgain(holdMs: holdMs)
            case .certified, .accepted: return .finishing
            case let .linked(device): return .linked(device: device)
            case let .failed(reason): return .failed(reason, help: help, retryAfterMs: retryAfterMs)
            case let .tooManyAttempts(pause):
                retryAfterMs = pause
                return nil
            case let .evidenceMissing(keys, texts):
                help = Phrase.pairs(keys, texts)
                return nil
            case .secondScanner: return .secondScanner
            case let .judgeAttestation(challenge, devicePk, proof):
                let attestation = Attestation(challenge: challenge, deviceKey: devicePk, proof: proof)
                Task { [bridge, judge] in
                    // The link may have ended meanwhile.
                    try? await bridge.judge(attested: await judge?(attestation) ?? false)
                }
                return nil
            // For a developer's screen; the grade says what came of it.
            case .evidenceChecked, .askedForEvidence: return nil
            }
        }
    }
}
