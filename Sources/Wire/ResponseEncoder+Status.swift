import CTollgate
package import Limits

// google.rpc.Status, the bytes of grpc-status-details-bin (before base64).
extension ResponseEncoder {
    /// The status of a failure: ErrorInfo; BadRequest where fields are to blame; RetryInfo where a
    /// retry can help (10011, 10037). Its code is `failure.code.row.status`.
    ///
    /// - Parameters:
    ///   - violations: the decoder's findings; empty: the failure alone is told.
    ///   - retryAfterMilliseconds: 0 ... ; told only where a retry can help.
    package func status(
        _ failure: Failure, violations: borrowing Violations = Violations(),
        retryAfterMilliseconds: Int64 = 1_000, into buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        begin()
        let row = failure.code.row
        var details = list(Tollgate__Internal__Any.self, capacity: 3)
        details.append(errorInfo(row))
        if let badRequest = badRequest(failure, violations) { details.append(badRequest) }
        if failure.code == .tooManyRequests || failure.code == .unavailable {
            details.append(retryInfo(milliseconds: retryAfterMilliseconds))
        }
        return pack(
            status(row.status, message: statusText(failure), details), into: buffer)
    }

    /// The status of a denial for a caller that sent `tollgate-deny: status`: ErrorInfo and
    /// QuotaFailure. Its code is `denial.code(disclosure).row.status`: RESOURCE_EXHAUSTED, or
    /// FAILED_PRECONDITION for 20012.
    package func status(
        _ denial: Denial, _ subjects: Subjects, disclosure: Disclosure = .full,
        into buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        begin()
        let row = denial.code(disclosure).row
        var details = list(Tollgate__Internal__Any.self, capacity: 2)
        details.append(errorInfo(row))
        details.append(quotaFailure(denial, subjects, disclosure))
        return pack(
            status(row.status, message: ProtobufCBinaryData(row.detail), details), into: buffer)
    }

    /// The text of grpc-message for a failure, in ASCII, before percent-encoding: "/ttl_ms: what is
    /// wrong".
    ///
    /// Returns the number of bytes; when that is more than the buffer holds, nothing was written.
    package func statusMessage(
        _ failure: Failure, into buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        begin()
        let text = statusText(failure).bytes
        if text.count <= buffer.count { buffer.copyMemory(from: text) }
        return text.count
    }

    // MARK: - Parts

    private func statusText(_ failure: Failure) -> ProtobufCBinaryData {
        let detail = detail(failure)
        guard failure.pointer.utf8CodeUnitCount > 0 else { return detail }
        let pointer = pointer(failure)
        let text = room(UInt8.self, count: pointer.len + 2 + detail.len)
        let target = UnsafeMutableRawBufferPointer(
            start: text, count: pointer.len + 2 + detail.len)
        target.copyMemory(from: pointer.bytes)
        target[pointer.len] = UInt8(ascii: ":")
        target[pointer.len + 1] = UInt8(ascii: " ")
        UnsafeMutableRawBufferPointer(rebasing: target[(pointer.len + 2)...])
            .copyMemory(from: detail.bytes)
        return ProtobufCBinaryData(len: target.count, data: text)
    }

    private func status(
        _ code: StatusCode, message: ProtobufCBinaryData,
        _ details: MessageList<Tollgate__Internal__Any>
    ) -> UnsafeMutablePointer<Tollgate__Internal__Status> {
        let status = make(Tollgate__Internal__Status.self)
        status.pointee.code = Int32(code.rawValue)
        status.pointee.message = message
        status.pointee.n_details = details.count
        status.pointee.details = details.base
        return status
    }

    private func any<Message: CMessage>(
        _ typeURL: StaticString, _ message: UnsafeMutablePointer<Message>
    ) -> UnsafeMutablePointer<Tollgate__Internal__Any> {
        let base = UnsafeRawPointer(message).assumingMemoryBound(to: ProtobufCMessage.self)
        let size = protobuf_c_message_get_packed_size(base)
        let value = room(UInt8.self, count: size)
        let any = make(Tollgate__Internal__Any.self)
        any.pointee.type_url = ProtobufCBinaryData(typeURL)
        any.pointee.value = ProtobufCBinaryData(
            len: protobuf_c_message_pack(base, value), data: value)
        return any
    }

    private func errorInfo(_ row: ErrorRow) -> UnsafeMutablePointer<Tollgate__Internal__Any> {
        let code = make(Tollgate__Internal__MetadataEntry.self)
        code.pointee.key = ProtobufCBinaryData("code")
        code.pointee.value = ProtobufCBinaryData(row.text)
        var metadata = list(Tollgate__Internal__MetadataEntry.self, capacity: 1)
        metadata.append(code)
        let info = make(Tollgate__Internal__ErrorInfo.self)
        info.pointee.reason = ProtobufCBinaryData(row.reason)
        info.pointee.domain = ProtobufCBinaryData("tollgate")
        info.pointee.n_metadata = metadata.count
        info.pointee.metadata = metadata.base
        return any("type.googleapis.com/google.rpc.ErrorInfo", info)
    }

    /// nil: no field is to blame.
    private func badRequest(
        _ failure: Failure, _ violations: borrowing Violations
    ) -> UnsafeMutablePointer<Tollgate__Internal__Any>? {
        var fields = list(
            Tollgate__Internal__FieldViolation.self, capacity: max(violations.count, 1))
        if violations.isEmpty, failure.pointer.utf8CodeUnitCount > 0 {
            fields.append(fieldViolation(failure))
        }
        for index in 0..<violations.count { fields.append(fieldViolation(violations[index])) }
        guard fields.count > 0 else { return nil }
        let request = make(Tollgate__Internal__BadRequest.self)
        request.pointee.n_field_violations = fields.count
        request.pointee.field_violations = fields.base
        return any("type.googleapis.com/google.rpc.BadRequest", request)
    }

    private func fieldViolation(
        _ failure: Failure
    ) -> UnsafeMutablePointer<Tollgate__Internal__FieldViolation> {
        let violation = make(Tollgate__Internal__FieldViolation.self)
        violation.pointee.field = pointer(failure)
        violation.pointee.description = detail(failure)
        return violation
    }

    private func retryInfo(
        milliseconds: Int64
    ) -> UnsafeMutablePointer<Tollgate__Internal__Any> {
        precondition(milliseconds >= 0)
        let delay = make(Tollgate__Internal__Duration.self)
        delay.pointee.seconds = milliseconds / 1_000
        delay.pointee.nanos = Int32(milliseconds % 1_000) * 1_000_000
        let info = make(Tollgate__Internal__RetryInfo.self)
        info.pointee.retry_delay = delay
        return any("type.googleapis.com/google.rpc.RetryInfo", info)
    }

    private func quotaFailure(
        _ denial: Denial, _ subjects: Subjects, _ disclosure: Disclosure
    ) -> UnsafeMutablePointer<Tollgate__Internal__Any> {
        var violations = list(
            Tollgate__Internal__QuotaViolation.self,
            capacity: denial.refused.rawValue.nonzeroBitCount + 1)
        var isGeneric = denial.bySuspension
        for row in LimitKind.catalogue where denial.refused.contains(row.kind) {
            if disclosure.shows(row) {
                violations.append(quotaViolation(row.subject, subjects, row.error.row.detail))
            } else {
                isGeneric = true
            }
        }
        if isGeneric {
            violations.append(
                quotaViolation(.tenant, subjects, ErrorCode.suspended.row.detail))
        }
        let failure = make(Tollgate__Internal__QuotaFailure.self)
        failure.pointee.n_violations = violations.count
        failure.pointee.violations = violations.base
        return any("type.googleapis.com/google.rpc.QuotaFailure", failure)
    }

    private func quotaViolation(
        _ subject: LimitSubject, _ subjects: Subjects, _ description: StaticString
    ) -> UnsafeMutablePointer<Tollgate__Internal__QuotaViolation> {
        let prefix: StaticString =
            switch subject {
            case .tenant: "tenant:"
            case .messagingProfile: "messaging_profile:"
            case .voiceProfile: "outbound_voice_profile:"
            }
        let id = subjects.id(subject)
        let count = prefix.utf8CodeUnitCount + id.count
        let text = room(UInt8.self, count: count)
        let target = UnsafeMutableRawBufferPointer(start: text, count: count)
        target.copyMemory(from: ProtobufCBinaryData(prefix).bytes)
        UnsafeMutableRawBufferPointer(rebasing: target[prefix.utf8CodeUnitCount...])
            .copyMemory(from: id)
        let violation = make(Tollgate__Internal__QuotaViolation.self)
        violation.pointee.subject = ProtobufCBinaryData(len: count, data: text)
        violation.pointee.description = ProtobufCBinaryData(description)
        return violation
    }
}
