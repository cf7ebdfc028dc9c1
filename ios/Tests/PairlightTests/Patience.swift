import Testing

// Nothing here takes longer unless it is broken: then the test fails, and its task is cancelled.
#if os(Linux)
let patience = TimeLimitTrait.timeLimit(.minutes(5))
#else
// The trait is of newer systems than the package.
let patience = ConditionTrait.enabled(if: true)
#endif

extension Task {
    /// Its value. It is cancelled with whoever waits for it, as when the time of a test is over.
    func outcome() async throws -> Success {
        try await withTaskCancellationHandler { try await value } onCancel: { cancel() }
    }
}
