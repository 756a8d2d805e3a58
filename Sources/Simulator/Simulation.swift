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
///
/// In a debug build some requests are decided while another lane stands in the middle of a decision about the same
/// tenant, or the journal's writer in the middle of a round.
package struct Simulation {
    final class Time: Sendable {
        let milliseconds: Atomic<Int64>
        init(_ start: Int64) { milliseconds = Atomic(start) }
        /// By how much the wall clock is off: somebody sets it now and then.
        let wallOffset = Atomic<Int64>(0)
        var now: Int64 { milliseconds.load(ordering: .relaxed) }
        var wall: Int64 { now + wallOffset.load(ordering: .relaxed) }
        func advance(_ by: Int64) { milliseconds.wrappingAdd(by, ordering: .relaxed) }
    }

    /// An answer that waits for the disk.
    private struct Parked {
        var ticket: UInt64
        var tell: (inout Simulation) -> Void
    }

    /// An answer to a request, or why there is none.
    private typealias Outcome = (failure: Failure?, answer: CheckAnswer)

    /// What the client holds the service to. Low caps, that are reached time and again.
    private static let tenants = [
        TenantSettings(
            id: "tenant-0", limits: TenantLimits(monthlySpendNanos: 3_000, maxExtensions: 40),
            onLimit: .block),
        TenantSettings(id: profile.tenantID),
        TenantSettings(
            id: "tenant-2",
            limits: TenantLimits(
                caps: Dictionary(
                    uniqueKeysWithValues: LimitSubject.tenant.limits
                        .filter { $0.resource.unit == .count }
                        .map { ($0.kind, $0.resource == .extensions ? 40 : 20) })),
            onLimit: .block),
    ]
    /// What is asked for beside extensions: everything but what usage is recorded of, whatever the caps.
    private static let others = Resource.allCases.filter { $0 != .extensions && $0 != .callSeconds }
    private static let profile = ProfileSettings(
        id: "profile", tenantID: "tenant-1", dailySpendLimitEnabled: true,
        dailySpendLimitNanos: 1_500)
    private static let profileTenant = 1
    /// Its commits never charge more than was held, so that nothing excuses use above its caps.
    private static let strictTenant = 0
    private static let start: Int64 = 1_800_000_000_000
    private static let lanes = 2

    private var random: SeededGenerator
    private let excess: Int64
    private let disk: SimulatedDisk
    private let time: Time
    private var engine: Engine?
    private var lanes: [EngineLane] = []
    private var parked: [Parked] = []
    private var books = ClientLedger()
    private var report: Report
    /// The latest engine time of any answer that the client was told.
    private var latestTold: Int64 = 0
    /// What that was at a tick after which the disk has taken everything.
    private var latestKept: Int64 = 0
    /// Requests, settlements and usage of which the client does not know the outcome.
    private var unknown: Set<Int> = []

    /// - Parameter excess: what the service is told to grant above each cap. With more than 0 a run must end with a
    ///   violation: a test of the test.
    package init(seed: UInt64, excess: Int64 = 0) {
        random = SeededGenerator(seed: seed &* 0x9e37_79b9)
        self.excess = excess
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
        case 0..<36: ask()
        case 36..<42: askAtOnce()
        case 42..<56: settle()
        case 56..<62: recordUsage()
        case 62..<66: retry()
        case 66..<80: round()
        case 80..<86: meetTheWriter()
        case 86..<93: pass(Int64(1 + chance(1_500)))
        case 93: checkpoint()
        case 94: if chance(2) == 0 { checkpoint() } else { setWallClock() }
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
        settings.newJournalID = JournalID(low: random.next(), high: random.next())
        do {
            let (engine, _) = try Engine.open(
                configuration: EngineConfiguration(
                    capacity: TableCapacity(
                        tenants: 16, profiles: 16, reservations: 65_536, bodies: 4_096,
                        keys: 65_536, lanes: Self.lanes + 1, maxLife: 86_400_000)),
                clock: EngineClock.Source(boot: { time.now }, wall: { time.wall }), disk: disk,
                settings: settings)
            self.engine = engine
            // What changed nothing is on no record; the time is, twice a second while there are answers and ticks.
            if engine.clock.now < latestKept - 500 {
                let back = latestKept - engine.clock.now
                books.violations.append("engine time went back over a restart, by \(back) ms")
            }
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
        for var settings in Self.tenants where engine.tenant(settings.id) == nil {
            settings.limits.monthlySpendNanos? += excess
            settings.limits.maxExtensions? += excess
            try engine.setTenant(settings)
        }
        var profile = Self.profile
        profile.dailySpendLimitNanos? += excess
        try engine.setProfile(profile)
        engine.runJournal()
    }

    /// Lets time pass, with everything that falls due.
    private mutating func pass(_ milliseconds: Int64) {
        time.advance(milliseconds)
        _ = engine?.clock.follow()
        for lane in lanes { lane.tick() }
        guard let lane = lanes.first else { return }
        // A tick finds no room for the time on a full disk.
        if disk.faults.capacity == nil {
            let told = latestTold
            parked.append(
                Parked(ticket: lane.takeTicket()) { $0.latestKept = max($0.latestKept, told) })
        }
        for tenant in Self.tenants.indices { inspect(tenant, lane) }
    }

    /// Sets the wall clock right, or wrong: by less than a key is remembered, so that a start that goes by it forgets none.
    private mutating func setWallClock() {
        let offsets: [Int64] = [0, 0, 900, -1_000, 600_000, -7_200_000]
        time.wallOffset.store(offsets[chance(offsets.count)], ordering: .relaxed)
    }

    private mutating func checkpoint() {
        do {
            if try engine?.makeCheckpoint() == true { report.checkpoints += 1 }
        } catch {
            // The disk is full, or gone: the journal stands as it was.
        }
    }

    /// Decides about one tenant on both lanes while the writer stands at some step of a round, and asks for the later
    /// one again, and for what is used, before there is another: the answers that leave then, a crash must not take back.
    private mutating func meetTheWriter() {
        guard let engine else { return }
        let tenant = chance(Self.tenants.count)
        let requests = [makeRequest(tenant), makeRequest(tenant)]
        let turn = chance(2)
        let asked = requests.indices.map { (books.requests[requests[$0]], lanes[$0 ^ turn]) }
        var outcomes: [Outcome] = []
        let decide = { outcomes = asked.map { Self.decide($0.0, $0.1) } }
        Self.round(engine, heldAt: chance(16), decide)
        if outcomes.isEmpty { decide() }
        for index in requests.indices { conclude(requests[index], outcomes[index], asked[index].1) }
        deliver()
        send(requests[1])
        if chance(3) == 0 { crash() }
    }

    /// Does a round, and something else at the step of that number, where there is one. A release build has no steps.
    private static func round(
        _ engine: Engine, heldAt step: Int, _ meanwhile: @escaping () -> Void
    ) {
        #if STEP_POINTS
            var seen = 0
            engine.onWriterStep = { _ in
                defer { seen += 1 }
                if seen == step { meanwhile() }
            }
            defer { engine.onWriterStep = nil }
        #endif
        engine.runJournal()
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
        let index = makeRequest(chance(Self.tenants.count))
        send(index)
    }

    /// Asks for two things of one tenant, or for one thing twice, on two lanes at once.
    private mutating func askAtOnce() {
        let tenant = chance(Self.tenants.count)
        let first = makeRequest(tenant)
        let second = chance(4) == 0 ? first : makeRequest(tenant)
        let turn = chance(2)
        let (lane, other) = (lanes[turn], lanes[1 - turn])
        let request = books.requests[second]
        var between: Outcome?
        let outcome = Self.decide(books.requests[first], lane, heldAt: chance(16)) {
            between = Self.decide(request, other)
        }
        conclude(second, between ?? Self.decide(request, other), other)
        conclude(first, outcome, lane)
    }

    private mutating func makeRequest(_ tenant: Int) -> Int {
        var amounts = Amounts(.extensions, Int64(1 + chance(5)))
        if chance(3) == 0 {
            let other = Self.others[chance(Self.others.count)]
            amounts.set(other.index, Int64(1 + chance(other.unit == .amount ? 1_000 : 5)))
        }
        let mayBeCharged = amounts.resources.allSatisfy { Resource.allCases[$0].mayBeCharged }
        let request = ClientLedger.Request(
            tenant: tenant, profile: tenant == Self.profileTenant && chance(2) == 0,
            amounts: amounts,
            mode: chance(4) == 0 && mayBeCharged ? .commit : .reserve,
            onExpiry: chance(3) == 0 ? .commit : .release,
            ttl: chance(2) == 0 ? 86_400_000 : UInt32(1_000 + chance(4_000)),
            key: "k\(books.requests.count)")
        books.requests.append(request)
        unknown.insert(books.requests.count - 1)
        return books.requests.count - 1
    }

    /// Asks again for something that was asked before.
    private mutating func retry() {
        guard !books.requests.isEmpty else { return }
        send(chance(books.requests.count))
    }

    private mutating func send(_ index: Int) {
        let lane = lanes[chance(lanes.count)]
        conclude(index, Self.decide(books.requests[index], lane), lane)
    }

    private static func decide(_ request: ClientLedger.Request, _ lane: EngineLane) -> Outcome {
        lane.beginBatch()
        var result = CheckAnswer()
        let failure = tenants[request.tenant].id.withBorrowedBytes { tenant in
            (request.profile ? profile.id : "").withBorrowedBytes { profile in
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
        return (failure, result)
    }

    /// Decides, and does something else at the step of that number, where there is one. A release build has no steps.
    private static func decide(
        _ request: ClientLedger.Request, _ lane: EngineLane, heldAt step: Int,
        _ meanwhile: @escaping () -> Void
    ) -> Outcome {
        #if STEP_POINTS
            var seen = 0
            lane.lane.onStep = { _ in
                defer { seen += 1 }
                if seen == step { meanwhile() }
            }
            defer { lane.lane.onStep = nil }
        #endif
        return decide(request, lane)
    }

    /// Takes an outcome down.
    private mutating func conclude(_ index: Int, _ outcome: Outcome, _ lane: EngineLane) {
        let result = outcome.answer
        if let failure = outcome.failure {
            if failure.code == .unavailable {
                report.refusedForRoom += 1
            } else {
                books.violations.append("request \(index) failed: \(failure.code)")
            }
            return
        }
        let wasAllowed = books.told[index]?.decision == .allowed
        let told = ClientLedger.Told(
            decision: result.decision, reservation: result.reservationID,
            expiresAt: result.expiresAt == 0 ? 0 : result.expiresAt - lane.lane.lead)
        let now = lane.now
        if wasAllowed && !result.replayed {
            books.violations.append("request \(index) was acknowledged and is lost")
        }
        if !result.replayed && !result.refused.isEmpty { report.denied += 1 }
        answer(lane) { simulation in
            simulation.books.tell(index, told)
            simulation.latestTold = max(simulation.latestTold, now)
            // A denial is decided anew by whatever retry is under way.
            if told.decision == .allowed { simulation.unknown.remove(index) }
        }
        inspect(books.requests[index].tenant, lane)
    }

    private mutating func settle() {
        // Before a hold may have expired: what a late settlement comes to is another test's.
        let open = books.settleable.filter { id in
            books.maker[id].flatMap { books.told[$0] }.map {
                $0.expiresAt > (engine?.clock.life ?? 0) + 100_000
            }
                ?? false
        }
        guard !open.isEmpty else { return }
        let id = open[chance(open.count)]
        guard let request = books.maker[id].map({ books.requests[$0] }) else { return }
        let held = request.amounts[.extensions]
        let most = request.tenant == Self.strictTenant ? held : held + 2
        let how: ClientLedger.Settling =
            chance(3) == 0
            ? .release : .commit(chance(2) == 0 ? held : Int64(chance(Int(most) + 1)))
        if case .commit(let actual) = how {
            books.overage[request.tenant, default: 0] += max(0, actual - held)
        }
        books.settling[id] = (how, false)
        settle(id, how)
    }

    private mutating func settle(_ id: UInt64, _ how: ClientLedger.Settling) {
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
        if let request = books.maker[id] { inspect(books.requests[request].tenant, lane) }
    }

    private mutating func recordUsage() {
        let usage = (
            tenant: chance(Self.tenants.count),
            amounts: Amounts(.callSeconds, Int64(1 + chance(100))),
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
        let failure = Self.tenants[usage.tenant].id.withBorrowedBytes { tenant in
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
        inspect(usage.tenant, lane)
    }

    // MARK: What the client checks

    /// Collects everything that is in flight, and holds the totals against the books.
    private mutating func collect() {
        // Before anything that was lost is asked for again.
        if let lane = lanes.first { for tenant in Self.tenants.indices { recall(tenant, lane) } }
        for index in unknown.sorted() { send(index) }
        for (id, settling) in books.settling.sorted(by: { $0.key < $1.key })
        where !settling.done { settle(id, settling.how) }
        for index in books.recorded.indices where !books.recorded[index].done { record(index) }
        // Some of what was acknowledged long ago.
        for _ in 0..<min(20, books.requests.count) { retry() }
        round()
        guard books.violations.isEmpty else { return }
        for tenant in Self.tenants.indices { compare(tenant) }
    }

    /// What a limit allows, as the client knows it; nil: any use.
    private static func cap(_ kind: LimitKind, of tenant: Int) -> Int64? {
        kind.row.subject == .tenant
            ? tenants[tenant].limits[kind] : profile.dailySpendLimitNanos
    }

    /// Reads what a tenant and its profile have in use, and holds it against the caps. nil: there is no room to tell.
    ///
    /// No request is allowed beyond a cap, and nothing else adds to what is used but a commit above its hold.
    @discardableResult
    private mutating func inspect(_ tenant: Int, _ lane: EngineLane) -> LimitStates? {
        var usage = UsageAnswer()
        let failure = Self.tenants[tenant].id.withBorrowedBytes { id in
            (tenant == Self.profileTenant ? Self.profile.id : "").withBorrowedBytes { profile in
                lane.usage(UsageQuery(tenantID: id, profileID: profile), answer: &usage)
            }
        }
        if let failure {
            if failure.code != .unavailable {
                books.violations.append("tenant \(tenant) cannot be read: \(failure.code)")
            }
            return nil
        }
        for kind in LimitKind.allCases where usage.limits.present.contains(kind) {
            guard let cap = Self.cap(kind, of: tenant) else { continue }
            let used = usage.limits[kind].committed + usage.limits[kind].held
            let overage = kind == .tenantExtensions ? books.overage[tenant] ?? 0 : 0
            if used == cap { report.capsReached += 1 }
            if used > cap + overage {
                books.violations.append(
                    "tenant \(tenant), \(kind): \(used) used of \(cap), overage \(overage)")
            }
        }
        let seconds = usage.limits[.tenantMonthlyMinutes].committed
        if !lane.answerWaits {
            books.seenSeconds[tenant] = max(seconds, books.seenSeconds[tenant] ?? 0)
        }
        return usage.limits
    }

    /// Holds what is used after a restart against what a read had told before.
    private mutating func recall(_ tenant: Int, _ lane: EngineLane) {
        let seen = books.seenSeconds[tenant] ?? 0
        guard let states = inspect(tenant, lane) else { return }
        let seconds = states[.tenantMonthlyMinutes].committed
        if seconds < seen {
            books.violations.append(
                "tenant \(tenant): a read told of \(seen) seconds, \(seconds) are left")
        }
    }

    private mutating func compare(_ tenant: Int) {
        let lane = lanes[chance(lanes.count)]
        // What fell due while nobody was there has expired before this process served.
        lane.beginBatch()
        guard let states = inspect(tenant, lane) else {
            books.violations.append("tenant \(tenant) is not there")
            return
        }
        for kind in LimitKind.allCases where states.present.contains(kind) {
            let (committed, held) = books.totals(
                tenant: tenant, profileOnly: kind.row.subject != .tenant,
                now: lane.now - lane.lane.lead)
            let resource = kind.row.resource
            let state = states[kind]
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
