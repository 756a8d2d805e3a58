internal import ArgumentParser
internal import CommandIO
internal import Glibc
internal import Limits
internal import Reservations

/// `table`: look-up, decision, hold and release.
struct TableCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "table",
        abstract:
            "The table: a call is a look-up, a decision and a hold with expiry and record, or its release."
    )

    @OptionGroup var rounds: Rounds

    @Option(help: "Tenants of the hot set.")
    var tenants = 1_000

    @Option(help: "Tenants of the large set; 0 leaves it out (10000000 need 4 GiB and a minute).")
    var many = 0

    @Option(
        help: "Calls for each simulated millisecond: how fast holds and memories of them expire.")
    var density = 16

    func run() throws {
        var benchmark = TableBenchmark()
        benchmark.tenants = tenants
        benchmark.calls = rounds.calls
        benchmark.callsPerMillisecond = density
        for (profile, keyed) in [(false, false), (false, true), (true, false), (true, true)] {
            benchmark.withProfile = profile
            benchmark.keyed = keyed
            try measure(benchmark, name(profile, keyed))
        }
        benchmark.withProfile = false
        benchmark.keyed = false
        let one = try measure(benchmark, "one limit, again")
        benchmark.threads = 2
        let two = try measure(benchmark, "two threads, distinct tenants")
        StandardOutput.print(
            "two threads on distinct tenants: \((two / one * 100).rounded() / 100) × one")
        benchmark.oneTenant = true
        try measure(benchmark, "two threads, one tenant")
        if many > 0 { try measureMany() }
    }

    private func name(_ profile: Bool, _ keyed: Bool) -> String {
        (profile ? "tenant and profile" : "one limit") + (keyed ? ", a fresh key each" : "")
    }

    private func measureMany() throws {
        var benchmark = TableBenchmark()
        benchmark.tenants = many
        benchmark.calls = rounds.calls
        benchmark.callsPerMillisecond = density
        benchmark.random = true
        let before = Self.residentBytes()
        let table = try benchmark.makeTable()
        let perTenant = (Self.residentBytes() - before) / many
        StandardOutput.print(
            "\(many) tenants with four caps: \(perTenant) bytes each, index included")
        for keyed in [false, true] {
            benchmark.keyed = keyed
            try measure(
                benchmark, "\(many) tenants at random" + (keyed ? ", a fresh key each" : ""),
                table: table)
        }
    }

    @discardableResult
    private func measure(
        _ benchmark: TableBenchmark, _ name: String, table: ReservationTable? = nil
    ) throws -> Double {
        var best = Double.infinity
        // A table that is handed in serves one round: keys of earlier rounds would still be remembered.
        for _ in 0..<(table == nil ? rounds.rounds : 1) {
            let table = try table ?? benchmark.makeTable()
            let lanes = try (0..<benchmark.threads).map { _ in
                try table.makeLane(now: TableBenchmark.start)
            }
            let workloads = lanes.indices.map {
                benchmark.workload(offset: $0, stride: lanes.count)
            }
            var refused = 0
            let time = seconds { refused = Self.run(benchmark, lanes, workloads) }
            for workload in workloads { workload.deallocate() }
            for lane in lanes { lane.retire() }
            precondition(refused == 0, "every call was to be admitted, \(refused) were not")
            best = min(best, time)
        }
        let callsPerSecond = Double(benchmark.calls * benchmark.threads) / best
        report(name, callsPerSecond: callsPerSecond)
        return callsPerSecond
    }

    /// Runs each lane on a thread of its own; a single one on this thread.
    private static func run(
        _ benchmark: TableBenchmark, _ lanes: [Lane], _ workloads: [TableBenchmark.Workload]
    ) -> Int {
        let clocks = SimulatedClocks(threads: lanes.count)
        guard lanes.count > 1 else { return benchmark.run(lanes[0], workloads[0], clocks) }
        let works = zip(lanes, workloads).map { lane, workload in
            Work(benchmark: benchmark, lane: lane, workload: workload, clocks: clocks)
        }
        runInThreads(works) { $0.refused = $0.benchmark.run($0.lane, $0.workload, $0.clocks) }
        return works.reduce(0) { $0 + $1.refused }
    }

    private final class Work {
        let benchmark: TableBenchmark
        let lane: Lane
        let workload: TableBenchmark.Workload
        let clocks: SimulatedClocks
        var refused = 0

        init(
            benchmark: TableBenchmark, lane: Lane, workload: TableBenchmark.Workload,
            clocks: SimulatedClocks
        ) {
            self.benchmark = benchmark
            self.lane = lane
            self.workload = workload
            self.clocks = clocks
        }
    }

    /// Resident memory of this process, from /proc/self/statm.
    static func residentBytes() -> Int {
        guard let file = fopen("/proc/self/statm", "r") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 128)
        guard fgets(&line, Int32(line.count), file) != nil else { return 0 }
        let fields = String(
            decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self
        )
        .split(separator: " ")
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE))) : 0
    }
}

/// `growth`: from 16 directory slots to a million tenants under two threads.
struct GrowthCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "growth",
        abstract:
            "Two threads make tenants from 16 directory slots on; the longest call is reported.")

    @Option(help: "Tenants that each thread makes.")
    var tenants = 500_000

    func run() throws {
        let table = try ReservationTable(
            capacity: TableCapacity(
                tenants: tenants * 2 + 16, profiles: 16, reservations: 1_024, keys: 1_024, lanes: 4),
            schedules: TableBenchmark.OneCycle())
        let works = try (0..<2).map { index in
            Work(
                lane: try table.makeLane(now: TableBenchmark.start), first: index * tenants,
                count: tenants)
        }
        let time = seconds { runInThreads(works) { $0.run() } }
        precondition(works.allSatisfy { $0.failures == 0 }, "a tenant was not made, or not found")
        let longest = works.map(\.longest).max() ?? 0
        StandardOutput.print(
            "\(2 * tenants) tenants in \((time * 100).rounded() / 100) s; longest call \((longest * 1e7).rounded() / 10) µs"
        )
    }

    private final class Work {
        let lane: Lane
        let first: Int
        let count: Int
        /// Seconds.
        var longest = 0.0
        var failures = 0

        init(lane: Lane, first: Int, count: Int) {
            self.lane = lane
            self.first = first
            self.count = count
        }

        func run() {
            let policy = TenantPolicy(limits: .newTenant)
            var answer = CheckAnswer()
            for index in first..<first + count {
                let id = TableBenchmark.tenantID(index)
                let time = seconds {
                    if (try? lane.setTenant(id, policy, now: TableBenchmark.start)) == nil {
                        failures += 1
                    }
                }
                longest = max(longest, time)
                let failure = id.withBorrowedBytes { bytes in
                    lane.check(
                        CheckCommand(tenantID: bytes, action: .charge, amounts: Amounts(.spend, 0)),
                        now: TableBenchmark.start, mode: .checkOnly, answer: &answer)
                }
                if failure != nil { failures += 1 }
            }
        }
    }
}

extension Lane {
    fileprivate func check(
        _ command: CheckCommand, now: Int64, mode: Mode, answer: inout CheckAnswer
    ) -> Failure? {
        var command = command
        command.mode = mode
        return check(command, now: now, answer: &answer)
    }
}
