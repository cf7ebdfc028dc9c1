#if canImport(SwiftUI) && os(iOS)
import Pairlight
import SwiftUI

/// Who is linked, when they reported, and a way to take them off.
struct DevicesView: View {
    @ObservedObject var model: Model
    @State private var removing: Device?
    @State private var trouble: String?

    var body: some View {
        List(model.devices, id: \.id) { device in
            VStack(alignment: .leading) {
                Text(verbatim: device.name ?? device.id).font(.title3)
                if device.isThis {
                    Text("this_device")
                } else if let seen = device.lastCheckInMs {
                    Text(Date(timeIntervalSince1970: Double(seen) / 1000), style: .relative)
                } else {
                    Text("never_reported")
                }
                if let restriction = device.restriction { Text(verbatim: "⚠ \(restriction)") }
            }
            .accessibilityElement(children: .combine)
            .swipeActions {
                if !device.isThis {
                    Button("remove", role: .destructive) { removing = device }
                }
            }
        }
        .navigationTitle("devices")
        .task { await follow() }
        .confirmationDialog("remove", isPresented: .constant(removing != nil), presenting: removing) { device in
            Button("remove", role: .destructive) { Task { await remove(device) } }
            Button("cancel", role: .cancel) { removing = nil }
        }
        .overlay(alignment: .bottom) {
            VStack {
                if let alert = model.alert { Text(alert).accessibilityAddTraits(.updatesFrequently) }
                if let trouble { Text(verbatim: trouble) }
            }
        }
    }

    private func follow() async {
        do {
            try await model.stayInStep()
        } catch {
            trouble = String(describing: error)
        }
    }

    private func remove(_ device: Device) async {
        removing = nil
        do {
            try await model.account().devices.revoke(device.id)
            model.devices = try await model.account().devices.list()
        } catch {
            trouble = String(describing: error)
        }
    }
}

/// The latest conversation: its messages, and a field to write.
struct MessagesView: View {
    @ObservedObject var model: Model
    @State private var written = ""
    @State private var trouble: String?

    var body: some View {
        VStack {
            Text(model.isOnline ? "online" : "offline").accessibilityAddTraits(.updatesFrequently)
            List(model.messages.reversed(), id: \.id) { message in
                VStack(alignment: .leading) {
                    Text(verbatim: message.sender).font(.caption)
                    Text(verbatim: message.text)
                    ForEach(message.attachments, id: \.file) { attachment in
                        Label { Text(verbatim: attachment.name) } icon: { Image(systemName: "paperclip") }
                    }
                }
                .accessibilityElement(children: .combine)
            }
            HStack {
                TextField("write", text: $written)
                Button("send") { Task { await send() } }
            }
            .padding()
            if let trouble { Text(verbatim: trouble) }
        }
        .navigationTitle("messages")
        .task {
            do {
                try await model.stayInStep()
            } catch {
                trouble = String(describing: error)
            }
        }
    }

    private func send() async {
        do {
            try await model.send(written)
            written = ""
        } catch {
            trouble = String(describing: error)
        }
    }
}
#endif
