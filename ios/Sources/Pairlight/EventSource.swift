import PairlightBridge

/// An object of the bridge that gives events until it has ended, and that can be cancelled.
protocol EventSource: Sendable {
    associatedtype Event: Sendable

    func nextEvent() async throws -> Event?
    func cancel() async throws
}

extension PairingFlow: EventSource {}
extension LinkingFlow: EventSource {}

extension EventSource {
    /// The next event. Swift's cancellation does not reach the bridge by itself: it is carried over, and both devices say so.
    func nextEventCancelling() async throws -> Event? {
        try await withTaskCancellationHandler {
            try await nextEvent()
        } onCancel: {
            Task { try? await cancel() }
        }
    }
}
