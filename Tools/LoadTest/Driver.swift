internal import CommandIO
internal import NIOCore
internal import TollgateClient
internal import Wire

/// Sends calls when they are due and takes their answers, on one event loop.
///
/// The starts of actions follow a fixed schedule, whatever the service does. A further call of an action (extend,
/// commit, release) is due a fixed pause after the answer that it depends on. At most `maximumInFlight` calls are under
/// way; what is due beyond that waits, and its latency counts from when it was due.
final class Driver: @unchecked Sendable {
    // SAFETY: everything is touched on `loop` alone.

    struct Result {
        var ledger: Ledger
        var measurements: Measurements
        /// Actions that were started or should have been.
        var actionCount: Int
        /// How long the schedule ran.
        var scheduledNanoseconds: UInt64
        /// Until the last answer.
        var totalNanoseconds: UInt64
        var isInterrupted: Bool
    }

    private let settings: Settings
    private let population: Population
    private let tenantTable: AliasTable
    private let kindTable: AliasTable
    private var random: SampleGenerator
    private var ledger: Ledger
    private var measurements = Measurements()
    private var keyPrefix: String
    private var keyCount = 0

    private let connections: [Connection]
    private var hasUnsent: [Bool]
    /// The connection whose turn it is, and how many calls it has had.
    private var connection = 0
    private var turns = 0
    /// Calls that are due together go out together.
    private static let callsPerTurn = 16
    let loop: any EventLoop

    private var start: UInt64 = 0
    /// Actions in all; less after an interruption.
    private var planned: Int
    private var started = 0
    private var end: UInt64
    private var isInterrupted = false
    /// Actions that wait for their next call, in the order in which it is due.
    private var followUps = CircularBuffer<Journey>()
    private var inFlight = 0

    private var timer: Scheduled<Void>?
    private var timerDue = UInt64.max
    private var isPumpScheduled = false
    private var progress: RepeatedTask?
    private var finish: ((Result) -> Void)?

    /// - Parameter client: all of its connections are on one event loop.
    init(_ settings: Settings, client: TollgateClient, population: Population, ledger: Ledger) {
        self.settings = settings
        self.population = population
        self.ledger = ledger
        tenantTable = AliasTable(weights: population.shares)
        kindTable = AliasTable(weights: settings.traffic.mix.shares)
        random = SampleGenerator(seed: settings.seed)
        // Two runs against one service must not share keys.
        keyPrefix = "\(UInt64.random(in: 0 ... .max))-"
        connections = client.connections
        hasUnsent = Array(repeating: false, count: connections.count)
        let loop = client.connections[0].loop
        precondition(client.connections.allSatisfy { $0.loop === loop }, "one event loop for all")
        self.loop = loop
        planned = settings.actionCount
        end = 0
    }

    /// Runs the schedule and waits for all answers.
    func run() async -> Result {
        await withCheckedContinuation { continuation in
            loop.execute {
                self.finish = { continuation.resume(returning: $0) }
                // A moment for the timers: the first call shall not be late.
                self.start = NIODeadline.now().uptimeNanoseconds + 10_000_000
                self.end = self.start + self.settings.durationNanoseconds
                self.progress = self.loop.scheduleRepeatedTask(
                    initialDelay: .milliseconds(1_010), delay: .seconds(1)
                ) { _ in self.showProgress() }
                self.pump()
            }
        }
    }

    /// Ends the schedule now; what runs is still settled. A second time: ends without that.
    func interrupt() {
        loop.execute {
            if self.isInterrupted { return self.conclude() }
            self.isInterrupted = true
            let now = NIODeadline.now().uptimeNanoseconds
            self.end = min(self.end, now)
            while self.started < self.planned, self.dueOfStart(self.started) <= now {
                self.measurements.recordUnsent(
                    due: self.dueOfStart(self.started), now: now, start: self.start)
                self.started += 1
            }
            self.planned = self.started
            self.pump()
        }
    }

    // MARK: The schedule

    private func dueOfStart(_ index: Int) -> UInt64 {
        start + UInt64(Double(index) * 1e9 / settings.rate)
    }

    /// Sends what is due, as far as there are places, and sets the timer for what comes next.
    private func pump() {
        isPumpScheduled = false
        let now = NIODeadline.now().uptimeNanoseconds
        while inFlight < settings.maximumInFlight {
            let startDue = started < planned ? dueOfStart(started) : .max
            let followUpDue = followUps.first?.due ?? .max
            let due = min(startDue, followUpDue)
            guard due <= now else {
                wake(at: due)
                break
            }
            let journey: Journey
            if followUpDue <= startDue {
                journey = followUps.removeFirst()
            } else {
                journey = begin()
                journey.due = startDue
                started += 1
            }
            send(journey, now)
        }
        if inFlight == settings.maximumInFlight { noteQueue(now) }
        if turns > 0 { takeTurns() }
        for index in connections.indices where hasUnsent[index] {
            hasUnsent[index] = false
            connections[index].flush()
        }
        if inFlight == 0, started == planned, followUps.isEmpty { conclude() }
    }

    private func wake(at due: UInt64) {
        guard due < timerDue else { return }
        timer?.cancel()
        timerDue = due
        timer = loop.scheduleTask(deadline: .uptimeNanoseconds(due)) {
            self.timerDue = .max
            self.pump()
        }
    }

    private func pumpSoon() {
        if isPumpScheduled { return }
        isPumpScheduled = true
        loop.execute { self.pump() }
    }

    /// Calls that are due and wait for a place.
    private func queueLength(_ now: UInt64) -> Int {
        var length = 0
        if started < planned, now >= dueOfStart(started) {
            let due = Int(Double(now - start) * settings.rate / 1e9) + 1
            length = min(due, planned) - started
        }
        if let first = followUps.first, first.due <= now {
            length += followUps.count { $0.due <= now }
        }
        return length
    }

    private func noteQueue(_ now: UInt64) {
        measurements.queuePeak = max(measurements.queuePeak, queueLength(now))
    }

    private func conclude() {
        guard let finish else { return }
        self.finish = nil
        timer?.cancel()
        progress?.cancel()
        let now = NIODeadline.now().uptimeNanoseconds
        if inFlight > 0 || followUps.isEmpty == false { ledger.leaveUnjudged() }
        finish(
            Result(
                ledger: ledger, measurements: measurements, actionCount: started,
                scheduledNanoseconds: end - start, totalNanoseconds: now - start,
                isInterrupted: isInterrupted))
    }

    // MARK: Calls

    private func begin() -> Journey {
        let tenant = tenantTable.draw(&random)
        let kind = ActionKind.allCases[kindTable.draw(&random)]
        let each = population.profilesPerTenant
        return Journey(
            kind, tenant: tenant, profile: tenant * each + random.index(below: each),
            directShare: settings.traffic.directShare, &random)
    }

    private func send(_ journey: Journey, _ now: UInt64) {
        journey.sent = now
        let method: LimitServiceMethod
        let message: [UInt8]
        switch journey.step {
        case .check:
            journey.marks = ledger.ask(journey.amounts, of: journey, commits: journey.isDirect)
            method = .checkAndReserve
            message = checkRequest(journey).encoded()
        case .extend:
            journey.marks = ledger.ask(journey.amounts, of: journey, commits: false)
            method = .extend
            message = ExtendRequest(
                reservationID: journey.reservationID, ttlMilliseconds: settings.holdMilliseconds,
                additional: journey.amounts.quantities, idempotencyKey: key()
            ).encoded()
        case .commit:
            ledger.beginSettling(journey, charged: journey.used)
            method = .commit
            message = CommitRequest(
                reservationID: journey.reservationID,
                actual: journey.used == journey.held ? [] : journey.used.quantities
            ).encoded()
        case .release:
            ledger.beginSettling(journey, charged: .zero)
            method = .release
            message = ReleaseRequest(reservationID: journey.reservationID).encoded()
        }
        inFlight += 1
        measurements.inFlightPeak = max(measurements.inFlightPeak, inFlight)
        let call = Call(
            method: method, message: message,
            deadline: .uptimeNanoseconds(now + settings.timeoutNanoseconds)
        ) { outcome in self.ended(journey, outcome) }
        connections[connection].start(call)
        hasUnsent[connection] = true
        turns += 1
        if turns == Self.callsPerTurn { takeTurns() }
    }

    private func takeTurns() {
        connection = (connection + 1) % connections.count
        turns = 0
    }

    private func checkRequest(_ journey: Journey) -> CheckRequest {
        let each = population.profilesPerTenant
        return CheckRequest(
            tenantID: population.tenantID(journey.tenant),
            messagingProfileID: journey.profile.map { population.profileID($0 / each, $0 % each) }
                ?? "",
            action: journey.action, quantities: journey.amounts.quantities,
            idempotencyKey: key(), ttlMilliseconds: settings.holdMilliseconds,
            mode: journey.isDirect ? .commit : .reserve)
    }

    /// A fresh idempotency key; empty without `--keys`.
    private func key() -> String {
        guard settings.usesKeys else { return "" }
        keyCount += 1
        return keyPrefix + String(keyCount)
    }

    // MARK: Answers

    private func ended(_ journey: Journey, _ outcome: borrowing CallOutcome) {
        let now = NIODeadline.now().uptimeNanoseconds
        let wasFull = inFlight == settings.maximumInFlight
        inFlight -= 1
        let (step, due) = (journey.step, journey.due)
        let ending: Ending =
            switch step {
            case .check: checked(journey, outcome.decoded(), now)
            case .extend: extended(journey, outcome.decoded(), now)
            case .commit: committed(journey, outcome.decoded(), now)
            case .release: released(journey, outcome.decoded(), now)
            }
        measurements.record(
            step, due: due, sent: journey.sent, ended: now, start: start, isInTime: now <= end,
            ending)
        if wasFull || (inFlight == 0 && started == planned) { pumpSoon() }
    }

    /// The journey's next call is due a pause from now; the pause is the same for all, so the queue is in order.
    private func goOn(_ journey: Journey, _ now: UInt64) {
        journey.step = journey.next(hangsUp: started == planned)
        journey.due = now + settings.pauseNanoseconds
        followUps.append(journey)
        if inFlight < settings.maximumInFlight, let first = followUps.first { wake(at: first.due) }
    }

    private func checked(
        _ journey: Journey, _ result: Swift.Result<CheckResponse, TollgateError>, _ now: UInt64
    ) -> Ending {
        switch result {
        case .success(let answer):
            if answer.isReplayed { ledger.complain(journey, "replayed an answer to a fresh key") }
            let ending = decided(
                journey, answer.decision, answer.errors, commits: journey.isDirect)
            if answer.tenantStatus == .suspended { ledger.noteSuspension(of: journey) }
            guard ending == .allowed, journey.isDirect == false else { return ending }
            if answer.reservationID == 0 {
                ledger.complain(journey, "a hold without a reservation id")
                return ending
            }
            journey.reservationID = answer.reservationID
            journey.held = journey.amounts
            journey.renewed = journey.sent
            goOn(journey, now)
            return ending
        case .failure(let error):
            if isWithoutEffect(error) {
                ledger.withdraw(journey.amounts, of: journey, commits: journey.isDirect)
            }
            return failed(journey, error, now)
        }
    }

    private func extended(
        _ journey: Journey, _ result: Swift.Result<ExtendResponse, TollgateError>, _ now: UInt64
    ) -> Ending {
        switch result {
        case .success(let answer):
            if answer.isReplayed { ledger.complain(journey, "replayed an answer to a fresh key") }
            let ending = decided(journey, answer.decision, answer.errors, commits: false)
            if ending == .allowed {
                journey.held &+= journey.amounts
                journey.renewed = journey.sent
            } else {
                journey.cutShort()
            }
            goOn(journey, now)
            return ending
        case .failure(let error):
            if isWithoutEffect(error) {
                ledger.withdraw(journey.amounts, of: journey, commits: false)
                journey.cutShort()
                goOn(journey, now)
            } else {
                // Nobody knows what is held: the hold is left to expire.
                ledger.abandon(journey, rest: journey.held)
            }
            return failed(journey, error, now)
        }
    }

    private func decided(
        _ journey: Journey, _ decision: Decision?, _ errors: [ErrorEntry], commits: Bool
    ) -> Ending {
        switch decision {
        case .allowed:
            ledger.admit(journey.amounts, of: journey, commits: commits)
            return .allowed
        case .denied:
            ledger.deny(journey.amounts, of: journey, commits: commits, errors: errors)
            return .denied(errors.map(\.code))
        case nil:
            ledger.complain(journey, "an answer without a decision")
            return .failed(.unknown)
        }
    }

    private func committed(
        _ journey: Journey, _ result: Swift.Result<CommitResponse, TollgateError>, _ now: UInt64
    ) -> Ending {
        switch result {
        case .success(let answer):
            ledger.settle(journey, charged: journey.used)
            if answer.isLate {
                ledger.muddle(journey)
            } else if answer.isReplayed {
                ledger.complain(journey, "a first commit was answered as a repeated one")
            } else if Set(answer.committed) != Set(journey.used.quantities) {
                ledger.complain(
                    journey, "committed \(answer.committed) instead of \(journey.used.quantities)")
            }
            if answer.tenantStatus == .suspended { ledger.noteSuspension(of: journey) }
            return .done
        case .failure(let error):
            if isWithoutEffect(error) { ledger.forgo(journey, charged: journey.used) }
            ledger.abandon(journey, rest: journey.used)
            return failed(journey, error, now)
        }
    }

    private func released(
        _ journey: Journey, _ result: Swift.Result<ReleaseResponse, TollgateError>, _ now: UInt64
    ) -> Ending {
        switch result {
        case .success(let answer):
            ledger.settle(journey, charged: .zero)
            if answer.isExpired {
                ledger.muddle(journey)
            } else if answer.isReplayed {
                ledger.complain(journey, "a first release was answered as a repeated one")
            }
            return .done
        case .failure(let error):
            // Either way the books have let go of the whole hold: released now, or expired later.
            return failed(journey, error, now)
        }
    }

    private func failed(_ journey: Journey, _ error: TollgateError, _ now: UInt64) -> Ending {
        switch error.code {
        case _ where mayHaveExpired(journey, now): ledger.muddle(journey)
        case .failedPrecondition where error.catalogueCode == "49202":
            ledger.muddle(journey)
        case .invalidArgument, .notFound, .failedPrecondition:
            ledger.complain(journey, "\(journey.step.method) was answered with \(error)")
        default: break
        }
        return .failed(error.code)
    }

    /// Whether the hold that the call was about may have been gone before the call's end, and others have used its room,
    /// while the books still counted it. The service's clock may be a little in front.
    private func mayHaveExpired(_ journey: Journey, _ now: UInt64) -> Bool {
        guard journey.step != .check else { return false }
        let timeToLive = UInt64(settings.holdMilliseconds) * 1_000_000
        return now + timeToLive / 10 >= journey.renewed + timeToLive
    }

    /// The call has certainly changed nothing. A call whose deadline passed may have been processed all the same.
    private func isWithoutEffect(_ error: TollgateError) -> Bool {
        if error.wasNotProcessed { return true }
        return error.details != nil && error.code != .deadlineExceeded && error.code != .cancelled
    }

    private func showProgress() {
        let now = NIODeadline.now().uptimeNanoseconds
        StandardError.write(
            LoadProgress(
                seconds: (now - start) / 1_000_000_000, started: started,
                recent: measurements.recent, inFlight: inFlight, queued: queueLength(now),
                denied: measurements.deniedCount, failed: measurements.failedCount
            ).line + "\n")
        measurements.resetRecent()
    }
}
