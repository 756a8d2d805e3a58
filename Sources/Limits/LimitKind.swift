/// The limits that exist. Raw values are the proto's numbers; `index` is the row in `LimitKind.catalogue`.
@nonexhaustive public enum LimitKind: UInt8, Sendable, CaseIterable {
    case profileDailySpend = 1
    case tenantMonthlySpend = 2
    case tenantExtensions = 3
    case tenantDIDs = 4
    case tenantMonthlyMinutes = 5

    /// 0 ..< 5. The tenant's own limits are 1 ... 4 in the order of `Resource.index` + 1.
    @inlinable public var index: Int { Int(rawValue) - 1 }
}

/// A set of limits; bit `LimitKind.index`.
@frozen public struct LimitSet: OptionSet, Sendable, Hashable {
    public var rawValue: UInt8
    @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }
    @inlinable public init(_ kind: LimitKind) { rawValue = 1 &<< UInt8(kind.index) }

    @inlinable public func contains(_ kind: LimitKind) -> Bool {
        rawValue & (1 &<< UInt8(truncatingIfNeeded: kind.index)) != 0
    }
    @inlinable public mutating func insert(_ kind: LimitKind) {
        rawValue |= 1 &<< UInt8(truncatingIfNeeded: kind.index)
    }
}

/// Whose usage a limit bounds.
@frozen public enum LimitSubject: Sendable { case messagingProfile, tenant }

/// When a limit's total starts anew.
@frozen public enum LimitWindow: Sendable {
    /// 00:00:00 UTC to the next.
    case utcDay
    /// The tenant's billing cycle.
    case billingCycle
    /// Never: what exists now is counted.
    case standing
}

/// A row of the limit catalogue: everything that distinguishes one limit from another (semantics §1 and §4).
/// A new limit is a new row, not a branch in the engine.
public struct LimitRow: Sendable {
    public let kind: LimitKind
    /// snake_case name in JSON, events and configuration.
    public let name: String
    public let subject: LimitSubject
    public let resource: Resource
    public let window: LimitWindow
    /// `on_limit: auto` refuses only while auto-suspend is on ("the tenant keeps running" otherwise).
    public let blocksOnlyWithAutoSuspend: Bool
    /// Usage that reaches the cap trips the limit; otherwise only a refusal does.
    public let tripsByUsage: Bool
    /// How much of the cap, in percent, must be committed for a refusal alone to trip the limit. Below it one request is
    /// too large, a wrong unit or a generous estimate: no bill. 0: the first refusal does.
    public let refusalTripsFromPercent: UInt8
    public let error: ErrorCode
    /// How a tenant's cap is configured; nil: it is not a tenant's.
    public let cap: CapSetting?
}

extension LimitKind {
    /// One row per limit, in the order of `index`.
    public static let catalogue: [LimitRow] = [
        LimitRow(
            kind: .profileDailySpend, name: "profile_daily_spend", subject: .messagingProfile,
            resource: .spend, window: .utcDay, blocksOnlyWithAutoSuspend: false,
            tripsByUsage: true, refusalTripsFromPercent: 80, error: .profileSpendLimit,
            cap: nil),
        LimitRow(
            kind: .tenantMonthlySpend, name: "tenant_monthly_spend", subject: .tenant,
            resource: .spend, window: .billingCycle, blocksOnlyWithAutoSuspend: true,
            tripsByUsage: true, refusalTripsFromPercent: 80, error: .tenantSpendLimit,
            cap: CapSetting(
                name: "monthly_spend_limit", title: "Monthly Spend Limit", resource: .spend,
                unit: .amount)),
        LimitRow(
            kind: .tenantExtensions, name: "tenant_extensions", subject: .tenant,
            resource: .extensions, window: .standing, blocksOnlyWithAutoSuspend: false,
            tripsByUsage: false, refusalTripsFromPercent: 0, error: .tenantExtensionLimit,
            cap: CapSetting(
                name: "max_extensions", title: "Max Extensions", resource: .extensions, unit: .count
            )),
        LimitRow(
            kind: .tenantDIDs, name: "tenant_dids", subject: .tenant,
            resource: .dids, window: .standing, blocksOnlyWithAutoSuspend: false,
            tripsByUsage: false, refusalTripsFromPercent: 0, error: .tenantDIDLimit,
            cap: CapSetting(name: "max_dids", title: "Max DIDs", resource: .dids, unit: .count)),
        LimitRow(
            kind: .tenantMonthlyMinutes, name: "tenant_monthly_minutes", subject: .tenant,
            resource: .callSeconds, window: .billingCycle, blocksOnlyWithAutoSuspend: true,
            tripsByUsage: true, refusalTripsFromPercent: 80, error: .tenantMinutesLimit,
            cap: CapSetting(
                name: "max_monthly_minutes", title: "Max Monthly Minutes", resource: .callSeconds,
                unit: .minutes)),
    ]

    public var row: LimitRow { LimitKind.catalogue[index] }
}
