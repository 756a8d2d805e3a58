import CTollgate
import Limits

// MARK: - Numbers

private func known<Value: RawRepresentable<UInt8>>(_ type: Value.Type, _ number: UInt32) -> Value? {
    UInt8(exactly: number).flatMap(Value.init(rawValue:))
}

private func tenantStatus(_ status: Tollgate__V1__TenantStatus) -> TenantStatus? {
    known(TenantStatus.self, status.rawValue)
}

/// An unknown treatment is the plain one: refuse this action.
private func treatment(_ treatment: Tollgate__V1__Treatment) -> Treatment {
    known(Treatment.self, treatment.rawValue) ?? .reject
}

// MARK: - Parts

extension LimitReport {
    init(_ message: Tollgate__V1__LimitState) {
        limit = known(LimitKind.self, message.limit.rawValue)
        subjectID = String(message.subject_id)
        cap =
            message.cap_presence_case == TOLLGATE__V1__LIMIT_STATE__CAP_PRESENCE_CAP
            ? message.cap : nil
        committed = message.committed
        held = message.held
        windowStartMilliseconds = message.window_start_ms
        resetsAtMilliseconds = message.resets_at_ms
        capIsHidden = message.cap_hidden != 0
        isBlocking = message.blocking != 0
        asOfMilliseconds = message.as_of_ms
    }
}

extension ErrorEntry {
    init(_ message: Tollgate__V1__Error) {
        code = String(message.code)
        title = String(message.title)
        detail = String(message.detail)
        url = message.meta.map { String($0.pointee.url) } ?? ""
        pointer = message.source.map { String($0.pointee.pointer) } ?? ""
        parameter = message.source.map { String($0.pointee.parameter) } ?? ""
        limit = known(LimitKind.self, message.limit.rawValue)
        state = message.state.map { LimitReport($0.pointee) }
        resetsAtMilliseconds = message.resets_at_ms
    }
}

/// Quantities of resources that this version does not know are left out.
private func quantities(
    _ base: UnsafeMutablePointer<UnsafeMutablePointer<Tollgate__V1__Quantity>?>?, _ count: Int
) -> [Quantity] {
    readList(base, count) { message in
        known(Resource.self, message.resource.rawValue).map { Quantity($0, message.amount) }
    }.compactMap { $0 }
}

// MARK: - Messages

extension CheckResponse: ResponseMessage {
    package init(decoding bytes: UnsafeRawBufferPointer) throws(WireDecodingError) {
        self = try readMessage(Tollgate__V1__CheckAndReserveResponse.self, bytes) {
            CheckResponse($0)
        }
    }

    init(_ message: Tollgate__V1__CheckAndReserveResponse) {
        decision = known(Decision.self, message.decision.rawValue)
        reservationID = message.reservation_id
        expiresAtMilliseconds = message.expires_at_ms
        errors = readList(message.errors, message.n_errors) { ErrorEntry($0) }
        limits = readList(message.limits, message.n_limits) { LimitReport($0) }
        granted = quantities(message.granted, message.n_granted)
        treatment = Wire.treatment(message.treatment)
        isReplayed = message.replayed != 0
        warnings = readList(message.warnings, message.n_warnings) { ErrorEntry($0) }
        statusCode = message.status_code
        tenantStatus = Wire.tenantStatus(message.tenant_status)
    }
}

extension CheckBatchResponse: ResponseMessage {
    package init(decoding bytes: UnsafeRawBufferPointer) throws(WireDecodingError) {
        results = try readMessage(Tollgate__V1__CheckAndReserveBatchResponse.self, bytes) {
            readList($0.results, $0.n_results) { result in
                CheckResult(
                    response: result.response.map { CheckResponse($0.pointee) },
                    statusCode: result.status_code,
                    errors: readList(result.errors, result.n_errors) { ErrorEntry($0) })
            }
        }
    }
}

extension CommitResponse: ResponseMessage {
    package init(decoding bytes: UnsafeRawBufferPointer) throws(WireDecodingError) {
        self = try readMessage(Tollgate__V1__CommitResponse.self, bytes) {
            CommitResponse(
                committed: quantities($0.committed, $0.n_committed),
                uncharged: quantities($0.uncharged, $0.n_uncharged),
                isLate: $0.late != 0, isReplayed: $0.replayed != 0,
                warnings: readList($0.warnings, $0.n_warnings) { ErrorEntry($0) },
                tenantStatus: Wire.tenantStatus($0.tenant_status))
        }
    }
}

extension ReleaseResponse: ResponseMessage {
    package init(decoding bytes: UnsafeRawBufferPointer) throws(WireDecodingError) {
        self = try readMessage(Tollgate__V1__ReleaseResponse.self, bytes) {
            ReleaseResponse(isReplayed: $0.replayed != 0, isExpired: $0.expired != 0)
        }
    }
}

extension ExtendResponse: ResponseMessage {
    package init(decoding bytes: UnsafeRawBufferPointer) throws(WireDecodingError) {
        self = try readMessage(Tollgate__V1__ExtendResponse.self, bytes) {
            ExtendResponse(
                decision: known(Decision.self, $0.decision.rawValue),
                expiresAtMilliseconds: $0.expires_at_ms,
                errors: readList($0.errors, $0.n_errors) { ErrorEntry($0) },
                isReplayed: $0.replayed != 0, treatment: Wire.treatment($0.treatment),
                granted: quantities($0.granted, $0.n_granted),
                warnings: readList($0.warnings, $0.n_warnings) { ErrorEntry($0) })
        }
    }
}

extension RecordUsageResponse: ResponseMessage {
    package init(decoding bytes: UnsafeRawBufferPointer) throws(WireDecodingError) {
        self = try readMessage(Tollgate__V1__RecordUsageResponse.self, bytes) {
            RecordUsageResponse(
                warnings: readList($0.warnings, $0.n_warnings) { ErrorEntry($0) },
                tenantStatus: Wire.tenantStatus($0.tenant_status), isReplayed: $0.replayed != 0)
        }
    }
}

extension UsageResponse: ResponseMessage {
    package init(decoding bytes: UnsafeRawBufferPointer) throws(WireDecodingError) {
        self = try readMessage(Tollgate__V1__GetUsageResponse.self, bytes) {
            UsageResponse(
                tenantStatus: Wire.tenantStatus($0.tenant_status),
                limits: readList($0.limits, $0.n_limits) { LimitReport($0) })
        }
    }
}

extension UsageUpdate: ResponseMessage {
    package init(decoding bytes: UnsafeRawBufferPointer) throws(WireDecodingError) {
        self = try readMessage(Tollgate__V1__WatchUsageResponse.self, bytes) {
            UsageUpdate(
                tenantID: String($0.tenant_id),
                tenantStatus: Wire.tenantStatus($0.tenant_status),
                limits: readList($0.limits, $0.n_limits) { LimitReport($0) },
                isSnapshotComplete: $0.snapshot_complete != 0)
        }
    }
}

extension StatusDetails: ResponseMessage {
    /// Details of unknown types, and details that do not decode, are left out.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(WireDecodingError) {
        self = try readMessage(Tollgate__Internal__Status.self, bytes) { status in
            var details = StatusDetails(
                code: status.code, message: String(status.message), reason: "", domain: "",
                metadata: [:], fieldViolations: [], quotaViolations: [],
                retryDelayMilliseconds: nil)
            for detail in UnsafeBufferPointer(start: status.details, count: status.n_details) {
                if let detail { try? details.add(detail.pointee) }
            }
            return details
        }
    }

    private mutating func add(_ detail: Tollgate__Internal__Any) throws(WireDecodingError) {
        let bytes = detail.value.bytes
        switch String(detail.type_url) {
        case "type.googleapis.com/google.rpc.ErrorInfo":
            (reason, domain, metadata) = try readMessage(
                Tollgate__Internal__ErrorInfo.self, bytes
            ) { info in
                let entries = readList(info.metadata, info.n_metadata) {
                    (String($0.key), String($0.value))
                }
                return (
                    String(info.reason), String(info.domain),
                    Dictionary(entries) { _, last in last }
                )
            }
        case "type.googleapis.com/google.rpc.BadRequest":
            fieldViolations = try readMessage(Tollgate__Internal__BadRequest.self, bytes) {
                readList($0.field_violations, $0.n_field_violations) {
                    FieldViolation(field: String($0.field), description: String($0.description))
                }
            }
        case "type.googleapis.com/google.rpc.QuotaFailure":
            quotaViolations = try readMessage(Tollgate__Internal__QuotaFailure.self, bytes) {
                readList($0.violations, $0.n_violations) {
                    QuotaViolation(
                        subject: String($0.subject), description: String($0.description))
                }
            }
        case "type.googleapis.com/google.rpc.RetryInfo":
            retryDelayMilliseconds = try readMessage(Tollgate__Internal__RetryInfo.self, bytes) {
                guard let delay = $0.retry_delay?.pointee else { return nil }
                // A delay beyond all reason must not overflow.
                let seconds = min(max(delay.seconds, 0), Int64(UInt32.max))
                return seconds * 1_000 + Int64(delay.nanos / 1_000_000)
            }
        default: break
        }
    }
}
