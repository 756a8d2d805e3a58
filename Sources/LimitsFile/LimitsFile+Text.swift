package import Limits

extension LimitsFile {
    /// What a service has, to be written as a file. Profiles of tenants that are not named are left out.
    package init(
        defaults: TenantLimits, tenants: [TenantSettings], profiles: [ProfileSettings]
    ) {
        self.init(
            defaults: defaults, hasDefaults: true, tenants: tenants, profiles: profiles,
            contentHash: "")
    }

    /// Whether both say the same, whatever their bytes.
    package func saysTheSame(as other: LimitsFile) -> Bool {
        defaults == other.defaults && hasDefaults == other.hasDefaults
            && tenants.elementsEqual(other.tenants) { $0.isConfigured(as: $1) }
            && profiles.elementsEqual(other.profiles) { $0.isConfigured(as: $1) }
    }

    /// The text of the file: `parse` gives the same settings back.
    ///
    /// A tenant's six fields are always written out, so that a later change of `defaults` in the file changes new
    /// tenants only; other fields only where they are not what their absence means.
    /// - Complexity: O(*n*) in the number of tenants and profiles.
    package var text: String {
        var text = "version: 1\n\ndefaults:\n"
        for field in defaults.fields { text += Self.line(field, indent: 2) }
        if tenants.isEmpty { return text }
        let profiles = Dictionary(grouping: profiles) { Identifier($0.tenantID) }
        text += "\ntenants:\n"
        for tenant in tenants {
            text += "  - id: \(YAMLText.scalar(tenant.id))\n"
            let plain = TenantSettings(id: tenant.id)
            let always = Set(tenant.limits.fields.map(\.name))
            for (field, absent) in zip(tenant.fields, plain.fields)
            where always.contains(field.name) || field != absent {
                text += Self.line(field, indent: 4)
            }
            guard let own = profiles[Identifier(tenant.id)] else { continue }
            for kind in ProfileKind.allCases {
                text += Self.section(of: own.filter { $0.kind == kind }, kind)
            }
        }
        return text
    }

    /// A tenant's profiles of a kind; empty if there are none.
    private static func section(of profiles: [ProfileSettings], _ kind: ProfileKind) -> String {
        if profiles.isEmpty { return "" }
        var text = "    \(kind.collection):\n"
        for profile in profiles {
            text += "      - id: \(YAMLText.scalar(profile.id))\n"
            let plain = ProfileSettings(
                id: profile.id, kind: kind, tenantID: profile.tenantID, name: profile.id)
            for (field, absent) in zip(profile.fields, plain.fields)
            where field.name == kind.limit.cap.name || field != absent {
                text += line(field, indent: 8)
            }
        }
        return text
    }

    private static func line(_ field: SettingField, indent: Int) -> String {
        let value =
            switch field.value {
            case .none: "null"
            case .text(let text): YAMLText.scalar(text)
            case .amount: YAMLText.quoted(field.value.text)
            case .whole: field.value.text
            case .flag(let flag): flag ? "true" : "false"
            }
        return "\(String(repeating: " ", count: indent))\(field.name): \(value)\n"
    }
}
