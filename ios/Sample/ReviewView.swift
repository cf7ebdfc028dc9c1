#if canImport(SwiftUI) && os(iOS)
import Pairlight
import SwiftUI

/// Who asks, yes or no, the digits, and the end.
struct ReviewView: View {
    let model: Model
    let code: Data
    @State private var state = LinkState.connecting
    @State private var link: LinkFlow?
    @State private var isWatched = false
    @State private var trouble: String?

    var body: some View {
        VStack(alignment: .leading, spacing: 12) {
            switch state {
            case .connecting, .finishing, .checkCodeConfirmed, .secondScanner:
                ProgressView("connecting")
            case let .review(approval):
                Text("review_title").font(.title2).accessibilityAddTraits(.isHeader)
                Text("review_consequence")
                // Each in a field of its own: what the other device says is no sentence of ours.
                Fact(label: "review_name", value: approval.deviceName)
                Fact(label: "review_system", value: approval.os)
                Fact(label: "review_program", value: approval.app)
                if let origin = approval.origin { Fact(label: "review_origin", value: origin) }
                if let place = approval.place { Fact(label: "review_place", value: place) }
                ForEach(approval.warnings, id: \.self) { Text("⚠ \($0)") }
                Decision(holdMs: approval.holdMs, no: { try await link?.decline() }, yes: { try await link?.approve() })
            case let .reviewAgain(holdMs):
                Text("review_title").font(.title2).accessibilityAddTraits(.isHeader)
                Text("review_consequence")
                Decision(holdMs: holdMs, no: { try await link?.decline() }, yes: { try await link?.approveAgain() })
            case let .showCheckCode(code):
                Text("check_code_title").font(.title2).accessibilityAddTraits(.isHeader)
                // Digit by digit for VoiceOver, left to right in every language.
                Text(verbatim: code.digits).font(.system(size: 48, design: .monospaced)).speechSpellsOutCharacters()
                    .environment(\.layoutDirection, .leftToRight)
            case .linked:
                Text("linked")
            case let .failed(reason, help, retryAfterMs):
                Text(words(reason))
                if let retryAfterMs { Text("again_in \(minutes(retryAfterMs))") }
                ForEach(help, id: \.self) { Text($0.text) }
                Text("safe")
            case let .broken(error):
                Text(verbatim: String(describing: error))
            }
            if isWatched { Text("second_scanner") }
            if let trouble { Text(verbatim: trouble) }
        }
        .padding()
        .task { await run() }
    }

    private func run() async {
        do {
            let link = try await model.account().link(code, source: .liveCamera)
            self.link = link
            for await state in link {
                // A line on the screen that is shown, no screen of its own.
                if state == .secondScanner {
                    isWatched = true
                } else {
                    self.state = state
                }
            }
        } catch {
            trouble = String(describing: error)
        }
    }
}

/// What a person reads about an end; the same on both devices.
func words(_ reason: EndedReason) -> LocalizedStringKey {
    switch reason {
    case .cancelled: "ended_cancelled"
    case .declined: "ended_declined"
    case .timedOut: "ended_timed_out"
    case .tampered: "ended_tampered"
    case .wrongCheckCode: "ended_wrong_check_code"
    case .conflict: "ended_conflict"
    case .expired: "ended_expired"
    case .refused: "ended_refused"
    case .storageFailed: "ended_storage_failed"
    case .outdated: "ended_outdated"
    case .superseded: "ended_superseded"
    case .notPublished: "ended_not_published"
    case .rateLimited: "ended_rate_limited"
    case .unreachable: "ended_unreachable"
    }
}

/// A time to wait, as it is told: rounded up.
func minutes(_ ms: UInt64) -> Int {
    Int((ms + 59_999) / 60_000)
}

private struct Fact: View {
    let label: LocalizedStringKey
    let value: String

    var body: some View {
        VStack(alignment: .leading) {
            Text(label).font(.caption)
            Text(verbatim: value).font(.title3)
        }
        .accessibilityElement(children: .combine)
    }
}

/// No is first and prominent. Yes must be held where the policy says so; who uses VoiceOver waits as long instead.
private struct Decision: View {
    let holdMs: UInt64
    let no: @MainActor () async throws -> Void
    let yes: @MainActor () async throws -> Void
    @State private var isReady = false
    @State private var trouble: String?

    var body: some View {
        VStack {
            Button("decline") { act(no) }.buttonStyle(.borderedProminent)
            if holdMs == 0 || UIAccessibility.isVoiceOverRunning {
                Button("approve") { act(yes) }
                    .disabled(!isReady)
                    .task {
                        try? await Task.sleep(nanoseconds: holdMs * 1_000_000)
                        isReady = true
                    }
            } else {
                Text("approve_hold").padding().onLongPressGesture(minimumDuration: Double(holdMs) / 1000) { act(yes) }
            }
            if let trouble { Text(verbatim: trouble) }
        }
    }

    private func act(_ work: @escaping @MainActor () async throws -> Void) {
        Task {
            do {
                try await work()
            } catch {
                trouble = String(describing: error)
            }
        }
    }
}
#endif
