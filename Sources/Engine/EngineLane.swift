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

    private let journal: EngineJournal?
    private let listener: DurableRounds.Listener?
    private let counters: DecisionCounters
    private let decisions: LaneDecisions

    init(
        _ lane: Lane, _ clock: EngineClock, _ journal: EngineJournal?, _ counters: DecisionCounters
    ) {
        self.lane = lane
        self.counters = counters
        decisions = counters.makeLane()
        self.clock = clock
        self.journal = journal
        listener = journal?.rounds.makeListener()
        now = clock.now
    }

    deinit {
        lane.retire()
        counters.retire(decisions)
    }

    /// On whose behalf the next calls are: the number of an access token, for the audit log; 0: nobody's.
    package var caller: UInt64 {
        get { lane.caller }
        set { lane.caller = newValue }
    }

    // MARK: Durability

    /// Whether the answer or failure that the last call gave reflects something that is not on disk yet. It must wait
    /// for the ticket that `takeTicket` hands out after it.
    package var answerWaits: Bool {
        guard let journal, journal.answersWait else { return false }
        return lane.answerWaits
    }

    /// The ticket of all answers given so far. To be taken once after a batch of calls of which one or more must
    /// wait; wakes the journal. Tickets never fall; the answers may leave as soon as `durableTicket` is the same or
    /// higher.
    package func takeTicket() -> UInt64 { journal?.rounds.takeTicket(listener) ?? 0 }

    /// Has what a batch of calls put on record written, though its answers do not wait for the disk. To be called once
    /// before they leave; costs a few loads, and a store while the journal is awake.
    package func answersLeave() {
        guard let journal, !journal.answersWait, lane.hasUnwritten else { return }
        journal.rounds.wake()
    }

    /// The highest ticket whose answers may leave. Any thread.
    package var durableTicket: UInt64 { journal?.rounds.durable ?? 0 }

    /// Has `notify` called, on the journal's thread, each time `durableTicket` has risen while tickets of this lane
    /// are due. To be set before the first call.
    package func onDurable(_ notify: @escaping @Sendable () -> Void) {
        listener?.onDurable(notify)
    }

    /// Reads the clock. To be called once before a batch of requests that were read together.
    package func beginBatch() { now = max(now, clock.now) }

    /// Lets time pass: expiries, forgetting. To be called every 10 ms.
    package func tick() {
        beginBatch()
        lane.caller = 0
        lane.tick(now: now)
        if lane.hasUnwritten { journal?.rounds.wake() }
    }

    package func check(_ command: CheckCommand, answer: inout CheckAnswer) -> Failure? {
        lane.beginCall()
        let failure = lane.check(command, now: now, answer: &answer)
        if failure == nil && !answer.replayed {
            decisions.count(
                answer.decision, refusedBySuspension: answer.refusedBySuspension,
                refused: answer.refused)
        }
        return failure
    }

    package func commit(_ command: CommitCommand, answer: inout CommitAnswer) -> Failure? {
        lane.beginCall()
        return lane.commit(command, now: now, answer: &answer)
    }

    package func release(_ reservationID: UInt64, answer: inout ReleaseAnswer) -> Failure? {
        lane.beginCall()
        return lane.release(reservationID, now: now, answer: &answer)
    }

    package func extend(_ command: ExtendCommand, answer: inout ExtendAnswer) -> Failure? {
        lane.beginCall()
        let failure = lane.extend(command, now: now, answer: &answer)
        if failure == nil && !answer.replayed {
            decisions.count(
                answer.decision, refusedBySuspension: answer.refusedBySuspension,
                refused: answer.refused)
        }
        return failure
    }

    package func record(_ command: RecordCommand, answer: inout RecordAnswer) -> Failure? {
        lane.beginCall()
        return lane.record(command, now: now, answer: &answer)
    }

    /// Sets counts to what they are, as an operator found out; recorded as the difference.
    ///
    /// - Parameter command: the counts, of resources with `isCount`, each 0 ... Int64.max; without a key.
    package func setCounts(_ command: RecordCommand, answer: inout RecordAnswer) -> Failure? {
        lane.beginCall()
        return lane.record(command, isTotal: true, now: now, answer: &answer)
    }

    package func usage(_ query: UsageQuery, answer: inout UsageAnswer) -> Failure? {
        lane.beginCall()
        return lane.usage(query, now: now, answer: &answer)
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
