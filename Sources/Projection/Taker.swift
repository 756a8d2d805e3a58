import CLinux
import Engine
import Foundation
import GRDB
import Journal
import Limits
import Reservations

/// Takes the journal up into the file, a slice at a time, and makes the file anew where it must.
///
/// **Anew** means from segment 1 if that is kept, else from the oldest checkpoint that is whole, whose entries say how
/// tenants, profiles and settings stood; what happened before (audit, daily usage, events) is lost then.
///
/// Thread safety: one thread at a time.
final class Taker {
    private let feed: JournalFeed
    private let clock: EngineClock
    private let capacity: TableCapacity
    private let configuration: ProjectionConfiguration
    private let file: ProjectionFile
    private(set) var pool: DatabasePool
    private var folder: Folder?
    private var follower: JournalFollower?
    /// The file was made anew, and has not caught up since: if that fails, doing it again would not help.
    private var isAnew = false
    private var lastCleaning: Int64 = 0

    /// What a slice came to.
    struct Outcome {
        /// Everything that was durable has been taken up.
        var isCaughtUp: Bool
        var hasDeliveries: Bool
        /// How far the file goes.
        var place: JournalPlace
        var time: Int64
    }

    init(
        _ feed: JournalFeed, _ clock: EngineClock, _ capacity: TableCapacity,
        _ configuration: ProjectionConfiguration, path: String
    ) throws {
        self.feed = feed
        self.clock = clock
        self.capacity = capacity
        self.configuration = configuration
        file = ProjectionFile(path: path)
        // Until it is known what is needed, all is.
        feed.keepSegments(from: 0)
        pool = try file.open().pool
    }

    /// Takes a slice up. After an error the next call begins with what the file holds.
    func takeSlice() throws -> Outcome {
        do {
            return try slice()
        } catch {
            folder = nil
            follower = nil
            guard !isAnew, Self.callsForNewFile(error) else { throw error }
            try makeAnew()
            return try slice()
        }
    }

    private static func callsForNewFile(_ error: any Error) -> Bool {
        switch error {
        case let error as DatabaseError: error.isDamage
        case let error as JournalError: error.code == .missing || error.code == .damaged
        case is ProjectionError: true
        default: false
        }
    }

    private func slice() throws -> Outcome {
        let (folder, follower) = try ready()
        let end = feed.durableEnd
        let now = clock.now
        folder.hasDeliveries = false
        if follower.position.place < end {
            let began = linux_monotonic_nanoseconds()
            try pool.write { db in
                var records = 0
                while let event = try follower.next(before: end) {
                    switch event {
                    case .start: folder.beginProcess()
                    case .records(let payload, _):
                        try payload.forEachRecord { words in
                            try folder.take(words, db, now: now)
                            records += 1
                        }
                    }
                    let elapsed = (linux_monotonic_nanoseconds() - began) / 1_000_000
                    if records >= configuration.sliceRecords
                        || elapsed >= configuration.sliceMilliseconds
                    {
                        break
                    }
                }
                try folder.finish(db, follower.position, now: now)
            }
            feed.keepSegments(from: follower.position.place.segment)
        }
        let isCaughtUp = follower.position.place >= end
        if isCaughtUp {
            isAnew = false
            try cleanUp(folder, now: now)
        }
        return Outcome(
            isCaughtUp: isCaughtUp, hasDeliveries: folder.hasDeliveries,
            place: follower.position.place, time: folder.time)
    }

    // MARK: Beginning

    /// Folder and follower at the place where the file ends.
    private func ready() throws -> (Folder, JournalFollower) {
        if let folder, let follower { return (folder, follower) }
        let loaded = Folder(feed.id, capacity)
        let found = try pool.read { db -> JournalPosition? in
            guard let found = try Folder.position(db), found.journal == feed.id else { return nil }
            try loaded.load(db)
            return found.position
        }
        guard let position = found else {
            throw ProjectionError(.unusable, "the file is another journal's, or empty")
        }
        feed.keepSegments(from: position.place.segment)
        let isThere = try feed.disk.segmentNumbers().contains(position.place.segment)
        guard position.place <= feed.durableEnd,
            isThere || position.place == .start(ofSegment: position.place.segment)
        else { throw ProjectionError(.unusable, "the journal does not go on where the file ends") }
        let reader = JournalFollower(feed.disk, id: feed.id, at: position)
        folder = loaded
        follower = reader
        return (loaded, reader)
    }

    private func makeAnew() throws {
        isAnew = true
        feed.keepSegments(from: 0)
        pool = try file.makeAnew()
        let empty = Folder(feed.id, capacity)
        var position = JournalPosition.start(ofSegment: 1)
        if try feed.disk.segmentNumbers().first != 1 { position = try takeCheckpoint(empty) }
        follower = JournalFollower(feed.disk, id: feed.id, at: position)
        folder = empty
    }

    /// Takes the oldest checkpoint up that is whole and whose successor segment is there.
    private func takeCheckpoint(_ folder: Folder) throws -> JournalPosition {
        let segments = try feed.disk.segmentNumbers()
        let reader = CheckpointReader(feed.disk, id: feed.id)
        for number in try feed.disk.checkpointNumbers()
        where segments.contains(number) && reader.check(number) == nil {
            let now = clock.now
            return try pool.write { db in
                let summary = try reader.read(number, wrapping: { $0 as any Error }) { block in
                    try block.forEachRecord { try folder.restore($0, db, now: now) }
                }
                let position = JournalPosition.start(ofSegment: number, after: summary.sequence)
                try folder.finish(db, position, now: now)
                return position
            }
        }
        throw JournalError(
            .damaged, file: JournalFiles.checkpoint(segments.first ?? 1),
            reason: "no checkpoint is whole from which the projection could begin",
            remedy: "stop the service, and see `tollgate journal verify`")
    }

    // MARK: Cleaning up

    /// Rows that go in one step.
    private static let step = 2_000

    /// Does what time alone brings, a step at a time.
    private func cleanUp(_ folder: Folder, now: Int64) throws {
        let elapsed = linux_monotonic_nanoseconds() / 1_000_000
        guard elapsed - lastCleaning >= 1_000 else { return }
        try pool.write { db in
            try Cleaning.endCycles(folder.fold, db, now: now, limit: Self.step)
            folder.auditCount -= try Cleaning.pruneAudit(
                db, before: now - configuration.auditRetention,
                excess: folder.auditCount - configuration.auditRows, limit: Self.step)
            folder.eventCount -= try Cleaning.pruneEvents(
                db, before: now - configuration.eventRetention,
                excess: folder.eventCount - configuration.eventRows, limit: Self.step)
            try Cleaning.pruneUsage(
                db, before: now - Int64(configuration.usageDays) * ProfileState.dayLength,
                limit: Self.step)
        }
        lastCleaning = elapsed
    }
}

/// Steps of what is done regularly; each a bounded number of rows.
enum Cleaning {
    /// Has tenants whose cycle is over count as empty in the order by fullness, though no record says so yet.
    static func endCycles(_ fold: StateFold, _ db: Database, now: Int64, limit: Int) throws {
        let numbers = try UInt32.fetchAll(
            db,
            sql: """
                SELECT number FROM tenant_state
                WHERE open = 1 AND ended = 0 AND cycle_end <= ? LIMIT ?
                """, arguments: [now, limit])
        for number in numbers {
            guard let state = fold.tenant(number) else { continue }
            try db.execute(
                sql: "UPDATE tenant_state SET ended = 1, fullness = ? WHERE number = ?",
                arguments: [state.fullness(countsOnly: true, fold.rules), number])
        }
    }

    /// Removes the oldest lines: those before a time, and as many as there are too many. Returns how many.
    static func pruneAudit(
        _ db: Database, before time: Int64, excess: Int, limit: Int
    ) throws -> Int {
        try db.execute(
            sql: """
                DELETE FROM audit WHERE id IN (SELECT id FROM audit ORDER BY id LIMIT ?)
                AND id < ?
                """, arguments: [limit, time * 1_000])
        let aged = db.changesCount
        guard excess > aged else { return aged }
        try db.execute(
            sql: "DELETE FROM audit WHERE id IN (SELECT id FROM audit ORDER BY id LIMIT ?)",
            arguments: [min(excess - aged, limit)])
        return aged + db.changesCount
    }

    /// Removes events of which nothing is on its way any more, with their deliveries. Returns how many.
    static func pruneEvents(
        _ db: Database, before time: Int64, excess: Int, limit: Int
    ) throws -> Int {
        let oldest = try Row.fetchAll(
            db,
            sql: """
                SELECT number, time FROM event WHERE NOT EXISTS
                (SELECT 1 FROM delivery WHERE event = event.number AND status = 0)
                ORDER BY number LIMIT ?
                """, arguments: [limit])
        var removed = 0
        for row in oldest {
            guard (row["time"] as Int64) < time || removed < excess else { break }
            let number: Int64 = row["number"]
            try db.execute(
                sql: """
                    DELETE FROM attempt WHERE delivery IN
                    (SELECT id FROM delivery WHERE event = ?)
                    """, arguments: [number])
            try db.execute(sql: "DELETE FROM delivery WHERE event = ?", arguments: [number])
            try db.execute(sql: "DELETE FROM event WHERE number = ?", arguments: [number])
            removed += 1
        }
        return removed
    }

    static func pruneUsage(_ db: Database, before day: Int64, limit: Int) throws {
        try db.execute(
            sql: """
                DELETE FROM usage_daily WHERE (day, tenant, profile) IN
                (SELECT day, tenant, profile FROM usage_daily WHERE day < ? LIMIT ?)
                """, arguments: [day, limit])
    }
}

extension JournalPlace {
    /// In front of a segment's first frame.
    static func start(ofSegment number: UInt64) -> JournalPlace {
        JournalPosition.start(ofSegment: number).place
    }
}
