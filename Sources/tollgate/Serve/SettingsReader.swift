internal import CommandIO
internal import Configuration
internal import LimitsFile
internal import Yams

/// What is wrong with a setting, as a sentence that names the setting and where it was set.
struct SettingsError: Error, Equatable, CustomStringConvertible {
    var description: String
}

/// Reads settings from flags, environment and file, the first of them that has the setting.
struct SettingsReader {
    private let sources: [(name: @Sendable (SettingRow) -> String, provider: any ConfigProvider)]
    private let reader: ConfigReader

    /// - Parameters:
    ///   - flags: What the command line says; only what it names, by the settings' names.
    ///   - environment: The process's environment; only names that begin with `TOLLGATE_` count.
    ///   - file: Path of a YAML file with flat keys; nil: none.
    init(
        flags: [String: String], environment: [String: String], file: String?
    ) throws(SettingsError) {
        var sources: [(name: @Sendable (SettingRow) -> String, provider: any ConfigProvider)] = [
            (
                { $0.flag },
                Self.provider("flags", flags)
            ),
            (
                { $0.variable },
                EnvironmentVariablesProvider(environmentVariables: environment)
                    .prefixKeys(with: "tollgate")
            ),
        ]
        if let file {
            let values = try Self.values(file: file)
            sources.append(({ "\($0.name) in \(file)" }, Self.provider(file, values)))
        }
        self.sources = sources
        reader = ConfigReader(providers: sources.map(\.provider))
    }

    private static func provider(
        _ name: String, _ values: [String: String]
    ) -> any ConfigProvider {
        let values = values.map { key, value in
            (AbsoluteConfigKey([key]), ConfigValue(.string(value), isSecret: false))
        }
        return InMemoryProvider(name: name, values: Dictionary(uniqueKeysWithValues: values))
    }

    /// The value of a setting; nil: nobody set it.
    func value(_ row: SettingRow) throws(SettingsError) -> (any Sendable)? {
        guard let text = reader.string(forKey: ConfigKey([row.name])) else { return nil }
        if let value = row.value(text) { return value }
        throw SettingsError(
            description: "\(source(of: row)) must be \(row.expected), not \"\(text)\"")
    }

    /// Who said it: for errors only.
    private func source(of row: SettingRow) -> String {
        let absolute = AbsoluteConfigKey([row.name])
        let source = sources.first { source in
            (try? source.provider.value(forKey: absolute, type: .string).value) != nil
        }
        return source?.name(row) ?? row.name
    }
}

// MARK: - The file

extension SettingsReader {
    /// The longest file that is read, in bytes.
    private static let longestFile = 1 << 20

    /// What a file of flat keys sets. A misspelt key must not silently leave a default in force.
    private static func values(file: String) throws(SettingsError) -> [String: String] {
        var values: [String: String] = [:]
        guard let root = try root(file: file) else { return values }
        guard let settings = root.mapping else {
            throw SettingsError(description: "\(file):1:1: each line must be \"setting: value\"")
        }
        for (key, value) in settings {
            let place = "\(file):\(key.mark.map(\.description) ?? "")"
            guard let name = key.string, SettingsCatalogue.names.contains(name) else {
                let names = SettingsCatalogue.rows.map(\.name).joined(separator: ", ")
                throw SettingsError(
                    description:
                        "\(place): \"\(key.string ?? "")\" is not a setting; valid settings: \(names)"
                )
            }
            guard let scalar = value.scalar else {
                throw SettingsError(description: "\(place): \"\(name)\" must be a single value")
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
