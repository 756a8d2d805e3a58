// The settings of tenants and profiles, one row each, in the order in which files, answers and pages have them.

extension TenantLimits {
    /// The most alert thresholds that a tenant has.
    public static let mostThresholds = EventSet.Group.thresholds.count

    /// The fields of "Edit Limits", which the tenant defaults have too.
    public static let settings: [SettingDescriptor<TenantLimits>] =
        CapSetting.all.map { cap in
            .cap(cap) {
                $0[cap]
            } set: {
                $0[cap] = $1
            }
        } + [
            firstThreshold, thresholds,
            .flag(
                "auto_suspend", title: "Auto-Suspend",
                help: "Suspend the tenant when it reaches a cap\(exempt).", \.autoSuspend
            ).with { $0.heading = "AUTO-SUSPEND" },
        ]

    /// The caps that suspend nobody, as an exception; empty: there are none.
    private static let exempt: String = {
        let titles = LimitSubject.tenant.limits.filter { !$0.suspends }.map(\.cap.title)
        return titles.isEmpty ? "" : " other than \(titles.listed("or"))"
    }()

    private static let firstThreshold = SettingDescriptor<TenantLimits>(
        "alert_threshold", title: "Alert Threshold",
        help: "The first alert threshold in percent of a cap, 1 to 100.", .whole(1...100)
    ) {
        .whole(Int64($0.firstThreshold))
    } set: { limits, value in
        guard case .whole(let first) = value else { return nil }
        if let second = limits.alertThresholds.dropFirst().first, first >= second {
            return "must be below the second alert threshold, \(second); set alert_thresholds"
        }
        limits.alertThresholds = [UInt8(first)] + limits.alertThresholds.dropFirst()
        return nil
    }.with {
        $0.firstOf = "alert_thresholds"
        $0.isInForms = false
        $0.unit = "%"
    }

    private static let thresholds = SettingDescriptor<TenantLimits>(
        "alert_thresholds", title: "Alert Threshold",
        help:
            "Percentages of a cap at which an alert is sent: 1 to \(mostThresholds), in rising order.",
        .wholes(1...100, most: mostThresholds)
    ) {
        .wholes($0.alertThresholds.map { Int64($0) })
    } set: { limits, value in
        if case .wholes(let percents) = value {
            limits.alertThresholds = percents.map { UInt8($0) }
        }
        return nil
    }.with {
        $0.heading = "ALERT %"
        $0.unit = "%"
    }

    public var fields: [SettingField] { Self.settings.map { $0.field(of: self) } }

    /// Limits by the names that one may ask for.
    public static let presets: KeyValuePairs<String, TenantLimits> = [
        "new-tenant": .newTenant, "unlimited": TenantLimits(),
    ]
}

extension TenantSettings {
    /// Everything but the id.
    public static let settings: [SettingDescriptor<TenantSettings>] =
        [.text("name", title: "Name", help: "Display name.", .text(0...256), \.name)]
        + TenantLimits.settings.map { $0.within(\.limits) } + [
            SettingDescriptor(
                "on_limit", title: "On Limit",
                help:
                    "At a cap: auto, the limit's default; block, always refuse; alert, only alert.",
                .choice(OnLimit.allCases.map(\.name))
            ) {
                .text($0.onLimit.name)
            } set: { tenant, value in
                if case .text(let name) = value { tenant.onLimit = OnLimit(name: name) ?? .auto }
                return nil
            },
            SettingDescriptor(
                "billing_cycle_day", title: "Billing cycle day",
                help: "Day of the month on which the billing cycle starts, 1 to 31.", .whole(1...31)
            ) {
                .whole(Int64($0.billingCycleDay))
            } set: { tenant, value in
                if case .whole(let day) = value { tenant.billingCycleDay = UInt8(day) }
                return nil
            },
            .text(
                "time_zone", title: "Time zone",
                help: "Time zone of the billing cycle and of the tenant's day, like Europe/Paris.",
                .timeZone, \.timeZone),
            .flag(
                "disclose_limits", title: "Disclose Limits",
                help: "Let the tenant's own tokens see its caps and limit codes.",
                \.disclosesLimits),
        ]

    public var fields: [SettingField] { Self.settings.map { $0.field(of: self) } }
}

extension ProfileSettings {
    private static let byKind = ProfileKind.allCases.map(makeSettings)

    /// Everything but the ids, and the vendor's fields that mean nothing here.
    public static func settings(_ kind: ProfileKind) -> [SettingDescriptor<ProfileSettings>] {
        byKind[kind.index]
    }

    private static func makeSettings(_ kind: ProfileKind) -> [SettingDescriptor<ProfileSettings>] {
        let cap = kind.limit.cap
        return [
            .text("name", title: "Name", help: "Display name.", .text(1...256), \.name),
            .cap(cap) {
                $0.dailySpendLimitNanos
            } set: {
                $0.dailySpendLimitNanos = $1
            },
            .flag(
                cap.toggleName, title: "Limit enabled", help: cap.toggle?.help ?? "",
                \.dailySpendLimitEnabled),
            .text(
                "webhook_url", title: "Webhook URL", help: "Webhook URL for its events, or none.",
                .address, isNullable: true, \.webhookURL
            ).with {
                $0.isInLimitsFile = false
            },
            .text(
                "webhook_failover_url", title: "Failover URL",
                help: "Failover URL after three failures, or none.", .address, isNullable: true,
                \.webhookFailoverURL
            ).with {
                $0.isInLimitsFile = false
            },
        ]
    }

    public var fields: [SettingField] { Self.settings(kind).map { $0.field(of: self) } }
}
