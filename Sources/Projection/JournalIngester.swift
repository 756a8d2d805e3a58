import CLinux
import Engine
import Foundation
import GRDB
import Journal
import Limits

/// Takes the journal up into the file, a slice at a time, and makes the file's state anew where it must.
///
/// **Anew** means from segment 1 if that is kept, else from the oldest checkpoint that is whole, whose entries say how
/// tenants, profiles and settings stood. The history (audit, daily usage, events, deliveries) stays, and is not told
/// twice; see `HistoryWatermark`.
///
/// Thread safety: one thread at a time.
final class JournalIngester {
    let feed: JournalFeed
    let clock: EngineClock
    let capacity: TableCapacity
    let configuration: ProjectionConfiguration
    let file: ProjectionFile
    private(set) var pool: DatabasePool
    var writer: ProjectionWriter?
    var follower: JournalFollower?
    /// The frame that is taken up, if the last slice ended within it.
    private var frame: Frame?
    /// Records to be passed over of the first frame: the file has them.
    var passed = 0
    /// The state was made anew, and has not caught up since: if that fails, doing it again would not help.
    private var isAnew = false
    private var lastAnew: Int64 = .min / 2
    /// The oldest checkpoint went while it was taken up.
    var beginsLate = false
    /// Milliseconds of the monotonic clock.
    private var lastCleaning: Int64 = 0
    private var nextPruning: Int64 = 0
    private var lastSum = linux_monotonic_nanoseconds() / 1_000_000
    /// The row of `usage_delta` behind which summing up goes on.
    private var lastSummed: UsageKey?
    private let began = linux_monotonic_nanoseconds() / 1_000_000
    private var nextTruncation: Int64 = 0
    /// The event at which removing old ones goes on.
    private var lastPruned: Int64 = .min
    /// Segments in front of it were let go; nil: none.
    var kept: UInt64?
    /// Where the journal ended when the state began: what is listed before that is taken up is not the whole.
    private var wholeFrom: JournalPlace
    /// It is.
    let isWhole = Flag()
    /// Throws when the service stops: what takes long ends then, and is done when it starts again.
    let goOn: () throws -> Void
    /// Something that is done regularly came across damage.
    private var hasFoundDamage = false
    /// Deliveries were added that no outcome has said so far.
    private var hasDeliveries = false
    /// What is due may be sent: the file has come to where that is known.
    private(set) var isSending = true

    /// What a slice came to.
    struct Outcome {
        /// There is more to do at once.
        var hasMore: Bool
        /// Deliveries were added, or may be sent from now on.
        var hasDeliveries: Bool
        /// What is due may be sent.
        var isSending: Bool
        /// How far the file goes.
        var place: JournalPlace
        var time: Int64
        /// Why what is done regularly could not be done; nil: it could.
        var trouble: (any Error)?
    }

    init(
        _ feed: JournalFeed, _ clock: EngineClock, _ capacity: TableCapacity,
        _ configuration: ProjectionConfiguration, path: String,
        goOn: @escaping () throws -> Void
    ) throws {
        self.feed = feed
        self.clock = clock
        self.capacity = capacity
        self.configuration = configuration
        self.goOn = goOn
        wholeFrom = feed.durableEnd
        file = ProjectionFile(path: path, trace: configuration.trace)
        // Until it is known what is needed, all is.
        feed.keepSegments(from: 0)
        let journal = try Self.extent(feed)
        var (pool, notice) = try file.open(journal)
        notice.map(configuration.notice)
        do {
            isSending = try pool.read(Self.isSending)
        } catch let error where Self.isOfTheFile(error) {
            (pool, notice) = try file.replace(journal, ProjectionError.reason(of: error))
            notice.map(configuration.notice)
            isSending = try pool.read(Self.isSending)
        }
        self.pool = pool
    }

    /// What is due may be sent, as a file says.
    private static func isSending(_ db: Database) throws -> Bool {
        guard let told = try HistoryWatermark.read(db) else { return true }
        return try ProjectionWriter.position(db).map { $0.position.place >= told.deliveries }
            ?? false
    }

    /// What the file holds is to blame, rather than the disk or the moment: another file is no worse off.
    private static func isOfTheFile(_ error: any Error) -> Bool {
        switch error {
        case let error as DatabaseError: error.isDamage
        case let error as ProjectionError: error.code == .unusable
        default: false
        }
    }

    static func extent(_ feed: JournalFeed) throws -> JournalExtent {
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
            writer = nil
            follower = nil
            frame = nil
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
            wholeFrom = feed.durableEnd
            isWhole.set(false)
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
        case .newFile:
            (pool, notice) = try file.replace(journal, ProjectionError.reason(of: error), goOn)
        case .otherFile:
            (pool, notice) = try file.putAside(
                journal, "other-journal", ProjectionError.reason(of: error))
        case .newState, .newBeginning:
            do {
                try file.makeStateAnew(pool, journal)
                notice =
                    "lists are rebuilt, the history is kept: \(ProjectionError.reason(of: error))"
            } catch let damage where Self.isOfTheFile(damage) {
                (pool, notice) = try file.replace(journal, ProjectionError.reason(of: damage), goOn)
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

    // MARK: A slice

    /// A frame of records that is taken up, maybe in several slices.
    private struct Frame {
        let words: UnsafeBufferPointer<UInt64>
        /// Where it begins, and what it follows.
        let start: JournalPosition
        /// Words and records that were taken up.
        var offset = 0
        var records = 0
    }

    /// What one slice may take.
    private struct Budget {
        private let began = linux_monotonic_nanoseconds()
        let milliseconds: Double
        let records: Int
        /// Records that were taken up: one at least, however late it is.
        var taken = 0

        init(_ configuration: ProjectionConfiguration) {
            milliseconds = Double(configuration.sliceMilliseconds)
            records = configuration.sliceRecords
        }

        /// - Parameters:
        ///   - part: of the time; the rest is for what the slice ends with.
        ///   - owed: milliseconds that will be needed in any case.
        func isSpent(_ part: Double, owed: Double = 0) -> Bool {
            let elapsed = Double(linux_monotonic_nanoseconds() - began) / 1_000_000
            return elapsed + owed >= milliseconds * part
        }

        func isEnough(owed: Double) -> Bool {
            taken >= records || (taken > 0 && isSpent(0.5, owed: owed))
        }
    }

    private func slice() throws -> Outcome {
        let (writer, follower) = try ready()
        let end = feed.durableEnd
        let now = clock.now
        writer.beginSlice()
        if frame != nil || follower.position.place < end {
            try pool.write { db in
                var budget = Budget(configuration)
                while try takeUp(follower, before: end, writer, db, now: now, &budget) {}
                try pruneInStep(writer, db, now: now) { [budget] in budget.isSpent(0.8) }
                let position = frame?.start ?? follower.position
                try writer.finish(db, position, records: frame?.records ?? 0, now: now)
            }
            hasDeliveries = hasDeliveries || writer.hasDeliveries
            try keep((frame?.start ?? follower.position).place.segment)
        }
        truncate()
        let isCaughtUp = frame == nil && follower.position.place >= end
        var trouble: (any Error)?
        var hasMore = !isCaughtUp
        if isCaughtUp {
            isAnew = false
            // What was taken up is, whatever comes of this.
            do {
                hasMore = try workInSteps(writer, now: now)
                hasDeliveries = hasDeliveries || writer.hasDeliveries
            } catch {
                hasFoundDamage = (error as? DatabaseError)?.isDamage ?? false
                trouble = error
            }
        }
        let place = (frame?.start ?? follower.position).place
        if place >= wholeFrom { isWhole.set(true) }
        let wasSending = isSending
        isSending = writer.told.map { place >= $0.deliveries } ?? true
        hasDeliveries = hasDeliveries || isSending && !wasSending
        defer { hasDeliveries = false }
        return Outcome(
            hasMore: hasMore, hasDeliveries: hasDeliveries, isSending: isSending, place: place,
            time: writer.time, trouble: trouble)
    }

    /// Takes more records up. False: the slice ends here.
    private func takeUp(
        _ follower: JournalFollower, before end: JournalPlace, _ writer: ProjectionWriter,
        _ db: Database,
        now: Int64, _ budget: inout Budget
    ) throws -> Bool {
        if frame == nil {
            guard let event = try follower.next(before: end) else { return false }
            switch event {
            case .start:
                writer.beginProcess()
                return true
            case .records(let words, let place):
                frame = Frame(words: words, start: place.frameStart)
            }
        }
        guard var current = frame else { return false }
        while current.offset < current.words.count {
            if budget.isEnough(owed: writer.owedMilliseconds) {
                frame = current
                return false
            }
            let count = RecordWords.count(current.words[current.offset])
            guard count > 0, current.offset + count <= current.words.count else {
                throw ProjectionError(.journal, "a record is longer than its frame")
            }
            if current.records >= passed {
                writer.reach(
                    follower.position.place, from: current.start.place, index: current.records)
                try writer.take(
                    UnsafeBufferPointer(
                        rebasing: current.words[current.offset..<current.offset + count]),
                    db, now: now)
                budget.taken += 1
            }
            current.offset += count
            current.records += 1
        }
        frame = nil
        passed = 0
        return !budget.isEnough(owed: writer.owedMilliseconds)
    }

    /// Lets the segments in front of one go, as soon as the disk has what was taken up of them.
    func keep(_ segment: UInt64) throws {
        guard segment != kept else { return }
        try ProjectionFile.sync(pool)
        feed.keepSegments(from: segment)
        kept = segment
    }

    /// Milliseconds between attempts to have the log of changes begin anew that failed.
    private static let betweenTruncations: Int64 = 10_000

    /// Has the log of changes begin anew if it is too long. What goes wrong with that is no harm: it is tried again.
    private func truncate() {
        let now = linux_monotonic_nanoseconds() / 1_000_000
        guard now >= nextTruncation, file.walBytes > configuration.walBytes else { return }
        do {
            try ProjectionFile.truncate(pool)
        } catch {
            nextTruncation = now + Self.betweenTruncations
        }
    }

    // MARK: Cleaning up

    /// Does what was too much for one slice, and what time alone brings, a step at a time. True: there is more to do.
    private func workInSteps(_ writer: ProjectionWriter, now: Int64) throws -> Bool {
        if !writer.jobs.isEmpty {
            try pool.write { try writer.doNextStep($0) }
            return true
        }
        return try cleanUp(writer, now: now)
    }

    private func cleanUp(_ writer: ProjectionWriter, now: Int64) throws -> Bool {
        let elapsed = linux_monotonic_nanoseconds() / 1_000_000
        guard elapsed - lastCleaning >= configuration.cleaningMilliseconds else { return false }
        lastCleaning = elapsed
        let isPruning = elapsed >= nextPruning
        let isDone = try pool.write { db in
            let budget = Budget(configuration)
            let cleaning = Cleaning(db: db) { budget.isSpent(0.8) }
            guard try cleaning.endWindows(writer.fold, now: now) else { return false }
            if elapsed - lastSum >= configuration.sumMilliseconds {
                guard try cleaning.sumUp(after: &lastSummed) else { return false }
                lastSum = elapsed
            }
            guard isPruning else { return true }
            let oldest = now - Int64(configuration.usageDays) * ProfileState.dayLength
            if isSending, elapsed - began >= configuration.deliveryGrace {
                let due = now - configuration.deliveryWait
                guard try cleaning.giveUp(dueBefore: due, now: now) else { return false }
            }
            return try pruneAudit(writer, cleaning, now: now)
                && pruneEvents(writer, cleaning, now: now)
                && cleaning.pruneUsage(
                    before: oldest,
                    hoursBefore: now - Int64(configuration.hourlyDays) * ProfileState.dayLength)
        }
        if !isDone {
            lastCleaning = .min / 2
        } else if isPruning {
            nextPruning = elapsed + 60_000
        }
        return !isDone
    }

    /// Has as much go as the slice wrote, and more: so bounds hold however much is written, and however far behind it is.
    private func pruneInStep(
        _ writer: ProjectionWriter, _ db: Database, now: Int64, _ isOver: @escaping () -> Bool
    ) throws {
        let cleaning = Cleaning(db: db, isOver: isOver)
        if writer.newLines > 0 {
            _ = try pruneAudit(writer, cleaning, now: now, limit: writer.newLines * 2)
        }
        if writer.newEvents > 0, writer.eventCount > configuration.eventRows {
            _ = try pruneEvents(writer, cleaning, now: now, limit: writer.newEvents * 2)
        }
    }

    private func pruneAudit(
        _ writer: ProjectionWriter, _ cleaning: Cleaning, now: Int64, limit: Int = .max
    ) throws -> Bool {
        let (removed, isDone) = try cleaning.pruneAudit(
            before: now - configuration.auditRetention,
            excess: writer.auditCount - configuration.auditRows, limit: limit)
        writer.auditCount -= removed
        return isDone
    }

    private func pruneEvents(
        _ writer: ProjectionWriter, _ cleaning: Cleaning, now: Int64, limit: Int = .max
    ) throws -> Bool {
        let (removed, isDone) = try cleaning.pruneEvents(
            after: &lastPruned, before: now - configuration.eventRetention,
            excess: writer.eventCount - configuration.eventRows, limit: limit)
        writer.eventCount -= removed
        return isDone
    }
}
