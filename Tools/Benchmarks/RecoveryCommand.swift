internal import ArgumentParser
internal import CommandIO
internal import Engine
internal import Glibc
internal import Journal
internal import Limits
internal import Reservations

/// `recovery`: how long a start takes.
struct RecoveryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recovery",
        abstract:
            "Makes a journal, then times its opening and, for comparison, `cat` of its files.",
        discussion: """
            Half of the records are reservations with an idempotency key and one quantity, half their commits. There \
            is no checkpoint: everything is played back.
            """)

    static let tenants = 1_000

    @Option(help: "Records.")
    var records = 10_000_000

    @Option(help: "Where the journal's directory is made; it is removed at the end.")
    var directory = "."

    func validate() throws {
        guard (2...100_000_000).contains(records) else {
            throw ValidationError("records must be 2 ... 100000000")
        }
    }

    func run() throws {
        let place = try JournalDirectory(in: directory)
        let capacity = TableCapacity(
            tenants: 2 * Self.tenants, profiles: 16, reservations: records, bodies: 1_024,
            keys: records, lanes: 4)
        let bytes = try fill(place, capacity)
        let reading = try Self.seconds { try Self.cat(place) }
        var played = 0
        let opening = try Self.seconds {
            let (engine, report) = try place.open(capacity, .filling)
            played = report.records
            engine.close()
        }
        StandardOutput.print("\(played) records, \(bytes) bytes of journal")
        StandardOutput.print("cat: \(Self.text(reading)) s")
        StandardOutput.print(
            "opened in \(Self.text(opening)) s: \(Int(Double(played) / opening)) records/s,")
        StandardOutput.print("\(Self.text(opening / reading)) times as long as cat")
        guard played >= records else {
            StandardOutput.print("wrong: \(records) were made")
            throw ExitCode.failure
        }
    }

    /// Makes the records. Returns the bytes that were written.
    private func fill(_ place: JournalDirectory, _ capacity: TableCapacity) throws -> UInt64 {
        let engine = try place.open(capacity, .filling).engine
        try engine.makeTenants(Self.tenants)
        let lane = try engine.makeLane()
        let ids = IDs(count: Self.tenants) { TableBenchmark.tenantID($0) }
        defer { ids.deallocate() }
        let key = UnsafeMutableRawBufferPointer.allocate(byteCount: 36, alignment: 8)
        defer { key.deallocate() }
        key.initializeMemory(as: UInt8.self, repeating: 0x61)
        var command = CheckCommand(
            tenantID: ids[0], action: .charge, amounts: Amounts(.spend, 4_000_000))
        command.ttlMilliseconds = 3_600_000
        command.idempotencyKey = BorrowedBytes(key)
        var answer = CheckAnswer()
        var committed = CommitAnswer()
        for index in 0..<records / 2 {
            if index % 1_000 == 0 { lane.beginBatch() }
            command.tenantID = ids[index % Self.tenants]
            key.storeBytes(of: UInt64(index), as: UInt64.self)
            try engine.insist { lane.check(command, answer: &answer) }
            let commit = CommitCommand(reservationID: answer.reservationID)
            try engine.insist { lane.commit(commit, answer: &committed) }
        }
        try engine.awaitDurable()
        let bytes = engine.journalStatus?.bytes ?? 0
        engine.close()
        return bytes
    }

    /// Reads all segments, as fast as the system's own tool does.
    private static func cat(_ place: JournalDirectory) throws {
        guard let pipe = popen("cat '\(place.path)'/* >/dev/null", "r"), pclose(pipe) == 0 else {
            throw SystemError("cannot read \(place.path)")
        }
    }

    private static func seconds(_ work: () throws -> Void) rethrows -> Double {
        let began = monotonicNanoseconds()
        try work()
        return Double(monotonicNanoseconds() - began) / 1e9
    }

    private static func text(_ number: Double) -> String {
        "\((number * 100).rounded() / 100)"
    }
}
