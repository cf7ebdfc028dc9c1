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
    /// The next event. When the task is cancelled, this ends at once with `CancellationError`, and both devices are told by a
    /// task of its own, which sees the flow to its end.
    func nextEventCancelling() async throws -> Event? {
        try await withTaskCancellationHandler {
            try await nextEvent()
        } onCancel: {
            Task {
                try? await cancel()
                while (try? await nextEvent()) != nil {}
            }
        }
    }
}
