import CLinux
import Engine
import Foundation
import GRDB
import Journal
import Limits
import Reservations

/// Takes the journal up into the file, a slice at a time, and makes the file's state anew where it must.
///
/// **Anew** means from segment 1 if that is kept, else from the oldest checkpoint that is whole, whose entries say how
/// tenants, profiles and settings stood. The history (audit, daily usage, events, deliveries) stays, and is not told
/// twice; see `Told`.
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
    /// The state was made anew, and has not caught up since: if that fails, doing it again would not help.
    private var isAnew = false
    private var lastAnew: Int64 = .min / 2
    /// Milliseconds of the monotonic clock.
    private var lastCleaning: Int64 = 0
    private var nextPruning: Int64 = 0
    /// Segments in front of it were let go; nil: none.
    private var kept: UInt64?
    /// Something that is done regularly came across damage.
    private var hasFoundDamage = false
    /// Deliveries were added that no outcome has said so far.
    private var hasDeliveries = false
    /// What is due may be sent: the file has come to where that is known.
    private(set) var isSending = true

    /// What a slice came to.
    struct Outcome {
        /// Everything that was durable has been taken up.
        var isCaughtUp: Bool
        /// Deliveries were added, or may be sent from now on.
        var hasDeliveries: Bool
        /// What is due may be sent.
        var isSending: Bool
        /// How far the file goes.
        var place: JournalPlace
        var time: Int64
        /// Why what is done regularly could not be done; nil: it could.
        var trouble: String?
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
        let (pool, notice) = try file.open(Self.extent(feed))
        self.pool = pool
        notice.map(configuration.notice)
        isSending = try pool.read { db in
            guard let told = try Told.read(db) else { return true }
            return try Folder.position(db).map { $0.position.place >= told.deliveries } ?? false
        }
    }

    private static func extent(_ feed: JournalFeed) throws -> JournalExtent {
        JournalExtent(
            id: feed.id, isWhole: try feed.disk.segmentNumbers().first == 1, end: feed.durableEnd)
    }

    /// Takes a slice up. After an error the next call begins with what the file holds.
    ///
    /// - Parameter isDamaged: a query found that the file is.
    func takeSlice(isDamaged: Bool) throws -> Outcome {
        do {
            if isDamaged || hasFoundDamage {
                hasFoundDamage = false
                throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: "found by a query")
            }
            return try slice()
        } catch {
            folder = nil
            follower = nil
            let now = linux_monotonic_nanoseconds() / 1_000_000
            let remedy = Remedy(error)
            let isAllowed =
                switch remedy {
                case .patience: false
                case .newState: !isAnew
                case .newBeginning, .newFile, .otherFile:
                    now - lastAnew >= Self.leastBetweenBeginnings
                }
            guard isAllowed else { throw error }
            isAnew = true
            lastAnew = now
            feed.keepSegments(from: 0)
            try begin(anew: remedy, because: error)
            return try slice()
        }
    }

    private func begin(anew remedy: Remedy, because error: any Error) throws {
        let journal = try Self.extent(feed)
        var notice: String?
        switch remedy {
        case .patience: break
        case .newFile: (pool, notice) = try file.replace(journal, "\(error)")
        case .otherFile:
            (pool, notice) = try file.putAside(journal, "other-journal", "\(error)")
        case .newState, .newBeginning:
            do {
                try file.makeStateAnew(pool, journal)
                notice = "lists are made anew, and what happened before is kept: \(error)"
            } catch let damage as DatabaseError where damage.isDamage {
                (pool, notice) = try file.replace(journal, "\(damage)")
            }
        }
        notice.map(configuration.notice)
    }

    /// Milliseconds.
    private static let leastBetweenBeginnings: Int64 = 60_000

    /// What helps against an error.
    private enum Remedy {
        /// To try again later.
        case patience
        /// To make the state anew, once: if it is the journal that is damaged, twice does not help.
        case newState
        /// The journal does not hold any more what comes next: to make the state anew.
        case newBeginning
        /// To make a new file of what can be read of this one.
        case newFile
        /// To begin with an empty file.
        case otherFile

        init(_ error: any Error) {
            switch error {
            case let error as DatabaseError: self = error.isDamage ? .newFile : .patience
            case let error as JournalError where error.code == .missing: self = .newBeginning
            case let error as JournalError: self = error.code == .damaged ? .newState : .patience
            case let error as ProjectionError where error.code == .otherJournal: self = .otherFile
            case let error as ProjectionError:
                self = error.code == .unusable ? .newBeginning : .newState
            default: self = .patience
            }
        }
    }

    private func slice() throws -> Outcome {
        let (folder, follower) = try ready()
        let end = feed.durableEnd
        let now = clock.now
        folder.beginSlice()
        if follower.position.place < end {
            let began = linux_monotonic_nanoseconds()
            try pool.write { db in
                var records = 0
                while let event = try follower.next(before: end) {
                    folder.reach(follower.position.place)
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
                try pruneInStep(folder, db, now: now)
                try folder.finish(db, follower.position, now: now)
            }
            hasDeliveries = hasDeliveries || folder.hasDeliveries
            try keep(follower.position.place.segment)
        }
        let isCaughtUp = follower.position.place >= end
        var trouble: String?
        if isCaughtUp {
            isAnew = false
            // What was taken up is, whatever comes of this.
            do {
                try cleanUp(folder, now: now)
            } catch {
                hasFoundDamage = (error as? DatabaseError)?.isDamage ?? false
                trouble = "\(error)"
            }
        }
        let wasSending = isSending
        isSending = folder.told.map { follower.position.place >= $0.deliveries } ?? true
        hasDeliveries = hasDeliveries || isSending && !wasSending
        defer { hasDeliveries = false }
        return Outcome(
            isCaughtUp: isCaughtUp, hasDeliveries: hasDeliveries, isSending: isSending,
            place: follower.position.place, time: folder.time, trouble: trouble)
    }

    /// Lets the segments in front of one go, as soon as the disk has what was taken up of them.
    private func keep(_ segment: UInt64) throws {
        guard segment != kept else { return }
        try ProjectionFile.sync(pool)
        feed.keepSegments(from: segment)
        kept = segment
    }

    // MARK: Beginning

    /// Folder and follower at the place where the file ends, or at the beginning if it is empty.
    private func ready() throws -> (Folder, JournalFollower) {
        if let folder, let follower { return (folder, follower) }
        let fresh = Folder(feed.id, capacity)
        fresh.attemptsGoOn = configuration.attemptsGoOn
        kept = nil
        let found = try pool.read { db in
            let found = try Folder.position(db)
            let told = try Told.read(db)
            guard found?.journal ?? feed.id == feed.id, told?.journal ?? feed.id == feed.id else {
                throw ProjectionError(.otherJournal, "the file is another journal's")
            }
            try fresh.load(db)
            return found
        }
        let position: JournalPosition
        if let found {
            position = found.position
            try keep(position.place.segment)
            guard position.place <= feed.durableEnd,
                try feed.disk.segmentNumbers().contains(position.place.segment)
            else {
                throw ProjectionError(.unusable, "the journal does not go on where the file ends")
            }
        } else if try feed.disk.segmentNumbers().first == 1 {
            position = .start(ofSegment: 1)
        } else {
            position = try takeCheckpoint(fresh)
        }
        let reader = JournalFollower(feed.disk, id: feed.id, at: position)
        folder = fresh
        follower = reader
        return (fresh, reader)
    }

    /// Takes the oldest checkpoint up that is whole and whose successor segment is there.
    private func takeCheckpoint(_ folder: Folder) throws -> JournalPosition {
        let segments = try feed.disk.segmentNumbers()
        let reader = CheckpointReader(feed.disk, id: feed.id)
        for number in try feed.disk.checkpointNumbers()
        where segments.contains(number) && reader.check(number) == nil {
            let now = clock.now
            return try pool.write { db in
                folder.reach(JournalPosition.start(ofSegment: number).place)
                let summary = try reader.read(number, wrapping: { $0 as any Error }) { block in
                    try block.forEachRecord { try folder.restore($0, db, now: now) }
                }
                let position = JournalPosition.start(ofSegment: number, after: summary.sequence)
                try folder.endOrphans(db)
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
    private static let step = 10_000

    /// Does what time alone brings, a step at a time.
    private func cleanUp(_ folder: Folder, now: Int64) throws {
        let elapsed = linux_monotonic_nanoseconds() / 1_000_000
        guard elapsed - lastCleaning >= configuration.cleaningMilliseconds else { return }
        lastCleaning = elapsed
        let isPruning = elapsed >= nextPruning
        let (lines, events, days) = try pool.write { db in
            try Cleaning.endCycles(folder.fold, db, now: now, limit: Self.step)
            guard isPruning else { return (0, 0, 0) }
            return (
                try pruneAudit(folder, db, now: now, limit: Self.step),
                try pruneEvents(folder, db, now: now, limit: Self.step / 10),
                try Cleaning.pruneUsage(
                    db, before: now - Int64(configuration.usageDays) * ProfileState.dayLength,
                    limit: Self.step)
            )
        }
        guard isPruning else { return }
        folder.auditCount -= lines
        folder.eventCount -= events
        let isDone = lines + days < Self.step && events < Self.step / 10
        nextPruning = elapsed + (isDone ? 60_000 : 0)
    }

    /// Has as much go as the slice wrote, and more: so bounds hold however much is written, and however far behind it is.
    private func pruneInStep(_ folder: Folder, _ db: Database, now: Int64) throws {
        if folder.newLines > 0 {
            folder.auditCount -= try pruneAudit(folder, db, now: now, limit: folder.newLines * 2)
        }
        if folder.newEvents > 0, folder.eventCount > configuration.eventRows {
            folder.eventCount -= try pruneEvents(folder, db, now: now, limit: folder.newEvents * 2)
        }
    }

    private func pruneAudit(
        _ folder: Folder, _ db: Database, now: Int64, limit: Int
    ) throws -> Int {
        try Cleaning.pruneAudit(
            db, before: now - configuration.auditRetention,
            excess: folder.auditCount - configuration.auditRows, limit: limit)
    }

    private func pruneEvents(
        _ folder: Folder, _ db: Database, now: Int64, limit: Int
    ) throws -> Int {
        try Cleaning.pruneEvents(
            db, before: now - configuration.eventRetention,
            excess: folder.eventCount - configuration.eventRows, limit: limit)
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
                DELETE FROM audit WHERE id IN
                (SELECT id FROM audit WHERE id < ? ORDER BY id LIMIT ?)
                """, arguments: [time * 1_000, limit])
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
            let eventTime: Int64 = try row.value("time")
            guard eventTime < time || removed < excess else { break }
            let number: Int64 = try row.value("number")
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

    /// Removes the oldest days. Returns how many rows.
    static func pruneUsage(_ db: Database, before day: Int64, limit: Int) throws -> Int {
        try db.execute(
            sql: """
                DELETE FROM usage_daily WHERE (day, tenant, profile) IN
                (SELECT day, tenant, profile FROM usage_daily WHERE day < ? LIMIT ?)
                """, arguments: [day, limit])
        return db.changesCount
    }
}
