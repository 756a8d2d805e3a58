import CTollgate
package import Limits

/// Turns answers into response messages, written straight into the caller's buffer.
///
/// Every method returns the number of bytes of the message. When that is more than the buffer
/// holds, nothing was written: make room and call again. A buffer of `sufficientBytes` always does,
/// and spares the sizing pass. No call allocates.
///
/// Thread safety: none; one encoder belongs to one event loop.
package final class ResponseEncoder {
    /// Upper bound of any one message of this encoder (of one result, for a batch).
    package static let sufficientBytes = 8 * 1024
    /// Upper bound of a message without errors, warnings and limits.
    private static let plainBytes = 256

    let arena = Arena(capacity: 64 * 1024)

    package init() {}

    // MARK: - Answers

    /// CheckAndReserveResponse.
    package func check(
        _ answer: borrowing CheckAnswer, _ subjects: Subjects, disclosure: Disclosure = .full,
        into buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        begin()
        var bound = Self.sufficientBytes
        if answer.decision == .allowed, !answer.includeLimits, answer.warnings.isEmpty {
            bound = Self.plainBytes
        }
        return pack(message(answer, subjects, disclosure), into: buffer, atMost: bound)
    }

    /// An entry of CheckAndReserveStream that failed.
    ///
    /// - Parameter violations: the decoder's findings; empty: the failure alone is told.
    package func failedCheck(
        _ failure: Failure, violations: borrowing Violations = Violations(),
        into buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        begin()
        let response = make(Tollgate__V1__CheckAndReserveResponse.self)
        response.pointee.status_code = Int32(failure.code.row.status.rawValue)
        let errors = errors(failure, violations)
        response.pointee.n_errors = errors.count
        response.pointee.errors = errors.base
        return pack(response, into: buffer)
    }

    /// The next result of a CheckAndReserveBatchResponse: the results' bytes, one after the other,
    /// are the response.
    package func batchResult(
        _ answer: borrowing CheckAnswer, _ subjects: Subjects, disclosure: Disclosure = .full,
        into buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        begin()
        let result = make(Tollgate__V1__CheckAndReserveResult.self)
        result.pointee.response = message(answer, subjects, disclosure)
        return packBatch(result, into: buffer)
    }

    /// The same for an entry that failed.
    package func failedBatchResult(
        _ failure: Failure, violations: borrowing Violations = Violations(),
        into buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        begin()
        let result = make(Tollgate__V1__CheckAndReserveResult.self)
        result.pointee.status_code = Int32(failure.code.row.status.rawValue)
        let errors = errors(failure, violations)
        result.pointee.n_errors = errors.count
        result.pointee.errors = errors.base
        return packBatch(result, into: buffer)
    }

    /// CommitResponse.
    package func commit(
        _ answer: borrowing CommitAnswer, _ subjects: Subjects, disclosure: Disclosure = .full,
        into buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        begin()
        let response = make(Tollgate__V1__CommitResponse.self)
        let committed = quantities(answer.committed)
        response.pointee.n_committed = committed.count
        response.pointee.committed = committed.base
        let uncharged = quantities(answer.uncharged)
        response.pointee.n_uncharged = uncharged.count
        response.pointee.uncharged = uncharged.base
        response.pointee.late = answer.late ? 1 : 0
        response.pointee.replayed = answer.replayed ? 1 : 0
        let warnings = warnings(answer.warnings, answer.limits, subjects, disclosure)
        response.pointee.n_warnings = warnings.count
        response.pointee.warnings = warnings.base
        response.pointee.tenant_status = status(answer.tenantStatus)
        return pack(response, into: buffer)
    }

    /// ReleaseResponse.
    package func release(
        _ answer: ReleaseAnswer, into buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        begin()
        let response = make(Tollgate__V1__ReleaseResponse.self)
        response.pointee.replayed = answer.replayed ? 1 : 0
        response.pointee.expired = answer.expired ? 1 : 0
        return pack(response, into: buffer, atMost: Self.plainBytes)
    }

    /// ExtendResponse.
    package func extend(
        _ answer: borrowing ExtendAnswer, _ subjects: Subjects, disclosure: Disclosure = .full,
        into buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        begin()
        let response = make(Tollgate__V1__ExtendResponse.self)
        response.pointee.decision = Tollgate__V1__Decision(UInt32(answer.decision.rawValue))
        response.pointee.expires_at_ms = answer.expiresAt
        if let denial = Denial(answer) {
            let errors = errors(denial, answer.limits, subjects, disclosure)
            response.pointee.n_errors = errors.count
            response.pointee.errors = errors.base
        }
        response.pointee.replayed = answer.replayed ? 1 : 0
        response.pointee.treatment = Tollgate__V1__Treatment(UInt32(answer.treatment.rawValue))
        let granted = quantities(answer.granted)
        response.pointee.n_granted = granted.count
        response.pointee.granted = granted.base
        let warnings = warnings(answer.warnings, answer.limits, subjects, disclosure)
        response.pointee.n_warnings = warnings.count
        response.pointee.warnings = warnings.base
        return pack(response, into: buffer)
    }

    /// RecordUsageResponse.
    package func record(
        _ answer: borrowing RecordAnswer, _ subjects: Subjects, disclosure: Disclosure = .full,
        into buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        begin()
        let response = make(Tollgate__V1__RecordUsageResponse.self)
        let warnings = warnings(answer.warnings, answer.limits, subjects, disclosure)
        response.pointee.n_warnings = warnings.count
        response.pointee.warnings = warnings.base
        response.pointee.tenant_status = status(answer.tenantStatus)
        response.pointee.replayed = answer.replayed ? 1 : 0
        return pack(response, into: buffer)
    }

    /// GetUsageResponse.
    package func usage(
        _ answer: borrowing UsageAnswer, _ subjects: Subjects, disclosure: Disclosure = .full,
        into buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        begin()
        let response = make(Tollgate__V1__GetUsageResponse.self)
        response.pointee.tenant_status = status(answer.tenantStatus)
        let limits = limits(answer.limits, subjects, disclosure)
        response.pointee.n_limits = limits.count
        response.pointee.limits = limits.base
        return pack(response, into: buffer)
    }

    /// WatchUsageResponse about one tenant, or one of its profiles.
    package func watch(
        _ answer: borrowing UsageAnswer, _ subjects: Subjects, disclosure: Disclosure = .full,
        into buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        begin()
        let response = make(Tollgate__V1__WatchUsageResponse.self)
        response.pointee.tenant_id = ProtobufCBinaryData(subjects.tenantID)
        response.pointee.tenant_status = status(answer.tenantStatus)
        let limits = limits(answer.limits, subjects, disclosure)
        response.pointee.n_limits = limits.count
        response.pointee.limits = limits.base
        return pack(response, into: buffer)
    }

    /// The WatchUsageResponse that ends the first pass.
    package func watchSnapshotComplete(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        begin()
        let response = make(Tollgate__V1__WatchUsageResponse.self)
        response.pointee.snapshot_complete = 1
        return pack(response, into: buffer, atMost: Self.plainBytes)
    }

    // MARK: - Memory

    /// Forgets the message that was built last.
    func begin() { arena.reset(limit: arena.capacity) }

    /// The arena holds any message several times over: running out is a bug.
    func make<Message: CMessage>(_ type: Message.Type) -> UnsafeMutablePointer<Message> {
        guard let pointer = arena.make(type) else { preconditionFailure("the arena is spent") }
        return pointer
    }

    /// Room for plain values or pointers.
    func room<Value>(_ type: Value.Type, count: Int) -> UnsafeMutablePointer<Value> {
        guard let pointer = arena.allocate(type, count: count) else {
            preconditionFailure("the arena is spent")
        }
        return pointer
    }

    /// - Parameter atMost: a bound that the message is known to keep.
    func pack<Message: CMessage>(
        _ message: UnsafeMutablePointer<Message>, into buffer: UnsafeMutableRawBufferPointer,
        atMost: Int = ResponseEncoder.sufficientBytes
    ) -> Int {
        let base = UnsafeRawPointer(message).assumingMemoryBound(to: ProtobufCMessage.self)
        if buffer.count < atMost {
            let size = protobuf_c_message_get_packed_size(base)
            guard size <= buffer.count else { return size }
        }
        return protobuf_c_message_pack(
            base, buffer.baseAddress?.assumingMemoryBound(to: UInt8.self))
    }

    private func packBatch(
        _ result: UnsafeMutablePointer<Tollgate__V1__CheckAndReserveResult>,
        into buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        let response = make(Tollgate__V1__CheckAndReserveBatchResponse.self)
        let results = room(
            UnsafeMutablePointer<Tollgate__V1__CheckAndReserveResult>?.self, count: 1)
        results[0] = result
        response.pointee.n_results = 1
        response.pointee.results = results
        return pack(response, into: buffer)
    }
}
