#if canImport(SwiftUI) && canImport(AVFoundation) && os(iOS)
import AVFoundation
import Pairlight
import SwiftUI

/// Looks for a linking code. Says what it sees; marks the corners.
struct ScanView: View {
    let model: Model
    @StateObject private var camera = Camera()

    var body: some View {
        VStack {
            Text(camera.words).accessibilityAddTraits(.updatesFrequently).padding()
            if camera.offersSettings {
                Link("camera_settings", destination: URL(string: UIApplication.openSettingsURLString)!)
            }
            ZStack {
                PreviewView(session: camera.feed.session).accessibilityLabel("camera_preview")
                CornersView(report: camera.report).accessibilityHidden(true)
            }
            NavigationLink(
                destination: ReviewView(model: model, code: camera.code ?? Data()),
                isActive: .constant(camera.code != nil)
            ) { EmptyView() }
        }
        .navigationTitle("link_a_device")
        .task { await camera.run() }
    }
}

@MainActor
final class Camera: ObservableObject {
    @Published var words: LocalizedStringKey = "scan_hint"
    @Published var offersSettings = false
    @Published var report: ScanReport?
    @Published var code: Data?
    let feed: CameraFeed
    private let scanner: CodeScanner

    init() {
        // A scanner that cannot be made is a defect, and there is no screen without one.
        let scanner = try! CodeScanner()
        self.scanner = scanner
        feed = CameraFeed(scanner)
    }

    func run() async {
        code = nil
        try? scanner.rearm()
        async let watching: Void = watch()
        await feed.start()
        do {
            for try await report in scanner.reports {
                self.report = report
                if let code = report.codes.first(where: { $0.meaning.isOffer }) {
                    UIAccessibility.post(notification: .announcement, argument: NSLocalizedString("code_read", comment: ""))
                    UINotificationFeedbackGenerator().notificationOccurred(.success)
                    self.code = code.bytes
                    break
                }
                if let other = report.codes.first(where: { $0.isNew }) {
                    // Named, never opened.
                    say("other_code \(other.meaning.title)")
                } else if let hint = report.hints.first {
                    say(LocalizedStringKey(hint.text))
                }
            }
        } catch {
            // The screen was left.
        }
        await feed.stop()
        await watching
    }

    private func say(_ words: LocalizedStringKey) {
        self.words = words
    }

    private func watch() async {
        for await state in feed.states {
            offersSettings = false
            switch state {
            case .off, .opening, .running: say("scan_hint")
            case .notAllowed:
                say("camera_ask")
                offersSettings = true
            case .none: say("camera_none")
            case .inUse: say("camera_in_use")
            case .noFrames: say("camera_no_frames")
            case .disconnected: say("camera_disconnected")
            case .broken: say("camera_broken")
            }
            if state == .off && code != nil {
                return
            }
        }
    }
}

/// What the camera sees.
struct PreviewView: UIViewRepresentable {
    let session: AVCaptureSession

    final class Layered: UIView {
        override static var layerClass: AnyClass { AVCaptureVideoPreviewLayer.self }
    }

    func makeUIView(context: Context) -> Layered {
        let view = Layered()
        let layer = view.layer as? AVCaptureVideoPreviewLayer
        layer?.session = session
        layer?.videoGravity = .resize
        return view
    }

    func updateUIView(_ view: Layered, context: Context) {}
}

struct CornersView: View {
    let report: ScanReport?

    var body: some View {
        GeometryReader { space in
            Path { path in
                guard let report, report.width > 0, report.height > 0 else { return }
                let scaleX = space.size.width / CGFloat(report.width)
                let scaleY = space.size.height / CGFloat(report.height)
                for code in report.codes {
                    let points = code.corners.map { CGPoint(x: CGFloat($0.x) * scaleX, y: CGFloat($0.y) * scaleY) }
                    path.addLines(points)
                    path.closeSubpath()
                }
            }
            .stroke(Color.green, lineWidth: 4)
        }
    }
}
#endif
