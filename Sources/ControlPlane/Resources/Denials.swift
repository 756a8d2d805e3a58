import Access
import HTTPTypes
import Hummingbird
import JSON
import Limits

extension APIError {
    /// A call that the engine refused as a whole.
    init(_ failure: Failure) {
        // Where REST carries the field: the reservation is in the path, the key in a header.
        let source: APIErrorEntry.Source? =
            switch "\(failure.pointer)" {
            case "", "/reservation_id": nil
            case "/idempotency_key": .parameter("Idempotency-Key")
            case let pointer: .pointer(pointer)
            }
        let detail = failure.detail.utf8CodeUnitCount > 0 ? "\(failure.detail)" : nil
        self.init(ErrorKind(failure.code), detail, at: source)
        if failure.code == .unavailable || failure.code == .tooManyRequests {
            headers[.retryAfter] = "1"
        }
    }
}

/// A denial as REST tells it: as a failure.
struct DenialReply {
    var denial: Denial
    var limits: LimitStates
    var treatment: Treatment
    /// Of a tenant that is suspended now: by this denial, or before it.
    var isSuspended: Bool

    /// nil: it was allowed.
    init?(_ answer: borrowing CheckAnswer) {
        guard let denial = Denial(answer) else { return nil }
        self.denial = denial
        limits = answer.limits
        treatment = answer.treatment
        isSuspended = answer.tenantStatus == .suspended
    }

    /// nil: it was allowed.
    init?(_ answer: borrowing ExtendAnswer) {
        guard let denial = Denial(answer) else { return nil }
        self.denial = denial
        limits = answer.limits
        treatment = answer.treatment
        isSuspended = answer.tenantStatus == .suspended
    }

    /// Every limit that refused, as far as the reader may see them; the first one's status.
    ///
    /// - Parameters:
    ///   - elapses: how long it takes until an instant of engine time, milliseconds.
    ///   - meta: beside `errors`, for callers that asked for the limits.
    func error(
        _ disclosure: Disclosure = .full, elapses: (Int64) -> Int64, meta: JSON? = nil
    ) -> APIError {
        let rows = denial.rows.filter { disclosure.shows($0) }
        let codes = rows.isEmpty ? [.suspended] : rows.map(\.error)
        var error = APIError(codes.map { APIErrorEntry(ErrorKind($0)) }, meta: meta)
        error.headers[header: HeaderName.shouldRetry] = "false"
        if let name = treatment.name { error.headers[header: HeaderName.treatment] = name }
        // Of what is not shown the end is not told either.
        if rows.count == denial.rows.count, let seconds = secondsToReset(rows, elapses) {
            error.headers[.retryAfter] = "\(seconds)"
        }
        return error
    }

    /// Until the last of the limits that refused starts anew; nil: one never does, or its window is not told.
    private func secondsToReset(
        _ rows: [LimitRow], _ elapses: (Int64) -> Int64
    ) -> Int64? {
        // A reset does not reinstate.
        guard !rows.isEmpty, !isSuspended else { return nil }
        var latest: Int64 = 0
        for row in rows {
            guard limits.present.contains(row.kind), limits[row.kind].resetsAt > 0 else {
                return nil
            }
            latest = max(latest, limits[row.kind].resetsAt)
        }
        return max(1, (elapses(latest) + 999) / 1_000)
    }
}
