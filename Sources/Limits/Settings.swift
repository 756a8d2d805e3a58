// What an operator sets. Caps are in the units of `Resource` (minutes are kept as seconds); nil: no limit.

/// The fields of the partner guide's "Edit Limits": a cap for each limit of a tenant, and what goes for all of them.
public struct TenantLimits: Sendable, Equatable {
    /// Those that are set.
    private var caps: [LimitKind: Int64]
    /// Percentages of a cap, each of which raises an early warning: 1 to 4, ascending, 1 ... 100.
    public var alertThresholds: [UInt8]
    public var autoSuspend: Bool

    public init(
        caps: [LimitKind: Int64], alertThresholds: [UInt8] = [80], autoSuspend: Bool = false
    ) {
        self.caps = caps
        self.alertThresholds = alertThresholds
        self.autoSuspend = autoSuspend
    }

    /// From it on, a limit is near.
    public var firstThreshold: UInt8 { alertThresholds.first ?? 100 }

    /// Whether the thresholds are 1 to 4, in range and ascending.
    public var hasRisingThresholds: Bool {
        (1...Self.mostThresholds).contains(alertThresholds.count)
            && alertThresholds.allSatisfy { (1...100).contains($0) }
            && zip(alertThresholds, alertThresholds.dropFirst()).allSatisfy { $0 < $1 }
    }

    /// The cap of a tenant's limit, in the unit of its resource; nil: no limit.
    public subscript(kind: LimitKind) -> Int64? {
        get { caps[kind] }
        set { caps[kind] = newValue }
    }

    /// The guide's "new tenant you don't fully trust": $500, 50, 10, 5 000 minutes, 80 %, auto-suspend on.
    public static let newTenant = TenantLimits(
        caps: [
            .tenantMonthlySpend: 500_000_000_000, .tenantExtensions: 50, .tenantDIDs: 10,
            .tenantMonthlyMinutes: 5_000 * 60,
        ], autoSuspend: true)
}

/// How often something was configured, and when: what `ETag` and the two dates of a resource are made of.
public struct Revision: Sendable, Equatable {
    /// 1 with the creation, one higher with every change; 0: does not exist yet.
    public var number: Int64
    /// Unix milliseconds.
    public var createdAt: Int64
    public var updatedAt: Int64

    public init(number: Int64 = 0, createdAt: Int64 = 0, updatedAt: Int64 = 0) {
        self.number = number
        self.createdAt = createdAt
        self.updatedAt = updatedAt
    }

    /// The one after this.
    public func next(at now: Int64) -> Revision {
        Revision(number: number + 1, createdAt: number == 0 ? now : createdAt, updatedAt: now)
    }
}

/// A tenant as configured.
public struct TenantSettings: Sendable, Equatable {
    public var id: String
    public var name: String
    public var limits: TenantLimits
    public var onLimit: OnLimit
    /// 1 ... 31, clamped to the month's last day.
    public var billingCycleDay: UInt8
    /// IANA zone name.
    public var timeZone: String
    /// Tenant tokens may see caps and codes.
    public var disclosesLimits: Bool
    /// Kept by the engine.
    public var revision = Revision()

    public init(
        id: String, name: String = "", limits: TenantLimits = TenantLimits(),
        onLimit: OnLimit = .auto, billingCycleDay: UInt8 = 1, timeZone: String = "UTC",
        disclosesLimits: Bool = false
    ) {
        self.id = id
        self.name = name
        self.limits = limits
        self.onLimit = onLimit
        self.billingCycleDay = billingCycleDay
        self.timeZone = timeZone
        self.disclosesLimits = disclosesLimits
    }
}

extension TenantSettings {
    /// Whether both say the same, to the byte, whenever it was said.
    public func isConfigured(as other: TenantSettings) -> Bool {
        var other = other
        other.revision = revision
        return self == other && id.hasSameBytes(as: other.id) && name.hasSameBytes(as: other.name)
    }
}

/// A profile as configured. It belongs to one tenant, and is of one kind, for ever.
public struct ProfileSettings: Sendable, Equatable {
    public var id: String
    public var kind: ProfileKind
    public var tenantID: String
    public var name: String
    public var dailySpendLimitEnabled: Bool
    /// Nano-USD; nil: none set.
    public var dailySpendLimitNanos: Int64?
    /// Where its events are posted to, and where if that fails; empty: nowhere.
    public var webhookURL = ""
    public var webhookFailoverURL = ""
    /// Fields of the vendor's object that mean nothing here, kept for those who set them: a JSON object, or empty.
    public var vendorFields = ""
    /// Kept by the engine.
    public var revision = Revision()

    public init(
        id: String, kind: ProfileKind = .messaging, tenantID: String, name: String = "",
        dailySpendLimitEnabled: Bool = false, dailySpendLimitNanos: Int64? = nil
    ) {
        self.id = id
        self.kind = kind
        self.tenantID = tenantID
        self.name = name
        self.dailySpendLimitEnabled = dailySpendLimitEnabled
        self.dailySpendLimitNanos = dailySpendLimitNanos
    }
}

extension ProfileSettings {
    /// Whether both say the same, to the byte, whenever it was said.
    public func isConfigured(as other: ProfileSettings) -> Bool {
        var other = other
        other.revision = revision
        return self == other && id.hasSameBytes(as: other.id)
            && tenantID.hasSameBytes(as: other.tenantID) && name.hasSameBytes(as: other.name)
            && vendorFields.hasSameBytes(as: other.vendorFields)
    }
}
