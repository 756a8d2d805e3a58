import Events
import Foundation
import Journal
import Limits
import Synchronization
import TestKit
import Testing

@testable import Engine
@testable import Projection
@testable import Reservations

/// An engine on a simulated disk, and its projection in a temporary directory, both moved by hand.
final class ProjectedService {
    /// A clock that only the test moves.
    final class SimulatedTime: Sendable {
        let milliseconds: Atomic<Int64>
        init(_ start: Int64) { milliseconds = Atomic(start) }
    }

    /// 2026-03-27 22:13:20 UTC: two days before the clocks change in Berlin, five before a month's end.
    static let start: Int64 = 1_774_649_600_000

    let disk: SimulatedDisk
    /// Where the journal is instead, for tests in which threads meet.
    private let system: SystemDisk?
    let time = SimulatedTime(start)
    private let directory: URL
    var configuration = ProjectionConfiguration()
    private let segmentBytes: Int
    private let maximumBytes: Int
    private(set) var engine: Engine
    private(set) var lanes: [EngineLane]
    private(set) var projection: Projection
    /// Reservation ids by ordinal - 1, tenants and profiles that were ever named.
    private var ids: [UInt64] = []
    private(set) var tenantIDs: Set<String> = []
    private(set) var profileOwners: [String: String] = [:]
    private var turn = 0

    init(
        seed: UInt64 = 1, segmentBytes: Int = 256 << 10, maximumBytes: Int = 64 << 20,
        isOnSystemDisk: Bool = false
    ) throws {
        disk = SimulatedDisk(seed: seed)
        self.segmentBytes = segmentBytes
        self.maximumBytes = maximumBytes
        directory = FileManager.default.temporaryDirectory.appendingPathComponent(
            "tollgate-projection-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        system = isOnSystemDisk ? try SystemDisk(path: directory.path) : nil
        engine = try Self.open(system ?? disk, time, segmentBytes, maximumBytes)
        lanes = try engine.makeLanes(2)
        projection = try Projection.open(
            path: directory.appendingPathComponent(Projection.fileName).path, engine: engine,
            configuration: configuration)
    }

    deinit { try? FileManager.default.removeItem(at: directory) }

    var path: String { directory.appendingPathComponent(Projection.fileName).path }

    private static func open(
        _ disk: any Disk, _ time: SimulatedTime, _ segmentBytes: Int, _ maximumBytes: Int
    ) throws -> Engine {
        var settings = DurabilitySettings()
        settings.journal.segmentBytes = segmentBytes
        settings.journal.maximumBytes = maximumBytes
        settings.retention = 0
        settings.hasThreads = false
        let read: @Sendable () -> Int64 = { time.milliseconds.load(ordering: .relaxed) }
        let capacity = TableCapacity(
            tenants: 1_000, profiles: 1_000, reservations: 200_000, bodies: 100_000, keys: 200_000,
            lanes: 4)
        return try Engine.open(
            configuration: EngineConfiguration(capacity: capacity),
            clock: EngineClock.Source(boot: read, wall: read), disk: disk, settings: settings
        ).engine
    }

    // MARK: The process

    /// The service stops in good order and starts again.
    func restart(_ meanwhile: (String) throws -> Void = { _ in }) throws {
        for lane in lanes { lane.finish() }
        engine.runJournal()
        engine.close()
        try begin(meanwhile)
    }

    /// The machine crashes and comes back.
    func crash() throws {
        disk.crash()
        try begin { _ in }
    }

    private func begin(_ meanwhile: (String) throws -> Void) throws {
        try meanwhile(path)
        engine = try Self.open(system ?? disk, time, segmentBytes, maximumBytes)
        lanes = try engine.makeLanes(2)
        try openProjection()
    }

    /// Opens the file again, as another process would.
    func openProjection(_ meanwhile: (String) throws -> Void = { _ in }) throws {
        try meanwhile(path)
        projection = try Projection.open(path: path, engine: engine, configuration: configuration)
    }

    static func removeFile(_ path: String) throws {
        for suffix in ["", "-wal", "-shm"] {
            try? FileManager.default.removeItem(atPath: path + suffix)
        }
    }

    /// Makes what happened durable, and room for more.
    func flush() {
        for lane in lanes { lane.finish() }
        engine.runJournal()
        engine.runJournal()
    }

    /// Makes what happened durable and has the projection take it up.
    func catchUp() throws {
        flush()
        while try !projection.takeSlice() {}
    }

    // MARK: Time and configuration

    var now: Int64 { time.milliseconds.load(ordering: .relaxed) }

    func advance(_ milliseconds: Int64) {
        time.milliseconds.wrappingAdd(milliseconds, ordering: .relaxed)
    }

    func setTenant(_ settings: TenantSettings, by requester: Requester = .nobody) throws {
        tenantIDs.insert(settings.id)
        _ = try engine.setTenant(settings, by: requester)
    }

    func setProfile(_ settings: ProfileSettings) throws {
        profileOwners[settings.id] = settings.tenantID
        _ = try engine.setProfile(settings)
    }

    // MARK: The data plane

    private func lane() -> EngineLane {
        turn += 1
        let lane = lanes[turn % lanes.count]
        lane.beginBatch()
        return lane
    }

    @discardableResult
    func check(
        _ operation: CheckOperation, caller: UInt64 = 0, trace: TraceID? = nil,
        isWithdrawn: Bool = false
    ) -> CheckAnswer {
        let lane = lane()
        lane.caller = caller
        lane.trace = trace
        defer { lane.trace = nil }
        var answer = CheckAnswer()
        borrowing(
            operation.tenantID, operation.profileID, operation.key, operation.reference
        ) {
            var command = CheckCommand(
                tenantID: $0, action: operation.action, amounts: amounts(operation.amounts))
            command.profileID = $1
            command.profileKind = operation.profileKind
            command.idempotencyKey = $2
            command.reference = $3
            command.minimums = amounts(operation.minimums)
            command.ttlMilliseconds = UInt32(operation.ttlMilliseconds)
            command.mode = operation.mode
            command.onExpiry = operation.onExpiry
            command.overage = operation.overage
            let failure = lane.check(command, answer: &answer)
            if failure == nil, isWithdrawn, operation.key.isEmpty {
                lane.withdraw(command, answer)
            }
        }
        if answer.reservationID != 0, !ids.contains(answer.reservationID) {
            ids.append(answer.reservationID)
        }
        return answer
    }

    func charge(_ tenant: String, _ profile: String = "", spend: Int64, key: String = "") {
        var operation = CheckOperation(tenantID: tenant, amounts: [.spend: spend])
        operation.profileID = profile
        operation.profileKind = engine.profile(profile)?.kind ?? .messaging
        operation.mode = .commit
        operation.key = key
        check(operation)
    }

    func usage(_ tenant: String, _ profile: String = "") -> UsageAnswer? {
        let lane = lane()
        var answer = UsageAnswer()
        let kind = engine.profile(profile)?.kind
        let failure = borrowing(tenant, profile, "", "") { tenant, profile, _, _ in
            lane.usage(
                UsageQuery(tenantID: tenant, profileID: profile, kind ?? .messaging),
                answer: &answer)
        }
        return failure == nil ? answer : nil
    }

    /// Does what an operation of a random history says, whatever the answer.
    func perform(_ operation: ModelOperation) {
        switch operation {
        case .setTenant(let settings): try? setTenant(settings)
        case .setProfile(let settings): try? setProfile(settings)
        case .closeTenant(let id): try? engine.setStatus(ofTenant: id, .closed)
        case .closeProfile(let id): try? engine.closeProfile(id)
        case .reinstate(let id): try? engine.setStatus(ofTenant: id, .active)
        case .suspend(let id): try? engine.setStatus(ofTenant: id, .suspended)
        case .check(let operation): check(operation)
        case .withdrawnCheck(let operation): check(operation, isWithdrawn: true)
        case .commit(let ordinal, let actual):
            var answer = CommitAnswer()
            _ = lane().commit(
                CommitCommand(reservationID: id(ordinal), actual: amounts(actual)), answer: &answer)
        case .release(let ordinal):
            var answer = ReleaseAnswer()
            _ = lane().release(id(ordinal), answer: &answer)
        case .extend(let operation): extend(operation)
        case .record(let operation): record(operation)
        case .setCounts(let tenant, let counts):
            var answer = RecordAnswer()
            let lane = lane()
            _ = borrowing(tenant, "", "", "") { tenant, _, _, _ in
                lane.setCounts(
                    RecordCommand(tenantID: tenant, amounts: amounts(counts)), answer: &answer)
            }
        case .usage(let tenant, let profile): _ = usage(tenant, profile)
        case .advance(let milliseconds), .leap(let milliseconds): advance(milliseconds)
        case .expire:
            let lane = lane()
            for id in ids {
                let id = ReservationID(raw: id)
                let word = SlotWord(word: lane.lane.table.slots[id.slot][Slot.state])
                lane.lane.expire(id.slot, word, now: lane.now)
            }
        case .judge:
            let lane = lane()
            lane.lane.judgeEndedWindows(now: lane.life)
        }
    }

    /// Releases the latest reservation.
    func release(by caller: UInt64) {
        let lane = lane()
        lane.caller = caller
        var answer = ReleaseAnswer()
        _ = lane.release(id(ids.count), answer: &answer)
    }

    func setCounts(_ tenant: String, _ counts: ModelAmounts, by caller: UInt64) {
        let lane = lane()
        lane.caller = caller
        var answer = RecordAnswer()
        _ = borrowing(tenant, "", "", "") { tenant, _, _, _ in
            lane.setCounts(
                RecordCommand(tenantID: tenant, amounts: amounts(counts)), answer: &answer)
        }
    }

    private func extend(_ operation: ExtendOperation) {
        let lane = lane()
        var answer = ExtendAnswer()
        _ = borrowing(operation.key, "", "", "") { key, _, _, _ in
            var command = ExtendCommand(reservationID: id(operation.reservation))
            command.ttlMilliseconds = UInt32(operation.ttlMilliseconds)
            command.additional = amounts(operation.additional)
            command.minimums = amounts(operation.minimums)
            command.idempotencyKey = key
            command.mode = operation.mode
            return lane.extend(command, answer: &answer)
        }
    }

    func record(_ operation: RecordOperation) {
        let lane = lane()
        var answer = RecordAnswer()
        _ = borrowing(
            operation.tenantID, operation.profileID, operation.key, operation.reference
        ) {
            var command = RecordCommand(tenantID: $0, amounts: amounts(operation.amounts))
            command.profileID = $1
            command.profileKind = operation.profileKind
            command.idempotencyKey = $2
            command.reference = $3
            command.action = operation.action
            return lane.record(command, answer: &answer)
        }
    }

    private func id(_ ordinal: Int) -> UInt64 {
        ids.indices.contains(ordinal - 1) ? ids[ordinal - 1] : 987_654_321
    }

    private func amounts(_ amounts: ModelAmounts) -> Amounts {
        var result = Amounts()
        for (resource, amount) in amounts { result.set(resource.index, amount) }
        return result
    }

    private func borrowing<T>(
        _ a: String, _ b: String, _ c: String, _ d: String,
        _ body: (BorrowedBytes, BorrowedBytes, BorrowedBytes, BorrowedBytes) -> T
    ) -> T {
        a.withBorrowedBytes { a in
            b.withBorrowedBytes { b in
                c.withBorrowedBytes { c in d.withBorrowedBytes { d in body(a, b, c, d) } }
            }
        }
    }
}

/// Everything that a projection shows.
struct Shown: Equatable {
    struct Sent: Equatable {
        var eventID: String
        var channel: Delivery.Channel
    }

    var tenants: [TenantRow] = []
    var profiles: [ProfileRow] = []
    var audit: [AuditRow] = []
    var events: [Event] = []
    var deliveries: [Sent] = []
    var days: [String: [DailyUsageRow]] = [:]
    /// Spend of the month in which the history begins and of the one that follows, by tenant.
    var months: [String: [Int64]] = [:]

    init(_ service: ProjectedService) async throws {
        let projection = service.projection
        // First: lists put the time on record, and until that is taken up no day is final that ended since.
        for id in service.tenantIDs {
            days[id] = try await projection.dailyUsage(
                tenantID: id, profileID: nil, from: 0, to: .max)
        }
        for (id, owner) in service.profileOwners {
            days[id] = try await projection.dailyUsage(
                tenantID: owner, profileID: id, from: 0, to: .max)
        }
        for cycle in ["2026-03", "2026-04"].compactMap(InvoiceCycle.init) {
            for row in try await projection.invoices(InvoiceQuery(cycle), nil).rows {
                months[row.settings.id, default: []].append(row.figures.spend)
            }
        }
        tenants = try await Self.all { try await projection.tenants(TenantQuery(), $0) }
        profiles = try await Self.all { try await projection.profiles(ProfileQuery(), $0) }
        audit = try await Self.all { try await projection.audit(AuditQuery(), $0) }
        events = try await Self.all { try await projection.events(EventQuery(), $0) }
        deliveries = try await Self.all { try await projection.deliveries(DeliveryQuery(), $0) }
            .map { Sent(eventID: $0.event.id, channel: $0.channel) }
    }

    static func all<Row>(_ list: (Page) async throws -> Paged<Row>) async throws -> [Row] {
        var rows: [Row] = []
        var number = 1
        while true {
            let page = try await list(Page(number: number, size: 250))
            rows += page.rows
            guard page.rows.count == 250 else {
                #expect(rows.count == page.total)
                return rows
            }
            number += 1
        }
    }
}

/// What the engine says of every tenant and profile is what the projection shows, and nobody else is listed.
func expectAgreement(_ service: ProjectedService, _ comment: Comment? = nil) async throws {
    let shown = try await Shown(service)
    let open = service.tenantIDs.filter { service.engine.tenant($0) != nil }
    #expect(shown.tenants.map(\.settings.id) == open.sorted(), comment)
    for row in shown.tenants {
        let id = row.settings.id
        #expect(row.settings == service.engine.tenant(id), comment)
        let answer = try #require(service.usage(id))
        #expect(row.status == answer.tenantStatus, comment)
        for usage in row.usage { expect(usage, answer.limits[usage.kind], id) }
    }
    let openProfiles = service.profileOwners.keys.filter { service.engine.profile($0) != nil }
    #expect(shown.profiles.map(\.settings.id) == openProfiles.sorted(), comment)
    for row in shown.profiles {
        #expect(row.settings == service.engine.profile(row.settings.id), comment)
        let answer = try #require(service.usage(row.settings.tenantID, row.settings.id))
        expect(row.usage, answer.limits[row.usage.kind], row.settings.id)
        #expect(row.usage.kind == row.settings.kind.limit.kind, comment)
    }
}

private func expect(_ usage: LimitUsage, _ state: LimitState, _ id: String) {
    #expect(
        usage.cap == state.cap && usage.committed == state.committed && usage.held == state.held
            && usage.windowStart == state.windowStart && usage.resetsAt == state.resetsAt,
        "\(id) \(usage): \(state)")
}

extension Projection {
    /// The oldest delivery that is due at a place, of the first address that has one; nil: there is none.
    func nextDelivery(
        at place: DeliveryPlace, due now: Int64, except taken: Set<Int64>
    ) async throws -> Delivery? {
        var last = ""
        var underway: [String: Set<Int64>] = [:]
        while true {
            let next = try await nextDelivery(
                at: place, due: now, after: last, except: underway, bound: .max)
            switch next {
            case .found(let delivery) where taken.contains(delivery.id):
                underway[delivery.endpoint] = taken
            case .found(let delivery): return delivery
            case .goOn(let endpoint): last = endpoint
            case .none: return nil
            }
        }
    }
}
