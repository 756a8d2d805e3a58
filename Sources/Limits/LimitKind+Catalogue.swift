extension LimitKind {
    /// A tenant's counters: one for each of its rows.
    @inlinable @inline(always) public static var counterCount: Int { rowCount(ofTenants) }

    /// One row per limit, in the order of their numbers.
    public static let catalogue: [LimitRow] =
        (list(ofProfiles) + list(ofTenants)).sorted { $0.kind.index < $1.kind.index }

    /// Limits of profiles.
    private static let ofProfiles: InlineArray<_, LimitRow> = [
        LimitRow(
            kind: .profileDailySpend, name: "profile_daily_spend", subject: .messagingProfile,
            resource: .spend, window: .utcDay, blocksOnlyWithAutoSuspend: false,
            tripsByUsage: true, suspends: false, refusalTripsFromPercent: 80,
            error: .profileSpendLimit,
            cap: CapSetting(
                .profileDailySpend, name: "daily_spend_limit", title: "Daily Spend Limit",
                help: "USD per UTC day, or none.",
                toggle: CapSetting.Toggle(
                    name: "daily_spend_limit_enabled",
                    help: "Refuse what exceeds the daily spend limit.")),
            words: LimitRow.Words(
                title: "Daily spend", phrase: "daily spend limit", heading: "DAILY",
                most: "Most spent today", least: "Least spent today")),
        LimitRow(
            kind: .voiceProfileDailySpend, name: "voice_profile_daily_spend",
            subject: .voiceProfile, resource: .spend, window: .utcDay,
            blocksOnlyWithAutoSuspend: false, tripsByUsage: true, suspends: false,
            refusalTripsFromPercent: 80, error: .voiceProfileSpendLimit,
            cap: CapSetting(
                .voiceProfileDailySpend, name: "daily_spend_limit", title: "Daily Spend Limit",
                help: "USD per UTC day, or none.",
                toggle: CapSetting.Toggle(
                    name: "daily_spend_limit_enabled",
                    help: "Refuse what exceeds the daily spend limit.")),
            words: LimitRow.Words(
                title: "Daily spend", phrase: "daily spend limit", heading: "DAILY",
                most: "Most spent today", least: "Least spent today")),
    ]

    /// Limits of the tenant itself: each has a counter, in this order, which is that of their numbers.
    @usableFromInline static let ofTenants: InlineArray<_, LimitRow> = [
        LimitRow(
            kind: .tenantMonthlySpend, name: "tenant_monthly_spend", subject: .tenant,
            resource: .spend, window: .billingCycle, blocksOnlyWithAutoSuspend: true,
            tripsByUsage: true, suspends: true, refusalTripsFromPercent: 80,
            error: .tenantSpendLimit,
            cap: CapSetting(
                .tenantMonthlySpend, name: "monthly_spend_limit", title: "Monthly Spend Limit",
                help: "USD per billing cycle, or none."),
            words: LimitRow.Words(
                title: "Monthly spend", phrase: "monthly spend cap", heading: "SPEND",
                most: "Most spent", least: "Least spent")),
        LimitRow(
            kind: .tenantExtensions, name: "tenant_extensions", subject: .tenant,
            resource: .extensions, window: .standing, blocksOnlyWithAutoSuspend: false,
            tripsByUsage: false, suspends: true, refusalTripsFromPercent: 0,
            error: .tenantExtensionLimit,
            cap: CapSetting(
                .tenantExtensions, name: "max_extensions", title: "Max Extensions",
                help: "Maximum number of extensions, or none."),
            words: LimitRow.Words(
                title: "Extensions", phrase: "extension cap", heading: "EXTENSIONS",
                most: "Most extensions", least: "Fewest extensions")),
        LimitRow(
            kind: .tenantDIDs, name: "tenant_dids", subject: .tenant,
            resource: .dids, window: .standing, blocksOnlyWithAutoSuspend: false,
            tripsByUsage: false, suspends: true, refusalTripsFromPercent: 0,
            error: .tenantDIDLimit,
            cap: CapSetting(
                .tenantDIDs, name: "max_dids", title: "Max DIDs",
                help: "Maximum number of DIDs, or none."),
            words: LimitRow.Words(
                title: "DIDs", phrase: "DID cap", heading: "DIDS", most: "Most DIDs",
                least: "Fewest DIDs")),
        LimitRow(
            kind: .tenantMonthlyMinutes, name: "tenant_monthly_minutes", subject: .tenant,
            resource: .callSeconds, window: .billingCycle, blocksOnlyWithAutoSuspend: true,
            tripsByUsage: true, suspends: true, refusalTripsFromPercent: 80,
            error: .tenantMinutesLimit,
            cap: CapSetting(
                .tenantMonthlyMinutes, name: "max_monthly_minutes", title: "Max Monthly Minutes",
                help: "Inbound and outbound minutes per billing cycle, or none."),
            words: LimitRow.Words(
                title: "Monthly minutes", phrase: "monthly minute cap", heading: "MINUTES",
                most: "Most minutes", least: "Fewest minutes")),
        LimitRow(
            kind: .tenantDailySpend, name: "tenant_daily_spend", subject: .tenant,
            resource: .spend, window: .tenantDay, blocksOnlyWithAutoSuspend: true,
            tripsByUsage: true, suspends: true, refusalTripsFromPercent: 80,
            error: .tenantDailySpendLimit,
            cap: CapSetting(
                .tenantDailySpend, name: "daily_spend_limit", title: "Daily Spend Limit",
                help: "USD per day in the tenant's time zone, or none."),
            words: LimitRow.Words(
                title: "Daily spend", phrase: "daily spend cap", heading: "DAILY SPEND",
                most: "Most spent today", least: "Least spent today")),
        LimitRow(
            kind: .tenantConcurrentCalls, name: "tenant_concurrent_calls", subject: .tenant,
            resource: .concurrentCalls, window: .standing, blocksOnlyWithAutoSuspend: false,
            tripsByUsage: false, suspends: false, refusalTripsFromPercent: 0,
            error: .tenantConcurrentCallLimit,
            cap: CapSetting(
                .tenantConcurrentCalls, name: "max_concurrent_calls",
                title: "Max Concurrent Calls",
                help: "Maximum number of calls at the same time, or none."),
            words: LimitRow.Words(
                title: "Concurrent calls", phrase: "concurrent call cap",
                heading: "CONCURRENT CALLS", most: "Most concurrent calls",
                least: "Fewest concurrent calls")),
        LimitRow(
            kind: .tenantDailyMessages, name: "tenant_daily_messages", subject: .tenant,
            resource: .messages, window: .tenantDay, blocksOnlyWithAutoSuspend: true,
            tripsByUsage: true, suspends: true, refusalTripsFromPercent: 80,
            error: .tenantDailyMessageLimit,
            cap: CapSetting(
                .tenantDailyMessages, name: "max_daily_messages", title: "Max Daily Messages",
                help: "Messages per day in the tenant's time zone, or none."),
            words: LimitRow.Words(
                title: "Daily messages", phrase: "daily message cap", heading: "DAILY MESSAGES",
                most: "Most messages today", least: "Fewest messages today")),
    ]

    /// Rows by `index`.
    private static let rows = (0..<LimitSet.capacity).map { index in
        catalogue.first { $0.kind.index == index }
    }

    /// Complexity: O(1).
    public var row: LimitRow {
        guard let row = LimitKind.rows[index] else { preconditionFailure("no row of \(self)") }
        return row
    }

    /// The row of a name; nil: one that this version does not know.
    public static func row(named name: String) -> LimitRow? {
        catalogue.first { $0.name == name }
    }
}
