import CLinux
import Glibc
import Journal
import Limits
import Reservations
import Synchronization
import Threads

/// Makes checkpoints: plays the last one and the segments sealed since back into a table of its own, and writes that
/// out. The live table is not touched.
///
/// **Throttle.** There are two threads. The quiet one has the lowest priority, and whenever it has read, written or removed
/// for a millisecond it rests three times as long as that took: it gets at most a quarter of a core, and of the disk. It
/// syncs what it writes piece by piece. On a machine that is busy without end it may never finish, and may not even come
/// to see that it should give up: when the journal has reached half of --journal-maximum, the urgent one, of normal priority, makes a
/// checkpoint without rests, and waits for nobody. Whoever is the first to complete one installs it; the other one's is
/// given up. Files are removed by the urgent one, piece by piece, with rests unless it is in a hurry.
///
/// **Stop.** Whoever rests or completes a piece of work looks whether it is to be given up; what was written of a
/// checkpoint is removed.
///
/// **Memory.** A second table, backed only as far as it is used and given back afterwards: at most what the live one
/// uses.
///
/// **Retention.** The last two checkpoints are kept, and every segment that the older of them does not cover; what
/// both cover is kept for `retention` more, unless the journal has reached half of --journal-maximum, or the disk is full. Where there
/// is no room and two checkpoints do not make any, the last one must do alone, once it has been read and found whole.
final class Checkpointer: Sendable {
    private let disk: any Disk
    private let id: JournalID
    private let writer: JournalWriter
    private let settings: DurabilitySettings
    private let capacity: TableCapacity
    /// Held for moments, of which the longest installs a checkpoint.
    private let files: Lock<Files>
    /// Held by who removes files.
    private let removing = Lock(())
    /// Checkpoints begun so far: each is written under a name of its own, whoever else is at one.
    private let begun = Atomic<UInt64>(0)
    /// 1: the threads are to end. They sleep on it.
    private let isStopping = FutexWord()
    private let threads: Lock<[NamedThread]> = Lock([])
    /// What the last attempt to make one came to, and to remove what is not needed any more.
    private let making: Lock<String?> = Lock(nil)
    private let clearing: Lock<String?> = Lock(nil)
    private let results = Lock(Results(since: linux_monotonic_nanoseconds()))

    private struct Results {
        var made: UInt64 = 0
        var failed: UInt64 = 0
        var lastDuration: Int64?
        /// When the last one was made, or the checkpointer; nanoseconds.
        var since: Int64
    }

    /// What the last attempt came to; nil: it was made, and nothing is left that should be gone.
    var trouble: String? { making.withLock { $0 } ?? clearing.withLock { $0 } }

    /// What has come of it so far.
    var figures: CheckpointFigures {
        let results = results.withLock { $0 }
        let last = files.withLock { $0.last }
        let current = writer.currentSegment
        let uncovered = current > last ? current - last : 0
        return CheckpointFigures(
            made: results.made, failed: results.failed, lastDuration: results.lastDuration,
            age: max(0, linux_monotonic_nanoseconds() - results.since),
            bytesUncovered: Int(uncovered) * settings.journal.segmentBytes)
    }

    private struct Files {
        /// The first segment that the last checkpoint does not cover: its number.
        var last: UInt64
        /// The number of the one in front of it, which is kept too.
        var lastButOne: UInt64 = 0
        /// Segments below these numbers have been covered twice since these times, nanoseconds; oldest first.
        var covered: [(below: UInt64, since: Int64)] = []
        /// Segments below this number may go as soon as no follower needs them.
        var removable: UInt64 = 0
    }

    /// How the work is done.
    enum Manner {
        case quiet
        case urgent
    }

    init(
        _ disk: any Disk, _ id: JournalID, _ writer: JournalWriter,
        _ settings: DurabilitySettings, _ capacity: TableCapacity, last: UInt64
    ) {
        self.disk = disk
        self.id = id
        self.writer = writer
        self.settings = settings
        files = Lock(Files(last: last))
        self.capacity = capacity.ofFolding
    }

    // MARK: Threads

    func start() {
        startThread(.quiet)
        startThread(.urgent)
    }

    private func startThread(_ manner: Manner) {
        let name: ThreadName = manner == .quiet ? .checkpoints : .urgentCheckpoints
        guard let made = NamedThread.start(name, { [self] in run(manner) }) else {
            preconditionFailure("the system has no thread left")
        }
        threads.withLock { $0.append(made) }
    }

    /// Returns when nothing is being made or removed any more, and nothing will be.
    func stop() {
        isStopping.store(1)
        isStopping.wake()
        for thread in threads.withLock({ $0 }) { thread.join() }
        threads.withLock { $0 = [] }
    }

    private var isAskedToStop: Bool { isStopping.load() != 0 }

    /// The journal fills half of its bounds, or the disk is full.
    private var isTight: Bool {
        writer.bytesKept > settings.journal.maximumBytes / 2 || writer.lacksRoom
    }

    private func run(_ manner: Manner) {
        if manner == .quiet { linux_lower_priority() }
        while !isAskedToStop {
            isStopping.wait(while: 0, nanoseconds: 200_000_000)
            if isAskedToStop { return }
            if manner == .urgent {
                let isClear = attempt(clearing) { () throws(EngineError) in
                    try makeRoomIfFull()
                    try removeOldCheckpoints(.quiet)
                    try removeOldSegments(.quiet)
                }
                guard isClear else { continue }
            }
            guard isTight == (manner == .urgent), isDue else { continue }
            let isMade = attempt(making) { () throws(EngineError) in try makeIfAny(manner) }
            if isMade, manner == .urgent {
                attempt(clearing) { () throws(EngineError) in try removeAfterMaking() }
            }
        }
    }

    /// Does a piece of work, and keeps what is wrong. False: it came to nothing.
    @discardableResult
    private func attempt(
        _ trouble: Lock<String?>, _ work: () throws(EngineError) -> Void
    ) -> Bool {
        do throws(EngineError) {
            try work()
            trouble.withLock { $0 = nil }
            return true
        } catch {
            guard error.code != .interrupted else { return false }
            trouble.withLock { $0 = "\(error)" }
            isStopping.wait(while: 0, nanoseconds: 1_000_000_000)
            return false
        }
    }

    private var isDue: Bool {
        let sealed = writer.currentSegment - files.withLock { $0.last }
        // In time also where the bounds are small.
        let due = min(settings.checkpointBytes, settings.journal.maximumBytes / 8)
        return sealed > 0
            && (writer.lacksRoom || Int(sealed) * settings.journal.segmentBytes >= due)
    }

    private func throttle(_ manner: Manner) -> Throttle {
        Throttle(isPaced: manner == .quiet) { [self] in isTight }
    }

    /// To be called between pieces of work; throws when the service stops.
    private func rest(_ throttle: inout Throttle) throws(JournalError) {
        if isAskedToStop { throw Self.givenUp("the service is stopping") }
        throttle.rest()
    }

    /// To be called between pieces of a checkpoint; throws also when the urgent thread is to make it.
    private func rest(_ throttle: inout Throttle, making manner: Manner) throws(JournalError) {
        if manner == .quiet && isTight {
            throw Self.givenUp("the journal has reached half of --journal-maximum")
        }
        try rest(&throttle)
    }

    private static func givenUp(_ reason: String) -> JournalError {
        JournalError(
            .interrupted, file: "a checkpoint", reason: reason, remedy: "no action is needed")
    }

    // MARK: Checkpoints

    /// Makes a checkpoint of everything that is sealed. False: nothing was sealed since the last one.
    ///
    /// - Throws: `.interrupted` when it was given up: for a stop; because another one was made in the meantime; or, if it is
    ///   quiet, because the journal fills up.
    @discardableResult
    func make(_ manner: Manner = .urgent) throws(EngineError) -> Bool {
        let isMade = try makeIfAny(manner)
        if manner == .urgent {
            if isMade { try removeAfterMaking() } else { try makeRoomIfFull() }
        }
        return isMade
    }

    private func removeAfterMaking() throws(EngineError) {
        try removeOldCheckpoints(.urgent)
        if settings.retention == 0 { try removeOldSegments(.urgent) }
    }

    /// As `make`; removes nothing.
    @discardableResult
    private func makeIfAny(_ manner: Manner) throws(EngineError) -> Bool {
        let previous = files.withLock { $0.last }
        let number = writer.currentSegment
        guard number > previous else { return false }
        let began = linux_monotonic_nanoseconds()
        do throws(EngineError) {
            try make(number, after: previous, manner)
            let now = linux_monotonic_nanoseconds()
            results.withLock { results in
                results.made += 1
                results.lastDuration = now - began
                results.since = now
            }
        } catch {
            // What this one was reading may have been removed.
            guard files.withLock({ $0.last == previous }) else {
                throw EngineError(Self.givenUp("another one was made in the meantime"))
            }
            if error.code != .interrupted { results.withLock { $0.failed += 1 } }
            throw error
        }
        return true
    }

    private func make(
        _ number: UInt64, after previous: UInt64, _ manner: Manner
    ) throws(EngineError) {
        let schedules = Schedules()
        let (_, lane) = try ReservationTable.withConfigurationLane(
            capacity, schedules, HashSecret(k0: id.low, k1: id.high), now: 0)
        var throttle = self.throttle(manner)
        // Nothing is over before the latest record's time, which is not known before it is read.
        var replayer = Replayer(lane, schedules, now: .min / 2)
        var last: UInt64?
        if try hasCheckpoint(previous) {
            last = try Recovery.play(previous, disk, id, into: &replayer) {
                () throws(JournalError) in try rest(&throttle, making: manner)
            }.sequence
        }
        let end = try Recovery.play(
            from: previous, below: number, disk, id, after: last, into: &replayer
        ) { () throws(JournalError) in try rest(&throttle, making: manner) }
        do throws(JournalError) {
            // ORDERING: relaxed because only the uniqueness of the result counts.
            let maker = begun.wrappingAdd(1, ordering: .relaxed).newValue
            let out = try CheckpointWriter(
                disk, id: id, number: number, epoch: end.epoch, sequence: end.sequence,
                maker: ".\(maker)")
            do throws(JournalError) {
                try write(replayer, to: out, &throttle, manner)
                try install(out, number, after: previous)
            } catch {
                out.abandon()
                throw error
            }
        } catch {
            throw EngineError(error)
        }
    }

    private func write(
        _ replayer: Replayer, to out: CheckpointWriter, _ throttle: inout Throttle, _ manner: Manner
    ) throws(JournalError) {
        let now = EngineTime(
            windows: replayer.statistics.time, lives: replayer.statistics.life)
        try replayer.forEachEntry(now: now) {
            (words) throws(JournalError) in
            if try out.append(words) { try rest(&throttle, making: manner) }
        }
        try out.complete()
    }

    private func install(
        _ out: CheckpointWriter, _ number: UInt64, after previous: UInt64
    ) throws(JournalError) {
        try files.withLock { (files) throws(JournalError) in
            guard files.last == previous else {
                throw Self.givenUp("another one was made in the meantime")
            }
            try out.install()
            files.last = number
            files.lastButOne = previous
            if try disk.checkpointNumbers().contains(previous) {
                files.covered.append((previous, linux_monotonic_nanoseconds()))
            }
        }
    }

    private func hasCheckpoint(_ number: UInt64) throws(EngineError) -> Bool {
        do throws(JournalError) {
            return try disk.checkpointNumbers().contains(number)
        } catch {
            throw EngineError(error)
        }
    }

    // MARK: Removal

    /// Where the journal is full, nothing is sealed that a new checkpoint could cover, and what two checkpoints cover is
    /// gone, has the last one do alone: removes all that it covers, once it is found whole. Nothing could ever be
    /// recorded again otherwise.
    ///
    /// It comes to that when a checkpoint is made so late, or a start finds it so, that the journal is full all the same,
    /// and when a start has lowered the journal's bounds.
    ///
    /// - Throws: what is wrong with the last checkpoint: nothing is removed then, and a start makes it anew.
    func makeRoomIfFull() throws(EngineError) {
        let number = writer.currentSegment
        guard mustDoAlone(number) else { return }
        if try adoptOlder(than: number) {
            try removeOldCheckpoints(.urgent)
            try removeOldSegments(.urgent)
            guard mustDoAlone(number) else { return }
        }
        do throws(JournalError) { try check(number) } catch { throw EngineError(error) }
        files.withLock { files in
            guard files.last == number else { return }
            files.lastButOne = number
            files.covered.append((number, linux_monotonic_nanoseconds()))
        }
        try removeOldCheckpoints(.urgent)
        try removeOldSegments(.urgent)
    }

    /// Whether the checkpoint of the present segment is all that could make room.
    private func mustDoAlone(_ number: UInt64) -> Bool {
        let isLast = files.withLock { $0.last == number && $0.lastButOne < number }
        return isLast && writer.lacksRoom && !writer.isOpen && !writer.hasFailed
            && writer.currentSegment == number
    }

    /// Takes over the checkpoint in front of the last one that an earlier process has left, if it is whole. False: there
    /// is none, or it is known.
    private func adoptOlder(than number: UInt64) throws(EngineError) -> Bool {
        guard files.withLock({ $0.lastButOne == 0 }) else { return false }
        do throws(JournalError) {
            for older in try disk.checkpointNumbers().reversed() where older < number {
                guard try isWhole(older) else { continue }
                files.withLock { files in
                    files.lastButOne = max(files.lastButOne, older)
                    files.covered.append((older, linux_monotonic_nanoseconds()))
                }
                return true
            }
            return false
        } catch {
            throw EngineError(error)
        }
    }

    /// - Throws: it cannot be opened now.
    private func isWhole(_ checkpoint: UInt64) throws(JournalError) -> Bool {
        do throws(JournalError) {
            try check(checkpoint)
            return true
        } catch {
            if error.isOfDescriptors { throw error }
            return false
        }
    }

    /// Reads a checkpoint; throws what is wrong with it.
    private func check(_ checkpoint: UInt64) throws(JournalError) {
        var throttle = self.throttle(.urgent)
        // A kill may have come between its name and the directory.
        try disk.syncDirectory()
        guard try disk.checkpointNumbers().contains(checkpoint) else {
            throw JournalError(
                .missing, file: JournalFiles.checkpoint(checkpoint),
                reason: "the last checkpoint is missing, and the journal is full",
                remedy: "restore it, or raise --journal-maximum")
        }
        _ = try CheckpointReader(disk, id: id).read(checkpoint, wrapping: { $0 }) {
            (_) throws(JournalError) in try rest(&throttle)
        }
    }

    /// Removes all checkpoints but the last two.
    func removeOldCheckpoints(_ manner: Manner) throws(EngineError) {
        try remove(manner) { (throttle) throws(JournalError) in
            let kept = files.withLock { $0.lastButOne }
            let old = try disk.checkpointNumbers().filter { $0 < kept }
            try disk.removeGently(old.map(JournalFiles.checkpoint)) { () throws(JournalError) in
                try rest(&throttle)
            }
        }
    }

    /// Removes the segments that two checkpoints cover and whose time is over.
    func removeOldSegments(_ manner: Manner) throws(EngineError) {
        try remove(manner) { (throttle) throws(JournalError) in
            // Again and again: a follower may have held some.
            try writer.removeSegments(below: removable()) { () throws(JournalError) in
                try rest(&throttle)
            }
        }
    }

    /// Segments below this number may go as soon as no follower needs them.
    private func removable() -> UInt64 {
        let now = linux_monotonic_nanoseconds()
        return files.withLock { files in
            while let first = files.covered.first,
                isTight || now - first.since >= settings.retention * 1_000_000
            {
                files.removable = first.below
                files.covered.removeFirst()
            }
            return files.removable
        }
    }

    private func remove(
        _ manner: Manner, _ work: (inout Throttle) throws(JournalError) -> Void
    ) throws(EngineError) {
        do throws(JournalError) {
            try removing.withLock { (_) throws(JournalError) in
                var throttle = self.throttle(manner)
                try work(&throttle)
            }
        } catch {
            throw EngineError(error)
        }
    }
}
