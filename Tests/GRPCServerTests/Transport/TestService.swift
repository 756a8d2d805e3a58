import NIOCore
import Synchronization

@testable import GRPCServer

/// What a test and the service on its loop share.
final class Journal: Sendable {
    struct State {
        var parked: [CallToken] = []
        var opened = 0
        var closed = 0
        var unaryCalls = 0
        var answeredBytes = 0
        var watcher: CallToken?
        var writableCalls = 0
        var authorization: [UInt8] = []
        var peer = ""
    }

    private let state = Mutex(State())

    func change<R: Sendable>(_ body: (inout State) -> sending R) -> R {
        state.withLock { body(&$0) }
    }

    var now: State { state.withLock { $0 } }
}

/// A service that does what its requests say.
final class TestService: GRPCService {
    static let methods = [
        MethodDescriptor(path: "/t.T/Echo"),
        MethodDescriptor(path: "/t.T/Park"),
        MethodDescriptor(path: "/t.T/Fail"),
        MethodDescriptor(path: "/t.T/Big"),
        MethodDescriptor(path: "/t.T/Chat", kind: .bidirectional),
        MethodDescriptor(path: "/t.T/Sum", kind: .clientStreaming),
        MethodDescriptor(path: "/t.T/Watch", kind: .serverStreaming),
        MethodDescriptor(path: "/t.T/Batch", maximumRequestBytes: 1024 * 1024),
    ]

    private let journal: Journal
    private var sums: [CallToken: Int] = [:]
    private var openStream: CallToken?
    private var sum = 0

    init(_ journal: Journal) { self.journal = journal }

    func unary(
        _ call: CallContext, request: UnsafeRawBufferPointer, response: inout ResponseBuffer
    ) -> CallOutcome {
        let authorization = Array(call.authorization)
        let peer = call.peer
        journal.change {
            $0.unaryCalls += 1
            $0.authorization = authorization
            $0.peer = peer
        }
        switch call.method {
        case 1:
            let token = call.token
            journal.change { $0.parked.append(token) }
            return .pending
        case 2:
            return .failed(
                GRPCFailure(.failedPrecondition, "100 % wrong: ü", details: [8, 9, 255]))
        case 3:
            let bytes = [UInt8](repeating: 7, count: 64 * 1024)
            bytes.withUnsafeBytes { response.append($0) }
            journal.change { $0.answeredBytes += bytes.count }
            return .done
        default:
            response.append(request)
            return .done
        }
    }

    func streamOpened(_ call: CallContext) -> GRPCFailure? {
        journal.change { $0.opened += 1 }
        sum = 0
        return nil
    }

    /// "i…" is answered at once, "p…" later, "f…" fails.
    func message(
        _ call: CallContext, request: UnsafeRawBufferPointer, response: inout ResponseBuffer
    ) -> CallOutcome {
        if call.method == 5 {
            sum += request.count
            return .done
        }
        switch request.first {
        case UInt8(ascii: "p"):
            let token = call.token
            journal.change { $0.parked.append(token) }
            return .pending
        case UInt8(ascii: "f"):
            return .failed(GRPCFailure(.aborted, "as you wish"))
        default:
            response.append(request)
            return .done
        }
    }

    func halfClosed(_ call: CallContext, response: inout ResponseBuffer) -> CallOutcome {
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
        journal.change { $0.writableCalls += 1 }
    }

    func streamClosed(_ token: CallToken) {
        journal.change { $0.closed += 1 }
    }
}

/// A running server of one loop, and its journal.
struct TestServer {
    let server: GRPCServer
    let journal = Journal()

    init(_ change: (inout ServerConfiguration) -> Void = { _ in }) async throws {
        var configuration = ServerConfiguration()
        configuration.port = 0
        change(&configuration)
        let journal = journal
        server = try await GRPCServer.start(configuration, methods: TestService.methods) { _ in
            TestService(journal)
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

    /// Answers a parked request with `bytes`.
    func complete(_ token: CallToken, _ bytes: [UInt8]) async throws -> Delivery {
        try await onLoop { loop in
            loop.complete(token) { response in
                bytes.withUnsafeBytes { response.append($0) }
                return nil
            }
        }
    }

    func stop() async { await server.shutdown(within: .seconds(5)) }
}

func text(_ string: String) -> [UInt8] { Array(string.utf8) }
