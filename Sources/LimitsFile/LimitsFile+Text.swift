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
    /// A tenant's limit fields are always written out, so that a later change of `defaults` in the file changes new
    /// tenants only; other fields only where they are not what their absence means.
    /// - Complexity: O(*n*) in the number of tenants and profiles.
    package var text: String {
        var text = "version: 1\n\ndefaults:\n"
        text += Self.lines(
            defaults.fields, absent: TenantLimits().following(defaults).fields,
            always: Self.alwaysWritten, indent: 2)
        if tenants.isEmpty { return text }
        let profiles = Dictionary(grouping: profiles) { Identifier($0.tenantID) }
        text += "\ntenants:\n"
        for tenant in tenants {
            text += "  - id: \(YAMLText.scalar(tenant.id))\n"
            let plain = TenantSettings(id: tenant.id, limits: defaults.following(tenant.limits))
            text += Self.lines(
                tenant.fields, absent: plain.fields, always: Self.alwaysWritten, indent: 4)
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
            text += lines(
                profile.fileFields, absent: plain.fileFields, always: [kind.limit.cap.name],
                indent: 8)
        }
        return text
    }

    /// The fields whose absence does not mean another setting's, which may be changed later.
    private static let alwaysWritten = Set(
        TenantLimits.settings.filter { !$0.shape.isList }.map(\.name))

    private static func lines(
        _ fields: [SettingField], absent: [SettingField], always: Set<String>, indent: Int
    ) -> String {
        zip(fields, absent).filter { always.contains($0.name) || $0.value != $1.value }
            .map { line($0.0, indent: indent) }.joined()
    }

    private static func line(_ field: SettingField, indent: Int) -> String {
        let value =
            switch field.value {
            case .none: "null"
            case .text(let text): YAMLText.scalar(text)
            case .amount: YAMLText.quoted(field.value.text)
            case .whole: field.value.text
            case .wholes: "[\(field.value.text)]"
            case .flag(let flag): flag ? "true" : "false"
            }
        return "\(String(repeating: " ", count: indent))\(field.name): \(value)\n"
    }
}

extension TenantLimits {
    /// These with the first alert threshold of others: what a list that is absent beside it means.
    fileprivate func following(_ other: TenantLimits) -> TenantLimits {
        var limits = self
        let first = other.fields.filter { field in
            Self.settings.contains { $0.name == field.name && $0.firstOf != nil }
        }
        _ = Self.settings.write(
            Dictionary(uniqueKeysWithValues: first.map { ($0.name, $0.value) }), to: &limits)
        return limits
    }
}

extension ProfileSettings {
    /// What the limits file says of it.
    package var fileFields: [SettingField] {
        Self.settings(kind).filter(\.isInLimitsFile).map { $0.field(of: self) }
    }
}
