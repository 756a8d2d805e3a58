internal import Notation
internal import Notifications

/// What the text of a setting may be, and the value that it stands for.
struct SettingType<Value: Sendable>: Sendable {
    let kind: SettingKind
    /// In `--name <…>`.
    let valueName: String
    /// After "must be".
    let expected: String
    var bounds: SettingBounds?
    var choices: [SettingChoice] = []
    /// nil: the text is no such value, or out of bounds.
    let parse: @Sendable (String) -> Value?
}

extension SettingType<NetworkAddress> {
    static var address: Self {
        SettingType(
            kind: .address, valueName: "host:port",
            expected: "HOST:PORT, like 127.0.0.1:50051 or [::1]:0"
        ) { NetworkAddress($0) }
    }
}

extension SettingType<String> {
    /// A text that is taken as it stands.
    static func text(_ valueName: String) -> Self {
        SettingType(kind: .text, valueName: valueName, expected: "a string") { $0 }
    }

    static var file: Self { text("file") }
}

extension SettingType<Int> {
    static func count(_ range: ClosedRange<Int>, _ valueName: String = "n") -> Self {
        let bounds = SettingBounds(least: "\(range.lowerBound)", greatest: "\(range.upperBound)")
        return SettingType(
            kind: .count, valueName: valueName, expected: "a whole number from \(bounds.text)",
            bounds: bounds
        ) { text in
            Int(text).flatMap { range.contains($0) ? $0 : nil }
        }
    }

    /// Bytes.
    static func size(_ range: ClosedRange<Int>) -> Self {
        let bounds = SettingBounds(
            least: SizeText.text(range.lowerBound), greatest: SizeText.text(range.upperBound))
        return SettingType(
            kind: .size, valueName: "size",
            expected: "a size from \(bounds.text), like 64MiB or 10GiB", bounds: bounds
        ) { text in
            SizeText.bytes(text).flatMap { range.contains($0) ? $0 : nil }
        }
    }
}

extension SettingType<Double> {
    /// A part of all, 0 to 1.
    static var share: Self {
        SettingType(
            kind: .share, valueName: "share", expected: "a number from 0 to 1, like 0.01",
            bounds: SettingBounds(least: "0", greatest: "1")
        ) { text in
            guard text.utf8.allSatisfy({ $0 == 0x2E || (0x30...0x39).contains($0) }) else {
                return nil
            }
            return Double(text).flatMap { (0...1).contains($0) ? $0 : nil }
        }
    }
}

extension SettingType<CollectorURL> {
    static var collector: Self {
        SettingType(
            kind: .url, valueName: "url",
            expected:
                """
                an http or https URL without user, query and fragment, like \
                http://127.0.0.1:4318
                """
        ) { CollectorURL($0) }
    }
}

extension SettingType<Int64> {
    /// Milliseconds.
    static func duration(_ range: ClosedRange<Int64>) -> Self {
        let bounds = SettingBounds(
            least: DurationText.text(range.lowerBound),
            greatest: DurationText.text(range.upperBound))
        return SettingType(
            kind: .duration, valueName: "duration",
            expected: "a duration from \(bounds.text), like 500ms, 10s, 15m or 24h", bounds: bounds
        ) { text in
            DurationText.milliseconds(text).flatMap { range.contains($0) ? $0 : nil }
        }
    }

    /// Unix milliseconds.
    static var instant: Self {
        SettingType(
            kind: .instant, valueName: "instant",
            expected: "an RFC 3339 time like 2026-11-29T12:00:00Z"
        ) { Instant.parse($0) }
    }
}

extension SettingType<[Int64]> {
    /// Milliseconds each; at least one.
    static func durations(_ range: ClosedRange<Int64>, atMost most: Int) -> Self {
        let bounds = SettingBounds(
            least: DurationText.text(range.lowerBound),
            greatest: DurationText.text(range.upperBound), count: most)
        return SettingType(
            kind: .durations, valueName: "duration,...",
            expected: """
                up to \(most) durations from \(bounds.least) to \(bounds.greatest), separated \
                by commas, like 30d,7d
                """, bounds: bounds
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
}

extension SettingType<[Network]> {
    /// CIDR each; none at the least.
    static func networks(_ valueName: String) -> Self {
        SettingType(
            kind: .networks, valueName: valueName,
            expected: "networks separated by commas, like 10.1.0.0/16,127.0.0.1/32"
        ) { text in
            let networks = text.split(separator: ",").map { part in
                Network(part.filter { !$0.isWhitespace })
            }
            return networks.contains { $0 == nil } ? nil : networks.compactMap(\.self)
        }
    }
}

extension SettingType where Value: RawRepresentable<String> & CaseIterable & Hashable {
    /// One of the names of `Value`.
    ///
    /// - Parameter meanings: What each says, where the names do not.
    static func choice(_ valueName: String = "mode", _ meanings: [Value: String] = [:]) -> Self {
        let names = Value.allCases.map(\.rawValue).joined(separator: ", ")
        return SettingType(
            kind: .choice, valueName: valueName, expected: "one of \(names)",
            choices: Value.allCases.map { value in
                SettingChoice(name: value.rawValue, meaning: meanings[value] ?? "")
            }
        ) { Value(rawValue: $0) }
    }
}

extension SettingType<Bool> {
    /// - Parameter names: What pages and help call yes and no; others are taken too.
    static func truth(_ names: (yes: String, no: String)) -> Self {
        SettingType(
            kind: .truth, valueName: "flag", expected: "true or false",
            choices: [SettingChoice(name: names.yes), SettingChoice(name: names.no)], parse: parse)
    }

    /// Off unless set; the flag has no value.
    static var toggle: Self {
        SettingType(
            kind: .toggle, valueName: "", expected: "true or false", parse: parse)
    }

    private static var parse: @Sendable (String) -> Bool? {
        { text in
            switch text.lowercased() {
            case "true", "yes", "on", "1": true
            case "false", "no", "off", "0": false
            default: nil
            }
        }
    }
}
