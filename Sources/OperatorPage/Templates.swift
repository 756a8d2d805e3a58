import Mustache

/// The templates and other files of the page, compiled into the executable.
struct Templates: Sendable {
    private let library: MustacheLibrary

    static let sources: [(name: String, bytes: [UInt8])] = [
        ("alerts", PackageResources.alerts_mustache), ("alone", PackageResources.alone_mustache),
        ("audit", PackageResources.audit_mustache),
        ("audit-table", PackageResources.audit_table_mustache),
        ("bar", PackageResources.bar_mustache), ("chip", PackageResources.chip_mustache),
        ("defaults", PackageResources.defaults_mustache),
        ("layout", PackageResources.layout_mustache),
        ("limit-fields", PackageResources.limit_fields_mustache),
        ("live", PackageResources.live_mustache), ("login", PackageResources.login_mustache),
        ("mark", PackageResources.mark_mustache), ("message", PackageResources.message_mustache),
        ("pager", PackageResources.pager_mustache),
        ("suspended", PackageResources.suspended_mustache),
        ("tenant", PackageResources.tenant_mustache),
        ("tenant-dialogs", PackageResources.tenant_dialogs_mustache),
        ("tokens", PackageResources.tokens_mustache),
        ("usage-limits", PackageResources.usage_limits_mustache),
    ]

    /// - Throws: what is wrong with a template.
    init() throws {
        var library = MustacheLibrary()
        for (name, bytes) in Self.sources {
            try library.register(String(decoding: bytes, as: UTF8.self), named: name)
        }
        self.library = library
    }

    /// - Complexity: O(length)
    func render(_ name: String, _ fields: Fields) -> String {
        library.render(fields, withTemplate: name) ?? ""
    }
}
