import Foundation
import GRDB
import Journal
import Limits
import TestKit
import Testing

@testable import Engine
@testable import Projection
@testable import Reservations

/// Records in an order in which they may stand in a journal: each tenant's own order is that of its versions.
@Suite struct ProjectionWriterTests {
    private static let capacity = TableCapacity(
        tenants: 100, profiles: 100, reservations: 100_000, bodies: 10_000, keys: 10_000, lanes: 2,
        ringWords: 1 << 18)

    /// What two tenants with a profile each went through, as records.
    private static func records() throws -> [[UInt64]] {
        let engine = try Engine(configuration: EngineConfiguration(capacity: capacity))
        let lane = try engine.makeLane()
        for tenant in ["a", "b"] {
            var settings = TenantSettings(id: tenant)
            settings.limits.monthlySpendNanos = 1_000
            settings.limits.autoSuspend = true
            try engine.setTenant(settings)
            try engine.setProfile(ProfileSettings(id: "p" + tenant, tenantID: tenant))
        }
        lane.beginBatch()
        for step in 0..<150 {
            let tenant = step % 2 == 0 ? "a" : "b"
            var answer = CheckAnswer()
            tenant.withBorrowedBytes { id in
                ("p" + tenant).withBorrowedBytes { profile in
                    var command = CheckCommand(
                        tenantID: id, action: .charge, amounts: Amounts(.spend, 20))
                    command.profileID = profile
                    command.mode = .commit
                    _ = lane.check(command, answer: &answer)
                }
            }
            if answer.decision == .denied { try engine.setStatus(ofTenant: tenant, .active) }
        }
        return engine.rings.flatMap { ring in
            var records: [[UInt64]] = []
            var position = ring.durable
            while position < ring.published {
                let count = UInt64(RecordWords.count(ring[position]))
                records.append((0..<count).map { ring[position + $0] })
                position += count
            }
            return records
        }
    }

    private struct Shown: Equatable {
        var states: [Data] = []
        var days: [Row] = []
        var lines = 0
        var events: [String] = []
        var waiting = 0
    }

    private static func shown(_ db: Database) throws -> Shown {
        Shown(
            states: try Data.fetchAll(
                db,
                sql: """
                    SELECT state FROM tenant_state
                    UNION ALL SELECT state FROM profile_state
                    """),
            days: try Row.fetchAll(db, sql: "SELECT * FROM usage_delta"),
            lines: try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM audit") ?? -1,
            events: try String.fetchAll(db, sql: "SELECT id FROM event ORDER BY id"),
            waiting: try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM waiting") ?? -1)
    }

    /// Takes records up, a slice for each group, with a new writer for each slice: it knows what the file says.
    private static func take(_ slices: [[[UInt64]]]) throws -> Shown {
        let queue = try DatabaseQueue()
        try queue.write { try ProjectionSchema.make($0) }
        let id = JournalID(low: 1, high: 2)
        for slice in slices {
            let writer = ProjectionWriter(id, capacity)
            try writer.load(queue) {}
            try queue.write { db in
                for words in slice {
                    try words.withUnsafeBufferPointer { try writer.take($0, db, now: 5) }
                }
                try writer.finish(db, .start(ofSegment: 1), records: 0, now: 5)
            }
        }
        return try queue.read(shown)
    }

    /// What the file does not say is counted, a bounded number of rows at a time.
    @Test func rowsAreCountedInSteps() throws {
        let queue = try DatabaseQueue()
        try queue.write { db in
            try ProjectionSchema.make(db)
            try db.execute(
                sql: """
                    WITH RECURSIVE number (n) AS
                    (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 12001)
                    INSERT INTO audit (id, time, kind, caller, action, code, reservation, events,
                    asked, reference) SELECT 7 * n, n, 1, 0, 0, 0, 0, 0, '', '' FROM number
                    """)
        }
        let writer = ProjectionWriter(JournalID(low: 1, high: 2), Self.capacity)
        var steps = 0
        try writer.load(queue) { steps += 1 }
        #expect(writer.auditCount == 12_001 && writer.eventCount == 0)
        #expect(steps >= 4, "a stop would wait for all of them")
    }

    @Test func copiesAndEarlyRecords() throws {
        let records = try Self.records()
        // Ordered by time: the lanes' rings stand one behind the other.
        let reference = try Self.take([records])
        #expect(reference.states.count == 4 && reference.events.count > 2 && reference.waiting == 0)
        var random = SeededGenerator(seed: 9)
        for _ in 0..<20 {
            var mixed = records
            for index in mixed.indices where random.next() % 3 == 0 {
                // Nobody ever copies counts: they stand outside of the versions.
                if mixed[index][0] >> 48 & 0xFF != UInt64(Limits.Record.Kind.refusals.rawValue) {
                    mixed.append(mixed[index])
                }
            }
            mixed.shuffle(using: &random)
            let cut = Int(random.next() % UInt64(mixed.count))
            let shown = try Self.take([Array(mixed[..<cut]), Array(mixed[cut...])])
            #expect(shown == reference)
        }
    }

    /// A record whose predecessor never came was never acknowledged: when the next process begins, it is nothing.
    @Test func whatStillWaitsAtAStartIsDropped() throws {
        let records = try Self.records()
        let reference = try Self.take([records])
        let queue = try DatabaseQueue()
        try queue.write { db in
            try ProjectionSchema.make(db)
            let writer = ProjectionWriter(JournalID(low: 1, high: 2), Self.capacity)
            let last = try #require(records.last)
            try last.withUnsafeBufferPointer { try writer.take($0, db, now: 5) }
            try writer.finish(db, .start(ofSegment: 1), records: 0, now: 5)
            #expect(try Self.shown(db).waiting == 1)
            writer.beginProcess()
            for words in records {
                try words.withUnsafeBufferPointer { try writer.take($0, db, now: 5) }
            }
            try writer.finish(db, .start(ofSegment: 1), records: 0, now: 5)
            #expect(try Self.shown(db) == reference)
        }
    }

    @Test func nonsenseIsRefused() throws {
        let records = try Self.records()
        let queue = try DatabaseQueue()
        try queue.write { db in
            try ProjectionSchema.make(db)
            let writer = ProjectionWriter(JournalID(low: 1, high: 2), Self.capacity)
            var words = records[0]
            words[3] = words[3] & ~0xFFFF_FFFF | 5_000_000
            #expect(throws: ProjectionError.self) {
                try words.withUnsafeBufferPointer { try writer.take($0, db, now: 5) }
            }
            words[0] = words[0] & ~(0xFF << 48) | 0x7F << 48
            #expect(throws: ProjectionError.self) {
                try words.withUnsafeBufferPointer { try writer.take($0, db, now: 5) }
            }
        }
    }
}
