import CLinux
import Glibc
import Journal
import Limits
import Reservations
import Synchronization

/// Makes checkpoints: plays the last one and the segments sealed since back into a table of its own, and writes that
/// out. The live table is not touched.
///
/// **Pace.** Its thread has the lowest priority, and whenever it has read, written or removed for a millisecond it rests
/// three times as long as that took: it gets at most a quarter of a core, and of the disk. It syncs what it writes, and
/// removes files, piece by piece.
///
/// **Memory.** A second table, backed only as far as it is used and given back afterwards: at most what the live one
/// uses.
///
/// **Retention.** The last two checkpoints are kept, and every segment that the older of them does not cover; what
/// both cover is kept for `retention` more, unless the journal fills half of its bounds.
// SAFETY: `make` under `making`; the rest is atomic.
final class Checkpointer: @unchecked Sendable {
    private let disk: any Disk
    private let id: JournalID
    private let writer: JournalWriter
    private let settings: DurabilitySettings
    private let capacity: TableCapacity
    /// The first segment that the last checkpoint does not cover.
    private let last: Lock<UInt64>
    /// Segments below these numbers have been covered twice since these times, nanoseconds; oldest first.
    private let covered: Lock<[(below: UInt64, since: Int64)]> = Lock([])
    /// Segments below this number may go as soon as no follower needs them; the checkpointer's thread, or `make`.
    private let removable = Atomic<UInt64>(0)
    private let isStopping = Atomic<Bool>(false)
    private let thread: Lock<pthread_t?> = Lock(nil)
    /// What the last attempt came to; nil: it was made.
    let trouble: Lock<String?> = Lock(nil)

    init(
        _ disk: any Disk, _ id: JournalID, _ writer: JournalWriter,
        _ settings: DurabilitySettings, _ capacity: TableCapacity, last: UInt64
    ) {
        self.disk = disk
        self.id = id
        self.writer = writer
        self.settings = settings
        self.last = Lock(last)
        var capacity = capacity
        capacity.ringWords = 0
        capacity.lanes = 1
        self.capacity = capacity
    }

    func start() {
        final class Box: Sendable {
            let checkpointer: Checkpointer
            init(_ checkpointer: Checkpointer) { self.checkpointer = checkpointer }
        }
        var made = pthread_t()
        let status = pthread_create(
            &made, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().checkpointer.run()
                return nil
            }, Unmanaged.passRetained(Box(self)).toOpaque())
        precondition(status == 0, "the system has no thread left")
        thread.withLock { $0 = made }
    }

    func stop() {
        isStopping.store(true, ordering: .sequentiallyConsistent)
        guard let thread = thread.withLock({ $0 }) else { return }
        pthread_join(thread, nil)
        self.thread.withLock { $0 = nil }
    }

    private func run() {
        linux_lower_priority()
        while !isStopping.load(ordering: .sequentiallyConsistent) {
            var time = timespec(tv_sec: 0, tv_nsec: 200_000_000)
            nanosleep(&time, nil)
            removeOldSegments()
            let sealed = writer.currentSegment - last.withLock { $0 }
            guard Int(sealed) * settings.journal.segmentBytes >= settings.checkpointBytes else {
                continue
            }
            do throws(EngineError) {
                try make(isPaced: true)
                trouble.withLock { $0 = nil }
            } catch {
                trouble.withLock { $0 = "\(error)" }
                var time = timespec(tv_sec: 1, tv_nsec: 0)
                nanosleep(&time, nil)
            }
        }
    }

    /// Makes a checkpoint of everything that is sealed. False: nothing was sealed since the last one.
    @discardableResult
    func make(isPaced: Bool = false) throws(EngineError) -> Bool {
        let previous = last.withLock { $0 }
        let number = writer.currentSegment
        guard number > previous else { return false }
        let schedules = Schedules()
        let (_, lane) = try Engine.makeTable(
            capacity, schedules, HashSecret(k0: id.low, k1: id.high), now: 0)
        var pace = Pace(isPaced: isPaced)
        // Nothing is over before the latest record's time, which is not known before it is read.
        var replayer = Replayer(lane, schedules, now: .min / 2)
        var epoch: UInt64 = 0
        if try hasCheckpoint(previous) {
            epoch = try Recovery.play(previous, disk, id, into: &replayer) { pace.rest() }.epoch
        }
        var sequence: UInt64 = 0
        for segment in previous..<number {
            guard !isStopping.load(ordering: .sequentiallyConsistent) else { return false }
            let end = try Recovery.play(
                from: segment, below: segment + 1, disk, id, epoch: epoch, into: &replayer
            ) { pace.rest() }
            epoch = end.epoch
            sequence = end.sequence
        }
        try write(number, replayer, epoch: epoch, sequence: sequence, pace)
        last.withLock { $0 = number }
        try removeWhatIsCovered(twiceBelow: previous, &pace)
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
        _ number: UInt64, _ replayer: Replayer, epoch: UInt64, sequence: UInt64, _ pace: Pace
    ) throws(EngineError) {
        do throws(JournalError) {
            var pace = pace
            let out = try CheckpointWriter(
                disk, id: id, number: number, epoch: epoch, sequence: sequence
            ) { pace.rest() }
            do throws(JournalError) {
                try replayer.forEachImage(now: replayer.statistics.time) {
                    (words) throws(JournalError) in try out.append(words)
                }
                _ = try out.finish()
            } catch {
                out.abandon()
                throw error
            }
        } catch {
            throw EngineError(error)
        }
    }

    /// Keeps the checkpoint of that number and the one just made, and removes what both cover.
    private func removeWhatIsCovered(
        twiceBelow number: UInt64, _ pace: inout Pace
    ) throws(EngineError) {
        do throws(JournalError) {
            let old = try disk.checkpointNumbers().filter { $0 < number }
            try disk.removeGently(old.map(JournalFiles.checkpoint)) { pace.rest() }
            guard try disk.checkpointNumbers().contains(number) else { return }
            covered.withLock { $0.append((number, linux_monotonic_nanoseconds())) }
            if settings.retention == 0 {
                removable.store(number, ordering: .relaxed)
                try writer.removeSegments(below: number) { pace.rest() }
            }
        } catch {
            throw EngineError(error)
        }
    }

    private func removeOldSegments() {
        let now = linux_monotonic_nanoseconds()
        let isTight = writer.bytesKept > settings.journal.maximumBytes / 2
        let below = covered.withLock { covered -> UInt64? in
            var below: UInt64?
            while let first = covered.first,
                isTight || now - first.since >= settings.retention * 1_000_000
            {
                below = first.below
                covered.removeFirst()
            }
            return below
        }
        // ORDERING: relaxed because the number only says what may be tried.
        if let below { removable.store(below, ordering: .relaxed) }
        do throws(JournalError) {
            // Again and again: a follower may have held some.
            var pace = Pace(isPaced: true)
            try writer.removeSegments(below: removable.load(ordering: .relaxed)) { pace.rest() }
        } catch {
            trouble.withLock { $0 = "\(error)" }
        }
    }
}
