internal import ArgumentParser
internal import CommandIO
internal import Limits

/// `tollgate settings-reference`: docs/configuration.md, from the catalogue. For those who change settings; not listed.
struct SettingsReferenceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "settings-reference", abstract: "Prints docs/configuration.md.",
        shouldDisplay: false)

    func run() { StandardOutput.print(SettingsReference.page) }
}

/// The reference page of all settings, in Markdown.
enum SettingsReference {
    /// Without the last line's end.
    static var page: String {
        ([introduction] + SettingsCatalogue.groups.map(section) + tenants).joined(
            separator: "\n\n")
    }

    // MARK: Tenants and profiles

    private static let tenants: [String] = [
        """
        ## Tenants

        Settings of a tenant, by their names in the [limits file](limits-file.md) and in [REST](rest.md), with the flags of
        `tollgate tenants create` and `update`. The marked ones are the tenant defaults' too (`tollgate defaults set`).
        `null` is written `none` on the command line.

        \(table(TenantSettings.settings, TenantSettings(id: "")) { setting in
            TenantLimits.settings.contains { $0.name == setting.name }
                ? " *Tenant defaults have it.*" : ""
        })
        """,
        """
        ## Profiles

        Settings of a messaging profile and of an outbound voice profile, with the flags of `tollgate profiles create` and
        `update`.

        \(table(ProfileSettings.settings(.messaging), ProfileSettings(id: "", tenantID: "", name: "its id")) {
            $0.isInLimitsFile ? "" : " *Not in the limits file.*"
        })
        """,
    ]

    private static func table<Owner>(
        _ settings: [SettingDescriptor<Owner>], _ standard: Owner,
        note: (SettingDescriptor<Owner>) -> String
    ) -> String {
        let head = "| name | flag | value | default | meaning |\n|---|---|---|---|---|\n"
        let lines = settings.map { setting in
            let flag = setting.name.replacing("_", with: "-")
            let cells = [
                "`\(setting.name)`",
                setting.shape == .flag ? "`--\(flag)`, `--no-\(flag)`" : "`--\(flag)`",
                setting.shape.expected + (setting.isNullable ? ", or null" : ""),
                standardText(setting.value(of: standard)), setting.help + note(setting),
            ]
            return "| " + cells.joined(separator: " | ") + " |"
        }
        return head + lines.joined(separator: "\n")
    }

    private static func standardText(_ value: SettingField.Value) -> String {
        switch value {
        case .none: "null"
        case .text(""): "empty"
        case .flag(let flag): "\(flag)"
        default: value.text
        }
    }

    // MARK: The service

    private static let introduction = """
        <!-- Generated: tollgate settings-reference >docs/configuration.md -->
        # Configuration

        All settings of `tollgate serve`, and below them those of [tenants](#tenants) and [profiles](#profiles). One of the
        service comes from its flag, else from its environment variable, else from its key in the YAML file that `--config`
        or `TOLLGATE_CONFIG` names, else from its default; [the command line](cli.md#settings) has an example. An empty
        variable is not set. The service does not start with an unknown key or an invalid value, and names it.

        A duration is a whole number with `ms`, `s`, `m`, `h` or `d`; a size is a whole number of bytes, or one with
        `KiB`, `MiB`, `GiB` or `TiB`. `true` and `false` may also be written `yes` and `no`, `on` and `off`, `1` and `0`;
        the flag of a *switch* has no value. Settings are read at the start only; the content of a file marked *reloaded*
        is read again.
        """

    private static func section(_ group: any SettingsGroup.Type) -> String {
        let lines = group.rows.map(line).joined(separator: "\n")
        return """
            ## \(group.title)

            | flag | variable | key | value | default | meaning |
            |---|---|---|---|---|---|
            \(lines)
            """
    }

    private static func line(_ row: SettingRow) -> String {
        let cells = [
            "`\(row.flag)`", "`\(row.variable)`", "`\(row.name)`", value(row), standard(row),
            meaning(row),
        ]
        return "| " + cells.map { $0.replacing("|", with: "\\|") }.joined(separator: " | ") + " |"
    }

    /// Kind, unit and range.
    private static func value(_ row: SettingRow) -> String {
        switch row.kind {
        case .toggle: "switch"
        case .truth: row.range ?? ""
        case .text: row.valueName
        case .choice: row.range ?? ""
        default: row.kind.rawValue + (row.range.map { ", \($0)" } ?? "")
        }
    }

    private static func standard(_ row: SettingRow) -> String {
        guard let text = row.shownDefault else { return "none" }
        return row.isDefaultWords ? text : "`\(text)`"
    }

    private static func meaning(_ row: SettingRow) -> String {
        let text = row.text
        let chosen = row.choices.filter { !$0.meaning.isEmpty }
            .map { "`\($0.name)`, \($0.meaning)" }
        let reload = text.reload.map { " *Reloaded* \($0.rawValue)." } ?? ""
        let page = text.page.map { " [More](\($0))." } ?? ""
        return text.meaning + (chosen.isEmpty ? "" : ": " + chosen.joined(separator: "; "))
            + text.note + "." + reload + page
    }
}
