import ArgumentParser
import Foundation
import Testing

@testable import tollgate

/// Every setting of the catalogue, on every way in and out.
@Suite struct SettingsCatalogueTests {
    /// The value of a setting as each source says it.
    private func values(_ row: SettingRow, _ text: String) throws -> [String] {
        let flags = [row.name: text]
        let url = FileManager.default.temporaryDirectory
            .appendingPathComponent("tollgate-setting-\(UUID().uuidString).yaml")
        let quoted = text.replacing("\u{1}", with: "\\x01")
        try "\(row.name): \"\(quoted)\"\n".write(to: url, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(at: url) }
        return try [
            ("\(row.flag) must", SettingsSources(flags: flags, environment: [:])),
            (
                "\(row.variable) must",
                SettingsSources(flags: [:], environment: [row.variable: text])
            ),
            (
                "\(row.name) in \(url.path) must",
                SettingsSources(flags: [:], environment: [:], file: url.path)
            ),
        ].map { source, sources in
            do {
                let given = try #require(SettingsReader(sources).given(row))
                return "\(try SettingsReader.value(row, given))"
            } catch let error as SettingsError {
                // A URL may have a secret in it.
                let found = row.kind == .url ? "" : ", not \"\(text)\""
                #expect(error.description == "\(source) be \(row.expected)\(found)")
                return "refused"
            }
        }
    }

    private func row(_ name: String) throws -> SettingRow {
        try #require(SettingsCatalogue.rows.first { $0.name == name })
    }

    /// Texts that a setting takes.
    private func good(_ row: SettingRow) -> [String] {
        switch row.kind {
        case .address: ["127.0.0.1:7", "[::1]:0", "example.com:65535"]
        case .count, .duration, .size, .share:
            [row.bounds?.least ?? "", row.bounds?.greatest ?? ""]
        case .durations: [row.bounds?.least ?? "", "1d, \(row.bounds?.greatest ?? "")"]
        case .instant: ["2026-11-29T12:00:00Z"]
        case .networks: ["10.1.0.0/16", "10.1.0.0/16, ::1/128"]
        case .choice, .truth: row.choices.map(\.name)
        case .toggle: ["true"]
        case .url:
            ["https://limits.example.com", "http://127.0.0.1:4318", "http://[::1]:8080/tollgate/"]
        case .text: ["x", "a b/c.yaml"]
        }
    }

    /// Texts that it refuses: of what is bounded, the next below and above.
    private func bad(_ row: SettingRow) throws -> [String] {
        let nonsense = "\u{1}no value"
        guard row.kind != .text && !row.isSwitch else { return [] }
        guard let bounds = row.bounds else { return [nonsense, row.kind == .networks ? "x" : ""] }
        switch row.kind {
        case .count:
            let (least, greatest) = (
                try #require(Int(bounds.least)), try #require(Int(bounds.greatest))
            )
            return [nonsense, "", "\(least - 1)", "\(greatest + 1)", "1.5"]
        case .share: return [nonsense, "", "-0.1", "1.1", "1e-2", "half"]
        case .size:
            let (least, greatest) = (
                try #require(SizeText.bytes(bounds.least)),
                try #require(SizeText.bytes(bounds.greatest))
            )
            return [nonsense, "", "\(least - 1)", "\(greatest + 1)", "64 MB"]
        default:
            let (least, greatest) = (
                try #require(DurationText.milliseconds(bounds.least)),
                try #require(DurationText.milliseconds(bounds.greatest))
            )
            let below = least == 0 ? "-1s" : "\(least - 1)ms"
            return [nonsense, "", below, "\(greatest + 1)ms", "10"]
        }
    }

    @Test(arguments: SettingsCatalogue.rows.map(\.name))
    func eachIsReadFromEverySource(_ name: String) throws {
        let row = try row(name)
        for text in good(row) {
            let values = try values(row, text)
            #expect(Set(values).count == 1 && values[0] != "refused", "\(name) \(text)")
        }
        for text in try bad(row) {
            #expect(try values(row, text) == ["refused", "refused", "refused"], "\(name) \(text)")
        }
    }

    /// One command line with all of them: parsing takes long in a debug build.
    @Test func eachHasItsFlag() throws {
        let texts = SettingsCatalogue.rows.map { ($0, $0.isSwitch ? "true" : "of \($0.name)") }
        let arguments = texts.flatMap { row, text in row.isSwitch ? [row.flag] : [row.flag, text] }
        let named = try ServeCommand.parse(arguments).named
        #expect(named == Dictionary(uniqueKeysWithValues: texts.map { ($0.name, $1) }))
    }

    @Test(arguments: SettingsCatalogue.rows.map(\.name))
    func eachIsDescribed(_ name: String) throws {
        let row = try row(name)
        #expect(name.wholeMatch(of: /[a-z][a-z0-9]*(-[a-z0-9]+)*/) != nil)
        let isSentence = row.help.count > 10 && row.help.hasSuffix(".")
        #expect(isSentence && !row.help.contains(".."), "\(row.help)")
        #expect(CommandEnvironment.unknown(in: [row.variable: ""]).isEmpty)
        // A default is a value that can be said, and holds where nobody says another.
        if let standard = row.standard {
            let value = try #require(row.value(standard))
            #expect(!row.isSwitch || "\(value)" == "false")
        }
    }

    @Test func namesAreUniqueAndUnknownOnesRefused() throws {
        let names = SettingsCatalogue.rows.map(\.name)
        #expect(names.count == Set(names).count && names.count > 75)
        #expect(throws: (any Error).self) { try ServeCommand.parse(["--thread", "1"]) }
        #expect(throws: (any Error).self) { try ServeCommand.parse(["--threads"]) }
        #expect(throws: (any Error).self) { try ServeCommand.parse(["--insecure-no-auth=true"]) }
        #expect(try ServeCommand.parse([]).named.isEmpty)
        let options = try ServeCommand.parse(["--config", "x.yaml", "--threads", "3"])
        #expect(options.config == "x.yaml" && options.named == ["threads": "3"])
    }

    /// A property and its row stand for the same setting.
    @Test func valuesAreFoundByTheirProperty() throws {
        let settings = try ServeSettings(
            flags: ["threads": "3", "http-max-connections-per-address": "5", "reflection": "off"],
            environment: [:], file: nil)
        #expect(settings.threads == 3 && settings.httpMaxConnectionsPerAddress == 5)
        #expect(!settings.reflection && settings.callerRate == nil)
        #expect(settings.journalSegmentBytes == 64 << 20 && settings.trustedProxy.isEmpty)
        #expect(settings.tlsExpiryWarningsMilliseconds == [30, 7, 1].map { $0 * 86_400_000 })
    }

    @Test func helpSaysRangeDefaultAndMore() {
        let counted = Setting(
            "x", .count(1...62), default: "5",
            SettingText("Loops", "; see below", reload: .onSignal, page: "cli.md#shares"))
        #expect(
            counted.row.help
                == "Loops, 1 to 62 (default 5); see below. Reloaded on SIGHUP. See docs/cli.md.")
        let shown = Setting(
            "x", .size(1024...2048), default: "1KiB", shown: "what fits", SettingText("Size"))
        #expect(shown.row.help == "Size, 1KiB to 2KiB (default: what fits).")
        let chosen = Setting<ServeSettings.Durability?>(
            "x", .choice(), without: "none", SettingText("Mode"))
        #expect(chosen.row.help == "Mode: sync, interval or memory (default: none).")
        let told = Setting(
            "x",
            SettingType<ServeSettings.Durability>.choice(
                "mode", [.sync: "slow", .interval: "fast", .memory: "lost"]), default: "interval",
            SettingText("Mode", ". Mind"))
        #expect(told.row.help == "Mode: sync, slow; interval, fast (default); memory, lost. Mind.")
        let toggled = Setting("x", .toggle, default: "false", SettingText("Open"))
        #expect(toggled.row.help == "Open.")
    }

    @Test func thePageNamesEachSettingOnce() {
        for row in SettingsCatalogue.rows {
            let cells = "| `\(row.flag)` | `\(row.variable)` | `\(row.name)` | "
            #expect(SettingsReference.page.components(separatedBy: cells).count == 2)
        }
    }
}
