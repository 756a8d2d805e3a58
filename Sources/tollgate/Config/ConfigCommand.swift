internal import ArgumentParser
internal import CommandIO
internal import JSON
internal import LimitsFile

/// `tollgate config`
struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config",
        abstract: "Checks or prints the settings of `tollgate serve`.",
        discussion: """
            Takes the flags of `tollgate serve`, and reads the same environment and configuration file. \
            Nothing is started, and the data directory is not touched.
            """,
        subcommands: [Check.self, Print.self])

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Checks the settings and the files they name.",
            discussion: """
                Reads certificates, keys, the limits file, the identities file and the mail password, as a \
                start would, and lists every mistake on standard error.

                Exit status: 0 no mistakes, 64 mistakes.

                Example: tollgate config check --config /etc/tollgate/tollgate.yaml
                """)

        @Option(
            help: .init(
                "Settings as YAML (environment TOLLGATE_CONFIG).", valueName: "file"))
        var config: String?
        @OptionGroup(title: "Settings") var settings: CatalogueOptions<AllSettings>

        func run() throws {
            let settings = try ConfigCommand.read(settings, config)
            let mistakes = ConfigurationCheck(settings).mistakes
            guard mistakes.isEmpty else {
                for mistake in mistakes { StandardError.print(mistake) }
                throw ExitStatus.usage.code
            }
            let set = settings.given.count
            StandardOutput.print(
                "no mistakes: \(set) of \(SettingsCatalogue.rows.count) settings are set")
        }
    }

    struct Print: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints the values in force and where each comes from.",
            discussion: """
                A value comes from a flag, else from the environment, else from the configuration file, \
                else it is the default. The YAML can be used as a configuration file. Secrets are in files, \
                whose names are printed, not their content.

                Exit status: 0 done, 64 mistakes.

                Example: tollgate config print --config /etc/tollgate/tollgate.yaml --output yaml
                """)

        enum Output: String, ExpressibleByArgument, CaseIterable { case table, json, yaml }

        @Option(
            help: .init(
                "Settings as YAML (environment TOLLGATE_CONFIG).", valueName: "file"))
        var config: String?
        @Option(help: .init("The output format.", valueName: "format"))
        var output = Output.table
        @Flag(help: "Print only what is not the default's.") var changed = false
        @OptionGroup(title: "Settings") var settings: CatalogueOptions<AllSettings>

        func run() throws {
            let settings = try ConfigCommand.read(settings, config)
            let rows = SettingsCatalogue.rows.filter { !changed || settings.given[$0.name] != nil }
            switch output {
            case .table:
                StandardOutput.print(Self.table.text(rows.map { Self.json($0, settings) }))
            case .json:
                StandardOutput.print(
                    JSON.array(rows.map { Self.json($0, settings) }).indentedText)
            case .yaml:
                for row in rows { StandardOutput.print(Self.yaml(row, settings)) }
            }
        }

        private static let table = Table(
            columns: [
                Table.Column("SETTING", "name"), Table.Column("VALUE", "value"),
                Table.Column("SOURCE", "source"), Table.Column("PLACE", "place"),
            ], none: "no setting differs from its default")

        private static func json(_ row: SettingRow, _ settings: ServeSettings) -> JSON {
            let given = settings.given[row.name]
            return [
                "name": .string(row.name), "value": .text(settings.text(row)),
                "source": .string(given?.source.rawValue ?? "default"),
                "place": .text(given?.place),
            ]
        }

        private static func yaml(_ row: SettingRow, _ settings: ServeSettings) -> String {
            let value = settings.text(row).map(YAMLText.scalar) ?? "null"
            let given = settings.given[row.name]
            return "\(row.name): \(value)  # \(given?.place ?? "default")"
        }
    }

    /// The settings that hold, or an end with all that is wrong with them.
    private static func read(
        _ options: CatalogueOptions<AllSettings>, _ config: String?
    ) throws -> ServeSettings {
        CommandEnvironment.warnOfUnknown()
        do {
            return try ServeSettings(
                flags: options.given, environment: EnvironmentVariables.all, file: config)
        } catch {
            for line in error.description.split(separator: "\n") {
                StandardError.print(String(line))
            }
            throw ExitStatus.usage.code
        }
    }
}
