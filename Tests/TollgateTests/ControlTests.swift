import ArgumentParser
import JSON
import Limits
import LimitsFile
import Testing

@testable import tollgate

@Suite("Tables and records for people")
struct TableTests {
    private let table = Table(
        columns: [
            .init("ID", "id"), .init("SPEND", "money.spend", isNumber: true), .init("ON", "on"),
        ], none: "Nothing.")

    private func rows(_ text: String) throws -> [JSON] {
        try #require(try JSONParser.parse(text).array)
    }

    @Test func columnsAreAligned() throws {
        let rows = try rows(
            #"[{"id":"a","money":{"spend":"1.00"},"on":true},{"id":"longer","money":{"spend":"100.00"},"on":false},{"id":"b"}]"#
        )
        #expect(
            table.text(rows) == """
                ID       SPEND  ON
                a         1.00  yes
                longer  100.00  no
                b            -  -
                """)
        #expect(table.text([]) == "Nothing.")
    }

    @Test func aNameCannotWriteOnTheTerminal() throws {
        let rows = try rows(#"[{"id":"a\u001b[2J\nb\u202e"}]"#)
        #expect(table.text(rows).split(separator: "\n").count == 2)
        #expect(table.text(rows).contains(#"a\u{1b}[2J\u{a}b\u{202e}"#))
    }

    @Test func aRecordHasALineForEachMember() throws {
        let record = try JSONParser.parse(
            #"{"record_type":"tenant","id":"a","max_dids":null,"tags":["x","y"],"limits":[{"limit":"l","cap":1},{"limit":"m","cap":2}],"by":{"name":"n"}}"#
        )
        #expect(
            RecordText.text(record) == """
                id        a
                max_dids  -
                tags      x, y
                limits
                  - limit  l
                    cap    1
                  - limit  m
                    cap    2
                by
                  name  n
                """)
    }

    @Test func whatIsOverACapIsSaid() throws {
        let meta = try JSONParser.parse(
            #"{"over_by":{"tenant_dids":2,"tenant_monthly_spend":"0.50","tenant_monthly_minutes":90}}"#
        )
        #expect(
            RecordText.overBy(meta) == [
                "  over tenant_dids by 2: its next charge or creation triggers the limit",
                "  over tenant_monthly_spend by 0.50 USD: its next charge or creation triggers the limit",
                "  over tenant_monthly_minutes by 90 s: its next charge or creation triggers the limit",
            ])
        #expect(RecordText.overBy(.object([])).isEmpty)
    }

    @Test func usageCellsSumWhatIsHeld() throws {
        let row = try JSONParser.parse(
            #"{"limits":[{"limit":"tenant_monthly_spend","cap":"500.00","committed":"12.50","held":"0.004"},{"limit":"tenant_monthly_minutes","cap":60000,"cap_minutes":1000,"committed":61,"held":0},{"limit":"tenant_dids","cap":null,"committed":3,"held":1}]}"#
        )
        #expect(LimitCell.text(row, LimitKind.tenantMonthlySpend.row) == .string("12.504 / 500.00"))
        #expect(LimitCell.text(row, LimitKind.tenantMonthlyMinutes.row) == .string("2 / 1000"))
        #expect(LimitCell.text(row, LimitKind.tenantDIDs.row) == .string("4"))
        #expect(LimitCell.text(row, LimitKind.tenantExtensions.row) == nil)
    }
}

@Suite("Failures of the REST API")
struct ControlFailureTests {
    @Test(arguments: [
        (400, 65), (401, 77), (403, 77), (404, 65), (405, 70), (408, 69), (409, 65), (412, 65),
        (413, 65), (415, 65), (422, 65), (429, 69), (500, 70), (503, 69), (302, 70),
    ])
    func exitStatus(_ httpStatus: Int, _ expected: Int32) {
        #expect(ControlFailure(httpStatus: httpStatus, body: nil).status.rawValue == expected)
    }

    @Test func everyErrorStandsBesideItsPointer() throws {
        let body = try JSONParser.parse(
            #"{"errors":[{"code":"10015","title":"Bad Request","detail":"must be digits","source":{"pointer":"/max_dids"}},{"code":"10033","title":"Value outside of range","source":{"parameter":"page[size]"}}]}"#
        )
        let failure = ControlFailure(httpStatus: 422, body: body)
        #expect(
            failure.text == """
                The service refused the request:
                  /max_dids: Bad Request: must be digits (10015)
                  page[size]: Value outside of range (10033)
                """)
        #expect(failure.json["status"] == .integer(422))
        #expect(failure.json["errors"] == body["errors"])
    }

    @Test func anAnswerThatIsNoJSONIsSaid() {
        #expect(ControlFailure(httpStatus: 404, body: nil).text.contains("HTTP status 404"))
    }
}

@Suite("Arguments of the commands over the REST API")
struct ControlArgumentTests {
    private func members(_ arguments: String...) throws -> JSON {
        let command = try #require(try Tollgate.parseAsRoot(arguments) as? TenantUpdate)
        return try changes(try command.fields.members())
    }

    @Test func flagsBecomeMembersOfTheBody() throws {
        let body = try members(
            "tenants", "update", "acme", "--name", "Acme", "--monthly-spend-limit", "500.5",
            "--max-extensions", "none", "--max-dids", "0", "--max-monthly-minutes", "5000",
            "--alert-threshold", "75", "--no-auto-suspend", "--on-limit", "block",
            "--billing-cycle-day", "31", "--time-zone", "Europe/Paris", "--disclose-limits")
        #expect(
            body.text
                == #"{"name":"Acme","monthly_spend_limit":"500.50","max_extensions":null,"max_dids":0,"max_monthly_minutes":5000,"alert_threshold":75,"auto_suspend":false,"on_limit":"block","billing_cycle_day":31,"time_zone":"Europe/Paris","disclose_limits":true}"#
        )
    }

    @Test func onlyWhatIsNamedIsChanged() throws {
        #expect(
            try members("tenants", "update", "a", "--auto-suspend").text
                == #"{"auto_suspend":true}"#)
    }

    @Test(arguments: [
        [], ["--monthly-spend-limit", "5,00"], ["--monthly-spend-limit", "1e3"],
        ["--max-dids", "1.5"], ["--max-dids", "many"], ["--max-extensions=-1"],
        ["--alert-threshold", "0"], ["--alert-threshold", "101"], ["--billing-cycle-day", "32"],
        ["--billing-cycle-day", "x"], ["--on-limit", "stop"], ["--alert-thresholds", ""],
        ["--alert-thresholds", "80,50"], ["--alert-thresholds", "50,50"],
        ["--alert-thresholds", "0,50"], ["--alert-thresholds", "1,2,3,4,5"],
        ["--alert-thresholds", "50;80"],
    ])
    func wrongSettingsAreRefusedBeforeAnybodyIsAsked(_ flags: [String]) throws {
        let command = try #require(
            try Tollgate.parseAsRoot(["tenants", "update", "a"] + flags) as? TenantUpdate)
        #expect(throws: ValidationError.self) {
            _ = try changes(try command.fields.members())
        }
    }

    @Test func severalThresholds() throws {
        #expect(
            try members("tenants", "update", "a", "--alert-thresholds", "50, 80,95").text
                == #"{"alert_thresholds":[50,80,95]}"#)
    }

    @Test func profileFlags() throws {
        let command = try #require(
            try Tollgate.parseAsRoot([
                "profiles", "update", "p", "--daily-spend-limit", "0.12",
                "--daily-spend-limit-enabled", "--webhook-url", "https://example.com/a",
                "--webhook-failover-url", "none",
            ]) as? ProfileUpdate)
        #expect(
            JSON.object(try command.fields.members()).text
                == #"{"daily_spend_limit":"0.12","daily_spend_limit_enabled":true,"webhook_url":"https://example.com/a","webhook_failover_url":null}"#
        )
    }

    /// `--kind` leads to the paths of that kind; a request names one profile at most.
    @Test func kindsOfProfiles() throws {
        let plain = try Tollgate.parseAsRoot(["profiles", "get", "p"]) as? ProfileGet
        #expect(plain?.profile.path == "/v2/messaging_profiles/p")
        let voice = try Tollgate.parseAsRoot(["profiles", "get", "p", "--kind", "voice"])
        #expect((voice as? ProfileGet)?.profile.path == "/v2/outbound_voice_profiles/p")
        #expect(throws: (any Error).self) {
            try Tollgate.parseAsRoot(["profiles", "list", "--kind", "fax"])
        }
        let usage = try Tollgate.parseAsRoot(["usage", "--tenant", "a", "--voice-profile", "v"])
        let named = (usage as? UsageNowCommand)?.profile.named
        #expect(named == ProfileReference(id: "v", kind: .voice))
        #expect(throws: (any Error).self) {
            try Tollgate.parseAsRoot([
                "usage", "--tenant", "a", "--voice-profile", "v", "--profile", "p",
            ])
        }
    }

    @Test func usageKeepsItsFixedForm() throws {
        let fixed = try Tollgate.parseAsRoot(["usage", "--tenant", "acme", "--profile", "p"])
        #expect((fixed as? UsageNowCommand)?.tenant == "acme")
        #expect(try Tollgate.parseAsRoot(["usage", "list"]) is UsageList)
        #expect(try Tollgate.parseAsRoot(["usage", "daily", "--tenant", "a"]) is UsageDaily)
    }

    @Test(arguments: ["127.0.0.1:8080", "ftp://a", "http://", "http://a?b=c", ""])
    func wrongURLs(_ url: String) throws {
        let options = try ControlOptions.parse(["--url", url])
        #expect(throws: ValidationError.self) { _ = try options.makeClient([:]) }
    }

    @Test func flagBeatsEnvironmentBeatsDefault() async throws {
        let environment = ["TOLLGATE_URL": "http://env:1/"]
        let named = try ControlOptions.parse(["--url", "https://flag:2"]).makeClient(environment)
        let unnamed = try ControlOptions.parse([]).makeClient(environment)
        let bare = try ControlOptions.parse([]).makeClient([:])
        #expect(named.url == "https://flag:2")
        #expect(unnamed.url == "http://env:1")
        #expect(bare.url == "http://127.0.0.1:8080")
        for client in [named, unnamed, bare] { await client.close() }
    }

    @Test func idsAreEscapedInPaths() {
        #expect(Paths.one(Paths.tenants, "a/b ä") == "/v2/tenants/a%2Fb%20%C3%A4")
        #expect(Paths.one(Paths.tokens, "..", "/x") == "/v2/tokens/%2E%2E/x")
    }

    @Test func tokensOfATenantNameIt() throws {
        #expect(throws: (any Error).self) {
            _ = try Tollgate.parseAsRoot(["tokens", "create", "t", "--scope", "tenant"])
        }
        #expect(throws: (any Error).self) {
            _ = try Tollgate.parseAsRoot([
                "tokens", "create", "t", "--scope", "operator", "--tenant", "a",
            ])
        }
        let good = try Tollgate.parseAsRoot([
            "tokens", "create", "t", "--scope", "tenant", "--tenant", "a", "--expires-in", "1d",
        ])
        #expect(good is TokenCreate)
    }
}

@Suite("Settings over the REST API")
struct SettingsJSONTests {
    @Test func aTenantComesBackAsItWasSent() throws {
        var tenant = TenantSettings(
            id: "a", name: "A", limits: .newTenant, onLimit: .block, billingCycleDay: 31,
            timeZone: "Europe/Paris", disclosesLimits: true)
        tenant.limits.maxDIDs = nil
        let members: [JSON.Member] =
            [("id", .string("a"))] + tenant.fields.map { ($0.name, $0.value.json) }
        #expect(try TenantSettings(.object(members)) == tenant)
    }

    @Test(arguments: ProfileKind.allCases)
    func aProfileComesBackAsItWasSent(kind: ProfileKind) throws {
        let profile = ProfileSettings(
            id: "p", kind: kind, tenantID: "a", name: "", dailySpendLimitEnabled: true,
            dailySpendLimitNanos: 12_000_000)
        let ids: [JSON.Member] = [("id", .string("p")), ("tenant_id", .string("a"))]
        let members = ids + profile.fields.map { ($0.name, $0.value.json) }
        #expect(try ProfileSettings(.object(members), kind) == profile)
    }

    @Test func whatIsMissingIsNotTakenForNoLimit() {
        #expect(throws: ControlFailure.self) { _ = try TenantLimits(.object([])) }
    }
}
