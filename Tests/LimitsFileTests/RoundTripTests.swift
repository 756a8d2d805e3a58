import Limits
import LimitsFile
import Testing

/// SplitMix64: the same seed, the same settings.
private struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = state
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }

    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }

    mutating func one<Value>(of values: [Value]) -> Value {
        values[Int.random(in: 0..<values.count, using: &self)]
    }

    /// Texts that a writer of YAML is most likely to get wrong.
    mutating func text(atMost bytes: Int) -> String {
        let whole = [
            "", "null", "~", "Null", "true", "Yes", "off", "n", "1", "007", "1.50", "0x1f", "1e3",
            "-", "- a", "a: b", "a #b", "#", "\"", "'", "'a", "{a}", "[a]", "&a", "*a", "!a", "|",
            ">", "%", "@", "`", "?", "a:", ":", " a", "a ", "\\n", "\u{2028}", "a\u{feff}",
            "\u{200e}a", "\u{e000}", "\u{fffe}", "é",
            "e\u{301}", "日本", "😀", "\u{1f468}\u{200d}\u{1f469}", "---", "...", "<<", "=",
        ]
        var text = one(of: whole)
        while chance(60) { text += one(of: whole + ["acme", " ", "_", "/", "Z9"]) }
        text.unicodeScalars.removeAll { $0.properties.generalCategory == .control }
        while text.utf8.count > bytes { text.unicodeScalars.removeLast() }
        return text
    }

    /// What may be an id, and is new.
    mutating func id(_ used: inout Set<Identifier>) -> String {
        while true {
            let id = text(atMost: 64)
            if Identifier.fault(of: id) == nil, used.insert(Identifier(id)).inserted { return id }
        }
    }

    mutating func cap(atMost most: Int64) -> Int64? {
        chance(30) ? nil : one(of: [0, 1, 50, most, Int64.random(in: 0...most, using: &self)])
    }

    mutating func limits() -> TenantLimits {
        var limits = TenantLimits(
            monthlySpendNanos: cap(atMost: .max), maxExtensions: cap(atMost: .max),
            maxDIDs: cap(atMost: .max),
            monthlyCallSeconds: cap(atMost: .max / 60).map { $0 * 60 },
            autoSuspend: chance(50))
        limits.alertThresholds = Set(
            (0..<one(of: [1, 1, 2, 4])).map { _ in
                UInt8.random(in: 1...100, using: &self)
            }
        ).sorted()
        return limits
    }

    /// A profile has one.
    private mutating func name() -> String {
        var name = ""
        while name.isEmpty { name = text(atMost: 200) }
        return name
    }

    mutating func file() -> LimitsFile {
        var tenantIDs: Set<Identifier> = []
        var profileIDs: Set<Identifier> = []
        var tenants: [TenantSettings] = []
        var profiles: [ProfileSettings] = []
        for _ in 0..<Int.random(in: 0...6, using: &self) {
            let tenant = TenantSettings(
                id: id(&tenantIDs), name: text(atMost: 200), limits: limits(),
                onLimit: one(of: OnLimit.allCases),
                billingCycleDay: UInt8.random(in: 1...31, using: &self),
                timeZone: one(of: ["UTC", "Europe/Paris", "America/Argentina/Buenos_Aires"]),
                disclosesLimits: chance(50))
            tenants.append(tenant)
            // The file has a tenant's profiles kind by kind.
            for kind in ProfileKind.allCases + [.voice] {
                if chance(50) { continue }
                let cap = cap(atMost: .max)
                profiles.append(
                    ProfileSettings(
                        id: id(&profileIDs), kind: kind,
                        tenantID: tenant.id, name: name(),
                        dailySpendLimitEnabled: cap != nil && chance(50),
                        dailySpendLimitNanos: cap))
            }
        }
        return LimitsFile(defaults: limits(), tenants: tenants, profiles: profiles)
    }
}

@Suite("A limits file that was written")
struct RoundTripTests {
    @Test(arguments: 1...300)
    func readsBackAsItWasWritten(_ seed: UInt64) throws {
        var random = Seeded(state: seed)
        let file = random.file()
        let text = file.text
        let again = try LimitsFile.parse(text, file: "export")
        #expect(again.saysTheSame(as: file), "seed \(seed):\n\(text)")
        // What was read is written the same way: an export under version control changes only with the settings.
        #expect(again.text == text, "seed \(seed)")
    }

    /// An export that is applied finds nothing to change.
    @Test(arguments: 1...100)
    func differsInNothing(_ seed: UInt64) throws {
        var random = Seeded(state: seed)
        let service = random.file()
        let file = try LimitsFile.parse(service.text, file: "export")
        #expect(SettingChange(defaults: file.defaults, present: service.defaults) == nil)
        for (wanted, present) in zip(file.tenants, service.tenants) {
            #expect(SettingChange(tenant: wanted, present: present) == nil)
        }
        for (wanted, present) in zip(file.profiles, service.profiles) {
            #expect(SettingChange(profile: wanted, present: present) == nil)
        }
        #expect(file.tenants.count == service.tenants.count)
        #expect(file.profiles.count == service.profiles.count)
    }

    @Test func readsLikeWrittenByHand() {
        let limits = TenantLimits(monthlySpendNanos: 500_000_000_000, maxExtensions: 50)
        let file = LimitsFile(
            defaults: .newTenant,
            tenants: [TenantSettings(id: "acme", name: "Acme Telecom", limits: limits)],
            profiles: [
                ProfileSettings(
                    id: "p1", tenantID: "acme", name: "p1", dailySpendLimitEnabled: true,
                    dailySpendLimitNanos: 10_000_000)
            ])
        #expect(
            file.text == """
                version: 1

                defaults:
                  monthly_spend_limit: "500.00"
                  max_extensions: 50
                  max_dids: 10
                  max_monthly_minutes: 5000
                  daily_spend_limit: null
                  max_concurrent_calls: null
                  max_daily_messages: null
                  alert_threshold: 80
                  auto_suspend: true

                tenants:
                  - id: acme
                    name: "Acme Telecom"
                    monthly_spend_limit: "500.00"
                    max_extensions: 50
                    max_dids: null
                    max_monthly_minutes: null
                    daily_spend_limit: null
                    max_concurrent_calls: null
                    max_daily_messages: null
                    alert_threshold: 80
                    auto_suspend: false
                    messaging_profiles:
                      - id: p1
                        daily_spend_limit: "0.01"
                        daily_spend_limit_enabled: true

                """)
    }

    /// A list is written where its absence would mean another one.
    @Test func furtherThresholdsAreWritten() throws {
        var tenants = [TenantSettings(id: "a"), TenantSettings(id: "b"), TenantSettings(id: "c")]
        tenants[0].limits.alertThresholds = [50, 80, 95]
        tenants[1].limits.alertThresholds = [60, 90]
        let defaults = TenantLimits(caps: [:], alertThresholds: [50, 90])
        let file = LimitsFile(defaults: defaults, tenants: tenants, profiles: [])
        let lists = file.text.split(separator: "\n").filter { $0.contains("alert_thresholds") }
        #expect(
            lists == [
                "  alert_thresholds: [50, 90]", "    alert_thresholds: [50, 80, 95]",
                "    alert_thresholds: [80]",
            ])
        #expect(try LimitsFile.parse(file.text, file: "x").saysTheSame(as: file))
    }

    /// The YAML library drops a byte order mark at the start of a text; `tollgate export` looks for that.
    @Test func aTextThatDoesNotSurviveIsNoticed() throws {
        let tenant = TenantSettings(id: "\u{feff}a")
        let file = LimitsFile(defaults: TenantLimits(), tenants: [tenant], profiles: [])
        #expect(try LimitsFile.parse(file.text, file: "export").saysTheSame(as: file) == false)
    }

    /// Ids are bytes: two spellings of a letter are two tenants, each with its own profiles.
    @Test func twoSpellingsAreTwo() throws {
        let tenants = ["caf\u{e9}", "cafe\u{301}"].map { TenantSettings(id: $0, name: "Caf\u{e9}") }
        let profiles = tenants.map { tenant in
            ProfileSettings(id: "of " + tenant.id, tenantID: tenant.id, name: tenant.id)
        }
        let file = LimitsFile(defaults: TenantLimits(), tenants: tenants, profiles: profiles)
        let again = try LimitsFile.parse(file.text, file: "export")
        #expect(again.saysTheSame(as: file))
        for (profile, tenant) in zip(again.profiles, again.tenants) {
            #expect(profile.tenantID.hasSameBytes(as: tenant.id))
        }
        var other = file
        other.tenants.swapAt(0, 1)
        other.profiles.swapAt(0, 1)
        #expect(!again.saysTheSame(as: other))
        var renamed = tenants[0]
        renamed.name = "Cafe\u{301}"
        #expect(SettingChange(tenant: renamed, present: tenants[0])?.fields.map(\.name) == ["name"])
        let profile = ProfileSettings(id: "p", tenantID: "a", name: "Cafe\u{301}")
        let present = ProfileSettings(id: "p", tenantID: "a", name: "Caf\u{e9}")
        #expect(SettingChange(profile: profile, present: present) != nil)
    }

    @Test func sixFieldsDoNotFollowDefaultsThatAreEditedLater() throws {
        let file = LimitsFile(
            defaults: .newTenant, tenants: [TenantSettings(id: "a", limits: .newTenant)],
            profiles: [])
        let edited = file.text.replacing("max_dids: 10", with: "max_dids: 11", maxReplacements: 1)
        let again = try LimitsFile.parse(edited, file: "export")
        #expect(again.defaults.maxDIDs == 11)
        #expect(again.tenants[0].limits.maxDIDs == 10)
    }
}

@Suite("What a limits file would change")
struct SettingChangeTests {
    @Test func nothingWhereBothSayTheSame() {
        var present = TenantSettings(id: "a", limits: .newTenant)
        present.revision = Revision(number: 7, createdAt: 1, updatedAt: 2)
        #expect(
            SettingChange(tenant: TenantSettings(id: "a", limits: .newTenant), present: present)
                == nil)
    }

    @Test func onlyTheFieldsThatDiffer() throws {
        let present = TenantSettings(id: "a", name: "Old", limits: .newTenant)
        var wanted = present
        wanted.name = "New"
        wanted.limits.maxDIDs = nil
        wanted.limits.monthlySpendNanos = 750_500_000_000
        wanted.onLimit = .block
        let change = try #require(SettingChange(tenant: wanted, present: present))
        #expect(change.kind == .update)
        #expect(
            change.description == """
                ~ tenant a
                    name                 Old → New
                    monthly_spend_limit  500.00 → 750.50
                    max_dids             10 → no limit
                    on_limit             auto → block
                """)
    }

    @Test func everyFieldOfATenantIsCompared() throws {
        let present = TenantSettings(id: "a")
        let others: [(String, (inout TenantSettings) -> Void)] = [
            ("name", { $0.name = "x" }),
            ("monthly_spend_limit", { $0.limits.monthlySpendNanos = 0 }),
            ("max_extensions", { $0.limits.maxExtensions = 0 }),
            ("max_dids", { $0.limits.maxDIDs = 0 }),
            ("max_monthly_minutes", { $0.limits.monthlyCallSeconds = 0 }),
            ("daily_spend_limit", { $0.limits[.tenantDailySpend] = 0 }),
            ("max_concurrent_calls", { $0.limits[.tenantConcurrentCalls] = 0 }),
            ("max_daily_messages", { $0.limits[.tenantDailyMessages] = 0 }),
            ("alert_threshold", { $0.limits.alertThresholds = [1] }),
            ("alert_thresholds", { $0.limits.alertThresholds = [80, 90] }),
            ("auto_suspend", { $0.limits.autoSuspend = true }),
            ("on_limit", { $0.onLimit = .alert }),
            ("billing_cycle_day", { $0.billingCycleDay = 31 }),
            ("time_zone", { $0.timeZone = "Europe/Paris" }),
            ("disclose_limits", { $0.disclosesLimits = true }),
        ]
        for (name, change) in others {
            var wanted = present
            change(&wanted)
            let found = try #require(SettingChange(tenant: wanted, present: present))
            #expect(found.fields.map(\.name) == [name])
        }
        #expect(others.count == present.fields.count)
    }

    /// A list of one threshold says nothing that the first does not say.
    @Test func thresholdsAreComparedAsAList() throws {
        func change(_ before: [UInt8]?, _ after: [UInt8]) -> String? {
            SettingChange(
                defaults: TenantLimits(caps: [:], alertThresholds: after),
                present: TenantLimits(caps: [:], alertThresholds: before ?? [80])
            )?.description
        }
        #expect(change([80], [50]) == "~ tenant defaults\n    alert_threshold  80 → 50")
        #expect(
            change([80], [80, 95])
                == "~ tenant defaults\n    alert_thresholds  80 → 80, 95")
        #expect(
            change([50, 80], [80])
                == """
                ~ tenant defaults
                    alert_threshold   50 → 80
                    alert_thresholds  50, 80 → 80
                """)
    }

    @Test func everyFieldOfAProfileIsCompared() throws {
        let present = ProfileSettings(id: "p", tenantID: "a")
        let others: [(String, (inout ProfileSettings) -> Void)] = [
            ("name", { $0.name = "x" }), ("daily_spend_limit", { $0.dailySpendLimitNanos = 0 }),
            ("daily_spend_limit_enabled", { $0.dailySpendLimitEnabled = true }),
        ]
        for (name, change) in others {
            var wanted = present
            change(&wanted)
            let found = try #require(SettingChange(profile: wanted, present: present))
            #expect(found.fields.map(\.name) == [name])
        }
        #expect(others.count == present.fileFields.count)
    }

    @Test func whatDoesNotExistIsCreatedWithEverything() throws {
        let wanted = ProfileSettings(
            id: "p 1", tenantID: "a", name: "", dailySpendLimitNanos: 10_000_000)
        let change = try #require(SettingChange(profile: wanted, present: nil))
        #expect(change.kind == .create)
        #expect(
            change.description == """
                + messaging profile "p 1" of tenant a
                    name                       ""
                    daily_spend_limit          0.01
                    daily_spend_limit_enabled  off
                """)
        #expect(change.fields.allSatisfy { $0.before == nil })
    }

    @Test func deletionAndDefaults() throws {
        #expect(SettingChange.delete(.tenant(id: "a")).description == "- tenant a")
        var wanted = TenantLimits.newTenant
        wanted.autoSuspend = false
        let change = try #require(SettingChange(defaults: wanted, present: .newTenant))
        #expect(change.description == "~ tenant defaults\n    auto_suspend  on → off")
    }

    @Test func aFileThatIsSilentAboutDefaultsLeavesThem() throws {
        #expect(try LimitsFile.parse("tenants: []", file: "f").hasDefaults == false)
        #expect(try LimitsFile.parse("defaults:\ntenants: []", file: "f").hasDefaults == false)
        #expect(try LimitsFile.parse("defaults: {max_dids: 1}", file: "f").hasDefaults)
    }
}
