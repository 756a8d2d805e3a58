import Journal
import Limits
import Reservations
import Synchronization
import TestKit
import Testing

@testable import Engine

/// What a start makes of a directory with something wrong in it: the very same state, or a refusal that says where.
@Suite struct RecoveryTests {
    // MARK: A directory

    /// A directory that an engine left in good order, after so many checkpoints.
    private struct Directory {
        let disk: SimulatedDisk
        /// What a start finds of it.
        let state: EngineState
        let usage: [ModelUsageAnswer]
        /// Ascending.
        let checkpoints: [UInt64]
    }

    private static let tenants = ["acme", "globex", "initech"]
    /// Nothing is over by then.
    private static let end: Int64 = 1_700_000_000_000

    private static func open(
        _ disk: SimulatedDisk, retention: Int64 = 0, at time: Int64 = end
    ) throws -> (engine: Engine, report: RecoveryReport) {
        let capacity = TableCapacity(
            tenants: 16, profiles: 16, reservations: 4_000, bodies: 2_000, keys: 4_000, lanes: 3)
        return try Engine.simulated(
            capacity, on: disk, clock: EngineClock.Source(boot: { time }, wall: { time }),
            segmentBytes: 32 << 10
        ) { $1.retention = retention }
    }

    private static func make(retention: Int64 = 0) throws -> Directory {
        let disk = SimulatedDisk(seed: 1)
        let engine = try open(disk, retention: retention).engine
        for id in tenants { try engine.setTenant(TenantSettings(id: id, name: "Name of \(id)")) }
        try engine.setProfile(ProfileSettings(id: "sms", tenantID: "acme"))
        try engine.setSetting("one", "1")
        let lane = try engine.makeLane()
        var calls = Calls(lane: lane)
        var made = 0
        while made < 3 {
            try calls.make(10)
            engine.runJournal()
            if try engine.makeCheckpoint() { made += 1 }
        }
        try engine.setSetting("two", "2")
        try engine.setStatus(ofTenant: "initech", .suspended)
        engine.endHolds(ofTenant: "initech") {
            engine.runJournal()
            return true
        }
        try calls.make(10)
        engine.runJournal()
        let usage = try usage(of: engine)
        engine.close()
        let state = try EngineState(open(disk.copy(), retention: retention).engine)
        return Directory(
            disk: disk.copy(), state: state, usage: usage, checkpoints: try disk.checkpointNumbers()
        )
    }

    /// Holds with keys, some of them settled: with what was held, with more, or given back.
    private struct Calls {
        let lane: EngineLane
        private var random = SeededGenerator(seed: 7)
        private var number = 0

        init(lane: EngineLane) { self.lane = lane }

        mutating func make(_ count: Int) throws {
            lane.beginBatch()
            for _ in 0..<count {
                number += 1
                let answer = try hold(tenants[Int(random.next() % 3)], key: "key-\(number)")
                guard answer.reservationID != 0 else { continue }
                switch random.next() % 4 {
                case 0: try commit(answer.reservationID, Amounts())
                case 1: try commit(answer.reservationID, spend(3))
                case 2:
                    var released = ReleaseAnswer()
                    let failure = lane.release(answer.reservationID, answer: &released)
                    try #require(failure == nil)
                default: break
                }
            }
        }

        private func spend(_ amount: Int64) -> Amounts {
            var amounts = Amounts()
            amounts.set(Resource.spend.index, amount)
            return amounts
        }

        private func hold(_ tenant: String, key: String) throws -> CheckAnswer {
            var answer = CheckAnswer()
            let failure = tenant.withBorrowedBytes { tenantID in
                key.withBorrowedBytes { key in
                    let profile = tenant == "acme" ? "sms" : ""
                    return profile.withBorrowedBytes { profileID in
                        var command = CheckCommand(
                            tenantID: tenantID, action: .sendMessage, amounts: spend(2))
                        command.profileID = profileID
                        command.idempotencyKey = key
                        command.ttlMilliseconds = 80_000_000
                        return lane.check(command, answer: &answer)
                    }
                }
            }
            try #require(failure == nil)
            return answer
        }

        private func commit(_ id: UInt64, _ actual: Amounts) throws {
            var answer = CommitAnswer()
            let failure = lane.commit(
                CommitCommand(reservationID: id, actual: actual), answer: &answer)
            try #require(failure == nil)
        }
    }

    private static func usage(of engine: Engine) throws -> [ModelUsageAnswer] {
        let lane = try engine.makeLane()
        lane.beginBatch()
        return try tenants.map { tenant in
            var answer = UsageAnswer()
            let failure = tenant.withBorrowedBytes { tenantID in
                (tenant == "acme" ? "sms" : "").withBorrowedBytes { profileID in
                    lane.usage(
                        UsageQuery(tenantID: tenantID, profileID: profileID), answer: &answer)
                }
            }
            try #require(failure == nil)
            return ModelUsageAnswer(answer)
        }
    }

    /// Flips a bit in the middle of a file.
    private static func damage(_ name: String, on disk: SimulatedDisk) throws {
        var bytes = try #require(disk.contents(name))
        bytes[bytes.count / 2] ^= 4
        disk.setContents(name, bytes)
    }

    /// Why a start is refused.
    private static func refusal(_ disk: SimulatedDisk) throws -> EngineError {
        let before = try disk.list()
        let error = #expect(throws: EngineError.self) { try open(disk) }
        #expect(try disk.list() == before, "a refused start changes nothing")
        try disk.lock()
        return try #require(error)
    }

    // MARK: Checkpoints

    @Test func theNewestCheckpointIsPassedOver() throws {
        let directory = try Self.make()
        try #require(directory.checkpoints.count == 2)
        let (older, newest) = (directory.checkpoints[0], directory.checkpoints[1])
        let whole = try Self.open(directory.disk.copy())
        #expect(whole.report.checkpoint == newest && whole.report.passedOver.isEmpty)
        #expect(try Self.usage(of: whole.engine) == directory.usage)

        let disk = directory.disk.copy()
        try Self.damage(JournalFiles.checkpoint(newest), on: disk)
        let (engine, report) = try Self.open(disk)
        #expect(report.checkpoint == older)
        #expect(report.passedOver.count == 1)
        let why = report.passedOver.first ?? ""
        #expect(why.contains("\(JournalFiles.checkpoint(newest)), offset "), "\(why)")
        #expect(try EngineState(engine) == directory.state)
        #expect(try Self.usage(of: engine) == directory.usage)

        // The next checkpoint is made from the older one, and a start needs no other.
        #expect(try engine.makeCheckpoint())
        engine.close()
        let again = try Self.open(disk)
        #expect(again.report.passedOver.isEmpty && again.report.checkpoint ?? 0 >= newest)
        #expect(try EngineState(again.engine) == directory.state)
    }

    /// As long as all segments are there, no checkpoint is needed.
    @Test func allSegmentsDoWithoutACheckpoint() throws {
        let directory = try Self.make(retention: 3_600_000)
        try #require(directory.checkpoints.count == 2)
        for number in directory.checkpoints {
            try Self.damage(JournalFiles.checkpoint(number), on: directory.disk)
        }
        let (engine, report) = try Self.open(directory.disk, retention: 3_600_000)
        #expect(report.checkpoint == nil && report.passedOver.count == 2)
        #expect(try EngineState(engine) == directory.state)
        #expect(try Self.usage(of: engine) == directory.usage)
    }

    @Test func withoutAWholeCheckpointAStartIsRefused() throws {
        let directory = try Self.make()
        let names = directory.checkpoints.map(JournalFiles.checkpoint)
        let disk = directory.disk.copy()
        for name in names { try Self.damage(name, on: disk) }
        let error = try Self.refusal(disk)
        #expect(error.code == .invalid)
        // The segments begin where the older one ends: that one is worth a copy.
        #expect(error.message.hasPrefix("\(names[0]): "), "\(error)")
        #expect(error.message.contains("\(names[1]), offset "), "\(error)")
        #expect(error.message.contains("restore"), "\(error)")

        // A copy of it heals the directory.
        disk.unlock()
        disk.setContents(names[0], try #require(directory.disk.contents(names[0])))
        #expect(try EngineState(Self.open(disk).engine) == directory.state)
    }

    @Test func aMissingSegmentBehindThePassedOverCheckpointIsNamed() throws {
        let directory = try Self.make()
        let disk = directory.disk.copy()
        try Self.damage(JournalFiles.checkpoint(directory.checkpoints[1]), on: disk)
        let name = JournalFiles.segment(directory.checkpoints[0])
        try disk.remove(name)
        let error = try Self.refusal(disk)
        #expect(error.message.hasPrefix(name), "\(error)")
    }

    // MARK: Bits

    @Test func anyBit() throws {
        let directory = try Self.make()
        var random = SeededGenerator(seed: 17)
        var (same, passedOver, refused) = (0, 0, 0)
        for name in try directory.disk.list() {
            let original = try #require(directory.disk.contents(name))
            // Of the zeros behind the last frame a few bits do.
            let used = (original.lastIndex { $0 != 0 } ?? 0) + 1
            for trial in 0..<90 {
                let range = trial % 10 == 0 ? original.count : used
                // The headers are mostly zeros.
                let place = trial % 5 == 1 ? trial % 64 : Int(random.next() % UInt64(range))
                let bit = UInt8(random.next() % 8)
                let what = "\(name), byte \(place), bit \(bit)"
                var bytes = original
                bytes[place] ^= 1 << bit
                let disk = directory.disk.copy()
                disk.setContents(name, bytes)
                do {
                    let (engine, report) = try Self.open(disk)
                    #expect(try EngineState(engine) == directory.state, "\(what)")
                    same += 1
                    guard let why = report.passedOver.first else { continue }
                    passedOver += 1
                    #expect(why.contains("\(name), offset "), "\(what): \(why)")
                } catch let error as EngineError {
                    refused += 1
                    let isNamed = error.message.hasPrefix("\(name), offset ")
                    #expect(isNamed && error.code == .invalid, "\(what): \(error)")
                }
            }
        }
        // A segment that is ready to be written holds nothing: what is wrong with it refuses nothing.
        #expect(same > 50 && passedOver > 50 && refused > 50)
    }

    // MARK: Newer formats

    /// It is not damaged: an older one in its place would bring a newer release's work into danger.
    @Test func aCheckpointOfANewerFormatIsNotPassedOver() throws {
        let directory = try Self.make()
        let name = JournalFiles.checkpoint(try #require(directory.checkpoints.last))
        var bytes = try #require(directory.disk.contents(name))
        bytes[8] = 4
        Self.sealHeader(&bytes)
        directory.disk.setContents(name, bytes)
        let error = try Self.refusal(directory.disk)
        #expect(error.message.hasPrefix("\(name), offset 8: "), "\(error)")
        #expect(error.message.contains("format 4, newer than 3; run the release"), "\(error)")
    }

    private static func sealHeader(_ bytes: inout [UInt8]) {
        var checksum = CRC32C()
        for word in 0..<511 {
            checksum.add(
                (0..<8).reduce(UInt64(0)) { $0 | UInt64(bytes[word * 8 + $1]) << (8 * $1) })
        }
        for byte in 0..<4 {
            bytes[511 * 8 + byte] = UInt8(truncatingIfNeeded: checksum.value >> (8 * byte))
        }
    }

    /// A record, its checksum right.
    private static func record(kind: UInt8, format: UInt64, words count: Int) -> [UInt64] {
        var words = [UInt64](repeating: 0, count: count)
        let upper = UInt64(count) | UInt64(kind) << 16 | format << 24
        var checksum = CRC32C()
        checksum.add(upper)
        for word in words[1...] { checksum.add(word) }
        words[0] = upper << 32 | UInt64(checksum.value)
        return words
    }

    private static let unknown: [(words: [UInt64], says: String)] = [
        (
            record(kind: 16, format: 5, words: 6),
            "in format 5, newer than this release; run the release"
        ),
        (record(kind: 128, format: 4, words: 5), "in format 4, newer than this release; run the"),
        (record(kind: 16, format: 2, words: 6), "in format 2, older than 3; run `tollgate export`"),
        (record(kind: 128, format: 1, words: 6), "`tollgate export`"),
        (record(kind: 99, format: 3, words: 6), "of unknown kind 99; run the release"),
        (record(kind: 16, format: 4, words: 6), "an inconsistent record"),
        (record(kind: 16, format: 3, words: 5), "an inconsistent record"),
    ]

    @Test(arguments: unknown.indices)
    func anUnknownRecordInASegmentIsRefused(index: Int) throws {
        let (words, says) = Self.unknown[index]
        let disk = SimulatedDisk(seed: 1)
        let engine = try Self.open(disk).engine
        try engine.setTenant(TenantSettings(id: "acme"))
        engine.runJournal()
        let place = try #require(engine.journal?.writer.durableEnd)
        let ring = try #require(engine.rings.first)
        for (index, word) in words.enumerated() { ring[ring.end + UInt64(index)] = word }
        ring.publish(to: ring.end + UInt64(words.count))
        engine.runJournal()
        engine.close()
        let error = try Self.refusal(disk)
        let name = JournalFiles.segment(1)
        // The frame's header has 48 bytes.
        let prefix = "\(name), records at offset \(place.offset + 48): "
        #expect(error.message.hasPrefix(prefix), "\(error)")
        #expect(error.message.contains(says), "\(error)")
    }

    @Test(arguments: unknown.indices)
    func anUnknownEntryOfACheckpointIsRefused(index: Int) throws {
        let (words, says) = Self.unknown[index]
        let disk = SimulatedDisk(seed: 1)
        try Self.open(disk).engine.close()
        let id = try #require(try JournalReader.id(disk))
        let writer = try CheckpointWriter(disk, id: id, number: 1, epoch: 0, sequence: 0)
        for words in [Self.record(kind: 128, format: 3, words: 5), words] {
            try words.withUnsafeBufferPointer { _ = try writer.append($0) }
        }
        _ = try writer.finish()
        let error = try Self.refusal(disk)
        let prefix = "\(JournalFiles.checkpoint(1)), entry 2: "
        #expect(error.message.hasPrefix(prefix), "\(error)")
        #expect(error.message.contains(says), "\(error)")
    }
}
