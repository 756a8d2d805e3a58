package import Engine
internal import Limits
package import NIOCore
internal import Wire

/// `tollgate.v1.LimitService` on one event loop: decodes, asks the engine, encodes. Decides in place; allocates only
/// for calls that fail.
///
/// Durability: an answer or failure that reflects what is not on disk yet is held by the transport, encoded as it is.
///
/// Thread safety: belongs to its event loop.
package final class LimitService: GRPCService {
    /// The methods in the order of their ids.
    package static let methods: [MethodDescriptor] = LimitServiceMethod.allCases.map { method in
        MethodDescriptor(
            path: "\(method.path)", kind: kind(of: method),
            maximumRequestBytes: method.maximumRequestBytes)
    }

    /// How often time passes for reservations.
    private static let tick = TimeAmount.milliseconds(10)
    /// Room that an answer without errors, warnings and limits needs at most.
    private static let plainBytes = 256

    private let methods = LimitServiceMethod.allCases
    private let lane: EngineLane
    private let gate: any AnswerGate
    private let decoder = RequestDecoder()
    private let encoder = ResponseEncoder()
    private var timer: LoopTimer?
    /// When the batch that is being worked off was read.
    private var batch: UInt64 = 0
    /// Answers are large, reused and filled in place; outside the object, so that no access pays for an exclusivity
    /// check at run time.
    private struct Answers {
        var check = CheckAnswer()
        var commit = CommitAnswer()
        var extend = ExtendAnswer()
        var record = RecordAnswer()
        var usage = UsageAnswer()
    }
    private let answers: UnsafeMutablePointer<Answers>

    /// - Parameters:
    ///   - eventLoop: the loop that this service belongs to; nil: nobody lets time pass but `tick`.
    ///   - gate: what says which answers wait, and how long; nil: the lane.
    package init(lane: EngineLane, eventLoop: (any EventLoop)?, gate: (any AnswerGate)? = nil) {
        self.lane = lane
        self.gate = gate ?? lane
        answers = .allocate(capacity: 1)
        answers.initialize(to: Answers())
        timer = eventLoop.map { LoopTimer(on: $0, every: Self.tick) { lane.tick() } }
    }

    deinit {
        answers.deinitialize(count: 1)
        answers.deallocate()
    }

    package func stopped() {
        timer?.cancel()
        timer = nil
    }

    // MARK: Durability

    package func takeTicket() -> UInt64 { gate.takeTicket() }

    package var durableTicket: UInt64 { gate.durableTicket }

    package func onDurable(_ notify: @escaping @Sendable () -> Void) { gate.onDurable(notify) }

    package func withdraw(_ undo: UnsafeRawBufferPointer) {
        lane.beginBatch()
        Withdrawal.forEach(in: undo) { command, answer in lane.withdraw(command, answer) }
    }

    /// Has the answer wait that the engine has just given, if it must.
    @inline(__always)
    private func holdIfNeeded(_ call: CallContext) {
        if gate.answerWaits { call.hold() }
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
    ) -> CallOutcome {
        beginBatch(call)
        switch methods[call.method] {
        case .checkAndReserve: return check(call, request, &response)
        case .checkAndReserveBatch: return checkBatch(call, request, &response)
        case .commit: return commit(call, request, &response)
        case .release: return release(call, request, &response)
        case .extend: return extend(call, request, &response)
        case .recordUsage: return record(call, request, &response)
        case .getUsage: return usage(call, request, &response)
        case .checkAndReserveStream, .watchUsage:
            return .failed(GRPCFailure(.unimplemented, "not a unary method"))
        }
    }

    package func streamOpened(_ call: CallContext) -> GRPCFailure? { nil }

    /// One request of CheckAndReserveStream: a bad one is answered with `status_code`, and the stream goes on.
    package func message(
        _ call: CallContext, request: UnsafeRawBufferPointer, response: inout ResponseBuffer
    ) -> CallOutcome {
        beginBatch(call)
        switch decoder.check(request) {
        case .failure(let failure):
            let violations = decoder.violations
            write(&response) { encoder.failedCheck(failure, violations: violations, into: $0) }
        case .success(let command):
            let failure = lane.check(command, answer: &answers.pointee.check)
            holdIfNeeded(call)
            if let failure {
                write(&response) { encoder.failedCheck(failure, into: $0) }
            } else {
                noteWithdrawal(call, command)
                write(&response) {
                    encoder.check(answers.pointee.check, Subjects(command), into: $0)
                }
            }
        }
        return .done
    }

    // MARK: Methods

    private func check(
        _ call: CallContext, _ request: UnsafeRawBufferPointer, _ response: inout ResponseBuffer
    ) -> CallOutcome {
        let command: CheckCommand
        switch decoder.check(request) {
        case .success(let decoded): command = decoded
        case .failure(let failure): return refused(failure)
        }
        let failure = lane.check(command, answer: &answers.pointee.check)
        holdIfNeeded(call)
        if let failure { return failed(failure) }
        noteWithdrawal(call, command)
        if call.denyAsStatus, let denial = Denial(answers.pointee.check) {
            return denied(denial, Subjects(command))
        }
        write(&response) { encoder.check(answers.pointee.check, Subjects(command), into: $0) }
        return .done
    }

    private func checkBatch(
        _ call: CallContext, _ request: UnsafeRawBufferPointer, _ response: inout ResponseBuffer
    ) -> CallOutcome {
        let count: Int
        switch decoder.batch(request) {
        case .success(let decoded): count = decoded
        case .failure(let failure): return refused(failure)
        }
        for index in 0..<count {
            switch decoder.batchEntry(index) {
            case .failure(let failure):
                let violations = decoder.violations
                write(&response) {
                    encoder.failedBatchResult(failure, violations: violations, into: $0)
                }
            case .success(let command):
                let failure = lane.check(command, answer: &answers.pointee.check)
                holdIfNeeded(call)
                if let failure {
                    write(&response) { encoder.failedBatchResult(failure, into: $0) }
                } else {
                    // Even if this entry need not wait: a later one may make the whole answer late.
                    Withdrawal.note(command, answers.pointee.check, in: call)
                    write(&response) {
                        encoder.batchResult(answers.pointee.check, Subjects(command), into: $0)
                    }
                }
            }
        }
        return .done
    }

    private func commit(
        _ call: CallContext, _ request: UnsafeRawBufferPointer, _ response: inout ResponseBuffer
    ) -> CallOutcome {
        switch decoder.commit(request) {
        case .failure(let failure): return refused(failure)
        case .success(let command):
            let failure = lane.commit(command, answer: &answers.pointee.commit)
            holdIfNeeded(call)
            if let failure { return failed(failure) }
            write(&response) {
                encoder.commit(answers.pointee.commit, reservationSubjects, into: $0)
            }
            return .done
        }
    }

    private func release(
        _ call: CallContext, _ request: UnsafeRawBufferPointer, _ response: inout ResponseBuffer
    ) -> CallOutcome {
        switch decoder.release(request) {
        case .failure(let failure): return refused(failure)
        case .success(let reservationID):
            var answer = ReleaseAnswer()
            let failure = lane.release(reservationID, answer: &answer)
            holdIfNeeded(call)
            if let failure { return failed(failure) }
            write(&response) { encoder.release(answer, into: $0) }
            return .done
        }
    }

    private func extend(
        _ call: CallContext, _ request: UnsafeRawBufferPointer, _ response: inout ResponseBuffer
    ) -> CallOutcome {
        switch decoder.extend(request) {
        case .failure(let failure): return refused(failure)
        case .success(let command):
            let failure = lane.extend(command, answer: &answers.pointee.extend)
            holdIfNeeded(call)
            if let failure { return failed(failure) }
            if call.denyAsStatus, let denial = Denial(answers.pointee.extend) {
                return denied(denial, reservationSubjects)
            }
            write(&response) {
                encoder.extend(answers.pointee.extend, reservationSubjects, into: $0)
            }
            return .done
        }
    }

    private func record(
        _ call: CallContext, _ request: UnsafeRawBufferPointer, _ response: inout ResponseBuffer
    ) -> CallOutcome {
        switch decoder.record(request) {
        case .failure(let failure): return refused(failure)
        case .success(let command):
            let failure = lane.record(command, answer: &answers.pointee.record)
            holdIfNeeded(call)
            if let failure { return failed(failure) }
            write(&response) { encoder.record(answers.pointee.record, Subjects(command), into: $0) }
            return .done
        }
    }

    private func usage(
        _ call: CallContext, _ request: UnsafeRawBufferPointer, _ response: inout ResponseBuffer
    ) -> CallOutcome {
        switch decoder.usage(request) {
        case .failure(let failure): return refused(failure)
        case .success(let query):
            let failure = lane.usage(query, answer: &answers.pointee.usage)
            holdIfNeeded(call)
            if let failure { return failed(failure) }
            write(&response) { encoder.usage(answers.pointee.usage, Subjects(query), into: $0) }
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
    private func refused(_ failure: Failure) -> CallOutcome {
        self.failure(failure, decoder.violations)
    }

    /// A request that the engine refused as a whole.
    private func failed(_ failure: Failure) -> CallOutcome {
        self.failure(failure, Violations())
    }

    private func failure(_ failure: Failure, _ violations: Violations) -> CallOutcome {
        let details = bytes { encoder.status(failure, violations: violations, into: $0) }
        let message = bytes { encoder.statusMessage(failure, into: $0) }
        return .failed(
            GRPCFailure(
                GRPCCode(failure.code.row.status), String(decoding: message, as: UTF8.self),
                details: details))
    }

    /// A denial for a caller that wants it as a status.
    private func denied(_ denial: Denial, _ subjects: Subjects) -> CallOutcome {
        let row = denial.code(.full).row
        let details = bytes { encoder.status(denial, subjects, into: $0) }
        return .failed(GRPCFailure(GRPCCode(row.status), "\(row.detail)", details: details))
    }

    private func bytes(_ encode: (UnsafeMutableRawBufferPointer) -> Int) -> [UInt8] {
        withUnsafeTemporaryAllocation(
            byteCount: ResponseEncoder.sufficientBytes, alignment: 8
        ) { buffer in
            let count = encode(buffer)
            precondition(count <= buffer.count, "a status outgrew its bound")
            return Array(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<count]))
        }
    }
}

extension GRPCCode {
    /// The two enumerations carry the same numbers.
    init(_ status: StatusCode) { self = GRPCCode(rawValue: status.rawValue) ?? .unknown }
}
