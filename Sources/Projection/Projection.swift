import CLinux
package import Engine
import Events
import Foundation
import GRDB
import Journal
import Limits
import Synchronization
import Threads

/// What people see of the service: tenants and profiles with their usage, daily usage, the audit log, events and their
/// deliveries. A follower of the journal, in a SQLite file (docs/decisions/0004).
///
/// **Truth.** The journal is: how things stand is made anew from it whenever that helps. What happened before the journal
/// that is kept begins, the file alone knows; it is never thrown away. Only what is durable is read, so everything shown
/// is.
///
/// **Throttle.** One thread that lets others go first looks at the journal every 100 ms, and rests half as long as its work
/// took unless it is behind by more than a slice. Nothing is asked of event loops.
///
/// **Trouble.** If it cannot go on (a full disk, a journal that cannot be read), `status` says why, and it tries again
/// every second. Meanwhile it holds segments that it still needs, until the journal fills three quarters of its bounds:
/// then they go, and the projection begins anew from the oldest checkpoint, without what happened before it.
///
/// Thread safety: any thread.
package final class Projection: Sendable, Outbox {
    /// Its file in the data directory.
    package static let fileName = CompanionFiles.lists

    let configuration: ProjectionConfiguration
    let clock: EngineClock
    /// See `Engine.timeOfWindows`.
    let timeOfWindows: @Sendable () async throws -> Int64
    let feed: JournalFeed
    /// Of queries; made anew with the file.
    private let readers: Lock<DatabasePool>
    private let ingester: Lock<JournalIngester>
    /// How far the file goes: `JournalPlace.packed`, and the engine time of its last record.
    private let reached = Atomic<UInt64>(0)
    private let reachedTime = Atomic<Int64>(0)
    /// What went wrong last, and with how many slices in a row.
    private let trouble: Lock<(what: (any Error)?, slices: Int)> = Lock((nil, 0))
    /// So many, a second apart, are a standstill.
    static let patience = 3
    /// What was durable when the state began is taken up: lists are whole.
    private let isWhole: Flag
    private let sends: Atomic<Bool>
    /// A query found that the file is damaged.
    private let isDamaged = Atomic<Bool>(false)
    private let listeners: Lock<[@Sendable () -> Void]> = Lock([])
    let schedules = DisplaySchedules()

    private let wakeUp = FutexWord()
    /// Who waits for what is taken up.
    let waiters = Waiters()
    private let isStopping: Flag
    private let ended: Lock<DispatchSemaphore?> = Lock(nil)

    private init(
        _ feed: JournalFeed, _ engine: Engine, _ configuration: ProjectionConfiguration,
        _ ingester: sending JournalIngester, _ pool: DatabasePool, _ isStopping: Flag
    ) {
        self.isStopping = isStopping
        isWhole = ingester.isWhole
        self.feed = feed
        clock = engine.clock
        timeOfWindows = { [weak engine] in
            guard let engine else { throw CancellationError() }
            return try await engine.timeOfWindows()
        }
        self.configuration = configuration
        readers = Lock(pool)
        sends = Atomic(ingester.isSending)
        self.ingester = Lock(ingester)
    }

    /// Opens the file, or makes it; nothing is taken up before `start`.
    ///
    /// - Parameters:
    ///   - path: of `projection.sqlite`, in a directory that exists.
    ///   - engine: with a journal; it must outlive the projection's `stop`.
    /// - Throws: `ProjectionError.noJournal`, or that the file can be neither opened nor made.
    package static func open(
        path: String, engine: Engine,
        configuration: ProjectionConfiguration = ProjectionConfiguration()
    ) throws -> Projection {
        guard let feed = engine.journalFeed else {
            throw ProjectionError(
                .noJournal, "there is no journal (--durability memory)")
        }
        let isStopping = Flag()
        let ingester = try JournalIngester(
            feed, engine.clock, engine.configuration.capacity, configuration, path: path
        ) {
            if isStopping.isSet { throw ProjectionError(.stopping, "the service is stopping") }
        }
        let pool = ingester.pool
        return Projection(feed, engine, configuration, ingester, pool, isStopping)
    }

    // MARK: Following

    /// Begins to follow, on a thread of its own. Once, or again after `stop`.
    package func start() {
        isStopping.set(false)
        let done = DispatchSemaphore(value: 0)
        ended.withLock { $0 = done }
        let isStarted = NamedThread.detach(.projection) { [self] in
            linux_be_nice(10)
            follow()
            done.signal()
        }
        precondition(isStarted, "the system has no thread left")
    }

    /// Ends the thread, and interrupts what it is about; what is not taken up yet is when the service starts again.
    /// Queries that come later work.
    package func stop() {
        isStopping.set(true)
        wake()
        if let ended = ended.withLock({ $0 }) {
            // An interrupt meets only a statement that is running: until the thread has seen the flag.
            while ended.wait(timeout: .now() + .milliseconds(20)) == .timedOut {
                readers.withLock { $0 }.interrupt()
            }
        }
        ended.withLock { $0 = nil }
    }

    private func follow() {
        while !isStopping.isSet {
            let calls = wakeUp.load()
            let began = linux_monotonic_nanoseconds()
            var pause = configuration.pollMilliseconds * 1_000_000
            do {
                guard try takeSlice() else { continue }
                pause = min(max(pause, (linux_monotonic_nanoseconds() - began) / 2), 1_000_000_000)
            } catch {
                pause = 1_000_000_000
            }
            wakeUp.wait(while: calls, nanoseconds: pause)
        }
    }

    private func wake() {
        wakeUp.increment()
        wakeUp.wake()
    }

    /// Takes a slice up. True: everything that was durable has been taken up, and all that follows from it is done.
    @discardableResult
    func takeSlice() throws -> Bool {
        do {
            let outcome = try ingester.withLock { ingester in
                // The pool may be a new one, also if the slice fails.
                defer { readers.withLock { $0 = ingester.pool } }
                // ORDERING: relaxed because it goes with no other data: who found the damage wakes this thread.
                return try ingester.takeSlice(
                    isDamaged: isDamaged.exchange(false, ordering: .relaxed))
            }
            // ORDERING: release; pairs with the acquires in `status`, `isCaughtUp` and `caughtUp`. Who finds the place finds
            // its rows in the file, and its time, which therefore is relaxed.
            reachedTime.store(outcome.time, ordering: .relaxed)
            reached.store(outcome.place.packed, ordering: .releasing)
            waiters.look()
            trouble.withLock { $0 = (outcome.trouble, 0) }
            // ORDERING: relaxed because it goes with no other data: the outbox is read from the file.
            sends.store(outcome.isSending, ordering: .relaxed)
            if outcome.hasDeliveries { tellListeners() }
            return !outcome.hasMore
        } catch {
            trouble.withLock { $0 = (error, $0.slices + 1) }
            throw error
        }
    }

    /// How far it has come. O(1).
    package var status: ProjectionStatus {
        // ORDERING: acquire; pairs with the release in takeSlice(). The time may be a later place's.
        let place = JournalPlace(packed: reached.load(ordering: .acquiring))
        let end = feed.durableEnd
        var behind = end.offset - place.offset
        if end.segment > place.segment {
            behind += Int(end.segment - place.segment) * feed.segmentBytes
        }
        let (trouble, slices) = trouble.withLock { $0 }
        // What stands in the file is nobody's business: SQLite's own words name none of it.
        let reason = (trouble as? DatabaseError).map { $0.message ?? "\($0.resultCode)" }
        return ProjectionStatus(
            // ORDERING: relaxed because the place was acquired before.
            time: reachedTime.load(ordering: .relaxed), behindBytes: max(0, behind),
            trouble: trouble.map(ProjectionError.reason),
            standstill: slices < Self.patience ? nil : reason ?? "see the log")
    }

    /// Everything that is durable has been taken up. Engine time as of before says up to when what happened is.
    var isCaughtUp: Bool {
        // ORDERING: acquire; pairs with the release in takeSlice().
        reached.load(ordering: .acquiring) >= feed.durableEnd.packed
    }

    /// Waits until everything that is durable now has been taken up, at most 5 s. False: it has not.
    @discardableResult
    package func caughtUp() async -> Bool {
        let end = feed.durableEnd.packed
        wake()
        return await waiters.wait(atMost: .seconds(5)) { [self] in
            // ORDERING: acquire; pairs with the release in takeSlice().
            reached.load(ordering: .acquiring) >= end
        }
    }

    // MARK: Access to the file

    /// Reads what is listed.
    ///
    /// - Throws: `ProjectionError.catchingUp`: what was durable at the start, or when the state began anew, is not taken
    ///   up within a second.
    func list<T: Sendable>(_ body: @escaping @Sendable (Database) throws -> T) async throws -> T {
        if !isWhole.isSet { wake() }
        guard await waiters.wait(atMost: .seconds(1), until: { [isWhole] in isWhole.isSet }) else {
            try Task.checkCancellation()
            throw ProjectionError(
                .catchingUp, "Lists are catching up with the journal")
        }
        return try await read(body)
    }

    /// Reads, on one of a few connections, one consistent state.
    ///
    /// - Throws: `ProjectionError.unopened`: none of them is open and free, and another cannot be opened.
    func read<T: Sendable>(_ body: @escaping @Sendable (Database) throws -> T) async throws -> T {
        let pool = readers.withLock { $0 }
        do {
            return try await pool.read(body)
        } catch {
            // What SQLite finds: an invalid value may have been stored.
            if let error = error as? DatabaseError, error.isDamage {
                // The follower makes a new file of it.
                // ORDERING: relaxed because it goes with no other data.
                isDamaged.store(true, ordering: .relaxed)
                wake()
            }
            if let error = error as? DatabaseError, error.isOfOpening {
                throw ProjectionError(.unopened, "Lists are not available at the moment")
            }
            throw error
        }
    }

    /// Writes what does not come from the journal. Waits for a slice to end.
    func write<T: Sendable>(_ body: @escaping @Sendable (Database) throws -> T) async throws -> T {
        let pool = readers.withLock { $0 }
        return try await pool.write(body)
    }

    // MARK: Outbox

    /// What is due may be sent; see `HistoryWatermark`.
    var isSending: Bool {
        // ORDERING: relaxed because it goes with no other data.
        sends.load(ordering: .relaxed)
    }

    package func onDeliveries(_ notify: @escaping @Sendable () -> Void) {
        listeners.withLock { $0.append(notify) }
    }

    func tellListeners() {
        for notify in listeners.withLock({ $0 }) { notify() }
    }
}

/// Something that others are to know.
///
/// Thread safety: any thread.
final class Flag: Sendable {
    private let value = Atomic<Bool>(false)

    // ORDERING: acquire; pairs with the release in set(). Who finds it set finds what it is about.
    var isSet: Bool { value.load(ordering: .acquiring) }
    // ORDERING: release; pairs with the acquire in isSet.
    func set(_ isSet: Bool) { value.store(isSet, ordering: .releasing) }
}

/// Billing cycles and days of rows whose window is over.
final class DisplaySchedules: Sendable {
    private let schedules = Lock(Schedules())

    /// The window that holds an instant, of a cycle or a day; nil: of another window, or there is no such zone.
    ///
    /// - Parameter end: where the last one ended.
    func window(
        _ window: LimitWindow, _ settings: TenantSettings, containing now: Int64,
        notBefore end: Int64
    ) -> CycleWindow? {
        schedules.withLock { schedules in
            guard
                let number = try? schedules.number(
                    cycleDay: settings.billingCycleDay, timeZone: settings.timeZone, now: now)
            else { return nil }
            switch window {
            case .billingCycle:
                return schedules.cycle(schedule: number, containing: now, notBefore: end)
            case .tenantDay:
                return schedules.day(schedule: number, containing: now, notBefore: end)
            case .utcDay, .standing: return nil
            }
        }
    }
}
