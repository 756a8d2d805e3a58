import BillingCalendar
import Foundation
import Journal
import Limits
import Synchronization
import Testing

@testable import Engine
@testable import Reservations
@testable import TestKit

/// The real engine, living through the model's histories.
struct EngineSubject: ModelSubject {
    /// A clock that only the history moves.
    final class SimulatedTime: Sendable {
        let milliseconds: Atomic<Int64>
        /// By how much engine time is ahead.
        let lead = Atomic<Int64>(0)
        init(_ start: Int64) { milliseconds = Atomic(start) }

        var now: EngineTime {
            let lives = milliseconds.load(ordering: .relaxed)
            return EngineTime(windows: lives + lead.load(ordering: .relaxed), lives: lives)
        }
    }

    /// Events in the order of the records that raised them.
    final class EventLog: @unchecked Sendable {
        // SAFETY: filled by the history's one thread.
        var events: [ModelEvent] = []
        var tenants: [UInt32: String] = [:]
        var profiles: [UInt32: String] = [:]
        /// For every tenant, the version of its last record: records have no gaps.
        var versions: [UInt32: UInt64] = [:]
        var gaps = 0

        /// All records, as they stood in the rings.
        var journal: [[UInt64]] = []
        private var record = Record(.reserved)
        var unreadable = 0

        /// Takes what a ring has published.
        func drain(_ ring: RecordRing) {
            while ring.durable < ring.published {
                let start = ring.durable
                let count = UInt64(RecordWords.count(ring[start]))
                journal.append((0..<count).map { ring[start + $0] })
                ring.setDurable(start + count)
                let words = journal[journal.count - 1]
                do {
                    try words.withUnsafeBufferPointer { try record.read($0) }
                    note(record)
                } catch {
                    unreadable += 1
                }
            }
        }

        private func note(_ record: borrowing Record) {
            // The service's own: the time.
            guard record.tenant != .max else { return }
            // Counts of refusals stand outside of the tenant's versions.
            guard record.kind != .refusals else { return }
            if let last = versions[record.tenant], record.version != last + 1 { gaps += 1 }
            versions[record.tenant] = record.version
            let raised = record.transition.events
            let tenant = tenants[record.tenant] ?? "?"
            let profile = record.profile.flatMap { profiles[$0] } ?? "?"
            func subject(_ kind: LimitKind) -> String {
                kind.row.subject == .tenant ? tenant : profile
            }
            for kind in LimitKind.allCases where raised.endedThresholds.contains(kind) {
                events.append(.windowEndedAtThreshold(kind, subject: subject(kind)))
            }
            for kind in LimitKind.allCases where raised.endedReached.contains(kind) {
                events.append(.windowEndedAtLimit(kind, subject: subject(kind)))
            }
            for level in 0..<4 {
                for kind in LimitKind.allCases
                where raised.contains(.threshold(level), kind) {
                    events.append(
                        .thresholdReached(kind, subject: subject(kind), level: level))
                }
            }
            for kind in LimitKind.allCases where raised.reached.contains(kind) {
                events.append(.limitReached(kind, subject: subject(kind)))
            }
            for kind in LimitKind.allCases where raised.refusals.contains(kind) {
                events.append(.requestRefused(kind, subject: subject(kind)))
            }
            if raised.contains(.suspended) { events.append(.suspended(tenantID: tenant)) }
            if raised.contains(.reinstated) { events.append(.reinstated(tenantID: tenant)) }
        }
    }

    private(set) var engine: Engine
    private(set) var lanes: [EngineLane]
    let time: SimulatedTime
    let log: EventLog
    /// Reservation ids by ordinal − 1.
    private var ids: [UInt64] = []
    private var turn = 0
    /// Operations between restarts; 0: never.
    var life = 0
    private(set) var restarts = 0
    /// Restarts go by a checkpoint and what came after it, instead of all records.
    var foldsJournal = false

    private let capacity: TableCapacity

    init(now: Int64, capacity: TableCapacity = Self.ampleCapacity) throws {
        let time = SimulatedTime(now)
        let log = EventLog()
        self.time = time
        self.log = log
        self.capacity = capacity
        engine = try Self.makeEngine(time, capacity)
        let engine = engine
        lanes = try (0..<3).map { _ in try engine.makeLane() }
    }

    /// For histories of thousands of operations.
    static let ampleCapacity = TableCapacity(
        tenants: 1_000, profiles: 1_000, reservations: 200_000, bodies: 100_000,
        keys: 200_000, lanes: 8, ringWords: 1 << 14)

    private static func makeEngine(
        _ time: SimulatedTime, _ capacity: TableCapacity
    ) throws -> Engine {
        let read: @Sendable () -> Int64 = { time.milliseconds.load(ordering: .relaxed) }
        let engine = try Engine(
            configuration: EngineConfiguration(capacity: capacity),
            clock: EngineClock(
                EngineClock.Source(boot: read, wall: { time.now.windows })),
            secret: HashSecret(k0: 1, k1: 2))
        engine.clock.start(at: time.now)
        return engine
    }

    /// Goes on with an engine that knows nothing but the records.
    mutating func restart() throws {
        let fresh = try Self.makeEngine(time, capacity)
        let journal = log.journal
        var tenants = SettingsByID<TenantSettings>()
        var profiles = SettingsByID<ProfileSettings>()
        let played = try fresh.recover(now: time.milliseconds.load(ordering: .relaxed)) {
            (replayer) throws(EngineError) in
            for words in journal {
                try words.withUnsafeBufferPointer { (buffer) throws(EngineError) in
                    try replayer.play(buffer)
                }
            }
            replayer.beginProcess()
            tenants = replayer.tenants
            profiles = replayer.profiles
        }
        #expect(played.records == journal.count && played.dropped == 0 && played.duplicates == 0)
        if foldsJournal {
            // The next restart begins with a checkpoint: what stands now, instead of how it came about.
            log.journal = []
            let log = log
            try fresh.recover(now: time.milliseconds.load(ordering: .relaxed)) {
                (replayer) throws(EngineError) in
                replayer.tenants = tenants
                replayer.profiles = profiles
                replayer.forEachEntry(
                    now: EngineTime(windows: replayer.now, lives: replayer.now)
                ) { log.journal.append(Array($0)) }
            }
        }
        lanes = try (0..<3).map { _ in try fresh.makeLane() }
        // A process looks at all windows anew; the model does so once in a quarter of an hour.
        fresh.table.counter(.rollover)[0] = engine.table.counter(.rollover)[0]
        engine = fresh
        restarts += 1
    }

    mutating func perform(_ operation: ModelOperation) -> ModelOutcome {
        log.events = []
        if life > 0 && turn % life == life - 1 {
            do { try restart() } catch { Issue.record("no restart: \(error)") }
        }
        // Whoever asks comes by another event loop than the last one.
        turn += 1
        let lane = lanes[turn % lanes.count]
        lane.beginBatch()
        let answer = answer(operation, lane)
        for ring in engine.rings { log.drain(ring) }
        return ModelOutcome(answer, events: log.events)
    }

    /// What the decoders of requests refuse, and the engine never sees.
    private static func isMalformed(_ operation: ModelOperation) -> Bool {
        switch operation {
        case .check(let check), .withdrawnCheck(let check):
            check.mode == .commit && check.amounts.keys.contains { $0.row.nature == .held }
        case .commit(_, let actual):
            actual.contains { $0.value < 0 || $0.key.row.nature == .held }
        case .record(let record):
            record.amounts.contains {
                $0.key.row.nature == .held || $0.value < 0 && $0.key.row.nature != .standing
            }
        case .setCounts(_, let counts): counts.keys.contains { $0.row.nature != .standing }
        default: false
        }
    }

    private mutating func answer(_ operation: ModelOperation, _ lane: EngineLane) -> ModelAnswer {
        if Self.isMalformed(operation) { return .failure(.badField) }
        switch operation {
        case .setTenant(let settings):
            if engine.tenant(settings.id) == nil {
                log.tenants[UInt32(engine.tenantCount)] = settings.id
            }
            return changed { try engine.setTenant(settings) }
        case .setProfile(let settings):
            if engine.profile(settings.id) == nil {
                log.profiles[UInt32(log.profiles.count)] = settings.id
            }
            let answer = changed { try engine.setProfile(settings) }
            if engine.profile(settings.id) == nil {
                log.profiles[UInt32(log.profiles.count - 1)] = nil
            }
            return answer
        case .closeTenant(let id):
            return configured {
                try engine.setStatus(ofTenant: id, .closed)
                engine.endHolds(ofTenant: id) { false }
            }
        case .closeProfile(let id): return configured { try engine.closeProfile(id) }
        case .reinstate(let id): return configured { try engine.setStatus(ofTenant: id, .active) }
        case .suspend(let id):
            return configured {
                try engine.setStatus(ofTenant: id, .suspended)
                engine.endHolds(ofTenant: id) { false }
            }
        case .check(let check): return answer(check, lane)
        case .withdrawnCheck(let check): return answer(check, lane, isWithdrawn: true)
        case .commit(let ordinal, let actual):
            var answer = CommitAnswer()
            let command = CommitCommand(reservationID: id(ordinal), actual: Amounts(actual))
            let failure = lane.commit(command, answer: &answer)
            return failure.map { .failure($0.code) } ?? .commit(ModelCommitAnswer(answer))
        case .release(let ordinal):
            var answer = ReleaseAnswer()
            let failure = lane.release(id(ordinal), answer: &answer)
            return failure.map { .failure($0.code) } ?? .release(ModelReleaseAnswer(answer))
        case .extend(let extend): return answer(extend, lane)
        case .record(let record): return answer(record, lane)
        case .setCounts(let tenantID, let counts):
            var answer = RecordAnswer()
            let failure = tenantID.withBorrowedBytes { tenant in
                lane.setCounts(
                    RecordCommand(tenantID: tenant, amounts: Amounts(counts)), answer: &answer)
            }
            return failure.map { .failure($0.code) } ?? .record(ModelRecordAnswer(answer))
        case .usage(let tenantID, let profileID):
            var answer = UsageAnswer()
            let failure = tenantID.withBorrowedBytes { tenant in
                profileID.withBorrowedBytes { profile in
                    lane.usage(
                        UsageQuery(
                            tenantID: tenant, profileID: profile,
                            engine.profile(profileID)?.kind ?? .messaging),
                        answer: &answer)
                }
            }
            return failure.map { .failure($0.code) } ?? .usage(ModelUsageAnswer(answer))
        case .advance(let milliseconds):
            time.milliseconds.wrappingAdd(milliseconds, ordering: .relaxed)
            return .done
        case .leap(let milliseconds):
            time.lead.wrappingAdd(milliseconds, ordering: .relaxed)
            engine.clock.start(at: time.now)
            return .done
        case .expire:
            // By id rather than by the wheel, whose ticks are 8 ms wide: the model expires to the millisecond.
            for id in ids {
                let id = ReservationID(raw: id)
                let word = SlotWord(word: lane.lane.table.slots[id.slot][Slot.state])
                lane.lane.expire(id.slot, word, now: lane.life)
            }
            return .done
        case .judge:
            for _ in 0..<8 { lane.lane.judgeEndedWindows(now: lane.life) }
            return .done
        }
    }

    private func id(_ ordinal: Int) -> UInt64 {
        ids.indices.contains(ordinal - 1) ? ids[ordinal - 1] : 987_654_321
    }

    private mutating func ordinal(_ id: UInt64) -> Int {
        if id == 0 { return 0 }
        if let index = ids.firstIndex(of: id) { return index + 1 }
        ids.append(id)
        return ids.count
    }

    private func changed(_ change: () throws -> ChangeResult) -> ModelAnswer {
        do {
            return .changed(overBy: try change().overBy)
        } catch {
            return .failure(.notFound)
        }
    }

    private func configured(_ change: () throws -> some Any) -> ModelAnswer {
        do {
            _ = try change()
            return .done
        } catch {
            return .failure(.notFound)
        }
    }

    private mutating func answer(
        _ check: CheckOperation, _ lane: EngineLane, isWithdrawn: Bool = false
    ) -> ModelAnswer {
        var answer = CheckAnswer()
        let failure = borrowing(check.tenantID, check.profileID, check.key, check.reference) {
            var command = CheckCommand(
                tenantID: $0, action: check.action, amounts: Amounts(check.amounts))
            command.profileID = $1
            command.profileKind = check.profileKind
            command.idempotencyKey = $2
            command.reference = $3
            command.minimums = Amounts(check.minimums)
            command.ttlMilliseconds = UInt32(check.ttlMilliseconds)
            command.mode = check.mode
            command.onExpiry = check.onExpiry
            command.overage = check.overage
            let failure = lane.check(command, answer: &answer)
            if isWithdrawn && failure == nil { lane.withdraw(command, answer) }
            return failure
        }
        if let failure { return .failure(failure.code) }
        return .check(ModelCheckAnswer(answer, reservation: ordinal(answer.reservationID)))
    }

    private func answer(_ extend: ExtendOperation, _ lane: EngineLane) -> ModelAnswer {
        var answer = ExtendAnswer()
        let failure = extend.key.withBorrowedBytes { key in
            var command = ExtendCommand(reservationID: id(extend.reservation))
            command.ttlMilliseconds = UInt32(extend.ttlMilliseconds)
            command.additional = Amounts(extend.additional)
            command.minimums = Amounts(extend.minimums)
            command.idempotencyKey = key
            command.mode = extend.mode
            return lane.extend(command, answer: &answer)
        }
        return failure.map { .failure($0.code) } ?? .extend(ModelExtendAnswer(answer))
    }

    private func answer(_ record: RecordOperation, _ lane: EngineLane) -> ModelAnswer {
        var answer = RecordAnswer()
        let failure = borrowing(record.tenantID, record.profileID, record.key, record.reference) {
            var command = RecordCommand(tenantID: $0, amounts: Amounts(record.amounts))
            command.profileID = $1
            command.profileKind = record.profileKind
            command.idempotencyKey = $2
            command.reference = $3
            command.action = record.action
            return lane.record(command, answer: &answer)
        }
        return failure.map { .failure($0.code) } ?? .record(ModelRecordAnswer(answer))
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
