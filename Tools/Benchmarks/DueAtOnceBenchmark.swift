internal import CommandIO
internal import Engine
internal import Glibc
internal import Journal
internal import Limits
internal import Reservations
internal import Synchronization

/// Many holds that fall due at one instant, and what callers notice of it: lanes on threads of their own, each an open loop
/// of durable calls beside its share of the holds, over a journal on a real disk.
struct DueAtOnceBenchmark {
    var holds = 200_000
    var lanes = 1
    /// Calls a second, by all lanes together.
    var rate = 20_000
    var directory = "."
    /// Seconds of calls before the instant, all of them quiet.
    static let quietSeconds: Int64 = 5
    static let tenants = 1_000

    struct Result {
        var lateness: ExpiryBenchmark.Lateness
        /// Nanoseconds.
        var quiet: [Int64] = []
        var meanwhile: [Int64] = []
    }

    func run() throws -> Result {
        let place = try JournalDirectory(in: directory)
        let seconds = Self.quietSeconds + Int64(holds / 20_000) + 60
        let capacity = TableCapacity(
            tenants: Self.tenants + 16, profiles: 16,
            reservations: holds + rate * Int(seconds) + 10_000, bodies: 1_024, keys: 1_024,
            lanes: lanes + 1)
        var settings = DurabilitySettings()
        settings.checkpointBytes = .max
        let engine = try place.open(capacity, settings).engine
        defer { engine.close() }
        try engine.makeTenants(Self.tenants)
        let ids = IDs(count: Self.tenants) { TableBenchmark.tenantID($0) }
        defer { ids.deallocate() }
        let lateness = ExpiryBenchmark.Lateness()
        // Made at 50 000 a second and lane or more; then the quiet seconds.
        let due =
            engine.clock.now + Int64(holds / lanes / 50) + (Self.quietSeconds + 3) * 1_000
        let works = try engine.makeLanes(lanes).map { lane in
            Work(engine, lane, ids, due: due, holds: holds / lanes, rate: rate / lanes, lateness)
        }
        runInThreads(works) { $0.run() }
        var result = Result(lateness: lateness)
        for work in works {
            if let error = work.error { throw error }
            result.quiet += work.quiet
            result.meanwhile += work.meanwhile
        }
        return result
    }

    /// One lane's thread.
    final class Work {
        private let engine: Engine
        private let lane: EngineLane
        private let ids: IDs
        private let due: Int64
        private let holds: Int
        private let rate: Int
        private let lateness: ExpiryBenchmark.Lateness
        private(set) var error: (any Error)?
        private(set) var quiet: [Int64] = []
        private(set) var meanwhile: [Int64] = []

        init(
            _ engine: Engine, _ lane: EngineLane, _ ids: IDs, due: Int64, holds: Int, rate: Int,
            _ lateness: ExpiryBenchmark.Lateness
        ) {
            self.engine = engine
            self.lane = lane
            self.ids = ids
            self.due = due
            self.holds = holds
            self.rate = rate
            self.lateness = lateness
        }

        func run() {
            do { try measure() } catch { self.error = error }
        }

        private func measure() throws {
            for index in 0..<holds { try reserve(index) }
            let loop = OpenLoop(engine, lane, ids, count: DueAtOnceBenchmark.tenants, rate: rate)
            let left = due - engine.clock.now
            guard left > (DueAtOnceBenchmark.quietSeconds - 1) * 1_000 else {
                throw SystemError("the holds were made too slowly: \(left) ms are left")
            }
            let instant = monotonicNanoseconds() + left * 1_000_000
            // What making them leaves to do is none of this.
            try loop.run(until: instant - (DueAtOnceBenchmark.quietSeconds - 1) * 1_000_000_000)
            loop.forget()
            try loop.run(until: instant - 20_000_000)
            quiet = loop.latencies
            loop.forget()
            var expired = 0
            loop.onSlice = { [self] in
                let now = lane.lane.expiredCount
                let late = (monotonicNanoseconds() - instant) / 1_000
                for _ in expired..<now { lateness.note(late) }
                expired = now
            }
            let end = instant + 60_000_000_000
            while expired < holds, monotonicNanoseconds() < end {
                try loop.run(until: monotonicNanoseconds() + 1_000_000)
            }
            // Calls that were due meanwhile.
            try loop.run(until: monotonicNanoseconds() + 20_000_000)
            meanwhile = loop.latencies
        }

        private func reserve(_ index: Int) throws {
            if index % 100 == 0 { lane.beginBatch() }
            var command = CheckCommand(
                tenantID: ids[index % DueAtOnceBenchmark.tenants], action: .charge,
                amounts: Amounts(.spend, 1))
            command.ttlMilliseconds = UInt32(clamping: due - lane.now)
            var answer = CheckAnswer()
            try engine.insist { lane.check(command, answer: &answer) }
            precondition(answer.decision == .allowed, "every hold is admitted")
        }
    }
}

extension DueAtOnceBenchmark.Result {
    /// False: some did not expire, or one was early.
    func report(holds: Int) -> Bool {
        StandardOutput.print(
            "\(lateness.count) expired, late by p50 \(lateness.quantile(0.5)) ms,"
                + " p99 \(lateness.quantile(0.99)) ms, at most \(lateness.maximum) ms")
        let (before, during) = (Quantiles(quiet), Quantiles(meanwhile))
        StandardOutput.print("callers, quiet: \(before.text)")
        StandardOutput.print("callers, meanwhile (\(meanwhile.count) calls): \(during.text)")
        StandardOutput.print(
            "p99: \((during[0.99] / before[0.99] * 100).rounded() / 100) × the quiet one")
        // The instant is known to a millisecond.
        return lateness.count == holds && lateness.minimum > -1
    }
}
