public import Limits

// Requests as a caller writes them: the contract's messages as plain Swift values. Nothing is
// checked here; the service checks every range and says what is wrong.

/// An amount of one resource.
public struct Quantity: Sendable, Hashable {
    public var resource: Resource
    /// In the resource's unit: nano-USD, a count, or seconds.
    public var amount: Int64
    /// `Mode.partial`: less than this is a denial; 0 means 1. 0 ... amount.
    public var minimum: Int64

    public init(_ resource: Resource, _ amount: Int64, minimum: Int64 = 0) {
        self.resource = resource
        self.amount = amount
        self.minimum = minimum
    }
}

/// Does this action fit every limit, and if so, hold the room.
public struct CheckRequest: Sendable, Hashable {
    /// 1 ... 64 bytes.
    public var tenantID: String
    /// Empty: none; at most 64 bytes.
    public var messagingProfileID: String
    /// Empty: none; at most 64 bytes. A request names one profile at most.
    public var voiceProfileID: String
    public var action: Action
    /// 1 ... 4, each resource at most once, no amount negative.
    public var quantities: [Quantity]
    /// Empty: none; at most 128 bytes.
    public var idempotencyKey: String
    /// 0: 60 000; else 1 000 ... 86 400 000.
    public var ttlMilliseconds: UInt32
    public var mode: Mode
    public var onExpiry: ExpiryPolicy
    public var overage: OveragePolicy
    /// Ask for `limits` in the answer.
    public var includesLimits: Bool
    /// The caller's own id, at most 64 bytes; operators see it.
    public var reference: String

    public init(
        tenantID: String, messagingProfileID: String = "", action: Action,
        quantities: [Quantity], idempotencyKey: String = "", ttlMilliseconds: UInt32 = 0,
        mode: Mode = .reserve, onExpiry: ExpiryPolicy = .release,
        overage: OveragePolicy = .record, includesLimits: Bool = false, reference: String = "",
        voiceProfileID: String = ""
    ) {
        self.tenantID = tenantID
        self.messagingProfileID = messagingProfileID
        self.voiceProfileID = voiceProfileID
        self.action = action
        self.quantities = quantities
        self.idempotencyKey = idempotencyKey
        self.ttlMilliseconds = ttlMilliseconds
        self.mode = mode
        self.onExpiry = onExpiry
        self.overage = overage
        self.includesLimits = includesLimits
        self.reference = reference
    }
}

/// Independent decisions in one round trip.
public struct CheckBatchRequest: Sendable, Hashable {
    /// 1 ... 1 000, in all at most 1 MiB.
    public var requests: [CheckRequest]

    public init(_ requests: [CheckRequest]) { self.requests = requests }
}

/// Turns a hold into usage.
public struct CommitRequest: Sendable, Hashable {
    public var reservationID: UInt64
    /// Empty: what was held. Else an absent resource is 0.
    public var actual: [Quantity]
    /// Whose reservation it is: another tenant's is then not found. Empty: not said.
    public var tenantID: String

    public init(reservationID: UInt64, actual: [Quantity] = [], tenantID: String = "") {
        self.reservationID = reservationID
        self.actual = actual
        self.tenantID = tenantID
    }
}

/// Gives a hold back.
public struct ReleaseRequest: Sendable, Hashable {
    public var reservationID: UInt64

    /// Whose reservation it is: another tenant's is then not found. Empty: not said.
    public var tenantID: String

    public init(reservationID: UInt64, tenantID: String = "") {
        self.reservationID = reservationID
        self.tenantID = tenantID
    }
}

/// A later expiry, more room, or both.
public struct ExtendRequest: Sendable, Hashable {
    public var reservationID: UInt64
    /// 0 keeps the expiry; else 1 000 ... 86 400 000 from now.
    public var ttlMilliseconds: UInt32
    /// More room; empty: time alone.
    public var additional: [Quantity]
    /// Empty: none; at most 128 bytes.
    public var idempotencyKey: String
    /// `.reserve` or `.partial`.
    public var mode: Mode
    /// Whose reservation it is: another tenant's is then not found. Empty: not said.
    public var tenantID: String

    public init(
        reservationID: UInt64, ttlMilliseconds: UInt32 = 0, additional: [Quantity] = [],
        idempotencyKey: String = "", mode: Mode = .reserve, tenantID: String = ""
    ) {
        self.reservationID = reservationID
        self.tenantID = tenantID
        self.ttlMilliseconds = ttlMilliseconds
        self.additional = additional
        self.idempotencyKey = idempotencyKey
        self.mode = mode
    }
}

/// Usage that needed no permission.
public struct RecordUsageRequest: Sendable, Hashable {
    /// 1 ... 64 bytes.
    public var tenantID: String
    /// Empty: none; only spend counts against it.
    public var messagingProfileID: String
    /// The same; a request names one profile at most.
    public var voiceProfileID: String
    public var action: Action
    /// 1 ... 4, each resource at most once; negative only for counts.
    public var quantities: [Quantity]
    /// Empty: none; at most 128 bytes.
    public var idempotencyKey: String
    /// The caller's own id, at most 64 bytes.
    public var reference: String

    public init(
        tenantID: String, messagingProfileID: String = "", action: Action = .unspecified,
        quantities: [Quantity], idempotencyKey: String = "", reference: String = "",
        voiceProfileID: String = ""
    ) {
        self.tenantID = tenantID
        self.messagingProfileID = messagingProfileID
        self.voiceProfileID = voiceProfileID
        self.action = action
        self.quantities = quantities
        self.idempotencyKey = idempotencyKey
        self.reference = reference
    }
}

/// The usage of a tenant, and of one of its profiles.
public struct UsageRequest: Sendable, Hashable {
    /// 1 ... 64 bytes.
    public var tenantID: String
    /// Set: that profile's limit too.
    public var messagingProfileID: String
    /// The same; one profile at most.
    public var voiceProfileID: String

    public init(tenantID: String, messagingProfileID: String = "", voiceProfileID: String = "") {
        self.tenantID = tenantID
        self.messagingProfileID = messagingProfileID
        self.voiceProfileID = voiceProfileID
    }
}

/// Usage now, then its changes.
public struct WatchUsageRequest: Sendable, Hashable {
    /// Empty: every tenant (operators only).
    public var tenantID: String

    public init(tenantID: String = "") { self.tenantID = tenantID }
}
