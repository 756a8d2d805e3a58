import CLinux
import Synchronization
import Threads

/// The threads around a `JournalWriter`: one does rounds while there is work, one prepares segments.
///
/// Thread safety: any thread may wake it; `start` and `stop` are for the owner.
// SAFETY: atomics, and what is set before the threads start.
package final class JournalThread: @unchecked Sendable {
    /// How long nothing has to happen before the end of the journal is marked, nanoseconds.
    private static let calm: Int64 = 100_000_000
    private static let second: Int64 = 1_000_000_000

    package let writer: JournalWriter
    /// 1: a round is wanted. The thread sleeps on it.
    private let wanted = FutexWord()
    private let isAsleep = Atomic<Bool>(false)
    private let isStopping = Atomic<Bool>(false)
    /// 1: a pause ends, since somebody waits for room. The thread sleeps on it.
    private let hurries = FutexWord()
    /// Counts what the preparing thread is called for. It sleeps on it.
    private let prepares = FutexWord()
    private var threads: [NamedThread] = []
    /// Grows with each turn of the thread that does rounds, once a second at least; and whether it waits for the disk.
    private let turned = Atomic<UInt64>(0)
    private let isAtDisk = Atomic<Bool>(false)

    package init(_ writer: JournalWriter) { self.writer = writer }

    package func start() {
        threads = [
            Self.run(.journal) { self.doRounds() }, Self.run(.segments) { self.prepare() },
        ]
    }

    /// Does what is left to do, closes the journal and ends the threads. A segment that is half prepared is given up.
    package func stop() {
        guard !threads.isEmpty else { return }
        askToStop()
        for thread in threads { thread.join() }
        threads = []
        atDisk { writer.close() }
    }

    /// Has the threads end as soon as they can, without waiting for them.
    func askToStop() {
        // ORDERING: sequentially consistent; a thread that is awake reads it before it sleeps again, one that sleeps is
        // woken behind it.
        isStopping.store(true, ordering: .sequentiallyConsistent)
        wake()
        wanted.wake()
        hurry()
        prepares.increment()
        prepares.wake()
    }

    private var isAskedToStop: Bool {
        // ORDERING: sequentially consistent; pairs with the store in `askToStop`.
        isStopping.load(ordering: .sequentiallyConsistent)
    }

    /// Has a round done that begins after this call. Costs a store and a load while the thread is awake.
    package func wake() {
        // ORDERING: sequentially consistent; the thread says that it sleeps before it looks at the word again.
        wanted.store(1)
        if isAsleep.load(ordering: .sequentiallyConsistent) { wanted.wake() }
    }

    /// As `wake`, and ends a pause.
    package func hurry() {
        hurries.store(1)
        hurries.wake()
        wake()
    }

    /// How often the thread has gone round; nil: it waits for the disk, and nobody can tell, or has ended: what is left then
    /// waits for the disk too.
    package var turns: UInt64? {
        // ORDERING: relaxed because they go with no other data; whoever looks looks again.
        if isAtDisk.load(ordering: .relaxed) { return nil }
        let turns = turned.load(ordering: .relaxed)
        return turns == .max ? nil : turns
    }

    /// The thread that does rounds has gone round.
    // ORDERING: relaxed, see `turns`.
    private func turn() { turned.wrappingAdd(1, ordering: .relaxed) }

    /// Does what may wait for the disk.
    private func atDisk(_ work: () -> Void) {
        // ORDERING: relaxed, see `turns`.
        isAtDisk.store(true, ordering: .relaxed)
        work()
        isAtDisk.store(false, ordering: .relaxed)
    }

    private func doRounds() {
        var looked = linux_monotonic_nanoseconds()
        // ORDERING: relaxed, see `turns`.
        defer { turned.store(.max, ordering: .relaxed) }
        while true {
            turn()
            let now = linux_monotonic_nanoseconds()
            if now - looked >= Self.second {
                looked = now
                atDisk { writer.look() }
            }
            if wanted.exchange(0) == 1 {
                atDisk { writer.round() }
                if !writer.isPrepared {
                    prepares.increment()
                    prepares.wake()
                }
                pause()
                continue
            }
            if isAskedToStop { return }
            // ORDERING: sequentially consistent; pairs with `wake`. Of the store here and the look at the word, and the
            // store to the word and the look at this there, one sees the other.
            isAsleep.store(true, ordering: .sequentiallyConsistent)
            if wanted.load() == 0 {
                wanted.wait(while: 0, nanoseconds: writer.needsMark ? Self.calm : Self.second)
            }
            // ORDERING: sequentially consistent as above; too late, it costs a call of the system.
            isAsleep.store(false, ordering: .sequentiallyConsistent)
            if wanted.load() == 0 { atDisk { writer.mark() } }
        }
    }

    /// Policy `interval`: what comes meanwhile shares the next round, unless a ring is full.
    private func pause() {
        let milliseconds = writer.configuration.intervalMilliseconds
        guard milliseconds > 0 else { return }
        let until = linux_monotonic_nanoseconds() + milliseconds * 1_000_000
        var left = until - linux_monotonic_nanoseconds()
        while left > 0, !isAskedToStop, hurries.exchange(0) == 0 {
            turn()
            hurries.wait(while: 0, nanoseconds: min(left, Self.second))
            left = until - linux_monotonic_nanoseconds()
        }
    }

    private func prepare() {
        while !isAskedToStop {
            let count = prepares.load()
            if !writer.isPrepared,
                writer.prepareNext(isPaced: true, unless: { isAskedToStop })
            {
                continue
            }
            prepares.wait(while: count, nanoseconds: Self.second)
        }
    }

    private static func run(
        _ name: ThreadName, _ body: @escaping @Sendable () -> Void
    ) -> NamedThread {
        guard let thread = NamedThread.start(name, body) else {
            preconditionFailure("the system has no thread left")
        }
        return thread
    }
}

/// A word that a thread can sleep on.
///
/// All accesses are sequentially consistent: who sleeps says so first and looks at the word then, who wakes writes the
/// word first and looks for sleepers then, so that one of them sees the other. The system compares the word once more
/// before it puts a thread to sleep.
// SAFETY: an atomic at a fixed address.
package final class FutexWord: @unchecked Sendable {
    private let word: UnsafeMutablePointer<Atomic<UInt32>>

    package init() {
        word = .allocate(capacity: 1)
        word.initialize(to: Atomic(0))
    }

    deinit {
        word.deinitialize(count: 1)
        word.deallocate()
    }

    // ORDERING: sequentially consistent, all four; see the type's comment.
    package func load() -> UInt32 { word.pointee.load(ordering: .sequentiallyConsistent) }
    package func store(_ value: UInt32) {
        word.pointee.store(value, ordering: .sequentiallyConsistent)
    }
    package func exchange(_ value: UInt32) -> UInt32 {
        word.pointee.exchange(value, ordering: .sequentiallyConsistent)
    }
    package func increment() { word.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent) }
    package func wake() { linux_futex_wake(word) }
    package func wait(while expected: UInt32, nanoseconds: Int64) {
        linux_futex_wait(word, expected, nanoseconds)
    }
}
