internal import Journal
internal import Synchronization
internal import Threads

/// Asks the supervisor for more time during a long start, as long as the start makes progress.
///
/// Thread safety: any thread.
final class StartProgress: Sendable {
    /// The time between two checks, nanoseconds; and how much time to ask for, seconds.
    private static let interval: Int64 = 5_000_000_000
    private static let more: Int64 = 30

    private let notices: SupervisorNotices
    private let steps = Atomic<UInt64>(0)
    /// Work without steps, of unknown length, is in progress.
    private let isUnmeasured = Atomic<Bool>(false)
    /// 1: the start is over. The thread sleeps on it.
    private let isOver = FutexWord()

    init(_ notices: SupervisorNotices) { self.notices = notices }

    /// A part of the start is done.
    // ORDERING: relaxed, because no other data depends on it.
    func step() { steps.wrappingAdd(1, ordering: .relaxed) }

    /// Does work that has no steps: asks for time as long as it takes.
    // ORDERING: relaxed, as in `step`.
    func unmeasured<Result>(_ work: () throws -> Result) rethrows -> Result {
        isUnmeasured.store(true, ordering: .relaxed)
        defer { isUnmeasured.store(false, ordering: .relaxed) }
        return try work()
    }

    /// Begins checking, on a thread of its own: a start may block every thread that runs tasks.
    func begin() {
        guard notices.isHeard else { return }
        NamedThread.detach(.progress) { [self] in
            var seen = steps.load(ordering: .relaxed)
            while true {
                isOver.wait(while: 0, nanoseconds: Self.interval)
                if isOver.load() != 0 { return }
                let now = steps.load(ordering: .relaxed)
                if now != seen || isUnmeasured.load(ordering: .relaxed) {
                    notices.starting(
                        "Starting: reading the journal, the limits file and the lists",
                        moreSeconds: Self.more)
                }
                seen = now
            }
        }
    }

    func end() {
        isOver.store(1)
        isOver.wake()
    }
}
