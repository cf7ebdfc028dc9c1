import Foundation
import PairlightBridge

/// Where a link stands on the device that joins.
public enum ShowState: Sendable, Equatable {
    /// The first code is being made.
    case preparing
    /// Draw this code; the next one comes by itself.
    case showCode(CodePicture)
    /// No code is live any more: a button that calls `showAgain`.
    case paused
    /// The relay is out of reach; tried again by itself.
    case reconnecting(afterMs: UInt64)
    /// "Phone connected: confirm there." The code is gone from the screen.
    case claimed
    /// Ask for the six digits that the other device shows; `triesLeft` after a wrong try.
    case enterCheckCode(triesLeft: UInt8?)
    /// They were right; the other device decides now.
    case deciding
    /// The account asks for evidence that only the app can get: answer with `give`, with nothing where it cannot. `attestation`
    /// has 32 bytes that one must be bound to.
    case evidenceWanted(passkey: PasskeyWanted?, attestation: Data?)
    /// Somebody else tried to scan the code and was refused: a line on the screen that is shown, no screen of its own.
    case secondScanner
    /// Linked. The last state. Linked is not synchronised yet: see `Sync.history`.
    case linked(device: String, primary: String?)
    /// Ended, for the same reason on both sides. `retryAfterMs` as in `LinkState.failed`. The last state.
    case failed(EndedReason, retryAfterMs: UInt64? = nil)
    /// It cannot go on here. The last state.
    case broken(PairlightError)

    public var isFinal: Bool {
        switch self {
        case .linked, .failed, .broken: true
        default: false
        }
    }
}

/// A link that is under way, on the device that joins. Read it as `LinkFlow` is read.
public final class ShowFlow: AsyncSequence, Sendable {
    public typealias Element = ShowState
    public typealias Failure = Never

    private let bridge: LinkingFlow

    init(_ bridge: LinkingFlow) {
        self.bridge = bridge
    }

    public func makeAsyncIterator() -> Iterator {
        Iterator(bridge: bridge)
    }

    /// The person typed the check code, with or without a gap.
    public func enterCheckCode(_ typed: String) async throws {
        try await bridge.enterCheckCode(typed: typed)
    }

    /// The person asks for a new code after a pause.
    public func showAgain() async throws {
        try await bridge.showAgain()
    }

    /// The answer to `ShowState.evidenceWanted`. An attestation has 4,096 bytes at most.
    public func give(passkey: PasskeyAssertion? = nil, attestation: Data? = nil) async throws {
        try await bridge.giveEvidence(passkey: passkey, attestation: attestation)
    }

    /// The radio heard a service UUID.
    public func heard(_ uuid: UUID) async throws {
        try await bridge.heard(uuid: uuid.uuidString)
    }

    /// What the app sends over a cable or a tap, 16 bytes; `nil` before the check code is asked for.
    public func tapWord() throws -> Data? {
        try bridge.tapWord()
    }

    /// The person closed the screen. Both devices say so.
    public func cancel() async throws {
        try await bridge.cancel()
    }

    public struct Iterator: AsyncIteratorProtocol, Sendable {
        let bridge: LinkingFlow
        var retryAfterMs: UInt64?
        var isBegun = false
        var isOver = false

        init(bridge: LinkingFlow) {
            self.bridge = bridge
        }

        public mutating func next() async -> ShowState? {
            if isOver {
                return nil
            }
            if !isBegun {
                isBegun = true
                return .preparing
            }
            let state = await nextState()
            isOver = state.isFinal
            return state
        }

        private mutating func nextState() async -> ShowState {
            do {
                while let event = try await bridge.nextEventCancelling() {
                    if let state = take(event) {
                        return state
                    }
                }
                return .failed(.cancelled)
            } catch is CancellationError {
                return .failed(.cancelled)
            } catch {
                return .broken(error.own)
            }
        }

        /// `nil` for what changes no screen.
        private mutating func take(_ event: LinkingEvent) -> ShowState? {
            switch event {
            case let .showCode(code): return .showCode(code)
            case .paused: return .paused
            case let .reconnecting(afterMs): return .reconnecting(afterMs: afterMs)
            case .claimed: return .claimed
            case .enterCheckCode: return .enterCheckCode(triesLeft: nil)
            case let .wrongCheckCode(triesLeft): return .enterCheckCode(triesLeft: triesLeft)
            case .checkCodeAccepted: return .deciding
            case let .evidenceWanted(passkey, attestation): return .evidenceWanted(passkey: passkey, attestation: attestation)
            case let .linked(device, primary): return .linked(device: device, primary: primary)
            case let .failed(reason): return .failed(reason, retryAfterMs: retryAfterMs)
            case let .tooManyAttempts(pause):
                retryAfterMs = pause
                return nil
            case .secondScanner: return .secondScanner
            }
        }
    }
}
