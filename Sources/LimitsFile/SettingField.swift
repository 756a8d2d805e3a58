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

        /// Texts by their bytes: another spelling is a change.
        package static func == (one: Value, other: Value) -> Bool {
            switch (one, other) {
            case (.none, .none): true
            case (.text(let one), .text(let other)): one.hasSameBytes(as: other)
            case (.amount(let one), .amount(let other)): one == other
            case (.whole(let one), .whole(let other)): one == other
            case (.flag(let one), .flag(let other)): one == other
            default: false
            }
        }

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
        CapSetting.all.map { cap in
            SettingField(
                cap.name,
                self[cap].map { cap.unit == .amount ? .amount($0) : .whole(cap.configured($0)) }
                    ?? .none)
        } + [
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
        let cap = kind.limit.cap
        return [
            SettingField("name", .text(name)),
            SettingField(cap.name, dailySpendLimitNanos.map { .amount($0) } ?? .none),
            SettingField(cap.toggleName, .flag(dailySpendLimitEnabled)),
        ]
    }
}
