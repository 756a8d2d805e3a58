package import Limits
package import Reservations

/// One event loop's way into the engine. Calls run to completion on the calling thread and never wait.
///
/// Thread safety: one thread at a time. Each call fills its answer or returns why it failed as a whole; then nothing
/// has changed.
package final class EngineLane {
    package let lane: Lane
    private let clock: EngineClock
    /// Engine time of the present batch, Unix milliseconds.
    package private(set) var now: Int64

    init(_ lane: Lane, _ clock: EngineClock) {
        self.lane = lane
        self.clock = clock
        now = clock.now
    }

    deinit { lane.retire() }

    /// Reads the clock. To be called once before a batch of requests that were read together.
    package func beginBatch() { now = max(now, clock.now) }

    /// Lets time pass: expiries, forgetting. To be called every 10 ms.
    package func tick() {
        beginBatch()
        lane.tick(now: now)
    }

    package func check(_ command: CheckCommand, answer: inout CheckAnswer) -> Failure? {
        lane.check(command, now: now, answer: &answer)
    }

    package func commit(_ command: CommitCommand, answer: inout CommitAnswer) -> Failure? {
        lane.commit(command, now: now, answer: &answer)
    }

    package func release(_ reservationID: UInt64, answer: inout ReleaseAnswer) -> Failure? {
        lane.release(reservationID, now: now, answer: &answer)
    }

    package func extend(_ command: ExtendCommand, answer: inout ExtendAnswer) -> Failure? {
        lane.extend(command, now: now, answer: &answer)
    }

    package func record(_ command: RecordCommand, answer: inout RecordAnswer) -> Failure? {
        lane.record(command, now: now, answer: &answer)
    }

    package func usage(_ query: UsageQuery, answer: inout UsageAnswer) -> Failure? {
        lane.usage(query, now: now, answer: &answer)
    }

    /// Whose reservation the last commit, release or extend was about.
    package var reservationSubjects: (tenantID: BorrowedBytes, profileID: BorrowedBytes) {
        lane.reservationSubjects
    }

    /// Takes back what an unkeyed CheckAndReserve did whose caller is gone (semantics §3, "Deadlines").
    package func withdraw(_ command: CheckCommand, _ answer: CheckAnswer) {
        lane.withdraw(command, answer, now: now)
    }
}
