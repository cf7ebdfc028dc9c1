#if canImport(SwiftUI) && os(iOS)
import Pairlight
import SwiftUI

/// Five screens: scan, review, show, devices, messages.
@main
struct PairlightSample: App {
    @StateObject private var model = Model()

    var body: some Scene {
        WindowGroup {
            NavigationView {
                List {
                    // Addresses and keys are read from left to right in every language.
                    Group {
                        TextField("relay_url", text: $model.url)
                        TextField("relay_key", text: $model.key)
                    }
                    .environment(\.layoutDirection, .leftToRight)
                    .textInputAutocapitalization(.never)
                    .disableAutocorrection(true)
                    NavigationLink("link_a_device") { ScanView(model: model) }
                    NavigationLink("show_a_code") { ShowView(model: model) }
                    NavigationLink("devices") { DevicesView(model: model) }
                    NavigationLink("messages") { MessagesView(model: model) }
                }
                .navigationTitle("app_name")
            }
            .navigationViewStyle(.stack)
        }
    }
}

/// The account and its line, for as long as the app lives.
@MainActor
final class Model: ObservableObject {
    @Published var messages: [Message] = []
    @Published var devices: [Device] = []
    @Published var isOnline = false
    /// What the person has to be told.
    @Published var alert: LocalizedStringKey?
    @AppStorage("relay_url") var url = ""
    @AppStorage("relay_key") var key = ""
    private var opened: PrimaryAccount?
    private(set) var line: Sync?

    var relay: RelayAddress { RelayAddress(url: url, key: key) }

    /// Excluded from backups: a copied store is a copied device.
    func path(_ name: String) throws -> String {
        var folder = try FileManager.default.url(
            for: .applicationSupportDirectory, in: .userDomainMask, appropriateFor: nil, create: true
        )
        var values = URLResourceValues()
        values.isExcludedFromBackup = true
        try folder.setResourceValues(values)
        return folder.appendingPathComponent(name).path
    }

    func account() async throws -> PrimaryAccount {
        if let opened {
            return opened
        }
        let account = try await PrimaryAccount.open(
            path: path("primary.db"),
            key: KeychainVault(),
            relay: relay,
            name: UIDevice.current.name,
            approver: PresenceApprover(reason: NSLocalizedString("review_title", comment: ""))
        )
        opened = account
        return account
    }

    /// Online for as long as the task lives.
    func stayInStep() async throws {
        let account = try await self.account()
        let line = try await account.sync()
        self.line = line
        devices = try await account.devices.list()
        try await readMessages()
        for await change in line {
            switch change {
            case .online: isOnline = true
            case .offline: isOnline = false
            case .devices: devices = try await account.devices.list()
            case .records, .file: try await readMessages()
            case let .alert(alert): tell(alert)
            case let .broken(error): throw error
            // What only a linked device hears, or what this sample does not show.
            case .history, .signal, .bytes, .leased, .locked, .removed, .refused: break
            }
        }
    }

    private func tell(_ alert: AccountAlert) {
        switch alert.kind {
        case .linked, .relinked: self.alert = "alert_linked"
        case .removed: self.alert = "alert_removed"
        case .discrepancy: self.alert = "alert_discrepancy"
        case .rootChanged, .recoveryChanged: self.alert = "alert_key_changed"
        case .forked: self.alert = "alert_forked"
        case .rolledBack: self.alert = "alert_rolled_back"
        case .silent: self.alert = "alert_silent"
        // For a developer's screen.
        case .unreadable, .withheld, .sessionReset: break
        }
    }

    private func readMessages() async throws {
        guard let line, let talk = try await line.conversations().first else { return }
        messages = try await line.messages(in: talk.id)
    }

    func send(_ text: String) async throws {
        guard let line else { return }
        let known = try await line.conversations().first?.id
        let talk: String
        if let known {
            talk = known
        } else {
            talk = try await line.beginConversation(NSLocalizedString("messages", comment: ""))
        }
        try await line.send(text, as: UIDevice.current.name, to: talk)
    }
}
#endif
