import Access
import Crypto
import Dispatch
import Engine
import Events
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import JSON
import Limits
import Logging
import NIOCore
import NIOPosix
import Projection
import Reservations
import Synchronization
import Testing

@testable import ControlPlane

/// A lane on a queue of its own, in the place of an event loop.
// SAFETY: the lane is used on the one serial queue only.
private final class QueueLane: @unchecked Sendable {
    private let lane: EngineLane
    private let queue = DispatchQueue(label: "lane")

    init(_ lane: EngineLane) { self.lane = lane }

    func perform(_ body: @escaping @Sendable (EngineLane) -> Void) {
        queue.async { body(self.lane) }
    }
}

/// The REST interface over an engine in memory, asked in process.
///
/// `through` may hold back what goes to the data plane.
struct RESTHarness: Sendable {
    let engine: Engine
    let authority: TokenAuthority
    let server: RESTServer

    /// - Parameters:
    ///   - engine: of a service that was here before; nil: an empty one.
    ///   - answerKey: what that one's answers are sealed with, or not.
    init(
        isOpen: Bool = true, engine former: Engine? = nil,
        answerKey: SymmetricKey = SymmetricKey(size: .bits256), projection: (any ReadModel)? = nil,
        clock: EngineClock = EngineClock(), metrics: @escaping MetricsSource = { _ in [] },
        settings: RESTSettings = RESTSettings(), logger: Logger = Logger(label: "test"),
        through lanes: (@Sendable (@escaping @Sendable () -> Void) -> Void)? = nil
    ) throws {
        var configuration = EngineConfiguration()
        configuration.capacity.tenants = 256
        configuration.capacity.profiles = 256
        configuration.capacity.reservations = 4_096
        configuration.capacity.keys = 4_096
        engine = try former ?? Engine(configuration: configuration, clock: clock)
        authority = try TokenAuthority(engine, isOpen: isOpen)
        let lane = QueueLane(try engine.makeLane())
        server = RESTServer(
            engine: engine,
            lanes: LaneAccess { body in
                guard let lanes else { return lane.perform(body) }
                lanes { lane.perform(body) }
            }, authority: authority,
            projection: projection, publicKey: "a2V5", answerKey: answerKey, metrics: metrics,
            settings: settings, logger: logger)
    }

    /// The same on a socket, for one test.
    ///
    /// - Parameter body: gets the port.
    func serving(_ body: (Int) async throws -> Void) async throws {
        let port = try await server.start().port
        let result: Result<Void, any Error>
        do { result = .success(try await body(port)) } catch { result = .failure(error) }
        await server.shutdown(within: .seconds(1))
        try result.get()
    }

    /// Sends bytes over a connection of its own and returns what comes until the peer closes it.
    ///
    /// - Parameter ends: this side ends when all is sent.
    static func exchange(_ port: Int, _ text: String, ends: Bool = false) async throws -> String {
        try await exchange(port, Array(text.utf8), ends: ends)
    }

    static func exchange(_ port: Int, _ bytes: [UInt8], ends: Bool = false) async throws -> String {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                        wrappingChannelSynchronously: channel,
                        configuration: .init(isOutboundHalfClosureEnabled: true))
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            try await outbound.write(ByteBuffer(bytes: bytes))
            if ends { outbound.finish() }
            var answer: [UInt8] = []
            for try await part in inbound { answer += part.readableBytesView }
            return String(decoding: answer, as: UTF8.self)
        }
    }

    /// What came back.
    struct Answer {
        var status: Int
        var headers: HTTPFields
        var body: String

        /// null where it is no JSON.
        var json: JSON { (try? JSONParser.parse(Array(body.utf8))) ?? .null }
        var data: JSON { json["data"] ?? .null }

        /// "10004 /name", in order; of what has no source the code alone.
        var errors: [String] {
            guard case .array(let errors) = json["errors"] else { return [] }
            return errors.map { error in
                let source = error["source"]?["pointer"] ?? error["source"]?["parameter"]
                guard case .string(let code) = error["code"] else { return "?" }
                if case .string(let source) = source { return "\(code) \(source)" }
                return code
            }
        }

        subscript(header name: String) -> String? { HTTPField.Name(name).flatMap { headers[$0] } }
    }

    func callAsFunction(
        _ method: HTTPRequest.Method, _ uri: String, _ body: String? = nil,
        token: String? = nil, headers: KeyValuePairs<String, String> = [:]
    ) async throws -> Answer {
        try await send(method, uri, body.map { Array($0.utf8) }, token: token, headers: headers)
    }

    func send(
        _ method: HTTPRequest.Method, _ uri: String, _ body: [UInt8]?, token: String? = nil,
        headers: KeyValuePairs<String, String> = [:]
    ) async throws -> Answer {
        var fields = HTTPFields()
        if body != nil { fields[.contentType] = "application/json" }
        if let token { fields[.authorization] = "Bearer \(token)" }
        for (name, value) in headers {
            if let name = HTTPField.Name(name) {
                if name == .contentType { fields[name] = nil }
                fields.append(HTTPField(name: name, value: value))
            }
        }
        let sent = fields
        return try await Application(responder: server.responder).test(.router) { client in
            let response = try await client.executeRequest(
                uri: uri, method: method, headers: sent, body: body.map { ByteBuffer(bytes: $0) })
            return Answer(
                status: response.status.code, headers: response.headers,
                body: String(buffer: response.body))
        }
    }

    /// Makes a tenant and a messaging profile of it.
    func furnish(_ tenant: String = "acme", _ profile: String = "promo") async throws {
        let made = try await self(.post, "/v2/tenants", #"{"id":"\#(tenant)","name":"ACME"}"#)
        try #require(made.status == 200)
        let second = try await self(
            .post, "/v2/messaging_profiles",
            #"{"id":"\#(profile)","tenant_id":"\#(tenant)","name":"Promotions"}"#)
        try #require(second.status == 200)
    }
}

/// The two clocks of a machine, in a test's hand.
final class MachineClocks: Sendable {
    let boot = Atomic<Int64>(5_000)
    let wall = Atomic<Int64>(1_700_000_000_000)

    var source: EngineClock.Source {
        EngineClock.Source(
            boot: { self.boot.load(ordering: .relaxed) },
            wall: { self.wall.load(ordering: .relaxed) })
    }

    func pass(_ milliseconds: Int64) {
        boot.add(milliseconds, ordering: .relaxed)
        wall.add(milliseconds, ordering: .relaxed)
    }

    /// Sets the wall clock forwards, or back.
    func leap(_ milliseconds: Int64) { wall.add(milliseconds, ordering: .relaxed) }
}

/// A projection that holds what a test gives it.
struct FixedReadModel: ReadModel {
    var tenantRows: [TenantRow] = []
    var trouble: String?
    var standstill: String?
    var isWhole = true
    var deliveryRow: DeliveryRow?

    var status: ProjectionStatus {
        ProjectionStatus(time: 1, behindBytes: 0, trouble: trouble, standstill: standstill)
    }
    func caughtUp() async -> Bool { isWhole }

    /// As the projection does with whatever is listed.
    private func list<Rows>(_ rows: Rows) throws -> Rows {
        guard isWhole else { throw ProjectionError(.catchingUp, "Lists are not whole") }
        return rows
    }

    func tenants(_ query: TenantQuery, _ page: Page) async throws -> Paged<TenantRow> {
        let rows = try list(tenantRows).filter { row in
            if let id = query.idAfter, !id.utf8.lexicographicallyPrecedes(row.settings.id.utf8) {
                return false
            }
            return switch query.name {
            case nil: true
            case .equals(let name): row.settings.name == name
            case .contains(let part): row.settings.name.contains(part)
            }
        }
        let part = rows.dropFirst((page.number - 1) * page.size).prefix(page.size)
        return Paged(rows: Array(part), total: rows.count)
    }
    func profiles(_ query: ProfileQuery, _ page: Page) async throws -> Paged<ProfileRow> {
        try list(Paged(rows: [], total: 0))
    }
    func usage(_ query: TenantQuery, _ page: Page) async throws -> Paged<TenantRow> {
        try await tenants(query, page)
    }
    func dailyUsage(
        tenantID: String, profileID: String?, from: Int64, to: Int64
    ) async throws -> [DailyUsageRow] { try list([]) }
    func invoices(_ query: InvoiceQuery, _ page: Page?) async throws -> InvoiceReport {
        throw ProjectionError(.catchingUp, "Lists are not whole")
    }
    func invoice(tenantID: String, _ cycle: InvoiceCycle) async throws -> InvoiceDetail? { nil }
    func series(_ query: SeriesQuery) async throws -> UsageSeries? { nil }
    func forecast(_ page: Page) async throws -> Forecast {
        throw ProjectionError(.catchingUp, "Lists are not whole")
    }
    func overview() async throws -> OverviewReport {
        throw ProjectionError(.catchingUp, "Lists are not whole")
    }
    func pendingDeliveries() async throws -> (count: Int, oldest: Int64?) { (0, nil) }
    func audit(_ query: AuditQuery, _ page: Page) async throws -> Paged<AuditRow> {
        try list(Paged(rows: [], total: 0))
    }
    func events(_ query: EventQuery, _ page: Page) async throws -> Paged<Event> {
        try list(Paged(rows: [], total: 0))
    }
    func event(_ id: String) async throws -> Event? { try list(nil) }
    func deliveries(_ query: DeliveryQuery, _ page: Page) async throws -> Paged<DeliveryRow> {
        try list(Paged(rows: [], total: 0))
    }
    func delivery(_ id: Int64) async throws -> DeliveryRow? { try list(deliveryRow) }
    func resend(_ id: Int64) async throws -> DeliveryRow? { deliveryRow }
    func enqueue(
        _ event: Event, to channel: Delivery.Channel, recipient: String
    ) async throws -> Int64 { 1 }
}
