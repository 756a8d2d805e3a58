internal import ArgumentParser
internal import CommandIO

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
        ([introduction] + SettingsCatalogue.groups.map(section)).joined(separator: "\n\n")
    }

    private static let introduction = """
        <!-- Generated: tollgate settings-reference >docs/configuration.md -->
        # Configuration

        All settings of `tollgate serve`. Each comes from its flag, else from its environment variable, else from its
        key in the YAML file that `--config` or `TOLLGATE_CONFIG` names, else from its default;
        [the command line](cli.md#settings) has an example. An empty variable is not set. The service does not start with
        an unknown key or an invalid value, and names it.

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
