import NIOCore
import Synchronization

@testable import GRPCServer

/// What a test and the service on its loop share: a log, the test's disk, and its clock.
final class Journal: Sendable {
    struct State {
        var opened = 0
        var closed = 0
        var unaryCalls = 0
        var messages = 0
        var answeredBytes = 0
        var watcher: CallToken?
        var writableCalls = 0
        var authorization: [UInt8] = []
        var peer = ""
        /// What was taken back, in order.
        var withdrawn: [[UInt8]] = []
        /// The last ticket that was taken, and the last that is durable.
        var ticket: UInt64 = 0
        var durableTicket: UInt64 = 0
        var notify: (@Sendable () -> Void)?
        /// Pieces of requests to "Parts", and messages "w…", that there is room for; and how often room was asked for.
        var room = 0
        var roomWanted = 0
        /// How far the server's clock is ahead of the machine's.
        var leadNanoseconds: UInt64 = 0
        /// Messages that a watcher has still to be sent, whenever there is room, and of how many bytes each.
        var toPush = 0
        var pushedBytes = 0
        /// The server's clock stands, but for what the test adds.
        var frozenNanoseconds: UInt64?
    }

    private let state = Mutex(State())

    func change<R: Sendable>(_ body: (inout State) -> sending R) -> R {
        state.withLock { body(&$0) }
    }

    var now: State { state.withLock { $0 } }

    var clock: UInt64 {
        let now = now
        return (now.frozenNanoseconds ?? NIODeadline.now().uptimeNanoseconds) + now.leadNanoseconds
    }

    func freeze() { change { $0.frozenNanoseconds = NIODeadline.now().uptimeNanoseconds } }

    func advance(_ amount: TimeAmount) {
        change { $0.leadNanoseconds += UInt64(amount.nanoseconds) }
    }
}

/// A service that does what its requests say.
final class TestService: GRPCService {
    static let methods = [
        MethodDescriptor(path: "/t.T/Echo"),
        MethodDescriptor(path: "/t.T/Hold"),
        MethodDescriptor(path: "/t.T/Fail"),
        MethodDescriptor(path: "/t.T/Big"),
        MethodDescriptor(path: "/t.T/Chat", kind: .bidirectional),
        MethodDescriptor(path: "/t.T/Sum", kind: .clientStreaming),
        MethodDescriptor(path: "/t.T/Watch", kind: .serverStreaming),
        MethodDescriptor(path: "/t.T/Batch", maximumRequestBytes: 1024 * 1024),
        MethodDescriptor(path: "/t.T/HoldFail"),
        MethodDescriptor(path: "/t.T/HoldBig"),
        MethodDescriptor(path: "/t.T/Slow"),
        MethodDescriptor(path: "/t.T/Parts"),
    ]

    private let journal: Journal
    private weak var loop: ServerLoop?
    private var sum = 0

    init(_ journal: Journal, _ loop: ServerLoop) {
        self.journal = journal
        self.loop = loop
    }

    func unary(
        _ call: CallContext, request: UnsafeRawBufferPointer, response: inout ResponseBuffer
    ) -> ServiceOutcome {
        let authorization = Array(call.authorization)
        let peer = call.peer
        journal.change {
            $0.unaryCalls += 1
            $0.authorization = authorization
            $0.peer = peer
        }
        switch Self.methods[call.method].path {
        case "/t.T/Hold":
            call.park()
            call.undo(request)
            response.append(request)
        case "/t.T/HoldFail":
            call.park()
            return .failed(GRPCFailure(.failedPrecondition, "parked"))
        case "/t.T/Fail":
            return .failed(
                GRPCFailure(.failedPrecondition, "100 % wrong: ü", details: [8, 9, 255]))
        case "/t.T/HoldBig":
            call.park()
            fallthrough
        case "/t.T/Big":
            let bytes = [UInt8](repeating: 7, count: 64 * 1024)
            bytes.withUnsafeBytes { response.append($0) }
            journal.change { $0.answeredBytes += bytes.count }
        case "/t.T/Slow":
            // Takes ten seconds.
            if call.mayBeLate { call.undo(request) }
            journal.advance(.seconds(10))
            response.append(request)
        case "/t.T/Parts":
            return parts(call, request, &response)
        default:
            response.append(request)
        }
        return .done
    }

    /// Decides a request byte by byte, as far as there is room: answers it, and notes how to take it back. An "h" holds,
    /// an "f" fails.
    private func parts(
        _ call: CallContext, _ request: UnsafeRawBufferPointer, _ response: inout ResponseBuffer
    ) -> ServiceOutcome {
        for index in call.progress..<request.count {
            let hasRoom = journal.change { state in
                if state.room > 0 { state.room -= 1 } else { return false }
                return true
            }
            guard hasRoom else {
                call.progress = index
                return .putOff
            }
            let part = UnsafeRawBufferPointer(rebasing: request[index...index])
            if part[0] == UInt8(ascii: "h") { call.park() }
            if part[0] == UInt8(ascii: "f") {
                return .failed(GRPCFailure(.unauthenticated, "revoked"))
            }
            call.undo(part)
            response.append(part)
        }
        return .done
    }

    var hasRoom: Bool { journal.now.room > 0 }

    func awaitRoom() { journal.change { $0.roomWanted += 1 } }

    func admit(_ call: CallContext) -> GRPCFailure? {
        call.authorization.elementsEqual("nobody".utf8)
            ? GRPCFailure(.unauthenticated, "who?") : nil
    }

    func streamOpened(_ call: CallContext) -> GRPCFailure? {
        journal.change { $0.opened += 1 }
        sum = 0
        return nil
    }

    /// "i…" is answered at once, "h…" when it is durable, "f…" fails at once, "g…" when it is durable, "w…" when there is
    /// room.
    func message(
        _ call: CallContext, request: UnsafeRawBufferPointer, response: inout ResponseBuffer
    ) -> ServiceOutcome {
        let first = request.first
        if first == UInt8(ascii: "w") {
            let hasRoom = journal.change { state in
                if state.room > 0 { state.room -= 1 } else { return false }
                return true
            }
            guard hasRoom else { return .putOff }
        }
        journal.change { $0.messages += 1 }
        if first == UInt8(ascii: "h") || first == UInt8(ascii: "g") {
            call.park()
            call.undo(request)
        }
        if Self.methods[call.method].kind == .clientStreaming {
            sum += request.count
            return .done
        }
        if first == UInt8(ascii: "f") || first == UInt8(ascii: "g") {
            return .failed(GRPCFailure(.aborted, "as you wish"))
        }
        response.append(request)
        return .done
    }

    func halfClosed(_ call: CallContext, response: inout ResponseBuffer) -> ServiceOutcome {
        Array("\(sum)".utf8).withUnsafeBytes { response.append($0) }
        return .done
    }

    func watch(_ call: CallContext, request: UnsafeRawBufferPointer) -> GRPCFailure? {
        if request.count == 1 { return GRPCFailure(.permissionDenied, "no") }
        let token = call.token
        journal.change { $0.watcher = token }
        return nil
    }

    func streamWritable(_ token: CallToken) {
        let (count, byteCount) = journal.change { state in
            state.writableCalls += 1
            return (state.toPush, state.pushedBytes)
        }
        let message = [UInt8](repeating: 3, count: byteCount)
        for _ in 0..<count {
            let result = loop?.push(token) { buffer in
                message.withUnsafeBytes { buffer.append($0) }
            }
            guard result == .sent else { return }
            journal.change { $0.toPush -= 1 }
        }
    }

    func streamClosed(_ token: CallToken) {
        journal.change { $0.closed += 1 }
    }

    // MARK: Durability

    func takeTicket() -> UInt64 {
        journal.change {
            $0.ticket += 1
            return $0.ticket
        }
    }

    var durableTicket: UInt64 { journal.now.durableTicket }

    func onDurable(_ notify: @escaping @Sendable () -> Void) {
        journal.change { $0.notify = notify }
    }

    func withdraw(_ undo: UnsafeRawBufferPointer) {
        let bytes = Array(undo)
        journal.change { $0.withdrawn.append(bytes) }
    }
}

/// A running server of one loop, and its journal.
struct TestServer {
    let server: GRPCServer
    let journal = Journal()

    init(_ change: (inout ServerConfiguration) -> Void = { _ in }) async throws {
        var configuration = ServerConfiguration.patient
        configuration.port = 0
        let journal = journal
        configuration.clock = { journal.clock }
        change(&configuration)
        server = try await GRPCServer.start(configuration, methods: TestService.methods) { loop in
            TestService(journal, loop)
        }
    }

    /// Runs `body` on the loop's thread and flushes.
    func onLoop<R: Sendable>(_ body: @escaping @Sendable (ServerLoop) -> R) async throws -> R {
        let loop = server.loops[0]
        return try await loop.eventLoop.submit {
            defer { loop.flush() }
            return body(loop)
        }.get()
    }

    /// The ticket of everything that was decided so far.
    func ticket() async throws -> UInt64 {
        // What the loop does at the end of a turn comes before this.
        let journal = journal
        return try await onLoop { _ in journal.now.ticket }
    }

    /// Makes everything up to a ticket durable (or all that was decided so far), as a journal's thread would, and
    /// waits until the loop has seen it.
    func makeDurable(_ ticket: UInt64? = nil) async throws {
        var upTo = try await self.ticket()
        if let ticket { upTo = ticket }
        let notify = journal.change { state in
            state.durableTicket = upTo
            return state.notify
        }
        notify?()
        _ = try await onLoop { _ in }
    }

    /// There is room for so much more, as after a round of a journal.
    func makeRoom(_ pieces: Int) async throws {
        let notify = journal.change { state in
            state.room += pieces
            return state.notify
        }
        notify?()
        _ = try await onLoop { _ in }
    }

    /// Waits until `condition`, which the loop brings about by itself.
    func until(_ condition: @escaping @Sendable (ServerLoop) -> Bool) async throws {
        let limit = TestClient.milliseconds() + 120_000
        while try await !onLoop(condition) {
            guard TestClient.milliseconds() < limit else {
                throw ClientError(description: "timeout")
            }
            await Task.yield()
        }
    }

    /// Waits for nobody: clients of tests seldom read the farewell.
    func stop() async { await server.shutdown(within: .zero) }
}

func text(_ string: String) -> [UInt8] { Array(string.utf8) }

extension ServerConfiguration {
    /// Without time-outs that a busy machine could run into, unless a test sets one.
    static var patient: ServerConfiguration {
        var configuration = ServerConfiguration()
        configuration.prefaceTimeout = .minutes(10)
        configuration.requestTimeout = .minutes(10)
        configuration.writeStallTimeout = .minutes(10)
        // Tests move the clock by hours.
        configuration.strangerTimeout = .hours(24)
        configuration.idleTimeout = .hours(24)
        return configuration
    }
}
