import CLinux
import Journal
package import Limits
package import Reservations

/// One event loop's way into the engine. Calls run to completion on the calling thread and never wait.
///
/// Thread safety: one thread at a time. Each call fills its answer or returns why it failed as a whole; then nothing
/// has changed.
package final class EngineLane {
    package let lane: Lane
    let clock: EngineClock
    /// Engine time of the present batch, Unix milliseconds: which windows its requests fall into.
    package private(set) var now: Int64
    /// Life time of the present batch, Unix milliseconds: what holds and keys live by.
    fileprivate(set) var life: Int64

    private let journal: EngineJournal?
    private let listener: DurableRounds.Listener?
    private let counters: DecisionCounters
    private let decisions: LaneDecisions
    private var want = Want()
    /// Work that waits for room, in turn.
    private var waiting: [Job] = []
    private var isEnding = false

    /// Since when the journal has had no room for this lane, and made none.
    private struct Want {
        /// The monotonic clock, nanoseconds; nil: it has room.
        var since: Int64?
        var durable: UInt64 = 0
    }

    private struct Job {
        let requester: Requester
        let isLimited: Bool
        let work: (EngineLane) -> Bool
    }

    private var refusals = RefusalCounts()

    init(
        _ lane: Lane, _ clock: EngineClock, _ journal: EngineJournal?, _ counters: DecisionCounters
    ) {
        self.lane = lane
        self.counters = counters
        decisions = counters.makeLane()
        self.clock = clock
        self.journal = journal
        listener = journal?.rounds.makeListener()
        let time = clock.time
        now = time.windows
        life = time.lives
        lane.lead = time.lead
    }

    deinit {
        end()
        lane.retire()
        counters.retire(decisions)
    }

    /// On whose behalf the next calls are: the number of an access token, for the audit log; 0: nobody's.
    package var caller: UInt64 {
        get { lane.caller }
        set { lane.caller = newValue }
    }

    /// The trace that the next calls are a part of, for the audit log; nil: none. Whoever sets it takes it back after them.
    package var trace: TraceID? {
        get { lane.trace }
        set { lane.trace = newValue }
    }

    /// Whether that is somebody who may act for some tenants only: then each of them has its share of what is scarce.
    package var isLimited: Bool {
        get { lane.isLimited }
        set { lane.isLimited = newValue }
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
    package func beginBatch() {
        let time = clock.time
        now = max(now, time.windows)
        life = max(life, time.lives)
        lane.lead = now &- life
    }

    /// Lets time pass: expiries, forgetting. To be called every 10 ms.
    ///
    /// - Parameter limit: see `Lane.tick`.
    @discardableResult
    package func tick(limit: Int? = nil) -> Lane.Overdue {
        beginBatch()
        lane.caller = 0
        lane.isLimited = false
        let overdue = lane.tick(now: life, limit: limit)
        refusals.write(lane, now: now)
        lane.keepTime(now: life)
        if lane.hasUnwritten { journal?.rounds.wake() }
        if lane.hasRoom { want.since = nil } else { noteWant() }
        resumeWork()
        return overdue
    }

    /// Goes on with what the last tick left over.
    package func workOff(limit: Int) -> Lane.Overdue {
        lane.caller = 0
        let overdue = lane.workOff(now: life, limit: limit)
        if lane.hasUnwritten { journal?.rounds.wake() }
        return overdue
    }

    // MARK: Room

    /// Whether the last call was refused for no other reason than that the journal had no room just then. Nothing has
    /// changed, and it is worth another try when `hasRoom` says so. False once the disk has made no progress for
    /// `DurabilitySettings.stallMilliseconds`: then the refusal is the answer.
    package var waitsForRoom: Bool {
        guard lane.lacksRoom, let journal, !isEnding else { return false }
        noteWant()
        return !isStalled(journal)
    }

    /// Whether a call that found no room may go on, or will be told that the disk has stalled.
    package var hasRoom: Bool {
        guard !lane.hasRoom, let journal, !isEnding else { return true }
        noteWant()
        return isStalled(journal)
    }

    /// Has the journal make room at once; what `onDurable` was told to call is called when it may have.
    package func awaitRoom() {
        guard let journal else { return }
        _ = takeTicket()
        journal.thread?.hurry()
    }

    /// What a full disk takes up, or an open gate, is progress; so is every round that takes records of this lane.
    private func noteWant() {
        let durable = lane.durablePosition
        guard want.since == nil || want.durable != durable else { return }
        want = Want(since: linux_monotonic_nanoseconds(), durable: durable)
    }

    private func isStalled(_ journal: EngineJournal) -> Bool {
        if journal.writer.hasFailed { return true }
        guard let since = want.since else { return false }
        return linux_monotonic_nanoseconds() - since
            >= journal.settings.stallMilliseconds * 1_000_000
    }

    /// Does a piece of work on behalf of a requester, now or, as long as it returns false for want of room, again when there
    /// is some: each in its turn.
    ///
    /// - Parameter settles: it asks for no room of a limit: what waits for room of the journal may do so for want of what
    ///   is kept for this one, which therefore need not wait behind it.
    package func attempt(
        by requester: Requester, isLimited: Bool = false, settles: Bool = false,
        _ work: @escaping (EngineLane) -> Bool
    ) {
        let job = Job(requester: requester, isLimited: isLimited, work: work)
        if waiting.isEmpty || settles, run(job) { return }
        waiting.append(job)
        awaitRoom()
    }

    private func run(_ job: Job) -> Bool {
        beginBatch()
        lane.beginCall()
        caller = job.requester.caller
        trace = job.requester.trace
        isLimited = job.isLimited
        defer {
            caller = 0
            trace = nil
            isLimited = false
        }
        return job.work(self)
    }

    /// Goes on with the work that waits for room. To be called when there may be some; `tick` does.
    package func resumeWork() {
        guard !waiting.isEmpty else { return }
        var done = 0
        while done < waiting.count, hasRoom, run(waiting[done]) { done += 1 }
        waiting.removeFirst(done)
        // Without progress time will tell: an empty round of a journal that has no room would call here again, at once.
        if done > 0, !waiting.isEmpty { awaitRoom() }
    }

    /// Nobody lets time pass for this lane any more: what waits is told that there is no room.
    package func end() {
        isEnding = true
        resumeWork()
    }

    package func check(_ command: CheckCommand, answer: inout CheckAnswer) -> Failure? {
        lane.beginCall()
        let failure = lane.check(command, now: life, answer: &answer)
        if answer.expiresAt != 0 { answer.expiresAt &+= lane.lead }
        guard failure == nil else { return failure }
        guard !answer.replayed else {
            decisions.countReplay()
            return nil
        }
        decisions.count(
            .check(command.mode), answer.decision,
            refusedBySuspension: answer.refusedBySuspension, refused: answer.refused)
        // What only asked was refused nothing.
        if answer.decision == .denied, command.mode != .checkOnly {
            noteRefusal(
                RefusalCounts.Refusal(
                    bySuspension: answer.refusedBySuspension, refused: answer.refused,
                    action: command.action, asked: command.amounts),
                command.tenantID, command.profileID, command.reference)
        }
        return nil
    }

    @inline(never)
    private func noteRefusal(
        _ refusal: RefusalCounts.Refusal, _ tenantID: BorrowedBytes, _ profileID: BorrowedBytes,
        _ reference: BorrowedBytes
    ) {
        guard lane.isRecorded,
            let numbers = lane.numbers(tenantID: tenantID, profileID: profileID)
        else { return }
        refusals.note(
            refusal, tenant: numbers.tenant, profile: numbers.profile, reference, lane, now: now)
        // The answer does not wait for it, but whoever lists next wants to see it.
        if lane.hasUnwritten { journal?.rounds.wake() }
    }

    /// Puts on record what was counted and not written yet. To be called once, before the engine is closed.
    package func finish() {
        beginBatch()
        refusals.writeAll(lane, now: now)
        if lane.hasUnwritten { journal?.rounds.wake() }
    }

    package func commit(_ command: CommitCommand, answer: inout CommitAnswer) -> Failure? {
        lane.beginCall()
        return lane.commit(command, now: life, answer: &answer)
    }

    package func release(_ reservationID: UInt64, answer: inout ReleaseAnswer) -> Failure? {
        lane.beginCall()
        return lane.release(reservationID, now: life, answer: &answer)
    }

    package func release(
        _ reservationID: UInt64, key: BorrowedBytes, answer: inout ReleaseAnswer
    ) -> Failure? {
        lane.beginCall()
        return lane.release(reservationID, key: key, now: life, answer: &answer)
    }

    package func extend(_ command: ExtendCommand, answer: inout ExtendAnswer) -> Failure? {
        lane.beginCall()
        let failure = lane.extend(command, now: life, answer: &answer)
        if answer.expiresAt != 0 { answer.expiresAt &+= lane.lead }
        guard failure == nil else { return failure }
        guard !answer.replayed else {
            decisions.countReplay()
            return nil
        }
        decisions.count(
            .extend, answer.decision, refusedBySuspension: answer.refusedBySuspension,
            refused: answer.refused)
        if answer.decision == .denied {
            let subjects = lane.reservationSubjects
            noteRefusal(
                RefusalCounts.Refusal(
                    bySuspension: answer.refusedBySuspension, refused: answer.refused,
                    action: .unspecified, asked: command.additional),
                subjects.tenantID, subjects.profileID, .none)
        }
        return nil
    }

    package func record(_ command: RecordCommand, answer: inout RecordAnswer) -> Failure? {
        lane.beginCall()
        return lane.record(command, now: life, answer: &answer)
    }

    /// Sets counts to what they are, as an operator found out; recorded as the difference.
    ///
    /// - Parameter command: the counts, of resources that may shrink, each 0 ... Int64.max; without a key.
    package func setCounts(_ command: RecordCommand, answer: inout RecordAnswer) -> Failure? {
        lane.beginCall()
        return lane.record(command, isTotal: true, now: life, answer: &answer)
    }

    package func usage(_ query: UsageQuery, answer: inout UsageAnswer) -> Failure? {
        lane.beginCall()
        return lane.usage(query, now: life, answer: &answer)
    }

    /// Whose reservation the last commit, release or extend was about.
    package var reservationSubjects: (tenantID: BorrowedBytes, profileID: BorrowedBytes) {
        lane.reservationSubjects
    }

    /// Takes back what an unkeyed CheckAndReserve did whose caller is gone (semantics §3, "Deadlines"). False: the journal
    /// has no room; to be asked again.
    @discardableResult
    package func withdraw(_ command: CheckCommand, _ answer: CheckAnswer) -> Bool {
        lane.beginCall()
        lane.withdraw(command, answer, now: life)
        return !lane.lacksRoom
    }
}
