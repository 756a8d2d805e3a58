import Engine
import Journal
import Limits
import Reservations
import Synchronization
import TestKit

/// Engine and journal on a simulated clock and disk, in one thread, with crashes at any operation of the disk, held
/// against what a client was told.
///
/// Never: more used than a cap allows, an acknowledged answer lost, a retry decided twice, a reservation settled
/// twice, an operation that nobody asked for. The same seed gives the same trace.
package struct Simulation {
    /// What a run came to.
    package struct Report: Sendable {
        package var seed: UInt64
        package var violations: [String] = []
        package var crashes = 0
        package var restarts = 0
        package var asked = 0
        package var acknowledged = 0
        package var checkpoints = 0
        package var refusedForRoom = 0
        /// A hash of everything that the disk was asked to do.
        package var trace: UInt64 = 0
    }

    final class Time: Sendable {
        let milliseconds: Atomic<Int64>
        init(_ start: Int64) { milliseconds = Atomic(start) }
        var now: Int64 { milliseconds.load(ordering: .relaxed) }
        func advance(_ by: Int64) { milliseconds.wrappingAdd(by, ordering: .relaxed) }
    }

    /// An answer that waits for the disk.
    private struct Parked {
        var ticket: UInt64
        var tell: (inout Simulation) -> Void
    }

    private static let tenants = 3
    /// Extensions; tenant 0 is capped, and refuses.
    private static let cap: Int64 = 60
    private static let start: Int64 = 1_800_000_000_000
    private static let lanes = 2

    private var random: SeededGenerator
    private let disk: SimulatedDisk
    private let time: Time
    private var engine: Engine?
    private var lanes: [EngineLane] = []
    private var parked: [Parked] = []
    private var books = Books()
    private var report: Report
    /// Requests, settlements and usage of which the client does not know the outcome.
    private var unknown: Set<Int> = []

    package init(seed: UInt64) {
        random = SeededGenerator(seed: seed &* 0x9e37_79b9)
        disk = SimulatedDisk(seed: seed)
        time = Time(Self.start)
        report = Report(seed: seed)
    }

    // MARK: The run

    /// Lives through `steps` steps. Complexity: O(steps) and the restarts.
    package mutating func run(steps: Int) -> Report {
        restart()
        for _ in 0..<steps where books.violations.isEmpty && engine != nil { step() }
        if books.violations.isEmpty && engine != nil {
            stop(crashing: false)
            restart()
        }
        report.violations = books.violations
        report.trace = disk.trace
        report.asked = books.requests.count
        report.acknowledged = books.told.count
        stop(crashing: true)
        return report
    }

    private mutating func step() {
        switch chance(100) {
        case 0..<42: ask()
        case 42..<56: settle()
        case 56..<62: recordUsage()
        case 62..<66: retry()
        case 66..<86: round()
        case 86..<93: pass(Int64(1 + chance(1_500)))
        case 93..<95: checkpoint()
        case 95: disk.faults.powerCutIn = 1 + chance(30)
        case 96: if chance(4) == 0 { disk.faults.failingSyncIn = 1 + chance(3) }
        case 97: crash()
        case 98:
            if chance(3) == 0 {
                stop(crashing: false)
                restart()
            }
        default:
            // Less than a segment is left, or little more; later somebody makes room.
            disk.faults.capacity =
                disk.faults.capacity == nil ? disk.usedBytes + chance(24 << 10) : nil
        }
        if engine?.journalStatus?.trouble != nil && engine?.hasFailed == true { crash() }
    }

    private mutating func chance(_ sides: Int) -> Int { Int(random.next() % UInt64(sides)) }

    // MARK: Life and death

    private mutating func crash() {
        report.crashes += 1
        stop(crashing: true)
        restart()
    }

    private mutating func stop(crashing: Bool) {
        lanes = []
        parked = []
        if !crashing { engine?.close() }
        engine = nil
        if crashing { disk.crash() } else { disk.endProcess() }
    }

    private mutating func restart() {
        report.restarts += 1
        disk.faults = SimulatedDisk.Faults()
        // Time passes while nobody is there.
        time.advance(Int64(chance(3_000)))
        let time = time
        var settings = DurabilitySettings()
        // Small, so that a life of some hundred records seals several of them.
        settings.journal.segmentBytes = 16 << 10
        settings.journal.maximumBytes = 16 << 20
        settings.retention = 0
        settings.hasThreads = false
        do {
            let (engine, _) = try Engine.open(
                configuration: EngineConfiguration(
                    capacity: TableCapacity(
                        tenants: 16, profiles: 16, reservations: 65_536, bodies: 4_096,
                        keys: 65_536, lanes: Self.lanes + 1, maxLife: 86_400_000)),
                clock: EngineClock.Source(boot: { time.now }, wall: { time.now }), disk: disk,
                settings: settings)
            self.engine = engine
            lanes = try engine.makeLanes(Self.lanes)
            try configure(engine)
        } catch {
            books.violations.append("the engine does not start: \(error)")
            engine = nil
            return
        }
        collect()
    }

    private func configure(_ engine: Engine) throws {
        for tenant in 0..<Self.tenants {
            let limits = TenantLimits(maxExtensions: tenant == 0 ? Self.cap : nil)
            guard engine.tenant(Self.name(tenant)) == nil else { continue }
            try engine.setTenant(TenantSettings(id: Self.name(tenant), limits: limits))
        }
        try engine.setProfile(ProfileSettings(id: "profile", tenantID: Self.name(1)))
        engine.runJournal()
    }

    private static func name(_ tenant: Int) -> String { "tenant-\(tenant)" }

    /// Lets time pass, with everything that falls due.
    private mutating func pass(_ milliseconds: Int64) {
        time.advance(milliseconds)
        for lane in lanes { lane.tick() }
    }

    private mutating func checkpoint() {
        do {
            if try engine?.makeCheckpoint() == true { report.checkpoints += 1 }
        } catch {
            // The disk is full, or gone: the journal stands as it was.
        }
    }

    private mutating func round() {
        engine?.runJournal()
        deliver()
    }

    /// Gives out the answers whose time has come.
    private mutating func deliver() {
        guard let lane = lanes.first else { return }
        let durable = lane.durableTicket
        let due = parked.filter { $0.ticket <= durable }
        parked.removeAll { $0.ticket <= durable }
        for answer in due { answer.tell(&self) }
    }

    /// Tells the client now, or when the disk has it.
    private mutating func answer(
        _ lane: EngineLane, _ tell: @escaping (inout Simulation) -> Void
    ) {
        if lane.answerWaits {
            parked.append(Parked(ticket: lane.takeTicket(), tell: tell))
        } else {
            tell(&self)
        }
    }

    // MARK: What the client does

    private mutating func ask() {
        let tenant = chance(Self.tenants)
        var amounts = Amounts(.extensions, Int64(1 + chance(5)))
        if chance(3) == 0 { amounts.set(Resource.spend.index, Int64(1 + chance(1_000))) }
        let request = Books.Request(
            tenant: tenant, profile: tenant == 1 && chance(2) == 0, amounts: amounts,
            mode: chance(4) == 0 ? .commit : .reserve,
            onExpiry: chance(3) == 0 ? .commit : .release,
            ttl: chance(2) == 0 ? 86_400_000 : UInt32(1_000 + chance(4_000)),
            key: "k\(books.requests.count)")
        books.requests.append(request)
        unknown.insert(books.requests.count - 1)
        send(books.requests.count - 1)
    }

    /// Asks again for something that was asked before.
    private mutating func retry() {
        guard !books.requests.isEmpty else { return }
        send(chance(books.requests.count))
    }

    private mutating func send(_ index: Int) {
        let lane = lanes[chance(lanes.count)]
        let request = books.requests[index]
        lane.beginBatch()
        var result = CheckAnswer()
        let failure = Self.name(request.tenant).withBorrowedBytes { tenant in
            (request.profile ? "profile" : "").withBorrowedBytes { profile in
                request.key.withBorrowedBytes { key in
                    var command = CheckCommand(
                        tenantID: tenant, action: .charge, amounts: request.amounts)
                    command.profileID = profile
                    command.idempotencyKey = key
                    command.mode = request.mode
                    command.onExpiry = request.onExpiry
                    command.ttlMilliseconds = request.ttl
                    return lane.check(command, answer: &result)
                }
            }
        }
        if let failure {
            if failure.code == .unavailable {
                report.refusedForRoom += 1
            } else {
                books.violations.append("request \(index) failed: \(failure.code)")
            }
            return
        }
        let wasTold = books.told[index] != nil
        let told = Books.Told(
            decision: result.decision, reservation: result.reservationID,
            expiresAt: result.expiresAt)
        if wasTold && !result.replayed {
            books.violations.append("request \(index) was acknowledged and is lost")
        }
        answer(lane) { simulation in
            simulation.books.tell(index, told)
            simulation.unknown.remove(index)
        }
    }

    private mutating func settle() {
        // Before a hold may have expired: what a late settlement comes to is another test's.
        let open = books.settleable.filter { id in
            books.maker[id].flatMap { books.told[$0] }.map { $0.expiresAt > time.now + 100_000 }
                ?? false
        }
        guard !open.isEmpty else { return }
        let id = open[chance(open.count)]
        let held = books.maker[id].map { books.requests[$0].amounts[.extensions] } ?? 0
        let how: Books.Settling =
            chance(3) == 0 ? .release : .commit(chance(2) == 0 ? held : Int64(chance(4)))
        books.settling[id] = (how, false)
        settle(id, how)
    }

    private mutating func settle(_ id: UInt64, _ how: Books.Settling) {
        let lane = lanes[chance(lanes.count)]
        lane.beginBatch()
        var replayed = false
        let failure: Failure?
        switch how {
        case .commit(let actual):
            var result = CommitAnswer()
            failure = lane.commit(
                CommitCommand(reservationID: id, actual: Amounts(.extensions, actual)),
                answer: &result)
            replayed = result.replayed
        case .release:
            var result = ReleaseAnswer()
            failure = lane.release(id, answer: &result)
            replayed = result.replayed
        }
        if let failure {
            if failure.code == .unavailable {
                report.refusedForRoom += 1
            } else {
                books.violations.append("settling \(id) (\(how)) failed: \(failure.code)")
            }
            return
        }
        if books.settling[id]?.done == true && !replayed {
            books.violations.append("reservation \(id) was settled twice")
        }
        answer(lane) { $0.books.settling[id] = (how, true) }
    }

    private mutating func recordUsage() {
        let usage = (
            tenant: chance(Self.tenants), amounts: Amounts(.callSeconds, Int64(1 + chance(100))),
            key: "u\(books.recorded.count)", done: false
        )
        books.recorded.append(usage)
        record(books.recorded.count - 1)
    }

    private mutating func record(_ index: Int) {
        let lane = lanes[chance(lanes.count)]
        let usage = books.recorded[index]
        lane.beginBatch()
        var result = RecordAnswer()
        let failure = Self.name(usage.tenant).withBorrowedBytes { tenant in
            usage.key.withBorrowedBytes { key in
                var command = RecordCommand(tenantID: tenant, amounts: usage.amounts)
                command.idempotencyKey = key
                return lane.record(command, answer: &result)
            }
        }
        if let failure {
            if failure.code != .unavailable {
                books.violations.append("usage \(index) failed: \(failure.code)")
            }
            return
        }
        if usage.done && !result.replayed {
            books.violations.append("usage \(index) was recorded twice")
        }
        answer(lane) { $0.books.recorded[index].done = true }
    }

    // MARK: What the client checks

    /// Collects everything that is in flight, and holds the totals against the books.
    private mutating func collect() {
        for index in unknown.sorted() { send(index) }
        for (id, settling) in books.settling.sorted(by: { $0.key < $1.key })
        where !settling.done { settle(id, settling.how) }
        for index in books.recorded.indices where !books.recorded[index].done { record(index) }
        // Some of what was acknowledged long ago.
        for _ in 0..<min(20, books.requests.count) { retry() }
        round()
        guard books.violations.isEmpty else { return }
        for tenant in 0..<Self.tenants { compare(tenant) }
    }

    private mutating func compare(_ tenant: Int) {
        let lane = lanes[chance(lanes.count)]
        // What fell due while nobody was there has expired before this process served.
        lane.beginBatch()
        var usage = UsageAnswer()
        let failure = Self.name(tenant).withBorrowedBytes { id in
            lane.usage(UsageQuery(tenantID: id, profileID: .none), answer: &usage)
        }
        guard failure == nil else {
            books.violations.append("\(Self.name(tenant)) is not there")
            return
        }
        let (committed, held) = books.totals(tenant: tenant, now: lane.now)
        for kind in LimitKind.allCases where kind.row.subject == .tenant {
            let resource = kind.row.resource
            let state = usage.limits[kind]
            if state.committed != committed[resource] || state.held != held[resource] {
                books.violations.append(
                    """
                    tenant \(tenant), \(kind): \(state.committed) committed and \(state.held) held, \
                    and the client's books say \(committed[resource]) and \(held[resource])
                    """)
            }
        }
    }
}
