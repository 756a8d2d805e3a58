internal import ArgumentParser
internal import CommandIO
internal import Engine
internal import Glibc
internal import Journal
internal import Limits
internal import Projection
internal import Reservations

/// `projection`: how long lists take, how far the projection is behind, and what it costs the data plane.
struct ProjectionCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "projection",
        abstract:
            "Lists of many tenants, lag at a steady rate, and the data plane's cost with and without.",
        discussion: """
            The lag is the age of the last record that was taken up while durable ones wait. The cost is processor time \
            of the thread that decides, per call, in bursts.
            """)

    @Option(help: "Tenants, with four caps each.")
    var tenants = 100_000

    @Option(help: "Calls a second, on tenants at random.")
    var rate = 20_000

    @Option(help: "Seconds of the lag's measurement.")
    var seconds = 10

    @Option(help: "Where the journal's directory is made; it is removed at the end.")
    var directory = "."

    func validate() throws {
        guard (1_000...1_000_000).contains(tenants), (1...200_000).contains(rate), seconds > 0
        else { throw ValidationError("tenants are 1000 ... 1000000, rate and seconds above 0") }
    }

    func run() async throws {
        let place = try JournalDirectory(in: directory)
        let capacity = TableCapacity(
            tenants: tenants + 16, profiles: 16, reservations: 1_000_000, bodies: 1_024,
            keys: 1_024, lanes: 4)
        var settings = DurabilitySettings()
        settings.checkpointBytes = .max
        let engine = try place.open(capacity, settings).engine
        defer { engine.close() }
        try engine.makeTenants(tenants)
        guard let lane = try engine.makeLanes(1).first else { return }
        let ids = IDs(count: tenants) { TableBenchmark.tenantID($0) }
        defer { ids.deallocate() }
        let costs = Bursts(engine, lane, ids, count: tenants)
        let without = try costs.measure()
        let projection = try Projection.open(
            path: place.path + "/" + Projection.fileName, engine: engine)
        projection.start()
        defer { projection.stop() }
        try await catchUp(projection)
        try await lists(projection)
        try lag(projection, engine, lane, ids)
        try await catchUp(projection)
        let with = try costs.measure()
        StandardOutput.print(
            "a call's processor time: \(without) ns without, \(with) ns with the projection: "
                + "\(Double(with * 1_000 / without) / 1_000) ×")
    }

    private func catchUp(_ projection: Projection) async throws {
        while projection.status.behindBytes > 0 { try await Task.sleep(for: .milliseconds(50)) }
    }

    private func lists(_ projection: Projection) async throws {
        var nearest = TenantQuery()
        nearest.sort = .nearestToLimit
        nearest.descending = true
        try await time("list, 20 by id") {
            _ = try await projection.tenants(TenantQuery(), Page(number: 1, size: 20))
        }
        try await time("list, 250 by id, from the middle") {
            _ = try await projection.tenants(
                TenantQuery(), Page(number: tenants / 500, size: 250))
        }
        try await time("nearest to a limit, 20") {
            _ = try await projection.usage(nearest, Page(number: 1, size: 20))
        }
        try await time("nearest to a limit, 250") {
            _ = try await projection.usage(nearest, Page(number: 1, size: 250))
        }
    }

    private func time(_ name: String, _ body: () async throws -> Void) async throws {
        var times: [Int64] = []
        for _ in 0..<40 {
            let began = monotonicNanoseconds()
            try await body()
            times.append(monotonicNanoseconds() - began)
        }
        StandardOutput.print("\(name): \(Quantiles(times).text)")
    }

    private func lag(
        _ projection: Projection, _ engine: Engine, _ lane: EngineLane, _ ids: IDs
    ) throws {
        let loop = OpenLoop(engine, lane, ids, count: tenants, rate: rate)
        var lags: [Int64] = []
        // The last record from before the first second is as old as the pause.
        let begin = monotonicNanoseconds() + 1_000_000_000
        let end = begin + Int64(seconds) * 1_000_000_000
        while monotonicNanoseconds() < end {
            try loop.run(until: monotonicNanoseconds() + 20_000_000)
            guard monotonicNanoseconds() >= begin else { continue }
            let status = projection.status
            let behind = status.behindBytes > 0 ? max(0, engine.clock.now - status.time) : 0
            lags.append(behind * 1_000_000)
        }
        StandardOutput.print("lag at \(rate) calls/s: \(Quantiles(lags).text)")
    }
}

/// Charges in bursts, with pauses for the journal.
private struct Bursts {
    private let engine: Engine
    private let lane: EngineLane
    private let ids: IDs
    private let count: Int
    private static let calls = 5_000

    init(_ engine: Engine, _ lane: EngineLane, _ ids: IDs, count: Int) {
        self.engine = engine
        self.lane = lane
        self.ids = ids
        self.count = count
    }

    /// The median burst's processor time of a call, nanoseconds.
    func measure() throws -> Int64 {
        var times: [Int64] = []
        var next = 0
        for _ in 0..<100 {
            lane.beginBatch()
            let began = threadNanoseconds()
            for _ in 0..<Self.calls {
                next = (next + 7_919) % count
                var command = CheckCommand(
                    tenantID: ids[next], action: .charge, amounts: Amounts(.spend, 1))
                command.mode = .commit
                var answer = CheckAnswer()
                try engine.insist { lane.check(command, answer: &answer) }
            }
            _ = lane.takeTicket()
            times.append((threadNanoseconds() - began) / Int64(Self.calls))
            lane.tick()
            var nap = timespec(tv_sec: 0, tv_nsec: 10_000_000)
            nanosleep(&nap, nil)
        }
        return times.sorted()[times.count / 2]
    }

    private func threadNanoseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
