package import Access
package import Engine
internal import Limits
internal import NIOCore
internal import Wire

/// `tollgate.v1.LimitService` on one event loop: decodes, asks the engine, encodes. Decides in place; allocates only
/// for calls that fail.
///
/// Durability: an answer or failure that reflects what is not on disk yet is parked by the transport, encoded as it is.
///
/// Thread safety: belongs to its event loop.
package final class LimitService: GRPCService {
    /// The full name of the service.
    package static let name = "\(LimitServiceMethod.service)"

    /// The methods in the order of their ids.
    package static let methods: [MethodDescriptor] = LimitServiceMethod.allCases.map { method in
        MethodDescriptor(
            path: "\(method.path)", kind: kind(of: method),
            maximumRequestBytes: method.maximumRequestBytes)
    }

    /// How often time passes for reservations.
    private static let period = TimeAmount.milliseconds(10)
    /// Room that an answer without errors, warnings and limits needs at most.
    private static let plainBytes = 256

    private let methods = LimitServiceMethod.allCases
    let lane: EngineLane
    private let gate: any DurabilityGate
    let decoder = RequestDecoder()
    private let encoder = ResponseEncoder()
    /// nil: everybody may do everything.
    let callers: Callers?
    private let watches: UsageWatches
    private weak var loop: ServerLoop?
    private var timer: LoopTimer?
    private var pace = OverduePace()
    private var alarm: LoopAlarm?
    /// How to take back what is to be taken back as soon as the journal has room.
    private var late: [UInt8] = []
    private let onKept: (Int) -> Void
    /// When the batch that is being worked off was read.
    private var batch: UInt64 = 0
    /// Answers are large, reused and filled in place; outside the object, so that no access pays for an exclusivity
    /// check at run time.
    struct Answers {
        var check = CheckAnswer()
        var commit = CommitAnswer()
        var extend = ExtendAnswer()
        var record = RecordAnswer()
        var usage = UsageAnswer()
    }
    let answers: UnsafeMutablePointer<Answers>

    /// - Parameters:
    ///   - loop: the loop that this service belongs to.
    ///   - gate: what says which answers wait, and how long; nil: the lane.
    ///   - authority: knows who the callers are; nil: nobody is asked, everybody may do everything.
    ///   - onKept: called on the loop, at its end, if the journal had no room until then to take back what was done for so
    ///     many callers that have no answer.
    package init(
        lane: EngineLane, loop: ServerLoop, gate: (any DurabilityGate)? = nil,
        authority: TokenAuthority?, watchBounds: WatchBounds = WatchBounds(),
        onKept: @escaping (Int) -> Void = { _ in }
    ) {
        self.lane = lane
        self.onKept = onKept
        let gate = gate ?? lane
        self.gate = gate
        callers = authority.flatMap { $0.isOpen ? nil : Callers($0) }
        let watches = UsageWatches(lane, gate, callers, loop: loop, watchBounds)
        self.watches = watches
        answers = .allocate(capacity: 1)
        answers.initialize(to: Answers())
        self.loop = loop
        timer = LoopTimer(on: loop.eventLoop, every: Self.period) { [weak self] in self?.tick() }
        alarm = LoopAlarm(on: loop.eventLoop) { [weak self] in self?.workOff(isTick: false) }
    }

    deinit {
        answers.deinitialize(count: 1)
        answers.deallocate()
    }

    /// Lets time pass, and goes on with what waited for room.
    func tick() {
        workOff(isTick: true)
        watches.tick()
        loop?.resumeCalls()
    }

    /// Works off some of what is due. The rest follows when the loop has looked at what its connections brought.
    private func workOff(isTick: Bool) {
        guard let loop, let next = pace.slice(lane, isTick: isTick, clock: loop.clock) else {
            return
        }
        alarm?.set(in: .nanoseconds(Int64(next)))
    }

    package func stopped() {
        timer?.cancel()
        timer = nil
        alarm?.cancel()
        alarm = nil
        // Nobody asks again: there is room now, or this stands.
        withdrawLate()
        lane.end()
        lane.finish()
        if !late.isEmpty { onKept(late.withUnsafeBytes { Withdrawal.count(in: $0) }) }
    }

    // MARK: Durability

    package func takeTicket() -> UInt64 { gate.takeTicket() }

    package func answersLeave() { gate.answersLeave() }

    package var durableTicket: UInt64 { gate.durableTicket }

    package func onDurable(_ notify: @escaping @Sendable () -> Void) { gate.onDurable(notify) }

    package func roomMayBe() {
        withdrawLate()
        lane.resumeWork()
    }

    package var hasRoom: Bool { lane.hasRoom }

    package func awaitRoom() { lane.awaitRoom() }

    package func withdraw(_ undo: UnsafeRawBufferPointer) {
        lane.beginBatch()
        lane.caller = 0
        let done = late.isEmpty ? withdrawWhileThereIsRoom(undo) : 0
        guard done < undo.count else { return }
        late.append(contentsOf: undo[done...])
        lane.awaitRoom()
    }

    /// - Returns: bytes of what was taken back.
    private func withdrawWhileThereIsRoom(_ undo: UnsafeRawBufferPointer) -> Int {
        Withdrawal.forEach(in: undo) { command, answer in lane.withdraw(command, answer) }
    }

    private func withdrawLate() {
        guard !late.isEmpty else { return }
        lane.caller = 0
        let done = late.withUnsafeBytes { withdrawWhileThereIsRoom($0) }
        late.removeFirst(done)
    }

    /// Has the answer wait that the engine has just given, if it must.
    @inline(__always)
    private func parkIfNeeded(_ call: CallContext) {
        if gate.answerWaits { call.park() }
    }

    /// Notes how to take back the CheckAndReserve that was just decided. Keyed ones stand, for the retry to collect.
    @inline(__always)
    private func noteWithdrawal(_ call: CallContext, _ command: CheckCommand) {
        guard call.mayBeLate else { return }
        Withdrawal.note(command, answers.pointee.check, in: call)
    }

    private static func kind(of method: LimitServiceMethod) -> MethodKind {
        switch (method.clientStreams, method.serverStreams) {
        case (false, false): .unary
        case (false, true): .serverStreaming
        case (true, false): .clientStreaming
        case (true, true): .bidirectional
        }
    }

    // MARK: GRPCService

    package func unary(
        _ call: CallContext, request: UnsafeRawBufferPointer, response: inout ResponseBuffer
    ) -> ServiceOutcome {
        beginBatch(call)
        guard let permission = permission(of: call) else { return .failed(strangersFailure) }
        let method = methods[call.method]
        guard permission.may(Self.right(of: method)) else { return failed(Self.forbidden) }
        // A batch that was begun is paid for.
        guard call.progress > 0 || permission.takes(now: call.nowNanoseconds) else {
            return hurried()
        }
        let outcome = unary(method, call, permission, request, &response)
        // The same request comes again, and is one call.
        if case .putOff = outcome, call.progress == 0 { permission.giveBack() }
        return outcome
    }

    @inline(__always)
    private func unary(
        _ method: LimitServiceMethod, _ call: CallContext, _ permission: Permission,
        _ request: UnsafeRawBufferPointer, _ response: inout ResponseBuffer
    ) -> ServiceOutcome {
        switch method {
        case .checkAndReserve: return check(call, permission, request, &response)
        case .checkAndReserveBatch: return checkBatch(call, permission, request, &response)
        case .commit: return commit(call, permission, request, &response)
        case .release: return release(call, permission, request, &response)
        case .extend: return extend(call, permission, request, &response)
        case .recordUsage: return record(call, permission, request, &response)
        case .getUsage: return usage(call, permission, request, &response)
        case .checkAndReserveStream, .watchUsage:
            return .failed(GRPCFailure(.unimplemented, "not a unary method"))
        }
    }

    package func admit(_ call: CallContext) -> GRPCFailure? {
        permission(of: call) == nil ? strangersFailure : nil
    }

    package func streamOpened(_ call: CallContext) -> GRPCFailure? {
        guard let permission = permission(of: call) else { return strangersFailure }
        let right = Self.right(of: methods[call.method])
        return permission.may(right) ? nil : GRPCFailure(Self.forbidden, encoder: encoder)
    }

    /// One request of CheckAndReserveStream: a bad one is answered with `status_code`, and the stream goes on, unless
    /// the caller's token has come to its end.
    package func message(
        _ call: CallContext, request: UnsafeRawBufferPointer, response: inout ResponseBuffer
    ) -> ServiceOutcome {
        beginBatch(call)
        guard let permission = permission(of: call) else { return .failed(strangersFailure) }
        // It may have been let do more when the stream began.
        guard permission.may(.charge) else { return failed(Self.forbidden) }
        guard permission.takes(now: call.nowNanoseconds) else {
            noteHurry()
            write(&response) { encoder.failedCheck(Self.tooFast, into: $0) }
            return .done
        }
        switch decoder.check(request) {
        case .failure(let failure):
            let violations = decoder.violations
            write(&response) { encoder.failedCheck(failure, violations: violations, into: $0) }
        case .success(let command):
            guard permission.covers(command.tenantID) else {
                write(&response) { encoder.failedCheck(Self.otherTenant, into: $0) }
                return .done
            }
            let failure = lane.check(command, answer: &answers.pointee.check)
            parkIfNeeded(call)
            if let failure {
                if lane.waitsForRoom {
                    permission.giveBack()
                    return .putOff
                }
                write(&response) { encoder.failedCheck(failure, into: $0) }
            } else {
                noteWithdrawal(call, command)
                let disclosure = disclosure(to: permission)
                write(&response) {
                    encoder.check(
                        answers.pointee.check, Subjects(command), disclosure: disclosure, into: $0)
                }
            }
        }
        return .done
    }

    /// WatchUsage.
    package func watch(_ call: CallContext, request: UnsafeRawBufferPointer) -> GRPCFailure? {
        beginBatch(call)
        guard let permission = permission(of: call) else { return strangersFailure }
        guard permission.may(.readUsage) else {
            return GRPCFailure(Self.forbidden, encoder: encoder)
        }
        guard permission.takes(now: call.nowNanoseconds) else {
            noteHurry()
            return GRPCFailure(Self.tooFast, encoder: encoder)
        }
        let tenantID: BorrowedBytes
        switch decoder.watch(request) {
        case .success(let decoded): tenantID = decoded
        case .failure(let failure):
            return GRPCFailure(failure, decoder.violations, encoder: encoder)
        }
        var tenant: Int?
        if tenantID.count > 0 {
            guard permission.covers(tenantID) else {
                return GRPCFailure(Self.otherTenant, encoder: encoder)
            }
            tenant = lane.number(ofTenant: tenantID)
            if tenant == nil { return GRPCFailure(Self.unknownTenant, encoder: encoder) }
        } else if !permission.may(.watchEverything) || permission.isLimited {
            return GRPCFailure(Self.forbidden, encoder: encoder)
        }
        return watches.open(call, tenant: tenant, tenantID, permission)
            .map { GRPCFailure($0, encoder: encoder) }
    }

    package func streamWritable(_ token: CallToken) { watches.writable(token) }

    package func streamClosed(_ token: CallToken) { watches.closed(token) }

    // MARK: Access

    private static let forbidden = Failure(.forbidden)
    private static let otherTenant = Failure(
        .forbidden, detail: "The token does not cover this tenant")
    private static let tooFast = Failure(
        .tooManyRequests, detail: "The caller has exceeded its rate limit")
    private static let unknownTenant = Failure(
        .notFound, pointer: "/tenant_id", detail: "No such tenant")

    /// What the caller of a request may do, and has what is done recorded as done by it; nil: it is nobody.
    @inline(__always)
    private func permission(of call: CallContext) -> Permission? {
        guard let callers else { return Permission(caller: nil) }
        guard
            let caller = callers.find(
                call.authorization, certified: call.certified,
                nowNanoseconds: call.nowNanoseconds, from: call.peerAddress)
        else { return nil }
        lane.caller = caller.pointee.number
        lane.isLimited = caller.pointee.tenants != nil
        return Permission(caller: caller)
    }

    /// Why a call is refused whose caller is nobody, or cannot be told now.
    private var strangersFailure: GRPCFailure {
        GRPCFailure(
            callers?.refusal ?? Failure(.unauthenticated), encoder: encoder, isStrangers: true)
    }

    @inline(never)
    private func hurried() -> ServiceOutcome {
        noteHurry()
        return failed(Self.tooFast)
    }

    private func noteHurry() { callers?.noteHurry() }

    /// What a caller may see of the tenant that the lane's last call was about.
    @inline(__always)
    private func disclosure(to permission: Permission) -> Disclosure {
        permission.isTenant && !lane.disclosesLimits ? .profilesOnly : .full
    }

    /// Why a caller cannot settle a reservation, which for one that it may not see, or takes for another tenant's, is
    /// not there; nil: it can.
    @inline(__always)
    private func refusal(
        _ permission: Permission, ofReservation id: UInt64, of tenantID: BorrowedBytes
    ) -> Failure? {
        guard permission.isLimited || tenantID.count > 0 else { return nil }
        return lane.refusal(ofReservation: id) { owner in
            permission.covers(owner) && (tenantID.count == 0 || tenantID.elementsEqual(owner))
        }
    }

    // MARK: Methods

    private func check(
        _ call: CallContext, _ permission: Permission, _ request: UnsafeRawBufferPointer,
        _ response: inout ResponseBuffer
    ) -> ServiceOutcome {
        let command: CheckCommand
        switch decoder.check(request) {
        case .success(let decoded): command = decoded
        case .failure(let failure): return refused(failure)
        }
        guard permission.covers(command.tenantID) else { return failed(Self.otherTenant) }
        let failure = lane.check(command, answer: &answers.pointee.check)
        parkIfNeeded(call)
        if let failure { return ended(failure) }
        noteWithdrawal(call, command)
        let disclosure = disclosure(to: permission)
        if call.denyAsStatus, let denial = Denial(answers.pointee.check) {
            return denied(denial, Subjects(command), disclosure)
        }
        write(&response) {
            encoder.check(
                answers.pointee.check, Subjects(command), disclosure: disclosure, into: $0)
        }
        return .done
    }

    private func checkBatch(
        _ call: CallContext, _ permission: Permission, _ request: UnsafeRawBufferPointer,
        _ response: inout ResponseBuffer
    ) -> ServiceOutcome {
        let count: Int
        switch decoder.batch(request) {
        case .success(let decoded): count = decoded
        case .failure(let failure): return refused(failure)
        }
        // Each entry is a call; the first one was taken, and the others are owed.
        if call.progress == 0, count > 1 {
            permission.owes(count - 1, now: call.nowNanoseconds)
        }
        // Progress is the entry that comes next, counted from 1: 0 is a batch that is not begun.
        for index in min(max(0, call.progress - 1), count)..<count {
            switch decoder.batchEntry(index) {
            case .failure(let failure):
                let violations = decoder.violations
                write(&response) {
                    encoder.failedBatchResult(failure, violations: violations, into: $0)
                }
            case .success(let command):
                guard permission.covers(command.tenantID) else {
                    write(&response) { encoder.failedBatchResult(Self.otherTenant, into: $0) }
                    continue
                }
                let failure = lane.check(command, answer: &answers.pointee.check)
                parkIfNeeded(call)
                if let failure {
                    if lane.waitsForRoom {
                        call.progress = index + 1
                        return .putOff
                    }
                    write(&response) { encoder.failedBatchResult(failure, into: $0) }
                } else {
                    // Even if this entry need not wait: a later one may make the whole answer late.
                    Withdrawal.note(command, answers.pointee.check, in: call)
                    let disclosure = disclosure(to: permission)
                    write(&response) {
                        encoder.batchResult(
                            answers.pointee.check, Subjects(command), disclosure: disclosure,
                            into: $0)
                    }
                }
            }
        }
        return .done
    }

    private func commit(
        _ call: CallContext, _ permission: Permission, _ request: UnsafeRawBufferPointer,
        _ response: inout ResponseBuffer
    ) -> ServiceOutcome {
        switch decoder.commit(request) {
        case .failure(let failure): return refused(failure)
        case .success(let command):
            if let failure = refusal(
                permission, ofReservation: command.reservationID, of: command.tenantID)
            {
                return failed(failure)
            }
            let failure = lane.commit(command, answer: &answers.pointee.commit)
            parkIfNeeded(call)
            if let failure { return ended(failure) }
            let disclosure = disclosure(to: permission)
            write(&response) {
                encoder.commit(
                    answers.pointee.commit, reservationSubjects, disclosure: disclosure, into: $0)
            }
            return .done
        }
    }

    private func release(
        _ call: CallContext, _ permission: Permission, _ request: UnsafeRawBufferPointer,
        _ response: inout ResponseBuffer
    ) -> ServiceOutcome {
        switch decoder.release(request) {
        case .failure(let failure): return refused(failure)
        case .success(let command):
            if let failure = refusal(
                permission, ofReservation: command.reservationID, of: command.tenantID)
            {
                return failed(failure)
            }
            var answer = ReleaseAnswer()
            let failure = lane.release(command.reservationID, answer: &answer)
            parkIfNeeded(call)
            if let failure { return ended(failure) }
            write(&response) { encoder.release(answer, into: $0) }
            return .done
        }
    }

    private func extend(
        _ call: CallContext, _ permission: Permission, _ request: UnsafeRawBufferPointer,
        _ response: inout ResponseBuffer
    ) -> ServiceOutcome {
        switch decoder.extend(request) {
        case .failure(let failure): return refused(failure)
        case .success(let command):
            if let failure = refusal(
                permission, ofReservation: command.reservationID, of: command.tenantID)
            {
                return failed(failure)
            }
            let failure = lane.extend(command, answer: &answers.pointee.extend)
            parkIfNeeded(call)
            if let failure { return ended(failure) }
            let disclosure = disclosure(to: permission)
            if call.denyAsStatus, let denial = Denial(answers.pointee.extend) {
                return denied(denial, reservationSubjects, disclosure)
            }
            write(&response) {
                encoder.extend(
                    answers.pointee.extend, reservationSubjects, disclosure: disclosure, into: $0)
            }
            return .done
        }
    }

    private func record(
        _ call: CallContext, _ permission: Permission, _ request: UnsafeRawBufferPointer,
        _ response: inout ResponseBuffer
    ) -> ServiceOutcome {
        switch decoder.record(request) {
        case .failure(let failure): return refused(failure)
        case .success(let command):
            guard permission.covers(command.tenantID) else { return failed(Self.otherTenant) }
            let failure = lane.record(command, answer: &answers.pointee.record)
            parkIfNeeded(call)
            if let failure { return ended(failure) }
            let disclosure = disclosure(to: permission)
            write(&response) {
                encoder.record(
                    answers.pointee.record, Subjects(command), disclosure: disclosure, into: $0)
            }
            return .done
        }
    }

    private func usage(
        _ call: CallContext, _ permission: Permission, _ request: UnsafeRawBufferPointer,
        _ response: inout ResponseBuffer
    ) -> ServiceOutcome {
        switch decoder.usage(request) {
        case .failure(let failure): return refused(failure)
        case .success(let query):
            guard permission.covers(query.tenantID) else { return failed(Self.otherTenant) }
            let failure = lane.usage(query, answer: &answers.pointee.usage)
            parkIfNeeded(call)
            if let failure { return ended(failure) }
            let disclosure = disclosure(to: permission)
            write(&response) {
                encoder.usage(
                    answers.pointee.usage, Subjects(query), disclosure: disclosure, into: $0)
            }
            return .done
        }
    }

    // MARK: Parts

    /// Reads the clock once for all requests that one read brought.
    private func beginBatch(_ call: CallContext) {
        guard call.nowNanoseconds != batch else { return }
        batch = call.nowNanoseconds
        lane.beginBatch()
    }

    private var reservationSubjects: Subjects {
        let ids = lane.reservationSubjects
        return Subjects(tenantID: ids.tenantID, profileID: ids.profileID)
    }

    @inline(__always)
    private func write(
        _ response: inout ResponseBuffer, _ encode: (UnsafeMutableRawBufferPointer) -> Int
    ) {
        var room = response.reserve(Self.plainBytes)
        var count = encode(room)
        if count > room.count {
            room = response.reserve(max(count, ResponseEncoder.sufficientBytes))
            count = encode(room)
            precondition(count <= room.count, "a message outgrew its own size")
        }
        response.commit(count)
    }

    /// A request that the decoder refused, with all its findings.
    private func refused(_ failure: Failure) -> ServiceOutcome {
        .failed(GRPCFailure(failure, decoder.violations, encoder: encoder))
    }

    /// A request that was refused as a whole.
    private func failed(_ failure: Failure) -> ServiceOutcome {
        .failed(GRPCFailure(failure, encoder: encoder))
    }

    /// What a failure of the lane's last call comes to: another try, if only the journal had no room just then.
    private func ended(_ failure: Failure) -> ServiceOutcome {
        lane.waitsForRoom ? .putOff : failed(failure)
    }

    /// A denial for a caller that wants it as a status.
    private func denied(
        _ denial: Denial, _ subjects: Subjects, _ disclosure: Disclosure
    ) -> ServiceOutcome {
        let row = denial.code(disclosure).row
        let details = GRPCFailure.bytes {
            encoder.status(denial, subjects, disclosure: disclosure, into: $0)
        }
        return .failed(GRPCFailure(GRPCCode(row.status), "\(row.detail)", details: details))
    }
}
