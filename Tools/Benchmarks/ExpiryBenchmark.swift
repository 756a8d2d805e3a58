internal import CommandIO
internal import Glibc
internal import Journal
internal import Limits
internal import Reservations
internal import Synchronization
internal import Threads

/// How late holds expire: lanes on threads of their own, in real time, each making its share of the reservations and
/// ticking every 10 ms. The last lane may stop, as a thread does that the system no longer runs.
struct ExpiryBenchmark {
    /// Reservations made each second, by all lanes together.
    var rate = 20_000
    var lanes = 2
    /// Seconds in which reservations are made.
    var seconds = 10
    /// Whether the last lane stops after half of the time.
    var stops = false
    /// Holds of an hour that stand in the table besides, so that a walk over it has a length.
    var standing = 1_000_000

    static let tickMicroseconds: Int64 = 10_000
    static let shortestTTL: UInt32 = 1_000
    static let longestTTL: UInt32 = 2_000

    struct Result {
        var made = 0
        /// By lane that made them.
        var lateness: [Lateness] = []
    }

    /// Engine time: the wall clock's at the start, then the monotonic clock.
    final class Clock: Sendable {
        private let base: Int64
        private let began: Int64

        init() {
            base = Self.read(CLOCK_REALTIME)
            began = Self.read(CLOCK_MONOTONIC)
        }

        var microseconds: Int64 { base + Self.read(CLOCK_MONOTONIC) - began }
        var milliseconds: Int64 { microseconds / 1_000 }

        private static func read(_ clock: clockid_t) -> Int64 {
            var time = timespec()
            clock_gettime(clock, &time)
            return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000
        }

        func sleep(until time: Int64) {
            let left = time - microseconds
            guard left > 0 else { return }
            var interval = timespec(
                tv_sec: Int(left / 1_000_000), tv_nsec: Int(left % 1_000_000) * 1_000)
            clock_nanosleep(CLOCK_MONOTONIC, 0, &interval, nil)
        }
    }

    /// Counts of expiries by lateness, any thread.
    final class Lateness: Sendable {
        static let stepMicroseconds: Int64 = 100
        static let steps = 100_000
        // SAFETY: atomics, as many as `steps`, for the object's life.
        private nonisolated(unsafe) let counts: UnsafeMutablePointer<Atomic<Int>>
        private let largest = Atomic<Int64>(.min)
        private let smallest = Atomic<Int64>(.max)

        init() {
            counts = .allocate(capacity: Self.steps)
            for step in 0..<Self.steps { (counts + step).initialize(to: Atomic(0)) }
        }

        deinit {
            counts.deinitialize(count: Self.steps)
            counts.deallocate()
        }

        func note(_ microseconds: Int64) {
            let step = min(max(0, microseconds / Self.stepMicroseconds), Int64(Self.steps - 1))
            counts[Int(step)].wrappingAdd(1, ordering: .relaxed)
            largest.max(microseconds, ordering: .relaxed)
            smallest.min(microseconds, ordering: .relaxed)
        }

        var count: Int {
            (0..<Self.steps).reduce(0) { $0 + counts[$1].load(ordering: .relaxed) }
        }
        var maximum: Double { Double(largest.load(ordering: .relaxed)) / 1_000 }
        /// Below zero: one was early.
        var minimum: Double { Double(smallest.load(ordering: .relaxed)) / 1_000 }

        /// Milliseconds; `part` is 0.5 or 0.99.
        func quantile(_ part: Double) -> Double {
            var left = Int((Double(count) * part).rounded(.up))
            for step in 0..<Self.steps {
                left -= counts[step].load(ordering: .relaxed)
                if left <= 0 {
                    return Double(Int64(step + 1) * Self.stepMicroseconds) / 1_000
                }
            }
            return .infinity
        }
    }

    /// What the record sink needs of each reservation: when it expires and who made it, by slot.
    final class Book: Sendable {
        // SAFETY: atomics, as many as slots, for the object's life.
        private nonisolated(unsafe) let entries: UnsafeMutablePointer<Atomic<UInt64>>
        private let count: Int

        init(slots: Int) {
            count = slots
            entries = .allocate(capacity: slots)
            for slot in 0..<slots { (entries + slot).initialize(to: Atomic(0)) }
        }

        deinit {
            entries.deinitialize(count: count)
            entries.deallocate()
        }

        private func slot(_ id: UInt64) -> Int { Int(id & 0xffff_ffff) - 1 }

        func enter(_ id: UInt64, expiresAt: Int64, lane: Int) {
            // ORDERING: relaxed because the hold expires a second later.
            entries[slot(id)].store(UInt64(expiresAt) << 8 | UInt64(lane), ordering: .relaxed)
        }

        func entry(_ id: UInt64) -> (expiresAt: Int64, lane: Int) {
            let word = entries[slot(id)].load(ordering: .relaxed)
            return (Int64(word >> 8), Int(word & 0xff))
        }
    }

    func run() throws -> Result {
        let clock = Clock()
        let slots = standing + rate * (seconds + 4) + 10_000
        let book = Book(slots: slots)
        let lateness = (0..<lanes).map { _ in Lateness() }
        let table = try ReservationTable(
            capacity: TableCapacity(
                tenants: 1_024, profiles: 16, reservations: slots, bodies: 1_024, keys: 1_024,
                lanes: lanes + 2, ringWords: 1 << 17),
            schedules: TableBenchmark.OneCycle())
        let maker = try table.makeLane(now: clock.milliseconds)
        for index in 0..<1_000 {
            _ = try maker.setTenant(
                TableBenchmark.tenantID(index), TenantPolicy(limits: TenantLimits()),
                now: clock.milliseconds)
        }
        let ids = IDs(count: 1_000) { TableBenchmark.tenantID($0) }
        defer { ids.deallocate() }
        let works = try (0..<lanes).map { index in
            Work(
                self, try table.makeLane(now: clock.milliseconds), index, ids, book, clock, lateness
            )
        }
        for work in works { work.stand(standing / lanes) }
        maker.retire()
        runInThreads(works) { $0.run() }
        return Result(made: works.reduce(0) { $0 + $1.made }, lateness: lateness)
    }

    /// One lane's thread.
    final class Work {
        private let benchmark: ExpiryBenchmark
        private let lane: Lane
        private let index: Int
        private let ids: IDs
        private let book: Book
        private let clock: Clock
        private let lateness: [Lateness]
        private let ring: RecordRing
        private var record = Record(.reserved)
        private var words: [UInt64] = []
        private var state: UInt64
        private(set) var made = 0

        init(
            _ benchmark: ExpiryBenchmark, _ lane: Lane, _ index: Int, _ ids: IDs, _ book: Book,
            _ clock: Clock, _ lateness: [Lateness]
        ) {
            self.lateness = lateness
            ring = lane.table.rings[lane.index]
            self.benchmark = benchmark
            self.lane = lane
            self.index = index
            self.ids = ids
            self.book = book
            self.clock = clock
            state = 88_172_645_463_325_252 &+ UInt64(index)
        }

        /// Makes holds that outlive the run.
        func stand(_ count: Int) {
            for _ in 0..<count { reserve(ttl: 3_600_000, now: clock.milliseconds) }
            made = 0
            lane.tick(now: clock.milliseconds)
            drain()
        }

        /// Reads what this lane has put on record, for the expiries among it.
        private func drain() {
            let now = clock.microseconds
            while ring.durable < ring.published {
                let start = ring.durable
                let count = UInt64(RecordWords.count(ring[start]))
                words = (0..<count).map { ring[start + $0] }
                ring.setDurable(start + count)
                let isRead = words.withUnsafeBufferPointer { (try? record.read($0)) != nil }
                guard isRead, record.kind == .expired else { continue }
                let entry = book.entry(record.reservationID)
                lateness[entry.lane].note(now - entry.expiresAt * 1_000)
            }
        }

        func run() {
            let start = clock.microseconds
            let end = start + Int64(benchmark.seconds) * 1_000_000
            let stop = benchmark.stops && index == benchmark.lanes - 1
            let mine = Double(benchmark.rate) / Double(benchmark.lanes) / 1_000_000
            let makesUntil = stop ? start + (end - start) / 2 : end
            var next = start
            // The longest hold and a second after it.
            while clock.microseconds < end + Int64(Self.span) * 1_000 {
                next += ExpiryBenchmark.tickMicroseconds
                clock.sleep(until: next)
                let time = clock.microseconds
                // An open loop: what a late tick missed is made up for.
                let due = Int(Double(min(time, makesUntil) - start) * mine)
                while made < due {
                    state ^= state << 13
                    state ^= state >> 7
                    state ^= state << 17
                    let spread = UInt64(ExpiryBenchmark.longestTTL - ExpiryBenchmark.shortestTTL)
                    let ttl = ExpiryBenchmark.shortestTTL + UInt32((state >> 32) % spread)
                    reserve(ttl: ttl, now: time / 1_000)
                }
                if stop && time >= makesUntil { return }
                lane.tick(now: clock.milliseconds)
                drain()
            }
        }

        private static var span: UInt32 { ExpiryBenchmark.longestTTL + 1_500 }

        private func reserve(ttl: UInt32, now: Int64) {
            var command = CheckCommand(
                tenantID: ids[made % 1_000], action: .charge, amounts: Amounts(.spend, 1))
            command.ttlMilliseconds = ttl
            var answer = CheckAnswer()
            let failure = lane.check(command, now: now, answer: &answer)
            precondition(failure == nil && answer.decision == .allowed, "every hold is admitted")
            book.enter(answer.reservationID, expiresAt: answer.expiresAt, lane: index)
            made += 1
            if made % 1_000 == 0 { drain() }
        }
    }
}

// SAFETY: each piece of work is one thread's alone, and is looked at when all have ended.
private struct Share: @unchecked Sendable {
    let run: () -> Void
}

/// Runs each piece of work on a thread of its own and waits for all.
func runInThreads<Work: AnyObject>(_ works: [Work], _ body: @escaping (Work) -> Void) {
    let threads = works.map { work in
        let share = Share { body(work) }
        guard let thread = NamedThread.start(.work, { share.run() }) else {
            preconditionFailure("the system has no thread left")
        }
        return thread
    }
    for thread in threads { thread.join() }
}

extension ExpiryBenchmark.Result {
    /// A line for each lane's reservations. False: some never expired, or one was early.
    func report(stops: Bool) -> Bool {
        var expired = 0
        var isRight = true
        for (lane, lateness) in lateness.enumerated() {
            expired += lateness.count
            isRight = isRight && lateness.minimum >= 0
            let name =
                "lane \(lane)" + (stops && lane == self.lateness.count - 1 ? ", stopped" : "")
            StandardOutput.print(
                "\(name): \(lateness.count) expired, late by p50 \(lateness.quantile(0.5)) ms,"
                    + " p99 \(lateness.quantile(0.99)) ms, at most \(lateness.maximum) ms,"
                    + " at least \(lateness.minimum) ms")
        }
        StandardOutput.print("\(made) made, \(expired) expired")
        return isRight && expired == made
    }
}
