package import Limits

/// What a limits file would change: one subject, and the fields that are not yet as the file has them.
package struct SettingChange: Sendable, Equatable {
    package enum Subject: Sendable, Equatable {
        case defaults
        case tenant(id: String)
        case profile(id: String, kind: ProfileKind, tenantID: String)
    }

    /// Before and after of one field.
    package struct Field: Sendable, Equatable {
        package var name: String
        /// nil: the subject does not exist yet.
        package var before: SettingField.Value?
        package var after: SettingField.Value
        /// Another field tells it: lists for people leave it out.
        package var isImplied: Bool

        package init(
            name: String, before: SettingField.Value?, after: SettingField.Value,
            isImplied: Bool = false
        ) {
            self.name = name
            self.before = before
            self.after = after
            self.isImplied = isImplied
        }
    }

    package enum Kind: Sendable, Equatable { case create, update, delete }

    package var subject: Subject
    package var kind: Kind
    /// Empty only for a deletion.
    package var fields: [Field]

    private init(_ subject: Subject, _ kind: Kind, _ fields: [Field]) {
        self.subject = subject
        self.kind = kind
        self.fields = fields
    }

    /// nil: the service has them like that already.
    package init?(defaults wanted: TenantLimits, present: TenantLimits) {
        self.init(.defaults, wanted.fields, present.fields)
    }

    /// - Parameter present: what the service has; nil: no such tenant.
    package init?(tenant wanted: TenantSettings, present: TenantSettings?) {
        self.init(.tenant(id: wanted.id), wanted.fields, present?.fields)
    }

    /// - Parameter present: what the service has, of the same tenant; nil: no such profile.
    package init?(profile wanted: ProfileSettings, present: ProfileSettings?) {
        self.init(
            .profile(id: wanted.id, kind: wanted.kind, tenantID: wanted.tenantID),
            wanted.fileFields, present?.fileFields)
    }

    /// The deletion of what the file does not name.
    package static func delete(_ subject: Subject) -> SettingChange {
        SettingChange(subject, .delete, [])
    }

    private init?(_ subject: Subject, _ wanted: [SettingField], _ present: [SettingField]?) {
        guard let present else {
            self.init(
                subject, .create,
                wanted.map {
                    Field(
                        name: $0.name, before: nil, after: $0.value, isImplied: $0.isImplied)
                })
            return
        }
        let fields = zip(wanted, present).filter { wanted, present in
            wanted.value != present.value && !(wanted.isImplied && present.isImplied)
        }.map { wanted, present in
            Field(name: wanted.name, before: present.value, after: wanted.value)
        }
        if fields.isEmpty { return nil }
        self.init(subject, .update, fields)
    }
}

extension SettingChange: CustomStringConvertible {
    /// The subject on one line, its fields below: `  max_dids  10 → 20`.
    package var description: String {
        let shown = fields.filter { !$0.isImplied }
        let width = shown.map(\.name.count).max() ?? 0
        let lines = shown.map { field in
            let padding = String(repeating: " ", count: width - field.name.count)
            let before = field.before.map { "\($0.quoted) → " } ?? ""
            return "\n    \(field.name)\(padding)  \(before)\(field.after.quoted)"
        }
        return "\(kind.sign) \(subject)" + lines.joined()
    }
}

extension SettingChange.Kind {
    package var sign: String {
        switch self {
        case .create: "+"
        case .update: "~"
        case .delete: "-"
        }
    }
}

extension SettingChange.Subject: CustomStringConvertible {
    package var description: String {
        switch self {
        case .defaults: "tenant defaults"
        case .tenant(let id): "tenant \(YAMLText.scalar(id))"
        case .profile(let id, let kind, let tenantID):
            "\(kind.noun) \(YAMLText.scalar(id)) of tenant \(YAMLText.scalar(tenantID))"
        }
    }
}

extension SettingField.Value {
    /// As `text`, but a text that is empty or odd is told from a word.
    fileprivate var quoted: String {
        if case .text(let text) = self { YAMLText.scalar(text) } else { text }
    }
}
