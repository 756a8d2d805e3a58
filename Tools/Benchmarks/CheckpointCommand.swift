internal import ArgumentParser
internal import CommandIO
internal import Engine
internal import Glibc
internal import Journal
internal import Limits
internal import Reservations

/// `checkpoint`: what callers notice of a checkpoint.
struct CheckpointCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "checkpoint",
        abstract: "Durable answers at a steady rate, in quiet and while a checkpoint is made.",
        discussion: """
            An open loop on one lane: each call is due at its moment, and its latency runs from there until its record \
            is on disk. The table holds --tenants and --holds meanwhile, all of which the checkpoint contains.
            """)

    @Option(help: "Tenants, with four caps each.")
    var tenants = 1_000_000

    @Option(help: "Reservations that stay open.")
    var holds = 1_000_000

    @Option(help: "Calls a second.")
    var rate = 20_000

    @Option(help: "Seconds of each measurement, at least; the checkpoint may take longer.")
    var seconds = 10

    @Option(help: "Where the journal's directory is made; it is removed at the end.")
    var directory = "."

    func validate() throws {
        guard (1...10_000_000).contains(tenants), holds >= 0, (1...200_000).contains(rate),
            seconds > 0
        else { throw ValidationError("tenants, rate and seconds are above 0") }
    }

    func run() throws {
        let place = try JournalDirectory(in: directory)
        let capacity = TableCapacity(
            tenants: tenants + 16, profiles: 16, reservations: holds + rate * 1_000,
            bodies: 1_024, keys: 1_024, lanes: 4)
        let ids = IDs(count: tenants) { TableBenchmark.tenantID($0) }
        defer { ids.deallocate() }
        try fill(place, capacity, ids)
        var settings = DurabilitySettings()
        settings.checkpointBytes = .max
        let quiet = try measure(place, capacity, settings, ids) { false }
        StandardOutput.print("quiet: \(quiet.text)")
        settings.checkpointBytes = settings.journal.segmentBytes
        let began = monotonicNanoseconds()
        let busy = try measure(place, capacity, settings, ids) { try !place.hasCheckpoint() }
        let took = Double((monotonicNanoseconds() - began) / 100_000_000) / 10
        StandardOutput.print("with a checkpoint, over \(took) s: \(busy.text)")
        StandardOutput.print(
            "p99: \((busy[0.99] / quiet[0.99] * 100).rounded() / 100) × the quiet one")
        guard try place.hasCheckpoint() else {
            StandardOutput.print("wrong: no checkpoint was made")
            throw ExitCode.failure
        }
    }

    private func fill(_ place: JournalDirectory, _ capacity: TableCapacity, _ ids: IDs) throws {
        let engine = try place.open(capacity, .filling).engine
        try engine.makeTenants(tenants)
        let lane = try engine.makeLane()
        var command = CheckCommand(tenantID: ids[0], action: .charge, amounts: Amounts(.spend, 1))
        command.ttlMilliseconds = 86_400_000
        var answer = CheckAnswer()
        for index in 0..<holds {
            if index % 1_000 == 0 { lane.beginBatch() }
            command.tenantID = ids[index % tenants]
            try engine.insist { lane.check(command, answer: &answer) }
        }
        try engine.awaitDurable()
        engine.close()
    }

    /// Calls until the time is over and `goesOn` says no.
    private func measure(
        _ place: JournalDirectory, _ capacity: TableCapacity, _ settings: DurabilitySettings,
        _ ids: IDs, while goesOn: () throws -> Bool
    ) throws -> Quantiles {
        let engine = try place.open(capacity, settings).engine
        defer { engine.close() }
        guard let lane = try engine.makeLanes(1).first else { return Quantiles([]) }
        let loop = OpenLoop(engine, lane, ids, count: tenants, rate: rate)
        let begin = monotonicNanoseconds()
        // What the start leaves to do is none of this.
        try loop.run(until: begin + 1_000_000_000)
        loop.forget()
        try loop.run(until: begin + Int64(seconds + 1) * 1_000_000_000)
        while try goesOn() {
            try loop.run(until: monotonicNanoseconds() + 100_000_000)
        }
        return Quantiles(loop.latencies)
    }
}

/// Charges at a steady rate on one lane, which waits for nothing; latencies run from the moment that a call was due.
final class OpenLoop {
    private let engine: Engine
    private let lane: EngineLane
    private let ids: IDs
    private let count: Int
    /// Nanoseconds between two calls.
    private let distance: Int64
    private var due: Int64
    private var nextTick: Int64
    private var nextSlice = Int64.max
    private var pace = OverduePace()
    /// Called after each slice of what is overdue.
    var onSlice: (() -> Void)?
    /// Calls that wait for a ticket: when the first of them was due, and how many there are.
    private var waiting: [(ticket: UInt64, due: Int64, calls: Int)] = []
    private var firstWaiting = 0
    private var random: UInt64 = 88_172_645_463_325_252
    /// Nanoseconds.
    private(set) var latencies: [Int64] = []

    init(_ engine: Engine, _ lane: EngineLane, _ ids: IDs, count: Int, rate: Int) {
        self.engine = engine
        self.lane = lane
        self.ids = ids
        self.count = count
        distance = 1_000_000_000 / Int64(rate)
        due = monotonicNanoseconds()
        nextTick = due
    }

    func forget() { latencies.removeAll(keepingCapacity: true) }

    func run(until end: Int64) throws {
        var time = monotonicNanoseconds()
        while time < end {
            try call(before: time)
            if time >= min(nextTick, nextSlice) { workOff(isTick: time >= nextTick) }
            var nap = timespec(tv_sec: 0, tv_nsec: 20_000)
            nanosleep(&nap, nil)
            time = monotonicNanoseconds()
            takeWhatIsDurable(time)
        }
    }

    /// As the service does on its event loops.
    private func workOff(isTick: Bool) {
        let next = pace.slice(lane, isTick: isTick) { UInt64(monotonicNanoseconds()) }
        let time = monotonicNanoseconds()
        if isTick { nextTick = time + 10_000_000 }
        nextSlice = next.map { time + Int64($0) } ?? .max
        onSlice?()
    }

    /// Makes the calls that are due.
    private func call(before time: Int64) throws {
        guard due <= time else { return }
        let first = due
        var calls = 0
        lane.beginBatch()
        while due <= time {
            random ^= random << 13
            random ^= random >> 7
            random ^= random << 17
            var command = CheckCommand(
                tenantID: ids[Int(truncatingIfNeeded: random >> 11) % count], action: .charge,
                amounts: Amounts(.spend, 1))
            command.mode = .commit
            var answer = CheckAnswer()
            try engine.insist { lane.check(command, answer: &answer) }
            precondition(answer.decision == .allowed, "every call is admitted")
            due += distance
            calls += 1
        }
        waiting.append((lane.takeTicket(), first, calls))
    }

    private func takeWhatIsDurable(_ time: Int64) {
        let durable = lane.durableTicket
        while firstWaiting < waiting.count, waiting[firstWaiting].ticket <= durable {
            let batch = waiting[firstWaiting]
            for call in 0..<batch.calls {
                latencies.append(time - batch.due - Int64(call) * distance)
            }
            firstWaiting += 1
        }
        if firstWaiting == waiting.count {
            waiting.removeAll(keepingCapacity: true)
            firstWaiting = 0
        }
    }
}
