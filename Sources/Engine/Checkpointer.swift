import CLinux
import Glibc
import Journal
import Limits
import Reservations
import Synchronization

/// Makes checkpoints: plays the last one and the segments sealed since back into a table of its own, and writes that
/// out. The live table is not touched.
///
/// **Pace.** There are two threads. The quiet one has the lowest priority, and whenever it has read, written or removed
/// for a millisecond it rests three times as long as that took: it gets at most a quarter of a core, and of the disk. It
/// syncs what it writes, and removes files, piece by piece. On a machine that is busy without end it may never finish:
/// when the journal fills half of its bounds, the quiet one gives up what it was at, and the urgent one, of normal
/// priority, does it without rests.
///
/// **Stop.** Whoever rests or completes a piece of work looks whether it is to be given up; what was written of a
/// checkpoint is removed.
///
/// **Memory.** A second table, backed only as far as it is used and given back afterwards: at most what the live one
/// uses.
///
/// **Retention.** The last two checkpoints are kept, and every segment that the older of them does not cover; what
/// both cover is kept for `retention` more, unless the journal fills half of its bounds.
final class Checkpointer: Sendable {
    private let disk: any Disk
    private let id: JournalID
    private let writer: JournalWriter
    private let settings: DurabilitySettings
    private let capacity: TableCapacity
    /// Held by who makes or removes something.
    private let files: Lock<Files>
    private let isStopping = Atomic<Bool>(false)
    private let threads: Lock<[pthread_t]> = Lock([])
    /// What the last attempt came to; nil: it was made.
    let trouble: Lock<String?> = Lock(nil)

    private struct Files {
        /// The first segment that the last checkpoint does not cover.
        var last: UInt64
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
        var capacity = capacity
        capacity.ringWords = 0
        capacity.lanes = 1
        self.capacity = capacity
    }

    // MARK: Threads

    func start() {
        startThread(.quiet)
        startThread(.urgent)
    }

    private func startThread(_ manner: Manner) {
        final class Box: Sendable {
            let checkpointer: Checkpointer
            let manner: Manner
            init(_ checkpointer: Checkpointer, _ manner: Manner) {
                self.checkpointer = checkpointer
                self.manner = manner
            }
        }
        var made = pthread_t()
        let status = pthread_create(
            &made, nil,
            { argument in
                guard let argument else { return nil }
                let box = Unmanaged<Box>.fromOpaque(argument).takeRetainedValue()
                box.checkpointer.run(box.manner)
                return nil
            }, Unmanaged.passRetained(Box(self, manner)).toOpaque())
        precondition(status == 0, "the system has no thread left")
        threads.withLock { $0.append(made) }
    }

    /// Returns when nothing is being made or removed any more, and nothing will be.
    func stop() {
        // ORDERING: relaxed because it goes with no other data; it is seen in time.
        isStopping.store(true, ordering: .relaxed)
        for thread in threads.withLock({ $0 }) { pthread_join(thread, nil) }
        threads.withLock { $0 = [] }
    }

    private var isAskedToStop: Bool { isStopping.load(ordering: .relaxed) }

    /// The journal fills half of its bounds.
    private var isTight: Bool { writer.bytesKept > settings.journal.maximumBytes / 2 }

    private func run(_ manner: Manner) {
        if manner == .quiet { linux_lower_priority() }
        while !isAskedToStop {
            var time = timespec(tv_sec: 0, tv_nsec: 200_000_000)
            nanosleep(&time, nil)
            guard isTight == (manner == .urgent) else { continue }
            do throws(EngineError) {
                try removeOldSegments(manner)
                guard isDue else { continue }
                try make(manner)
                trouble.withLock { $0 = nil }
            } catch {
                guard error.code != .interrupted else { continue }
                trouble.withLock { $0 = "\(error)" }
                var time = timespec(tv_sec: 1, tv_nsec: 0)
                nanosleep(&time, nil)
            }
        }
    }

    private var isDue: Bool {
        let sealed = writer.currentSegment - files.withLock { $0.last }
        // In time also where the bounds are small.
        let due = min(settings.checkpointBytes, settings.journal.maximumBytes / 8)
        return sealed > 0 && Int(sealed) * settings.journal.segmentBytes >= due
    }

    private func pace(_ manner: Manner) -> Pace {
        Pace(isPaced: manner == .quiet) { [self] in isTight }
    }

    /// To be called between pieces of work; throws when the service stops.
    private func rest(_ pace: inout Pace) throws(JournalError) {
        if isAskedToStop { throw Self.givenUp("the service stops") }
        pace.rest()
    }

    /// To be called between pieces of a checkpoint; throws also when the urgent thread is to make it.
    private func rest(_ pace: inout Pace, making manner: Manner) throws(JournalError) {
        if manner == .quiet && isTight {
            throw Self.givenUp("the journal fills half of its bounds")
        }
        try rest(&pace)
    }

    private static func givenUp(_ reason: String) -> JournalError {
        JournalError(.interrupted, file: "a checkpoint", reason: reason, remedy: "none is needed")
    }

    // MARK: Checkpoints

    /// Makes a checkpoint of everything that is sealed. False: nothing was sealed since the last one.
    ///
    /// - Throws: `.interrupted` when it was given up: for a stop, or, if it is quiet, because the journal fills up.
    @discardableResult
    func make(_ manner: Manner = .urgent) throws(EngineError) -> Bool {
        try files.withLock { (files) throws(EngineError) in try make(manner, &files) }
    }

    private func make(_ manner: Manner, _ files: inout Files) throws(EngineError) -> Bool {
        let previous = files.last
        let number = writer.currentSegment
        guard number > previous else { return false }
        let schedules = Schedules()
        let (_, lane) = try Engine.makeTable(
            capacity, schedules, HashSecret(k0: id.low, k1: id.high), now: 0)
        var pace = self.pace(manner)
        // Nothing is over before the latest record's time, which is not known before it is read.
        var replayer = Replayer(lane, schedules, now: .min / 2)
        var last: UInt64?
        if try hasCheckpoint(previous) {
            last = try Recovery.play(previous, disk, id, into: &replayer) {
                () throws(JournalError) in try rest(&pace, making: manner)
            }.sequence
        }
        let end = try Recovery.play(
            from: previous, below: number, disk, id, after: last, into: &replayer
        ) { () throws(JournalError) in try rest(&pace, making: manner) }
        do throws(JournalError) {
            try write(number, replayer, end, &pace, manner)
            files.last = number
            try removeWhatIsCovered(twiceBelow: previous, &files, &pace)
        } catch {
            throw EngineError(error)
        }
        return true
    }

    private func hasCheckpoint(_ number: UInt64) throws(EngineError) -> Bool {
        do throws(JournalError) {
            return try disk.checkpointNumbers().contains(number)
        } catch {
            throw EngineError(error)
        }
    }

    private func write(
        _ number: UInt64, _ replayer: Replayer, _ end: JournalEnd, _ pace: inout Pace,
        _ manner: Manner
    ) throws(JournalError) {
        let out = try CheckpointWriter(
            disk, id: id, number: number, epoch: end.epoch, sequence: end.sequence)
        do throws(JournalError) {
            try replayer.forEachImage(now: replayer.statistics.time) {
                (words) throws(JournalError) in
                if try out.append(words) { try rest(&pace, making: manner) }
            }
            _ = try out.finish()
        } catch {
            out.abandon()
            throw error
        }
    }

    // MARK: Removal

    /// Keeps the checkpoint of that number and the one just made, and removes what both cover.
    private func removeWhatIsCovered(
        twiceBelow number: UInt64, _ files: inout Files, _ pace: inout Pace
    ) throws(JournalError) {
        let old = try disk.checkpointNumbers().filter { $0 < number }
        try disk.removeGently(old.map(JournalFiles.checkpoint)) { () throws(JournalError) in
            try rest(&pace)
        }
        guard try disk.checkpointNumbers().contains(number) else { return }
        files.covered.append((number, linux_monotonic_nanoseconds()))
        if settings.retention == 0 { try removeOldSegments(&files, &pace) }
    }

    /// Removes the segments that two checkpoints cover and whose time is over.
    func removeOldSegments(_ manner: Manner) throws(EngineError) {
        do throws(JournalError) {
            try files.withLock { (files) throws(JournalError) in
                var pace = self.pace(manner)
                try removeOldSegments(&files, &pace)
            }
        } catch {
            throw EngineError(error)
        }
    }

    private func removeOldSegments(
        _ files: inout Files, _ pace: inout Pace
    ) throws(JournalError) {
        let now = linux_monotonic_nanoseconds()
        while let first = files.covered.first,
            isTight || now - first.since >= settings.retention * 1_000_000
        {
            files.removable = first.below
            files.covered.removeFirst()
        }
        // Again and again: a follower may have held some.
        try writer.removeSegments(below: files.removable) { () throws(JournalError) in
            try rest(&pace)
        }
    }
}
