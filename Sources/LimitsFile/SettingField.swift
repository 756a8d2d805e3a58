package import Limits

/// A setting by the name that it has in the limits file and in the REST API.
package struct SettingField: Sendable, Equatable {
    package enum Value: Sendable, Equatable {
        /// No limit.
        case none
        case text(String)
        /// Nano-USD.
        case amount(Int64)
        case whole(Int64)
        case flag(Bool)

        /// For people and for texts in JSON: "500.00", "50", "on", "no limit".
        package var text: String {
            switch self {
            case .none: "no limit"
            case .text(let text): text
            case .amount(let nanos): Money.format(nanos)
            case .whole(let number): String(number)
            case .flag(let flag): flag ? "on" : "off"
            }
        }
    }

    package var name: String
    package var value: Value

    package init(_ name: String, _ value: Value) {
        self.name = name
        self.value = value
    }
}

extension TenantLimits {
    /// The six fields.
    package var fields: [SettingField] {
        [
            SettingField("monthly_spend_limit", monthlySpendNanos.map { .amount($0) } ?? .none),
            SettingField("max_extensions", maxExtensions.map { .whole($0) } ?? .none),
            SettingField("max_dids", maxDIDs.map { .whole($0) } ?? .none),
            SettingField(
                "max_monthly_minutes", monthlyCallSeconds.map { .whole($0 / 60) } ?? .none),
            SettingField("alert_threshold", .whole(Int64(alertThresholdPercent))),
            SettingField("auto_suspend", .flag(autoSuspend)),
        ]
    }
}

extension TenantSettings {
    /// Everything but the id, in the order of the limits file.
    package var fields: [SettingField] {
        [SettingField("name", .text(name))] + limits.fields + [
            SettingField("on_limit", .text(onLimit.name)),
            SettingField("billing_cycle_day", .whole(Int64(billingCycleDay))),
            SettingField("time_zone", .text(timeZone)),
            SettingField("disclose_limits", .flag(disclosesLimits)),
        ]
    }
}

extension ProfileSettings {
    /// Everything that the limits file says of it but the ids.
    package var fields: [SettingField] {
        [
            SettingField("name", .text(name)),
            SettingField("daily_spend_limit", dailySpendLimitNanos.map { .amount($0) } ?? .none),
            SettingField("daily_spend_limit_enabled", .flag(dailySpendLimitEnabled)),
        ]
    }
}
