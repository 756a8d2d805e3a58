import Journal
import Limits
import Reservations
import Testing

@testable import Engine

/// What was never acknowledged is not played back: a gap ends it.
@Suite struct ReplayerTests {
    private static let now: Int64 = 1_700_000_000_000

    /// An engine whose records stay in its rings.
    private static func makeEngine() throws -> Engine {
        try Engine(
            configuration: EngineConfiguration(
                capacity: TableCapacity(
                    tenants: 16, profiles: 16, reservations: 64, bodies: 64, keys: 64, lanes: 3,
                    ringWords: 4_096)),
            clock: EngineClock(EngineClock.Source(boot: { now }, wall: { now })),
            secret: HashSecret(k0: 1, k1: 2))
    }

    private static func hold(_ engine: Engine, spend: Int64) throws {
        let lane = try engine.makeLane()
        lane.beginBatch()
        var answer = CheckAnswer()
        let failure = "acme".withBorrowedBytes { tenantID in
            var amounts = Amounts()
            amounts.set(Resource.spend.index, spend)
            return lane.check(
                CheckCommand(tenantID: tenantID, action: .sendMessage, amounts: amounts),
                answer: &answer)
        }
        try #require(failure == nil && answer.reservationID != 0)
    }

    private static func play(
        _ records: [[UInt64]], _ replayer: inout Replayer
    ) throws(EngineError) {
        for words in records {
            try words.withUnsafeBufferPointer { (words) throws(EngineError) in
                try replayer.play(words)
            }
        }
    }

    /// What an engine knows that plays records back, a process run each.
    private static func played(
        _ processes: [[[UInt64]]]
    ) throws -> (state: EngineState, statistics: Replayer.Statistics) {
        let engine = try makeEngine()
        let statistics = try engine.recover(now: now) { (replayer) throws(EngineError) in
            for records in processes {
                replayer.beginProcess()
                try play(records, &replayer)
            }
        }
        return (try EngineState(engine), statistics)
    }

    /// Records of one tenant: its first three, and another second one, of a process that knows the first only.
    private struct Records {
        let first: [UInt64]
        let second: [UInt64]
        let third: [UInt64]
        let otherSecond: [UInt64]

        init() throws {
            let engine = try makeEngine()
            try engine.setTenant(TenantSettings(id: "acme"))
            try hold(engine, spend: 5)
            try hold(engine, spend: 7)
            let records = engine.takeRecords()
            try #require(records.map { $0[1] } == [1, 2, 3])
            (first, second, third) = (records[0], records[1], records[2])
            let other = try makeEngine()
            try other.setTenant(TenantSettings(id: "acme"))
            try hold(other, spend: 11)
            let others = other.takeRecords()
            try #require(others.map { $0[1] } == [1, 2] && others[1] != second)
            otherSecond = others[1]
        }
    }

    @Test func aLateRecordTakesEffect() throws {
        let records = try Records()
        let inOrder = try Self.played([[records.first, records.second, records.third]])
        let late = try Self.played([[records.first, records.third, records.second]])
        #expect(late.state == inOrder.state && late.statistics.dropped == 0)
        let twice = try Self.played([
            [records.first, records.third, records.second, records.third, records.second]
        ])
        #expect(twice.state == inOrder.state && twice.statistics.duplicates == 2)
    }

    @Test func aGapEndsWhatWasNotAcknowledged() throws {
        let records = try Records()
        let expected = try Self.played([[records.first, records.otherSecond]])
        let gap = try Self.played([[records.first, records.third], [records.otherSecond]])
        #expect(gap.state == expected.state)
        #expect(gap.statistics.dropped == 1 && gap.statistics.duplicates == 0)
        #expect(gap.statistics.records == 3)
        // It is gone for good: its version is another record's.
        let all = try Self.played([[records.first, records.second, records.third]])
        #expect(gap.state != all.state)
    }

    /// What another release wrote is refused, with the remedy that a file of another format gets.
    @Test(arguments: [
        (RecordWords.format - 1, "older than 3", JournalError.carryOver),
        (RecordWords.formatWithTrace + 1, "newer than this release", JournalError.runLaterRelease),
    ])
    func anotherFormatIsRefused(_ format: UInt64, _ says: String, _ remedy: String) throws {
        var record = try Records().first
        record[0] = record[0] & ~(0xff << 56) | format << 56
        let error = #expect(throws: EngineError.self) { try Self.played([[record]]) }
        let text = error.map { "\($0)" } ?? ""
        #expect(text.contains("a record in format \(format), \(says)"))
        #expect(text.contains(remedy), "\(text)")
    }

    /// A record that waits when a checkpoint is made waits in there.
    @Test func aCheckpointCarriesWhatWaits() throws {
        let records = try Records()
        var images: [[UInt64]] = []
        try Self.makeEngine().recover(now: Self.now) { (replayer) throws(EngineError) in
            try Self.play([records.first, records.third], &replayer)
            replayer.forEachEntry(
                now: EngineTime(windows: Self.now, lives: Self.now)
            ) { images.append(Array($0)) }
        }
        #expect(images.last == records.third)
        let one = try Self.played([[records.first]])
        #expect(try Self.played([images]).state == one.state, "it has not taken effect yet")

        let all = try Self.played([[records.first, records.second, records.third]])
        let late = try Self.played([images + [records.second]])
        #expect(late.state == all.state && late.statistics.dropped == 0)

        let expected = try Self.played([[records.first, records.otherSecond]])
        let gap = try Self.played([images, [records.otherSecond]])
        #expect(gap.state == expected.state && gap.statistics.dropped == 1)
    }
}
