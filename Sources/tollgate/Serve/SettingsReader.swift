internal import CommandIO
internal import Configuration
internal import LimitsFile
internal import LogLines
internal import Yams

/// What is wrong with a setting, as a sentence that names the setting and where it was set.
struct SettingsError: Error, Equatable, CustomStringConvertible {
    var description: String

    /// Throws all that is wrong, a line each, if anything is.
    static func check(_ mistakes: [SettingsError]) throws(SettingsError) {
        guard !mistakes.isEmpty else { return }
        throw SettingsError(description: mistakes.map(\.description).joined(separator: "\n"))
    }
}

/// What somebody set, and where.
struct GivenSetting: Sendable, Equatable {
    enum Source: String, Sendable { case flag, environment, file }

    var text: String
    var source: Source
    /// The flag, the variable, or the file.
    var place: String
}

/// Where settings come from, before they are read.
struct SettingsSources: Sendable {
    /// What the command line says; only what it names, by the settings' names.
    var flags: [String: String]
    /// The process's environment; an empty variable is not set.
    var environment: [String: String]
    /// The configuration file; nil: there is none.
    var file: String?
}

extension SettingsSources {
    /// - Parameters:
    ///   - environment: the process's environment.
    ///   - config: `--config`; nil: `TOLLGATE_CONFIG`, if that is set.
    init(flags: [String: String], environment: [String: String], config: String?) {
        self.flags = flags
        self.environment = EnvironmentVariables.set(in: environment)
        file = config ?? self.environment["TOLLGATE_CONFIG"]
    }
}

/// Reads settings from flags, environment and file, the first of them that has the setting.
struct SettingsReader {
    private let providers: [(source: GivenSetting.Source, provider: any ConfigProvider)]
    private let file: String?
    /// What is wrong with the file; what is right in it is read all the same.
    let mistakes: [SettingsError]

    init(_ sources: SettingsSources) {
        var providers: [(source: GivenSetting.Source, provider: any ConfigProvider)] = [
            (.flag, Self.provider("flags", sources.flags)),
            (
                .environment,
                EnvironmentVariablesProvider(environmentVariables: sources.environment)
                    .prefixKeys(with: "tollgate")
            ),
        ]
        var mistakes: [SettingsError] = []
        if let file = sources.file {
            providers.append((.file, Self.provider(file, Self.values(file: file, &mistakes))))
        }
        self.providers = providers
        self.mistakes = mistakes
        file = sources.file
    }

    private static func provider(
        _ name: String, _ values: [String: String]
    ) -> any ConfigProvider {
        let values = values.map { key, value in
            (AbsoluteConfigKey([key]), ConfigValue(.string(value), isSecret: false))
        }
        return InMemoryProvider(name: name, values: Dictionary(uniqueKeysWithValues: values))
    }

    /// What is set, by the first of the sources that has it; nil: nobody set it.
    func given(_ row: SettingRow) -> GivenSetting? {
        let key = AbsoluteConfigKey([row.name])
        for (source, provider) in providers {
            guard
                case .string(let text)? =
                    try? provider.value(forKey: key, type: .string).value?.content
            else { continue }
            let place =
                switch source {
                case .flag: row.flag
                case .environment: row.variable
                case .file: file ?? ""
                }
            return GivenSetting(text: text, source: source, place: place)
        }
        return nil
    }

    /// How the log is to be written: what is wrong with settings is said in that form too.
    var logFormat: LogFormat {
        let row = SettingsCatalogue.logs.logFormat.row
        return given(row).flatMap { row.value($0.text) as? LogFormat } ?? .text
    }

    /// The value of a text.
    static func value(
        _ row: SettingRow, _ given: GivenSetting
    ) throws(SettingsError) -> any Sendable {
        if let value = row.value(given.text) { return value }
        let place = given.source == .file ? "\(row.name) in \(given.place)" : given.place
        let found = row.showsValue ? ", not \"\(given.text)\"" : ""
        throw SettingsError(description: "\(place) must be \(row.expected)\(found)")
    }
}

// MARK: - The file

extension SettingsReader {
    /// The longest file that is read, in bytes.
    private static let longestFile = 1 << 20

    /// What a file of flat keys sets. A misspelt key must not silently leave a default in force.
    private static func values(
        file: String, _ mistakes: inout [SettingsError]
    ) -> [String: String] {
        var values: [String: String] = [:]
        let root: Node?
        do throws(SettingsError) {
            root = try self.root(file: file)
        } catch {
            mistakes.append(error)
            return [:]
        }
        guard let root else { return [:] }
        guard let settings = root.mapping else {
            mistakes.append(
                SettingsError(description: "\(file):1:1: each line must be \"setting: value\""))
            return [:]
        }
        for (key, value) in settings {
            let place = "\(file):\(key.mark.map(\.description) ?? "")"
            guard let name = key.string, SettingsCatalogue.names.contains(name) else {
                let names = SettingsCatalogue.rows.map(\.name).joined(separator: ", ")
                mistakes.append(
                    SettingsError(
                        description: """
                            \(place): "\(key.string ?? "")" is not a setting; valid settings: \(names)
                            """))
                continue
            }
            guard let scalar = value.scalar else {
                mistakes.append(
                    SettingsError(description: "\(place): \"\(name)\" must be a single value"))
                continue
            }
            // `key:` and `key: null` set nothing.
            if scalar.style == .plain, ["", "~", "null"].contains(scalar.string) { continue }
            values[name] = scalar.string
        }
        return values
    }

    private static func root(file: String) throws(SettingsError) -> Node? {
        do {
            guard let bytes = try InputFile.read(file, atMost: longestFile),
                let text = String(validating: bytes, as: UTF8.self)
            else {
                throw SettingsError(
                    description: "\(file) is larger than 1 MiB, or not valid UTF-8")
            }
            return try YAMLDocument.root(of: text, file: file)
        } catch let error as SettingsError {
            throw error
        } catch {
            throw SettingsError(description: "\(error)")
        }
    }
}
