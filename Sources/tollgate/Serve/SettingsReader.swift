internal import CommandIO
internal import Configuration
internal import Foundation
internal import LimitsFile
internal import Notifications
internal import Yams

/// What is wrong with a setting, as a sentence that names the setting and where it was set.
struct SettingsError: Error, Equatable, CustomStringConvertible {
    var description: String
}

/// Reads typed settings from flags, environment and file, the first of them that has the setting.
struct SettingsReader {
    private let sources: [(name: @Sendable (ServeKey) -> String, provider: any ConfigProvider)]
    private let reader: ConfigReader

    /// - Parameters:
    ///   - flags: What the command line says; only what it names.
    ///   - environment: The process's environment; only names that begin with `TOLLGATE_` count.
    ///   - file: Path of a YAML file with flat keys; nil: none.
    init(
        flags: [ServeKey: String], environment: [String: String], file: String?
    ) throws(SettingsError) {
        var sources: [(name: @Sendable (ServeKey) -> String, provider: any ConfigProvider)] = [
            (
                { "--\($0.rawValue)" },
                Self.provider("flags", flags)
            ),
            (
                { $0.environmentName },
                EnvironmentVariablesProvider(environmentVariables: environment)
                    .prefixKeys(with: "tollgate")
            ),
        ]
        if let file {
            let values = try Self.values(file: file)
            sources.append(({ "\($0.rawValue) in \(file)" }, Self.provider(file, values)))
        }
        self.sources = sources
        reader = ConfigReader(providers: sources.map(\.provider))
    }

    private static func provider(
        _ name: String, _ values: [ServeKey: String]
    ) -> any ConfigProvider {
        let values = values.map { key, value in
            (AbsoluteConfigKey([key.rawValue]), ConfigValue(.string(value), isSecret: false))
        }
        return InMemoryProvider(name: name, values: Dictionary(uniqueKeysWithValues: values))
    }

    /// The text of a setting; nil: nobody set it.
    func text(_ key: ServeKey) -> String? {
        reader.string(forKey: ConfigKey([key.rawValue]))
    }

    func address(_ key: ServeKey) throws(SettingsError) -> NetworkAddress? {
        try value(key, "HOST:PORT, like 127.0.0.1:50051 or [::1]:0") { NetworkAddress($0) }
    }

    func count(_ key: ServeKey, _ range: ClosedRange<Int>) throws(SettingsError) -> Int? {
        try value(key, "a whole number from \(range.lowerBound) to \(range.upperBound)") { text in
            Int(text).flatMap { range.contains($0) ? $0 : nil }
        }
    }

    /// Milliseconds.
    func duration(_ key: ServeKey, _ range: ClosedRange<Int64>) throws(SettingsError) -> Int64? {
        let bounds =
            "\(DurationText.text(range.lowerBound)) to \(DurationText.text(range.upperBound))"
        return try value(key, "a duration from \(bounds), like 500ms, 10s, 15m or 24h") { text in
            DurationText.milliseconds(text).flatMap { range.contains($0) ? $0 : nil }
        }
    }

    /// Milliseconds each; at least one.
    func durations(
        _ key: ServeKey, _ range: ClosedRange<Int64>, atMost most: Int
    ) throws(SettingsError) -> [Int64]? {
        let bounds =
            "\(DurationText.text(range.lowerBound)) to \(DurationText.text(range.upperBound))"
        return try value(
            key, "up to \(most) durations from \(bounds) with commas between them, like 30d,7d"
        ) { text in
            let durations = text.split(separator: ",").map { part in
                DurationText.milliseconds(String(part.filter { !$0.isWhitespace }))
            }
            guard (1...most).contains(durations.count),
                durations.allSatisfy({ $0.map(range.contains) ?? false })
            else { return nil }
            return durations.compactMap(\.self)
        }
    }

    /// Unix milliseconds.
    func instant(_ key: ServeKey) throws(SettingsError) -> Int64? {
        try value(key, "an instant like 2026-11-29T12:00:00Z") { text in
            guard let date = try? Date(text, strategy: .iso8601) else { return nil }
            return Int64(date.timeIntervalSince1970 * 1_000)
        }
    }

    /// Bytes.
    func size(_ key: ServeKey, _ range: ClosedRange<Int>) throws(SettingsError) -> Int? {
        let bounds = "\(SizeText.text(range.lowerBound)) to \(SizeText.text(range.upperBound))"
        return try value(key, "a size from \(bounds), like 64MiB or 10GiB") { text in
            SizeText.bytes(text).flatMap { range.contains($0) ? $0 : nil }
        }
    }

    func networks(_ key: ServeKey) throws(SettingsError) -> [Network]? {
        try value(key, "networks with commas between them, like 10.1.0.0/16,127.0.0.1/32") { text in
            let networks = text.split(separator: ",").map { part in
                Network(part.filter { !$0.isWhitespace })
            }
            return networks.contains { $0 == nil } ? nil : networks.compactMap(\.self)
        }
    }

    func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ key: ServeKey, _ type: Choice.Type
    ) throws(SettingsError) -> Choice? {
        let names = Choice.allCases.map(\.rawValue).joined(separator: ", ")
        return try value(key, "one of \(names)") { Choice(rawValue: $0) }
    }

    func flag(_ key: ServeKey) throws(SettingsError) -> Bool? {
        try value(key, "true or false") { text in
            switch text.lowercased() {
            case "true", "yes", "on", "1": true
            case "false", "no", "off", "0": false
            default: nil
            }
        }
    }

    private func value<Value>(
        _ key: ServeKey, _ expected: String, _ parse: (String) -> Value?
    ) throws(SettingsError) -> Value? {
        guard let text = text(key) else { return nil }
        if let value = parse(text) { return value }
        throw SettingsError(
            description: "\(source(of: key)) must be \(expected), not \"\(text)\"")
    }

    /// Who said it: for errors only.
    private func source(of key: ServeKey) -> String {
        let absolute = AbsoluteConfigKey([key.rawValue])
        let source = sources.first { source in
            (try? source.provider.value(forKey: absolute, type: .string).value) != nil
        }
        return source?.name(key) ?? key.rawValue
    }
}

// MARK: - The file

extension SettingsReader {
    /// The longest file that is read, in bytes.
    private static let longestFile = 1 << 20

    /// What a file of flat keys sets. A misspelt key must not silently leave a default in force.
    private static func values(file: String) throws(SettingsError) -> [ServeKey: String] {
        var values: [ServeKey: String] = [:]
        guard let root = try root(file: file) else { return values }
        guard let settings = root.mapping else {
            throw SettingsError(description: "\(file):1:1: each line must be \"setting: value\"")
        }
        for (key, value) in settings {
            let place = "\(file):\(key.mark.map(\.description) ?? "")"
            guard let name = key.string, let setting = ServeKey(rawValue: name) else {
                let names = ServeKey.allCases.map(\.rawValue).joined(separator: ", ")
                throw SettingsError(
                    description:
                        "\(place): \"\(key.string ?? "")\" is no setting; there are \(names)")
            }
            guard let scalar = value.scalar else {
                throw SettingsError(description: "\(place): \"\(name)\" must be a single value")
            }
            // `key:` and `key: null` set nothing.
            if scalar.style == .plain, ["", "~", "null"].contains(scalar.string) { continue }
            values[setting] = scalar.string
        }
        return values
    }

    private static func root(file: String) throws(SettingsError) -> Node? {
        do {
            guard let bytes = try InputFile.read(file, atMost: longestFile),
                let text = String(validating: bytes, as: UTF8.self)
            else {
                throw SettingsError(
                    description: "\(file) is longer than 1 MiB, or not valid UTF-8")
            }
            return try YAMLDocument.root(of: text, file: file)
        } catch let error as SettingsError {
            throw error
        } catch {
            throw SettingsError(description: "\(error)")
        }
    }
}
