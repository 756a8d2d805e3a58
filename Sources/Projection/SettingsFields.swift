import Limits

// Settings as names and texts, for the audit log's before and after; the names are those of the REST API and of
// `--limits`.

extension [SettingField] {
    /// Names and texts; nil: nothing is set.
    fileprivate var audited: [(name: String, value: String?)] {
        map { ($0.name, $0.isImplied ? nil : $0.value.plainText) }
    }
}

extension TenantSettings {
    var auditFields: [(name: String, value: String?)] { fields.audited }
}

extension ProfileSettings {
    var auditFields: [(name: String, value: String?)] { fields.audited }
}

extension AuditRow.Change {
    /// By their bytes: another spelling is a change.
    private static func isSame(_ one: String?, _ other: String?) -> Bool {
        one.map { Identifier($0) } == other.map { Identifier($0) }
    }

    /// What differs; `before` nil: everything that is set now.
    static func list(
        before: [(name: String, value: String?)]?, after: [(name: String, value: String?)]
    ) -> [AuditRow.Change] {
        after.indices.compactMap { index in
            let old = before.flatMap { $0.indices.contains(index) ? $0[index].value : nil }
            guard !isSame(old, after[index].value) else { return nil }
            return AuditRow.Change(name: after[index].name, before: old, after: after[index].value)
        }
    }

    static func list(
        before: [String: String], after: [String: String]
    ) -> [AuditRow.Change] {
        Set(before.keys).union(after.keys).sorted().compactMap { name in
            guard !isSame(before[name], after[name]) else { return nil }
            return AuditRow.Change(name: name, before: before[name], after: after[name])
        }
    }
}

extension Record.Kind {
    /// snake_case: "tenant_changed".
    var auditName: String {
        "\(self)".reduce(into: "") { name, character in
            if character.isUppercase { name += "_" }
            name += character.lowercased()
        }
    }

    private static let byAuditName = Dictionary(
        uniqueKeysWithValues: allCases.map { ($0.auditName, $0) })

    init?(auditName: String) {
        guard let kind = Self.byAuditName[auditName] else { return nil }
        self = kind
    }
}
