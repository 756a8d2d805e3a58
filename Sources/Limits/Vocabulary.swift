// The closed sets of the contract (Protos/tollgate/v1/tollgate.proto). Raw values are the proto's numbers.
//
// Within this package a switch names every case; outside of it, where `TollgateClient` hands these on, it needs an
// `@unknown default`, so that a set can grow without breaking its callers.

/// What a quantity counts.
@nonexhaustive public enum Resource: UInt8, Sendable, CaseIterable {
    /// Nano-USD: 1 USD = 1 000 000 000.
    case spend = 1
    /// Provisioned extensions, a count.
    case extensions = 2
    /// Assigned numbers (direct inward dialling), a count.
    case dids = 3
    /// Seconds of calls, inbound and outbound together.
    case callSeconds = 4
    /// Calls that are open at the same time: only ever held.
    case concurrentCalls = 5
    /// Messages, a count.
    case messages = 6

    /// All of `index`.
    @inlinable @inline(always) public static var indices: Range<Int> { 0..<count }

    /// Position in `Amounts` and in every per-resource table.
    @inlinable @inline(always) public var index: Int { Int(rawValue) - 1 }

    /// Whether every bit, by `index`, is a known resource.
    @inlinable public static func knows(_ bits: UInt64) -> Bool { bits &>> UInt64(count) == 0 }
}

/// What the caller is about to do. It steers treatment, audit and reports, never the limits.
@nonexhaustive public enum Action: UInt8, Sendable, CaseIterable {
    case unspecified = 0
    case sendMessage = 1
    case provisionExtension = 2
    case assignDID = 3
    case outboundCall = 4
    case inboundCall = 5
    case charge = 6
}

/// How a request is decided and what it leaves behind.
@nonexhaustive public enum Mode: UInt8, Sendable, CaseIterable {
    /// Hold; a commit or a release follows.
    case reserve = 1
    /// Decide; hold and record nothing.
    case checkOnly = 2
    /// Decide and charge at once.
    case commit = 3
    /// Hold the largest common fraction that fits.
    case partial = 4
}

/// What happens to the hold when it expires.
@nonexhaustive public enum ExpiryPolicy: UInt8, Sendable, CaseIterable {
    case release = 1
    case commit = 2
}

/// What a commit above the hold does.
@nonexhaustive public enum OveragePolicy: UInt8, Sendable, CaseIterable {
    case record = 1
    case cap = 2
    case reject = 3
}

@frozen public enum Decision: UInt8, Sendable {
    case allowed = 1
    case denied = 2
}

/// What the caller's network element should do about a denial.
@nonexhaustive public enum Treatment: UInt8, Sendable {
    case none = 0
    case reject = 1
    case serviceInterrupted = 2
    case blockCall = 3
    case billingSuspended = 4

    /// The treatment of an action of a suspended tenant (partner guide, "What happens when a cap is hit").
    @inlinable public static func suspended(_ action: Action) -> Treatment {
        switch action {
        case .inboundCall: .serviceInterrupted
        case .outboundCall: .blockCall
        default: .billingSuspended
        }
    }
}

@nonexhaustive public enum TenantStatus: UInt8, Sendable {
    case active = 1
    case suspended = 2
    /// Deleted: new requests read NOT_FOUND, open holds may settle.
    case closed = 3
}

/// `on_limit` of a tenant: overrides what its own caps do (semantics §4); never touches profile caps.
@frozen public enum OnLimit: UInt8, Sendable, CaseIterable {
    /// The catalogue's table.
    case auto = 0
    /// Refuse; suspend only with auto-suspend on.
    case block = 1
    /// Never refuse, never suspend; warn.
    case alert = 2
}
