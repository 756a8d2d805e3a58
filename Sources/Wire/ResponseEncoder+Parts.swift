import CTollgate
import Limits

/// A repeated field under construction: an array of pointers in the arena.
struct MessageList<Message> {
    let base: UnsafeMutablePointer<UnsafeMutablePointer<Message>?>?
    private(set) var count = 0

    init(_ base: UnsafeMutablePointer<UnsafeMutablePointer<Message>?>?) { self.base = base }

    mutating func append(_ message: UnsafeMutablePointer<Message>) {
        guard let base else { preconditionFailure("an empty list has no room") }
        base[count] = message
        count += 1
    }
}

extension ResponseEncoder {
    func list<Message>(_ type: Message.Type, capacity: Int) -> MessageList<Message> {
        capacity == 0
            ? MessageList(nil)
            : MessageList(room(UnsafeMutablePointer<Message>?.self, count: capacity))
    }

    // MARK: - Answers

    func message(
        _ answer: borrowing CheckAnswer, _ subjects: Subjects, _ disclosure: Disclosure
    ) -> UnsafeMutablePointer<Tollgate__V1__CheckAndReserveResponse> {
        let response = make(Tollgate__V1__CheckAndReserveResponse.self)
        response.pointee.decision = Tollgate__V1__Decision(UInt32(answer.decision.rawValue))
        response.pointee.reservation_id = answer.reservationID
        response.pointee.expires_at_ms = answer.expiresAt
        if let denial = Denial(answer) {
            let errors = errors(denial, answer.limits, subjects, disclosure)
            response.pointee.n_errors = errors.count
            response.pointee.errors = errors.base
        }
        if answer.includeLimits, !answer.replayed {
            let limits = limits(answer.limits, subjects, disclosure)
            response.pointee.n_limits = limits.count
            response.pointee.limits = limits.base
        }
        if !answer.granted.isEmpty {
            let granted = quantities(answer.granted)
            response.pointee.n_granted = granted.count
            response.pointee.granted = granted.base
        }
        response.pointee.treatment = Tollgate__V1__Treatment(UInt32(answer.treatment.rawValue))
        response.pointee.replayed = answer.replayed ? 1 : 0
        if !answer.warnings.isEmpty {
            let warnings = warnings(answer.warnings, answer.limits, subjects, disclosure)
            response.pointee.n_warnings = warnings.count
            response.pointee.warnings = warnings.base
        }
        response.pointee.tenant_status = status(answer.tenantStatus)
        return response
    }

    func status(_ status: TenantStatus) -> Tollgate__V1__TenantStatus {
        switch status {
        case .active: TOLLGATE__V1__TENANT_STATUS__TENANT_STATUS_ACTIVE
        case .suspended: TOLLGATE__V1__TENANT_STATUS__TENANT_STATUS_SUSPENDED
        case .closed: TOLLGATE__V1__TENANT_STATUS__TENANT_STATUS_CLOSED
        }
    }

    func quantities(_ amounts: Amounts) -> MessageList<Tollgate__V1__Quantity> {
        var quantities = list(
            Tollgate__V1__Quantity.self, capacity: amounts.present.nonzeroBitCount)
        for index in amounts.resources {
            let quantity = make(Tollgate__V1__Quantity.self)
            quantity.pointee.resource = Tollgate__V1__Resource(UInt32(index + 1))
            quantity.pointee.amount = amounts[index]
            quantities.append(quantity)
        }
        return quantities
    }

    func limits(
        _ states: borrowing LimitStates, _ subjects: Subjects, _ disclosure: Disclosure
    ) -> MessageList<Tollgate__V1__LimitState> {
        var limits = list(
            Tollgate__V1__LimitState.self, capacity: states.present.rawValue.nonzeroBitCount)
        for row in LimitKind.catalogue where states.present.contains(row.kind) {
            limits.append(limit(row, states, subjects, disclosure))
        }
        return limits
    }

    private func limit(
        _ row: LimitRow, _ states: borrowing LimitStates, _ subjects: Subjects,
        _ disclosure: Disclosure
    ) -> UnsafeMutablePointer<Tollgate__V1__LimitState> {
        let state = states[row.kind]
        let limit = make(Tollgate__V1__LimitState.self)
        limit.pointee.limit = Tollgate__V1__LimitKind(UInt32(row.kind.rawValue))
        limit.pointee.subject_id = ProtobufCBinaryData(subjects.id(row.subject))
        limit.pointee.committed = state.committed
        limit.pointee.held = state.held
        limit.pointee.as_of_ms = states.asOf
        guard disclosure.shows(row) else {
            limit.pointee.cap_hidden = 1
            return limit
        }
        if let cap = state.cap {
            limit.pointee.cap_presence_case = TOLLGATE__V1__LIMIT_STATE__CAP_PRESENCE_CAP
            limit.pointee.cap = cap
        }
        limit.pointee.window_start_ms = state.windowStart
        limit.pointee.resets_at_ms = state.resetsAt
        limit.pointee.blocking = state.blocking ? 1 : 0
        return limit
    }

    // MARK: - Errors

    /// Every limit that refused and may be seen; those that may not be seen are together one
    /// generic 20012.
    func errors(
        _ denial: Denial, _ states: borrowing LimitStates, _ subjects: Subjects,
        _ disclosure: Disclosure
    ) -> MessageList<Tollgate__V1__Error> {
        if denial.bySuspension {
            var errors = list(Tollgate__V1__Error.self, capacity: 1)
            errors.append(error(ErrorCode.suspended.row))
            return errors
        }
        var errors = list(
            Tollgate__V1__Error.self, capacity: denial.refused.rawValue.nonzeroBitCount)
        var hasHidden = false
        for row in LimitKind.catalogue where denial.refused.contains(row.kind) {
            if disclosure.shows(row) {
                errors.append(error(row, states, subjects))
            } else {
                hasHidden = true
            }
        }
        if hasHidden { errors.append(error(ErrorCode.suspended.row)) }
        return errors
    }

    /// Limits that were reached or passed without a refusal, as far as they may be seen.
    func warnings(
        _ kinds: LimitSet, _ states: borrowing LimitStates, _ subjects: Subjects,
        _ disclosure: Disclosure
    ) -> MessageList<Tollgate__V1__Error> {
        var warnings = list(
            Tollgate__V1__Error.self, capacity: kinds.rawValue.nonzeroBitCount)
        for row in LimitKind.catalogue where kinds.contains(row.kind) && disclosure.shows(row) {
            warnings.append(error(row, states, subjects))
        }
        return warnings
    }

    /// What is wrong with a request: all findings, or the failure where there are none.
    func errors(
        _ failure: Failure, _ violations: borrowing Violations
    ) -> MessageList<Tollgate__V1__Error> {
        var errors = list(Tollgate__V1__Error.self, capacity: max(violations.count, 1))
        if violations.isEmpty { errors.append(error(failure)) }
        for index in 0..<violations.count { errors.append(error(violations[index])) }
        return errors
    }

    private func error(_ row: ErrorRow) -> UnsafeMutablePointer<Tollgate__V1__Error> {
        let error = make(Tollgate__V1__Error.self)
        error.pointee.code = ProtobufCBinaryData(row.text)
        error.pointee.title = ProtobufCBinaryData(row.title)
        error.pointee.detail = ProtobufCBinaryData(row.detail)
        let meta = make(Tollgate__V1__ErrorMeta.self)
        meta.pointee.url = ProtobufCBinaryData(UnsafeRawBufferPointer(ErrorPages.url(of: row)))
        error.pointee.meta = meta
        return error
    }

    private func error(
        _ row: LimitRow, _ states: borrowing LimitStates, _ subjects: Subjects
    ) -> UnsafeMutablePointer<Tollgate__V1__Error> {
        let error = error(row.error.row)
        error.pointee.limit = Tollgate__V1__LimitKind(UInt32(row.kind.rawValue))
        if states.present.contains(row.kind) {
            error.pointee.state = limit(row, states, subjects, .full)
            error.pointee.resets_at_ms = states[row.kind].resetsAt
        }
        return error
    }

    private func error(_ failure: Failure) -> UnsafeMutablePointer<Tollgate__V1__Error> {
        let error = error(failure.code.row)
        error.pointee.detail = detail(failure)
        if failure.pointer.utf8CodeUnitCount > 0 {
            let source = make(Tollgate__V1__ErrorSource.self)
            source.pointee.pointer = pointer(failure)
            error.pointee.source = source
        }
        return error
    }

    /// The failure's own detail, or the catalogue's.
    func detail(_ failure: Failure) -> ProtobufCBinaryData {
        ProtobufCBinaryData(
            failure.detail.utf8CodeUnitCount > 0 ? failure.detail : failure.code.row.detail)
    }

    /// The failure's pointer with its position in the place of the `*`.
    func pointer(_ failure: Failure) -> ProtobufCBinaryData {
        guard failure.position >= 0 else { return ProtobufCBinaryData(failure.pointer) }
        let template = UnsafeBufferPointer(
            start: failure.pointer.utf8Start, count: failure.pointer.utf8CodeUnitCount)
        // An Int16 has at most five digits.
        let text = room(UInt8.self, count: template.count + 5)
        var length = 0
        for byte in template {
            if byte == UInt8(ascii: "*") {
                length += writeDecimal(UInt16(failure.position), to: text + length)
            } else {
                text[length] = byte
                length += 1
            }
        }
        return ProtobufCBinaryData(len: length, data: text)
    }

    private func writeDecimal(_ value: UInt16, to text: UnsafeMutablePointer<UInt8>) -> Int {
        var divisor: UInt16 = 10_000
        var length = 0
        while divisor > 0 {
            let digit = value / divisor % 10
            if digit != 0 || length > 0 || divisor == 1 {
                text[length] = UInt8(ascii: "0") + UInt8(digit)
                length += 1
            }
            divisor /= 10
        }
        return length
    }
}
