#if os(Linux) || os(macOS)
import Foundation
import Testing

@testable import Pairlight

/// Two devices over a real relay. One after the other: they count the tasks of the library.
@Suite(.serialized, patience, .enabled(if: programs != nil)) struct LinkTests {
    struct Asked: Approving {
        let refused: Bool
        func confirms(deviceName: String) throws -> Bool { !refused && deviceName == "Tablet" }
    }

    /// Links the tablet to the phone by way of its picture. Gives the id of the new device.
    private func link(_ phone: PrimaryAccount, _ tablet: LinkedAccount) async throws -> String {
        let show = try await tablet.link(name: "Tablet", os: "Linux", app: "test")
        let (digits, told) = AsyncStream.makeStream(of: String.self)
        let (codes, shown) = AsyncStream.makeStream(of: CodePicture.self)
        let showing = Task { () -> ShowState? in
            var last: ShowState?
            for await state in show {
                last = state
                switch state {
                case let .showCode(code): shown.yield(code)
                case .enterCheckCode(triesLeft: nil):
                    for await typed in digits {
                        try await show.enterCheckCode(typed)
                        break
                    }
                default: break
                }
            }
            return last
        }
        let scanner = try CodeScanner()
        var offer: Data?
        looking: for await code in codes {
            for _ in 0..<20 {
                try Photo(of: code).offer(to: scanner)
                var reports = scanner.reports.makeAsyncIterator()
                if let found = try await reports.next()?.codes.first(where: { $0.meaning.isOffer }) {
                    #expect(found.text == code.text)
                    offer = found.bytes
                    break looking
                }
            }
        }
        let link = try await phone.link(try #require(offer), source: .liveCamera)
        var states: [String] = []
        var device: String?
        for await state in link {
            states.append(String(describing: state).prefix(while: \.isLetter).description)
            switch state {
            case let .review(approval):
                #expect(approval.deviceName == "Tablet" && approval.app == "test")
                try await link.approve()
            case let .reviewAgain(holdMs):
                try await Task.sleep(nanoseconds: holdMs * 1_000_000)
                try await link.approveAgain()
            case let .showCheckCode(code): told.yield(code.digits)
            case let .linked(id): device = id
            default: break
            }
        }
        #expect(states.first == "connecting" && states.contains("review") && states.contains("showCheckCode"), "\(states)")
        guard case let .linked(own, _) = try await showing.outcome() else {
            throw PairlightError.Internal(what: "the tablet was not linked")
        }
        #expect(own == device)
        return own
    }

    @Test func aPictureOfACodeBecomesALinkedDeviceWhoseMessagesArrive() async throws {
        let world = try World()
        let (phone, tablet) = (try await world.phone(Asked(refused: false)), try await world.tablet())
        let device = try await link(phone, tablet)
        #expect(try await phone.devices.list().map(\.id).contains(device))
        #expect(try await tablet.standing()?.device == device)

        let (here, there) = (try await phone.sync(), try await tablet.sync())
        let talk = try await here.beginConversation("Kim")
        let content = Data((0..<700_000).map { UInt8(truncatingIfNeeded: $0 * 31) })
        let file = try await here.files.add(content, name: "shot.jpg", mediaType: "image/jpeg")
        try await here.send("see you at eight", as: "Phone", to: talk, attachments: [file])
        let phoneLine = Task { for await _ in here {} }
        var page: [Message] = []
        for await change in there {
            guard case .records = change else { continue }
            page = try await there.messages(in: talk)
            if !page.isEmpty { break }
        }
        #expect(page.map(\.text) == ["see you at eight"])
        #expect(try await there.conversations().map(\.title) == ["Kim"])

        // A file comes in pieces, and is what it was.
        try await there.files.want(file)
        for await change in there {
            guard case .file = change else { continue }
            if try await there.files.state(file)?.isComplete == true { break }
        }
        let copy = URL(fileURLWithPath: world.path("shot.jpg"))
        try await there.files.save(file, to: copy)
        #expect(try Data(contentsOf: copy) == content)

        // Taken off the account: the line says so, and is the last thing that it says.
        try await phone.devices.revoke(device)
        var last: SyncChange?
        for await change in there { last = change }
        guard case .removed = last else { throw PairlightError.Internal(what: "\(String(describing: last))") }
        phoneLine.cancel()
    }

    @Test func aNoIsTheSameWordOnBothDevicesAndARefusedUnlockLeavesTheReview() async throws {
        let world = try World()
        let (phone, tablet) = (try await world.phone(Asked(refused: true)), try await world.tablet())
        let show = try await tablet.link(name: "Tablet", os: "Linux", app: "test")
        var code: CodePicture?
        for await state in show {
            if case let .showCode(picture) = state {
                code = picture
                break
            }
        }
        let link = try await phone.link(Data(try #require(code).text.utf8), source: .pasted)
        var last: LinkState?
        for await state in link {
            last = state
            guard case .review = state else { continue }
            await #expect(throws: PairlightError.NotConfirmed) { try await link.approve() }
            try await link.decline()
        }
        #expect(last == .failed(.declined, help: []))
        var ends: [ShowState] = []
        for await state in show where state.isFinal { ends.append(state) }
        #expect(ends == [.failed(.declined)])
        await #expect(throws: PairlightError.Ended) { try await link.decline() }
    }

    @Test func aDeviceThatTheRelayBidsToWaitHearsForHowLong() async throws {
        let claims = try World(limits: ["--claims-per-ten-minutes", "1"])
        let (phone, tablet) = (try await claims.phone(), try await claims.tablet())
        var ends: [LinkState?] = []
        for _ in 0..<2 {
            let show = try await tablet.link(name: "Tablet", os: "Linux", app: "test")
            var code: CodePicture?
            for await state in show {
                if case let .showCode(picture) = state {
                    code = picture
                    break
                }
            }
            let link = try await phone.link(Data(try #require(code).text.utf8), source: .liveCamera)
            var last: LinkState?
            for await state in link {
                last = state
                if case .review = state { try await link.decline() }
            }
            ends.append(last)
            try? await show.cancel()
        }
        #expect(ends[0] == .failed(.declined, help: []))
        guard case let .failed(.rateLimited, help: _, retryAfterMs: pause?) = ends[1] else {
            throw PairlightError.Internal(what: "\(ends)")
        }
        #expect((1...600_000).contains(pause))

        let opens = try World(limits: ["--opens-per-hour", "1"])
        let other = try await opens.tablet()
        let shown = try await other.link(name: "Tablet", os: "Linux", app: "test")
        _ = await shown.first { if case .showCode = $0 { true } else { false } }
        let refused = try await other.link(name: "Tablet", os: "Linux", app: "test")
        guard case let .failed(.rateLimited, retryAfterMs: pause?) = await refused.first(where: \.isFinal) else {
            throw PairlightError.Internal(what: "the relay lets more codes be shown than one an hour")
        }
        #expect((1...3_600_000).contains(pause))
        try await shown.cancel()
    }

    @Test func whatIsPrintedOfAStateHasNeitherDigitsNorWhatACodeSays() {
        var printed = ""
        let code = CodePicture(size: 1, modules: Data([0]), shownMs: 0, text: "the secret")
        dump(LinkState.showCheckCode(CheckCode(digits: "123 456")), to: &printed)
        dump(ShowState.showCode(code), to: &printed)
        printed += "\(LinkState.showCheckCode(CheckCode(digits: "123 456"))) \(ShowState.showCode(code)) \(code)"
        printed += String(reflecting: LinkState.showCheckCode(CheckCode(digits: "123 456"))) + String(reflecting: code)
        #expect(!printed.contains("123") && !printed.contains("secret") && printed.contains("showCheckCode"), "\(printed)")
    }

    /// Under a policy that links with nothing weaker: a word over a tap, and an attestation that the app judges.
    @Test func evidenceThatTheAppBringsMakesALinkStrong() async throws {
        let world = try World()
        let vouched = Data("we vouch".utf8)
        let phone = try await PrimaryAccount.open(
            path: world.path("phone.db"), key: SoftKey(), relay: world.address, name: "Phone", policy: .strongOnly,
            judge: { $0.deviceKey.count == 32 && $0.proof == vouched + $0.challenge }, localNetwork: false
        )
        let tablet = try await LinkedAccount.open(
            path: world.path("tablet.db"), key: SoftKey(), relay: world.address, attestation: true, localNetwork: false
        )
        for taps in [true, false] {
            let show = try await tablet.link(name: "Tablet", os: "Linux", app: "test")
            let (codes, shown) = AsyncStream.makeStream(of: String.self)
            let showing = Task { () -> ShowState? in
                var last: ShowState?
                for await state in show {
                    last = state
                    switch state {
                    case let .showCode(code): shown.yield(code.text)
                    case let .evidenceWanted(_, attestation):
                        try await show.give(attestation: taps ? nil : vouched + (attestation ?? Data()))
                    default: break
                    }
                }
                return last
            }
            let code = try #require(await codes.first { _ in true })
            let link = try await phone.link(Data(code.utf8), source: .liveCamera)
            for await state in link {
                switch state {
                case let .review(approval):
                    try await Task.sleep(nanoseconds: approval.holdMs * 1_000_000)
                    try await link.approve()
                case let .showCheckCode(code):
                    var word = try show.tapWord()
                    while word == nil {
                        try await Task.sleep(nanoseconds: 5_000_000)
                        word = try show.tapWord()
                    }
                    if taps { try await link.tapped(.nfc, try #require(word)) }
                    try await show.enterCheckCode(code.digits)
                case .failed, .broken: #expect(Bool(false), "\(state)")
                default: break
                }
            }
            guard case let .linked(device, _) = try await showing.outcome() else {
                throw PairlightError.Internal(what: "the tablet was not linked")
            }
            let grade = try await phone.devices.list().first { $0.id == device }?.grade
            #expect(grade == Grade.strong.rawValue)
            if taps { try await phone.devices.revoke(device) }
        }
        let unknown = Passkey(credential: Data([1]), publicKey: Data([1]), rpId: "example.com", origins: ["https://example.com"])
        await #expect(throws: PairlightError.self) { try await phone.passkeys.register(unknown) }
        #expect(try await phone.passkeys.list().isEmpty)
    }

    /// What a person who waits in vain presses: the work ends in the library, and the account can be used.
    @Test func cancellingATaskEndsTheWorkOfTheLibrary() async throws {
        let world = try World()
        // No relay is there: it tries again for as long as it lives.
        let nowhere = try await world.tablet(relay: RelayAddress(url: "http://127.0.0.1:9", key: world.address.key))
        let idle = try await settledTasks()
        var worst = 0.0
        for _ in 0..<20 {
            let (waits, waiting) = AsyncStream.makeStream(of: Void.self)
            let reading = Task { () -> ShowState? in
                let show = try await nowhere.link(name: "Tablet", os: "Linux", app: "test")
                var last: ShowState?
                for await state in show {
                    last = state
                    if case .reconnecting = state { waiting.yield() }
                }
                return last
            }
            for await _ in waits { break }
            #expect(try PairlightLibrary.activity().tasks > idle)
            reading.cancel()
            worst = max(worst, try await untilIdle(idle))
            #expect(try await reading.outcome() == .failed(.cancelled))
        }
        print("cancelled task to no work left in the library, worst of 20: ShowFlow \(worst) ms")
        #expect(try await nowhere.standing() == nil)
    }

    @Test func eachCallThatWaitsEndsWhenItsTaskIsCancelled() async throws {
        let world = try World()
        let (phone, tablet) = (try await world.phone(), try await world.tablet())
        _ = try await link(phone, tablet)
        let line = try await tablet.sync()
        let idle = try await settledTasks()
        let scanner = try CodeScanner()
        let (begun, begins) = AsyncStream.makeStream(of: Void.self)
        // A report that never comes, since no frame does.
        let looking = Task {
            var reports = scanner.reports.makeAsyncIterator()
            begins.yield()
            return try await reports.next()
        }
        for await _ in begun { break }
        // A line that is read to its end, which does not come.
        let (online, goesOnline) = AsyncStream.makeStream(of: Void.self)
        let reading = Task {
            var count = 0
            for await change in line {
                count += 1
                if case .online = change { goesOnline.yield() }
            }
            return count
        }
        for await _ in online { break }
        // A key store that blocks: the call that waits for it ends, the key store is let finish.
        let key = BlockingKey()
        let opening = Task {
            try await LinkedAccount.open(path: world.path("slow.db"), key: key, relay: world.address)
        }
        for await _ in key.entered { break }
        func ended<T: Sendable, E: Error>(_ task: Task<T, E>) async -> (Double, Result<T, E>) {
            let began = DispatchTime.now().uptimeNanoseconds
            task.cancel()
            let result = await task.result
            return (Double(DispatchTime.now().uptimeNanoseconds - began) / 1_000_000, result)
        }
        let (scannerMs, report) = await ended(looking)
        #expect(throws: CancellationError.self) { try report.get() }
        let (lineMs, _) = await ended(reading)
        let (openMs, opened) = await ended(opening)
        #expect(throws: CancellationError.self) { try opened.get() }
        key.free()
        print("cancelled task to its end, ms: CodeScanner \(scannerMs), Sync \(lineMs), LinkedAccount.open \(openMs)")
        let left = try await untilIdle(idle)
        print("and to no work left in the library: \(left) ms")
        // The next call works.
        try Photo(of: CodePicture(size: 1, modules: Data([0]), shownMs: 0, text: "")).offer(to: scanner)
        #expect(try await scanner.reports.first(where: { _ in true })?.codes.isEmpty == true)
        #expect(try await phone.devices.list().count == 2)
        #expect(try await tablet.sync().conversations().isEmpty)
    }

    /// Says that it was entered, and blocks until the test frees it.
    final class BlockingKey: KeyWrapping, @unchecked Sendable {
        let entered: AsyncStream<Void>
        private let enters: AsyncStream<Void>.Continuation
        private let gate = DispatchSemaphore(value: 0)

        init() {
            (entered, enters) = AsyncStream.makeStream(of: Void.self)
        }

        func free() {
            gate.signal()
        }

        func wrap(_ key: Data) -> Data {
            enters.yield()
            _ = gate.wait(timeout: .now() + .seconds(deadline))
            return SoftKey().wrap(key)
        }

        func unwrap(_ wrapped: Data) -> Data { wrap(wrapped) }
    }

    @Test func aThousandLinksBeginAndAreCancelledAndLeaveNothing() async throws {
        let world = try World()
        let tablet = try await world.tablet()
        let idle = try await settledTasks()
        for _ in 0..<1_000 {
            let show = try await tablet.link(name: "Tablet", os: "Linux", app: "test")
            let reading = Task { await show.first { $0.isFinal } }
            reading.cancel()
            #expect(try await reading.outcome() == .failed(.cancelled))
        }
        _ = try await untilIdle(idle)
    }
}
#endif
