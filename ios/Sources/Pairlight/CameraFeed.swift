#if canImport(AVFoundation) && os(iOS)
import AVFoundation
import Foundation

/// The rear camera into a `CodeScanner`. Start and stop it with the screen; `states` says what it does.
public final class CameraFeed: NSObject, AVCaptureVideoDataOutputSampleBufferDelegate, @unchecked Sendable {
    // All that changes is touched on this queue alone.
    private let queue = DispatchQueue(label: "org.pairlight.camera")
    private let scanner: CodeScanner
    private var monitor = CameraMonitor()
    private var timer: (any DispatchSourceTimer)?
    private var observers: [any NSObjectProtocol] = []
    private let told: AsyncStream<CameraState>.Continuation

    /// What the preview layer shows.
    public let session = AVCaptureSession()

    /// How the camera is, and each change of it. For one reader.
    public let states: AsyncStream<CameraState>

    public init(_ scanner: CodeScanner) {
        self.scanner = scanner
        (states, told) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        super.init()
    }

    /// Asks for the permission if nobody has answered yet, and opens the camera.
    public func start() async {
        let granted = await AVCaptureDevice.requestAccess(for: .video)
        let canAsk = AVCaptureDevice.authorizationStatus(for: .video) == .notDetermined
        await run { feed in
            feed.change { $0.permission(granted: granted, canAsk: canAsk) }
            if granted {
                feed.open()
            }
        }
    }

    /// Closes the camera; `start` opens it again.
    public func stop() async {
        await run { feed in
            feed.timer?.cancel()
            feed.timer = nil
            feed.observers.forEach { NotificationCenter.default.removeObserver($0) }
            feed.observers = []
            feed.session.stopRunning()
            feed.change { $0.closed() }
        }
    }

    private func run(_ work: @escaping @Sendable (CameraFeed) -> Void) async {
        await withCheckedContinuation { done in
            queue.async {
                work(self)
                done.resume()
            }
        }
    }

    private static var now: Int {
        Int(DispatchTime.now().uptimeNanoseconds / 1_000_000)
    }

    private func change(_ step: (inout CameraMonitor) -> Void) {
        let before = monitor.state
        step(&monitor)
        if monitor.state != before {
            told.yield(monitor.state)
        }
    }

    private func open() {
        guard let camera = AVCaptureDevice.default(.builtInWideAngleCamera, for: .video, position: .back) else {
            return change { $0.fails(.none) }
        }
        do {
            try configure(camera)
        } catch {
            return change { $0.fails(.broken(error.localizedDescription)) }
        }
        observe(camera)
        change { $0.opening(now: Self.now) }
        session.startRunning()
        let timer = DispatchSource.makeTimerSource(queue: queue)
        timer.schedule(deadline: .now() + 0.5, repeating: 0.5)
        timer.setEventHandler { [weak self] in
            self?.change { $0.tick(now: Self.now) }
        }
        timer.resume()
        self.timer = timer
    }

    private func configure(_ camera: AVCaptureDevice) throws {
        guard session.inputs.isEmpty else { return }
        session.beginConfiguration()
        defer { session.commitConfiguration() }
        session.sessionPreset = .hd1280x720
        let input = try AVCaptureDeviceInput(device: camera)
        let output = AVCaptureVideoDataOutput()
        output.videoSettings = [
            kCVPixelBufferPixelFormatTypeKey as String: kCVPixelFormatType_420YpCbCr8BiPlanarFullRange,
        ]
        output.alwaysDiscardsLateVideoFrames = true
        output.setSampleBufferDelegate(self, queue: queue)
        // Adding what does not fit would end the app.
        guard session.canAddInput(input), session.canAddOutput(output) else {
            throw PairlightError.Misuse(what: "the camera does not give 1280 x 720 pixels of brightness")
        }
        session.addInput(input)
        session.addOutput(output)
    }

    private func observe(_ camera: AVCaptureDevice) {
        let center = NotificationCenter.default
        func on(
            _ name: Notification.Name,
            of object: AnyObject,
            _ step: @escaping @Sendable (inout CameraMonitor) -> Void
        ) {
            observers.append(center.addObserver(forName: name, object: object, queue: nil) { [weak self] _ in
                guard let self else { return }
                self.queue.async { self.change(step) }
            })
        }
        on(AVCaptureSession.wasInterruptedNotification, of: session) { $0.fails(.inUse) }
        on(AVCaptureSession.interruptionEndedNotification, of: session) { $0.resumes(now: Self.now) }
        on(AVCaptureSession.runtimeErrorNotification, of: session) { $0.fails(.broken("the camera's session failed")) }
        on(AVCaptureDevice.wasDisconnectedNotification, of: camera) { $0.fails(.disconnected) }
    }

    public func captureOutput(
        _ output: AVCaptureOutput,
        didOutput sample: CMSampleBuffer,
        from connection: AVCaptureConnection
    ) {
        change { $0.frame(now: Self.now) }
        // The sensor is built in sideways; held upright, a quarter turn makes the picture upright.
        _ = try? scanner.offer(sample, turn: .quarter)
    }
}
#endif
