public import Limits

// Responses as a caller reads them. Numbers that this version does not know read as nil.

/// A limit and what counts against it.
public struct LimitReport: Sendable, Hashable {
    /// nil: a limit that this version does not know.
    public var limit: LimitKind?
    /// Id of the tenant or of the profile.
    public var subjectID: String
    /// In the resource's unit; nil: unlimited, or hidden.
    public var cap: Int64?
    public var committed: Int64
    public var held: Int64
    /// Unix milliseconds; 0: standing count, or hidden.
    public var windowStartMilliseconds: Int64
    /// Unix milliseconds; 0: standing count, or hidden.
    public var resetsAtMilliseconds: Int64
    /// The caller may not see the cap.
    public var capIsHidden: Bool
    /// This limit can refuse.
    public var isBlocking: Bool
    /// Unix milliseconds: the instant that this describes.
    public var asOfMilliseconds: Int64
}

/// One thing that is wrong: an entry of the error catalogue, and the limit or field that it is
/// about.
public struct ErrorEntry: Sendable, Hashable {
    /// A code of the catalogue: "40333".
    public var code: String
    public var title: String
    public var detail: String
    /// Where the code is explained.
    public var url: String
    /// RFC 6901 pointer to the field to blame; empty: none.
    public var pointer: String
    /// Name of the query parameter to blame; empty: none.
    public var parameter: String
    /// nil: no limit, or a hidden one.
    public var limit: LimitKind?
    /// That limit at the decision.
    public var state: LimitReport?
    /// Unix milliseconds; 0: does not reset.
    public var resetsAtMilliseconds: Int64
}

/// The answer to a check.
public struct CheckResponse: Sendable, Hashable {
    /// nil only where `statusCode` says that the entry failed.
    public var decision: Decision?
    /// 0 where nothing is held.
    public var reservationID: UInt64
    /// Unix milliseconds; 0 where nothing is held.
    public var expiresAtMilliseconds: Int64
    /// Every limit that refused.
    public var errors: [ErrorEntry]
    public var limits: [LimitReport]
    /// `Mode.partial`: what is held.
    public var granted: [Quantity]
    public var treatment: Treatment
    /// The stored answer to this idempotency key.
    public var isReplayed: Bool
    /// Limits that are over but set to alert only.
    public var warnings: [ErrorEntry]
    /// Streams: a google.rpc.Code where this entry failed; else 0.
    public var statusCode: Int32
    public var tenantStatus: TenantStatus?
}

/// The answer to one entry of a batch.
public struct CheckResult: Sendable, Hashable {
    /// nil where the entry failed.
    public var response: CheckResponse?
    /// google.rpc.Code; 0 with a response.
    public var statusCode: Int32
    /// Why it failed.
    public var errors: [ErrorEntry]
}

/// The answers to a batch, in the order of its requests.
public struct CheckBatchResponse: Sendable, Hashable {
    public var results: [CheckResult]
}

/// The answer to a commit.
public struct CommitResponse: Sendable, Hashable {
    public var committed: [Quantity]
    /// `OveragePolicy.cap`: what was not charged.
    public var uncharged: [Quantity]
    /// The hold had expired; the usage was recorded all the same.
    public var isLate: Bool
    public var isReplayed: Bool
    /// Limits that this usage reached or passed.
    public var warnings: [ErrorEntry]
    public var tenantStatus: TenantStatus?
}

/// The answer to a release.
public struct ReleaseResponse: Sendable, Hashable {
    public var isReplayed: Bool
    /// The hold had expired and was already free.
    public var isExpired: Bool
}

/// The answer to an extension.
public struct ExtendResponse: Sendable, Hashable {
    /// Denied: the additional room is not there; the old hold and expiry stand.
    public var decision: Decision?
    /// Unix milliseconds.
    public var expiresAtMilliseconds: Int64
    public var errors: [ErrorEntry]
    public var isReplayed: Bool
    public var treatment: Treatment
    /// `Mode.partial`: what is held of the additional room.
    public var granted: [Quantity]
    public var warnings: [ErrorEntry]
}

/// The answer to recorded usage.
public struct RecordUsageResponse: Sendable, Hashable {
    /// Limits that this usage reached or passed.
    public var warnings: [ErrorEntry]
    public var tenantStatus: TenantStatus?
    public var isReplayed: Bool
}

/// The usage of a tenant.
public struct UsageResponse: Sendable, Hashable {
    public var tenantStatus: TenantStatus?
    public var limits: [LimitReport]
}

/// A message of WatchUsage.
public struct UsageUpdate: Sendable, Hashable {
    /// Empty in the message that only says that the snapshot is complete.
    public var tenantID: String
    public var tenantStatus: TenantStatus?
    public var limits: [LimitReport]
    /// The first pass over what exists has been sent.
    public var isSnapshotComplete: Bool
}

/// What grpc-status-details-bin said about a failed call: google.rpc.Status and the details that
/// Tollgate sends.
public struct StatusDetails: Sendable, Hashable {
    /// A field that is wrong.
    public struct FieldViolation: Sendable, Hashable {
        /// RFC 6901 pointer.
        public var field: String
        public var description: String
    }

    /// A limit that is reached.
    public struct QuotaViolation: Sendable, Hashable {
        /// "tenant:acme", "messaging_profile:<id>", "outbound_voice_profile:<id>".
        public var subject: String
        public var description: String
    }

    /// google.rpc.Code.
    public var code: Int32
    public var message: String
    /// UPPER_SNAKE; empty: no ErrorInfo was sent.
    public var reason: String
    public var domain: String
    /// The entry `code` is the catalogue's code.
    public var metadata: [String: String]
    public var fieldViolations: [FieldViolation]
    public var quotaViolations: [QuotaViolation]
    /// How long to wait before a retry; nil: a retry does not help.
    public var retryDelayMilliseconds: Int64?
}
