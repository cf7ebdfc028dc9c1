#if canImport(SwiftUI) && os(iOS)
import Pairlight
import SwiftUI

/// This device joins an account: it shows a code.
struct ShowView: View {
    let model: Model
    @State private var state = ShowState.preparing
    @State private var show: ShowFlow?
    @State private var typed = ""
    @State private var isWatched = false
    @State private var trouble: String?

    var body: some View {
        VStack(spacing: 12) {
            switch state {
            case .preparing: ProgressView("connecting")
            case let .showCode(code):
                Text("show_title").accessibilityAddTraits(.isHeader)
                CodeView(code: code).accessibilityLabel("show_picture")
            case .paused:
                Text("show_paused")
                Button("show_new") { Task { try? await show?.showAgain() } }
            case .reconnecting: Text("reconnecting")
            // This sample has no passkey: it says so when it opens the account, and is not asked.
            case .claimed, .deciding, .evidenceWanted, .secondScanner: Text("show_claimed")
            case let .enterCheckCode(triesLeft):
                Text("show_enter").accessibilityAddTraits(.isHeader)
                if let triesLeft { Text("show_tries \(Int(triesLeft))") }
                TextField("show_enter", text: $typed).keyboardType(.numberPad)
                    .environment(\.layoutDirection, .leftToRight)
                Button("send") { Task { try? await show?.enterCheckCode(typed) } }
            case .linked: Text("linked")
            case let .failed(reason, retryAfterMs):
                Text(words(reason))
                if let retryAfterMs { Text("again_in \(minutes(retryAfterMs))") }
            case let .broken(error): Text(verbatim: String(describing: error))
            }
            if isWatched { Text("second_scanner") }
            if let trouble { Text(verbatim: trouble) }
        }
        .padding()
        .task { await run() }
        .onAppear { UIApplication.shared.isIdleTimerDisabled = true }
        .onDisappear { UIApplication.shared.isIdleTimerDisabled = false }
    }

    private func run() async {
        do {
            let account = try await LinkedAccount.open(
                path: model.path("linked.db"), key: KeychainVault(account: "linked"), relay: model.relay
            )
            let show: ShowFlow
            if let interrupted = try await account.resume() {
                show = interrupted
            } else {
                let device = UIDevice.current
                show = try await account.link(
                    name: device.name, os: "iOS \(device.systemVersion)", app: "Pairlight sample"
                )
            }
            self.show = show
            for await state in show {
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

/// Dark on light with four modules of margin in every theme, and never mirrored.
private struct CodeView: View {
    let code: CodePicture

    var body: some View {
        Canvas { context, size in
            let count = Int(code.size)
            let side = size.width / CGFloat(count + 8)
            context.fill(Path(CGRect(origin: .zero, size: size)), with: .color(.white))
            for (index, module) in code.modules.enumerated() where module == 1 {
                let (x, y) = (CGFloat(index % count + 4), CGFloat(index / count + 4))
                context.fill(Path(CGRect(x: x * side, y: y * side, width: side, height: side)), with: .color(.black))
            }
        }
        .aspectRatio(1, contentMode: .fit)
        .environment(\.layoutDirection, .leftToRight)
    }
}
#endif
