import Limits
import LimitsFile
import Testing

@Suite("A good limits file")
struct LimitsFileTests {
    private func parse(_ text: String) throws -> LimitsFile {
        try LimitsFile.parse(text, file: "limits.yaml")
    }

    @Test func everyFieldArrivesInItsUnit() throws {
        let file = try parse(
            """
            version: 1
            tenants:
              - id: acme
                name: Acme Telecom
                monthly_spend_limit: "500.004"
                max_extensions: 50
                max_dids: 10
                max_monthly_minutes: 5000
                alert_threshold: 75
                auto_suspend: true
                on_limit: block
                billing_cycle_day: 31
                time_zone: Europe/Paris
                disclose_limits: true
                messaging_profiles:
                  - id: p1
                    name: First
                    daily_spend_limit: "0.01"
                    daily_spend_limit_enabled: true
            """)
        let limits = TenantLimits(
            monthlySpendNanos: 500_004_000_000, maxExtensions: 50, maxDIDs: 10,
            monthlyCallSeconds: 300_000, alertThresholdPercent: 75, autoSuspend: true)
        #expect(
            file.tenants == [
                TenantSettings(
                    id: "acme", name: "Acme Telecom", limits: limits, onLimit: .block,
                    billingCycleDay: 31, timeZone: "Europe/Paris", disclosesLimits: true)
            ])
        #expect(
            file.profiles == [
                ProfileSettings(
                    id: "p1", tenantID: "acme", name: "First", dailySpendLimitEnabled: true,
                    dailySpendLimitNanos: 10_000_000)
            ])
    }

    @Test func whatIsAbsentIsUnlimited() throws {
        let file = try parse("tenants: [{id: a, messaging_profiles: [{id: p}]}]")
        #expect(file.defaults == TenantLimits())
        #expect(file.tenants == [TenantSettings(id: "a")])
        #expect(file.profiles == [ProfileSettings(id: "p", tenantID: "a", name: "p")])
    }

    @Test func defaultsPreFillAndNullLiftsThem() throws {
        let file = try parse(
            """
            defaults:
              monthly_spend_limit: "100"
              max_dids: 3
              auto_suspend: true
            tenants:
              - id: plain
              - id: lifted
                max_dids: null
                auto_suspend: false
            """)
        #expect(file.defaults.monthlySpendNanos == 100_000_000_000)
        #expect(file.tenants[0].limits == file.defaults)
        #expect(file.tenants[1].limits.monthlySpendNanos == 100_000_000_000)
        #expect(file.tenants[1].limits.maxDIDs == nil)
        #expect(file.tenants[1].limits.autoSuspend == false)
    }

    @Test func presetsReplaceTheDefaultsAndSingleFieldsOverrideThem() throws {
        let file = try parse(
            """
            defaults: {preset: new-tenant, max_dids: 11}
            tenants:
              - {id: a}
              - {id: b, preset: unlimited}
              - {id: c, preset: new-tenant, max_extensions: 7}
            """)
        var defaults = TenantLimits.newTenant
        defaults.maxDIDs = 11
        #expect(file.defaults == defaults)
        #expect(file.tenants[0].limits == defaults)
        #expect(file.tenants[1].limits == TenantLimits())
        var single = TenantLimits.newTenant
        single.maxExtensions = 7
        #expect(file.tenants[2].limits == single)
    }

    @Test(arguments: ["0.10", "\"0.10\"", "'0.1'", "0.100000000"])
    func moneyIsExactQuotedOrNot(_ text: String) throws {
        let file = try parse("tenants: [{id: a, monthly_spend_limit: \(text)}]")
        #expect(file.tenants[0].limits.monthlySpendNanos == 100_000_000)
    }

    @Test func largestValuesFit() throws {
        let file = try parse(
            """
            tenants:
              - id: a
                monthly_spend_limit: "9223372036.854775807"
                max_extensions: 9223372036854775807
                max_monthly_minutes: 153722867280912930
            """)
        #expect(file.tenants[0].limits.monthlySpendNanos == Int64.max)
        #expect(file.tenants[0].limits.maxExtensions == Int64.max)
        #expect(file.tenants[0].limits.monthlyCallSeconds == 9_223_372_036_854_775_800)
    }

    @Test func identifiersStayTexts() throws {
        let file = try parse("tenants: [{id: 007}, {id: 1.50}, {id: \"null\"}, {id: 'ä€'}]")
        #expect(file.tenants.map(\.id) == ["007", "1.50", "null", "ä€"])
    }

    /// The mark that editors of another system put in front of a text.
    @Test func aByteOrderMarkIsNoPartOfIt() throws {
        let file = try parse("\u{feff}version: 1\ntenants:\n  - id: a\n")
        #expect(file.tenants.map(\.id) == ["a"])
        #expect(try parse("\u{feff}# nothing but\ntenants: [{id: a}]").tenants.count == 1)
    }

    @Test func placesAreKnown() throws {
        let text = """
            tenants:
              - id: a
                messaging_profiles:
                  - id: a
              - name: B
                id: e\u{301}
              - id: \u{e9}
            """
        let places = try LimitsFile.parse(text, file: "etc/limits.yaml").places
        #expect(places.place(of: .tenant(id: "a")) == "etc/limits.yaml:2")
        #expect(
            places.place(of: .profile(id: "a", kind: .messaging, tenantID: "a"))
                == "etc/limits.yaml:4")
        #expect(places.place(of: .tenant(id: "e\u{301}")) == "etc/limits.yaml:6")
        #expect(places.place(of: .tenant(id: "\u{e9}")) == "etc/limits.yaml:7")
        #expect(places.place(of: .defaults) == "etc/limits.yaml")
    }

    /// An alias stands for what its anchor holds, and an honest file says more with a few.
    @Test func aliasesMayRepeatWhatIsShort() throws {
        let file = try parse(
            """
            tenants:
              - {id: a, messaging_profiles: [{id: p, daily_spend_limit: &cap "12.50"}]}
              - {id: b, monthly_spend_limit: *cap, name: &name B}
              - {id: c, monthly_spend_limit: *cap, name: *name}
            """)
        #expect(
            file.tenants.map(\.limits.monthlySpendNanos) == [nil, 12_500_000_000, 12_500_000_000])
        #expect(file.tenants.map(\.name) == ["", "B", "B"])
    }

    @Test func hashFollowsTheBytes() throws {
        let text = "tenants: [{id: a}]"
        #expect(try parse(text).contentHash == parse(text).contentHash)
        #expect(try parse(text).contentHash != parse(text + "\n").contentHash)
        // A published FNV-1a test vector.
        #expect(LimitsFile.hash(of: "foobar".utf8) == "85944171f73967e8")
    }
}

@Suite("A bad limits file names the place and the fault")
struct LimitsFileErrorTests {
    /// One mistake each: the text, where the error must stand, and a piece of its sentence.
    struct Mistake: Sendable, CustomTestStringConvertible {
        let text: String
        let line: Int
        let column: Int
        let sentence: String
        var testDescription: String { sentence }

        init(_ text: String, _ line: Int, _ column: Int, _ sentence: String) {
            self.text = text
            self.line = line
            self.column = column
            self.sentence = sentence
        }
    }

    private static func tenant(_ line: String) -> String {
        "tenants:\n  - id: a\n    \(line)\n"
    }
    private static func profile(_ line: String) -> String {
        "tenants:\n  - id: a\n    messaging_profiles:\n      - id: p\n        \(line)\n"
    }

    static let mistakes: [Mistake] = [
        Mistake("", 1, 1, "The file is empty"),
        Mistake("# nothing\n", 1, 1, "The file is empty"),
        Mistake("- a\n- b", 1, 1, "The file must be a mapping"),
        Mistake("version: 2", 1, 10, "\"version\" must be 1"),
        Mistake("tenants: []\nlimits: []", 2, 1, "The file has no key \"limits\""),
        Mistake("defaults:\n  max_did: 1", 2, 3, "\"defaults\" has no key \"max_did\""),
        Mistake("defaults: [1]", 1, 11, "\"defaults\" must be a mapping"),
        Mistake("tenants: {a: 1}", 1, 10, "\"tenants\" must be a list"),
        Mistake("tenants:\n  - acme", 2, 5, "A tenant must be a mapping"),
        Mistake("tenants:\n  - name: x", 2, 5, "A tenant needs an \"id\""),
        Mistake("tenants:\n  - id: \"\"", 2, 9, "\"id\" must be 1 to 64 bytes"),
        Mistake("tenants:\n  - id: null", 2, 9, "\"id\" must be a string of 1 to 64 bytes"),
        Mistake("tenants:\n  - id: \"a\\x00b\"", 2, 9, "must not contain control characters"),
        Mistake("tenants:\n  - id: \"a\\u0085b\"", 2, 9, "must not contain control characters"),
        Mistake("tenants:\n  - id: .", 2, 9, "must not be \".\" or \"..\""),
        Mistake("tenants:\n  - id: ..", 2, 9, "must not be \".\" or \"..\""),
        Mistake("tenants:\n  - id: \" a\"", 2, 9, "must not begin or end with a space"),
        Mistake("tenants:\n  - id: \"a\\u202eb\"", 2, 9, "change the text direction"),
        Mistake(profile("name: x") + "      - id: \"p \"", 6, 13, "must not begin or end"),
        Mistake(
            "tenants:\n  - id: \(String(repeating: "x", count: 65))", 2, 9, "1 to 64 bytes"),
        Mistake(
            "tenants:\n  - id: \(String(repeating: "€", count: 22))", 2, 9, "1 to 64 bytes"),
        Mistake("tenants:\n  - id: a\n  - id: a", 3, 9, "\"a\" is already defined on line 2"),
        Mistake(tenant("nam: x"), 3, 5, "A tenant has no key \"nam\""),
        Mistake(tenant("name: [x]"), 3, 11, "\"name\" must be a string"),
        Mistake(tenant("name: \"a\\x07\""), 3, 11, "256 bytes without control characters"),
        Mistake(
            tenant("name: \(String(repeating: "x", count: 257))"), 3, 11, "at most 256 bytes"),
        Mistake(tenant("preset: trusted"), 3, 13, "\"preset\" must be new-tenant or unlimited"),
        Mistake(tenant("monthly_spend_limit: \"5,00\""), 3, 26, "must be digits"),
        Mistake(tenant("monthly_spend_limit: 1e3"), 3, 26, "must be digits"),
        Mistake(tenant("monthly_spend_limit: \"\""), 3, 26, "The amount is empty"),
        Mistake(tenant("monthly_spend_limit: \"-1\""), 3, 26, "must not be negative"),
        Mistake(tenant("monthly_spend_limit: \"007\""), 3, 26, "leading zeros"),
        Mistake(tenant("monthly_spend_limit: 0.0000000001"), 3, 26, "at most 9 decimal places"),
        Mistake(tenant("monthly_spend_limit: 9223372036.854775808"), 3, 26, "too large"),
        Mistake(tenant("monthly_spend_limit: [1]"), 3, 26, "must be an amount in USD"),
        Mistake(tenant("max_extensions: -1"), 3, 21, "\"max_extensions\" must be a whole number"),
        Mistake(tenant("max_extensions: 1.5"), 3, 21, "must be a whole number of at least 0"),
        Mistake(tenant("max_extensions: 5_000"), 3, 21, "in digits only"),
        Mistake(tenant("max_dids: 9223372036854775808"), 3, 15, "\"max_dids\" must be a whole"),
        Mistake(tenant("max_dids: many"), 3, 15, "\"max_dids\" must be a whole"),
        Mistake(
            tenant("max_monthly_minutes: 153722867280912931"), 3, 26,
            "from 0 to 153722867280912930"),
        Mistake(tenant("alert_threshold: 0"), 3, 22, "a whole number from 1 to 100"),
        Mistake(tenant("alert_threshold: 101"), 3, 22, "a whole number from 1 to 100"),
        Mistake(tenant("alert_threshold: null"), 3, 22, "a whole number from 1 to 100"),
        Mistake(tenant("alert_thresholds: 80"), 3, 23, "must be a list of 1 to 4 rising"),
        Mistake(tenant("alert_thresholds: []"), 3, 23, "must have 1 to 4 numbers"),
        Mistake(tenant("alert_thresholds: [1, 2, 3, 4, 5]"), 3, 23, "must have 1 to 4 numbers"),
        Mistake(tenant("alert_thresholds: [80, 50]"), 3, 23, "must rise: 50 follows 80"),
        Mistake(tenant("alert_thresholds: [80, 80]"), 3, 23, "must not repeat a number: 80"),
        Mistake(tenant("alert_thresholds: [80, 101]"), 3, 23, "from 1 to 100: 101 is not"),
        Mistake(tenant("alert_thresholds: [80, x]"), 3, 28, "must be a whole number"),
        Mistake(
            tenant("alert_threshold: 70\n    alert_thresholds: [80]"), 3, 22,
            "must be the first of alert_thresholds"),
        Mistake(tenant("auto_suspend: maybe"), 3, 19, "\"auto_suspend\" must be true or false"),
        Mistake(tenant("on_limit: warn"), 3, 15, "must be auto, block or alert"),
        Mistake(tenant("billing_cycle_day: 0"), 3, 24, "a whole number from 1 to 31"),
        Mistake(tenant("billing_cycle_day: 32"), 3, 24, "a whole number from 1 to 31"),
        Mistake(
            tenant("time_zone: Mars/Olympus"), 3, 16, "\"Mars/Olympus\" is not an IANA time zone"),
        Mistake(tenant("time_zone: europe-paris"), 3, 16, "is not an IANA time zone"),
        Mistake(tenant("time_zone: \"\""), 3, 16, "is not an IANA time zone"),
        Mistake(tenant("time_zone: [UTC]"), 3, 16, "\"time_zone\" must be a string"),
        Mistake(tenant("disclose_limits: 1"), 3, 22, "must be true or false"),
        Mistake(tenant("messaging_profiles: x"), 3, 25, "\"messaging_profiles\" must be a list"),
        Mistake(tenant("messaging_profiles: [x]"), 3, 26, "A messaging profile must be"),
        Mistake(tenant("messaging_profiles: [{name: x}]"), 3, 26, "profile needs an \"id\""),
        Mistake(profile("daily_limit: 1"), 5, 9, "profile has no key \"daily_limit\""),
        Mistake(profile("daily_spend_limit: .5"), 5, 28, "must be digits"),
        Mistake(profile("daily_spend_limit_enabled: 2"), 5, 36, "must be true or false"),
        Mistake(profile("daily_spend_limit_enabled: true"), 5, 36, "no \"daily_spend_limit\""),
        Mistake(
            profile("{}").replacing(
                "{}", with: "daily_spend_limit_enabled: true\n        daily_spend_limit: null"),
            5, 36, "no \"daily_spend_limit\""),
        Mistake(
            "tenants:\n  - id: a\n    messaging_profiles: [{id: p}]\n  - id: b\n"
                + "    messaging_profiles: [{id: p}]", 5, 31, "\"p\" is already defined on line 3"),
        Mistake(tenant("id: b"), 2, 5, "Duplicate key \"id\""),
        Mistake("tenants:\n  - id: a\n   name: b", 3, 4, "Invalid YAML"),
        Mistake("tenants: [\n", 2, 1, "Invalid YAML"),
        Mistake("tenants: []\n---\ntenants: []", 2, 1, "Invalid YAML"),
    ]

    @Test(arguments: mistakes)
    func oneMistake(_ mistake: Mistake) throws {
        let error = try #require(throws: LimitsFileError.self) {
            _ = try LimitsFile.parse(mistake.text, file: "limits.yaml")
        }
        let problem = try #require(error.problems.first)
        #expect(error.problems.count == 1)
        #expect(problem.line == mistake.line)
        #expect(problem.column == mistake.column)
        #expect(problem.sentence.contains(mistake.sentence), "\(problem.sentence)")
    }

    @Test func allMistakesAreReportedAtOnceInFileOrder() throws {
        let error = try #require(throws: LimitsFileError.self) {
            _ = try LimitsFile.parse(
                """
                tenants:
                  - id: a
                    max_dids: x
                    max_extensions: y
                  - name: nameless
                """, file: "etc/limits.yaml")
        }
        #expect(error.problems.map(\.line) == [3, 4, 5])
        let first = error.description.split(separator: "\n").first
        #expect(first?.hasPrefix("etc/limits.yaml:3:15: \"max_dids\" must be") == true)
    }

    /// All are kept, and the text stays one that somebody can be told.
    @Test func ofThousandsOfMistakesTheFirstAreTold() throws {
        let error = try #require(throws: LimitsFileError.self) {
            _ = try LimitsFile.parse(
                "tenants:\n"
                    + (0..<1_234).map { "  - {id: t\($0), max_dids: x}\n" }.joined(),
                file: "limits.yaml")
        }
        #expect(error.problems.count == 1_234)
        let lines = error.description.split(separator: "\n")
        #expect(lines.count == 1_001)
        #expect(lines.dropLast().last?.hasPrefix("limits.yaml:1001:") == true)
        #expect(lines.last == "limits.yaml: and 234 more")
    }

    @Test func aMissingFileIsNamed() throws {
        let error = try #require(throws: LimitsFileError.self) {
            _ = try LimitsFile.load(path: "/nowhere/limits.yaml")
        }
        #expect(error.description.hasPrefix("/nowhere/limits.yaml: The file cannot be read: "))
        #expect(!error.description.contains("NSError") && !error.description.contains("errno"))
    }
}
