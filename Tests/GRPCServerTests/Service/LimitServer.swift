import Access
import Engine
import HTTP2
import Limits
import NIOCore
import Reservations
import Synchronization
import Wire

@testable import GRPCServer

/// The disk and the clock of a `LimitServer`, in the test's hand.
final class TestGate: DurabilityGate, Sendable {
    struct State {
        var answersWait = false
        /// The clock leaps by this much each time the engine has answered.
        var decisionTakes = TimeAmount.zero
        var leadNanoseconds: UInt64 = 0
        /// The clock stands, but for what the test adds.
        var frozenNanoseconds: UInt64?
        var decisions = 0
        /// How often answers left that need not wait.
        var departures = 0
        var ticket: UInt64 = 0
        var durableTicket: UInt64 = 0
        var notify: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())

    var now: State { state.withLock { $0 } }

    func change<R: Sendable>(_ body: (inout State) -> sending R) -> R {
        state.withLock { body(&$0) }
    }

    var clock: UInt64 {
        let now = now
        return (now.frozenNanoseconds ?? NIODeadline.now().uptimeNanoseconds)
            + now.leadNanoseconds
    }

    func freeze() { change { $0.frozenNanoseconds = NIODeadline.now().uptimeNanoseconds } }

    func advance(_ amount: TimeAmount) {
        change { $0.leadNanoseconds += UInt64(amount.nanoseconds) }
    }

    var answerWaits: Bool {
        change {
            $0.decisions += 1
            $0.leadNanoseconds += UInt64($0.decisionTakes.nanoseconds)
            return $0.answersWait
        }
    }

    func takeTicket() -> UInt64 {
        change {
            $0.ticket += 1
            return $0.ticket
        }
    }

    func answersLeave() { change { $0.departures += 1 } }

    var durableTicket: UInt64 { now.durableTicket }

    func onDurable(_ notify: @escaping @Sendable () -> Void) {
        change { $0.notify = notify }
    }
}

/// A server of `LimitService` with one tenant, "acme" (10 extensions; nothing suspends), and its one client.
final class LimitServer {
    /// Hands a lane to the event loop that will use it.
    // SAFETY: made on one thread, taken over by one event loop.
    private struct Handover: @unchecked Sendable {
        let lane: EngineLane
    }

    /// When the engine's clock starts.
    static let start: Int64 = 1_773_144_000_000  // 2026-03-10T12:00:00Z

    let gate = TestGate()
    let engine: Engine
    let authority: TokenAuthority
    let server: GRPCServer
    let client: TestClient

    /// - Parameters:
    ///   - isOpen: nobody is asked for a token.
    ///   - isFrozen: the clock stands from the beginning.
    ///   - ringWords: of the lanes' records; nobody takes them.
    init(
        isOpen: Bool = true, isFrozen: Bool = false, tenants: Int = 16, ringWords: Int = 0,
        bounds: WatchBounds = WatchBounds(),
        configure: (inout ServerConfiguration) -> Void = { _ in }
    ) async throws {
        let capacity = TableCapacity(
            tenants: tenants, profiles: 16, reservations: 4_096, keys: 1_024, lanes: 4,
            ringWords: ringWords)
        let gate = gate
        if isFrozen { gate.freeze() }
        // The engine's time goes with the transport's.
        let clock = EngineClock(
            EngineClock.Source(
                boot: { Int64(gate.clock / 1_000_000) }, wall: { Self.start }))
        engine = try Engine(
            configuration: EngineConfiguration(capacity: capacity), clock: clock)
        let authority = try TokenAuthority(engine, isOpen: isOpen)
        self.authority = authority
        try engine.setTenant(
            TenantSettings(id: "acme", limits: TenantLimits(maxExtensions: 10)))
        let lane = Handover(lane: try engine.makeLane())
        var configuration = ServerConfiguration.patient
        configuration.port = 0
        configuration.clock = { gate.clock }
        configure(&configuration)
        server = try await GRPCServer.start(configuration, methods: LimitService.methods) { loop in
            LimitService(
                lane: lane.lane, loop: loop, gate: gate, authority: authority,
                watchBounds: bounds)
        }
        client = try TestClient(port: server.port)
    }

    /// Waits for nobody: clients of tests seldom read the farewell.
    func stop() async { await server.shutdown(within: .zero) }

    // MARK: Calls

    func begin(
        _ method: LimitServiceMethod, _ messages: [any RequestMessage], timeout: String? = nil,
        deny: Bool = false, finished: Bool = true, token: String? = nil
    ) throws -> StreamHandle {
        var extra: [(String, String)] = []
        if let token { extra.append(("authorization", "Bearer \(token)")) }
        if let timeout { extra.append(("grpc-timeout", timeout)) }
        if deny { extra.append(("tollgate-deny", "status")) }
        return try client.begin(
            "\(method.path)", body: messages.flatMap { TestClient.framed($0.encoded()) },
            finished: finished, extra: extra)
    }

    func call(
        _ method: LimitServiceMethod, _ message: any RequestMessage, timeout: String? = nil,
        deny: Bool = false, token: String? = nil
    ) async throws -> TestClient.Reply {
        try await client.finish(
            begin(method, [message], timeout: timeout, deny: deny, token: token))
    }

    /// Waits until everything that was begun is decided: a request that is refused for its shape asks no engine and
    /// waits for no disk.
    func settle() async throws {
        let refused = Int32(GRPCCode.invalidArgument.rawValue)
        guard try await call(.checkAndReserve, asking(-1)).status == refused else {
            throw ClientError(description: "a negative amount was not refused")
        }
    }

    /// Extensions of acme, committed and held, as the service tells them.
    func extensions() async throws -> [Int64] {
        try await settle()
        let waited = gate.change { state in
            defer { state.answersWait = false }
            return state.answersWait
        }
        let reply = try await call(.getUsage, UsageRequest(tenantID: "acme"))
        gate.change { $0.answersWait = waited }
        let usage: UsageResponse = try reply.decoded()
        return usage.limits.filter { $0.limit == .tenantExtensions }
            .flatMap { [$0.committed, $0.held] }
    }

    // MARK: The disk

    /// Makes everything that was decided durable, and waits until the loop has seen it.
    func makeDurable() async throws {
        let eventLoop = server.loops[0].eventLoop
        try await eventLoop.submit {}.get()  // what a turn of the loop ends with has been done
        let notify = gate.change { state in
            state.durableTicket = state.ticket
            return state.notify
        }
        notify?()
        try await eventLoop.submit {}.get()
    }
}

extension TestClient.Reply {
    /// The message at `index`.
    func decoded<Message: ResponseMessage>(_ index: Int = 0) throws -> Message {
        guard index < messages.count else {
            throw ClientError(description: "no message \(index): status \(status) \(message)")
        }
        return try messages[index].withUnsafeBytes { bytes in try Message(decoding: bytes) }
    }
}

func asking(
    _ extensions: Int64, key: String = "", mode: Mode = .reserve, tenant: String = "acme"
) -> CheckRequest {
    CheckRequest(
        tenantID: tenant, action: .provisionExtension,
        quantities: [Quantity(.extensions, extensions)], idempotencyKey: key, mode: mode)
}
