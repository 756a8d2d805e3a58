import Engine
import HTTPTypes
import Hummingbird
import JSON
import Limits
import NIOCore
import Notifications
import Testing

@testable import ControlPlane

/// Fields that are spelled in another way than ours, and who is behind a proxy.
@Suite struct FieldTests {
    @Test func vendorFieldsOfALaterDayAreKept() async throws {
        let rest = try RESTHarness()
        try await rest.furnish()
        let made = try await rest(
            .post, "/v2/messaging_profiles",
            #"{"id":"p","tenant_id":"acme","name":"n","rcs_agent":{"a":[1,null]},"colour":"red"}"#)
        #expect(made.status == 200, "\(made.body)")
        #expect(made.data["rcs_agent"]?.text == #"{"a":[1,null]}"# && made.data["colour"] == "red")
        let told = made.json["meta"]?["warnings"]?.text ?? ""
        #expect(told.contains("/rcs_agent") && told.contains("/colour"))
        let changed = try await rest(
            .patch, "/v2/messaging_profiles/p", #"{"colour":"blue","mobile_only":true}"#)
        #expect(changed.data["colour"] == "blue" && changed.data["mobile_only"] == true)
        #expect(changed.data["rcs_agent"]?.text == #"{"a":[1,null]}"#, "it stays")
        let warnings = changed.json["meta"]?["warnings"]?.text ?? ""
        #expect(warnings.contains("/colour") && !warnings.contains("/rcs_agent"))
        #expect(changed.json["meta"]?["over_by"] != nil)
        let seen = try await rest(.get, "/v2/messaging_profiles/p")
        #expect(seen.data["colour"] == "blue" && seen.json["meta"] == nil)
        let long = String(repeating: "x", count: 3_100)
        let refused = try await rest(
            .patch, "/v2/messaging_profiles/p", #"{"colour":"\#(long)"}"#)
        #expect(refused.errors == ["10027 "])
    }

    /// A limit with a slip in its name does not pass for one that was set.
    @Test(arguments: [
        "daily_spend_limt", "daly_spend_limit", "dailySpendLimit", "daily_spend_limits",
        "Daily_Spend_Limit", "daily-spend-limit", "daily_spend_limit_enable",
        "daily_spned_limit", "spend_limit_daily", "daily_limit", "spend_cap", "daily_budget_usd",
        "webhook_urls", "weebhook_url", "tenantid", "tenant_ids", "names", "moblie_only", "id",
        "created_at", "record_type", "v1_secret",
    ])
    func slipsAreRefused(_ name: String) async throws {
        let rest = try RESTHarness()
        try await rest.furnish()
        let answer = try await rest(
            .patch, "/v2/messaging_profiles/promo", #"{"\#(name)":"10.00"}"#)
        #expect(answer.errors == ["10015 /\(name)"], "\(answer.body)")
    }

    @Test func otherResourcesKnowAllTheirFields() async throws {
        let rest = try RESTHarness()
        try await rest.furnish()
        #expect(
            try await rest(.patch, "/v2/tenants/acme", #"{"colour":1}"#).errors == ["10015 /colour"]
        )
    }

    @Test func zonesAreKnownInAnyCase() async throws {
        let rest = try RESTHarness()
        try await rest.furnish()
        for (asked, kept) in [
            ("europe/berlin", "Europe/Berlin"), ("ASIA/TOKYO", "Asia/Tokyo"), ("utc", "UTC"),
            ("america/port-AU-prince", "America/Port-au-Prince"), ("Etc/GMT+5", "Etc/GMT+5"),
        ] {
            let answer = try await rest(.patch, "/v2/tenants/acme", #"{"time_zone":"\#(asked)"}"#)
            #expect(answer.data["time_zone"] == .string(kept), "\(answer.body)")
        }
        for wrong in ["Europe/Berln", "europe", "gmt+5"] {
            let answer = try await rest(.patch, "/v2/tenants/acme", #"{"time_zone":"\#(wrong)"}"#)
            #expect(answer.errors == ["10015 /time_zone"], "\(wrong)")
        }
    }

    @Test func proxiesAreBelievedIfTheyAreOurs() throws {
        let network = try #require(Network("10.0.0.0/8"))
        let proxies = TrustedProxies([network])
        func client(_ peer: String, _ named: String...) throws -> String {
            var fields = HTTPFields()
            for value in named {
                fields.append(HTTPField(name: .init("x-forwarded-for")!, value: value))
            }
            return proxies.client(of: fields, try SocketAddress(ipAddress: peer, port: 9))
        }
        #expect(try client("192.0.2.1", "198.51.100.7") == "192.0.2.1", "anybody may say so")
        #expect(try client("10.0.0.1") == "10.0.0.1")
        #expect(try client("10.0.0.1", "198.51.100.7") == "198.51.100.7")
        #expect(try client("10.0.0.1", "203.0.113.9, 198.51.100.7, 10.0.0.2") == "198.51.100.7")
        #expect(try client("10.0.0.1", "203.0.113.9", "198.51.100.7:4711") == "198.51.100.7")
        #expect(try client("10.0.0.1", "[2001:db8::1]:80") == "2001:db8::1")
        #expect(try client("10.0.0.1", "198.51.100.7, unknown") == "10.0.0.1")
        #expect(TrustedProxies().client(of: HTTPFields(), nil) == "")
    }

    /// No reset reinstates: who was suspended by a denial is not told to wait for one.
    @Test func theDenialThatSuspendsNamesNoTime() async throws {
        let rest = try RESTHarness()
        _ = try await rest(
            .post, "/v2/tenants",
            #"{"id":"acme","monthly_spend_limit":"10.00","auto_suspend":true}"#)
        func charge(_ amount: String) async throws -> RESTHarness.Answer {
            try await rest(
                .post, "/v2/check_and_reserve",
                #"{"tenant_id":"acme","action":"charge","mode":"commit","quantities":{"spend":"\#(amount)"}}"#
            )
        }
        #expect(try await charge("9.00").status == 200)
        let denied = try await charge("2.00")
        #expect(denied.status == 429 && denied.errors == ["49001"])
        #expect(try rest.engine.status(ofTenant: "acme") == .suspended)
        #expect(denied[header: "retry-after"] == nil)
        #expect(denied[header: "x-should-retry"] == "false")
        _ = try await rest(.post, "/v2/tenants/acme/actions/reinstate")
        _ = try await rest(
            .patch, "/v2/tenants/acme", #"{"on_limit":"block","auto_suspend":false}"#)
        let blocked = try await charge("2.00")
        #expect(blocked.status == 429 && blocked[header: "retry-after"] != nil)
        // A hold is extended beyond its tenant's cap: the same.
        _ = try await rest(.patch, "/v2/tenants/acme", #"{"on_limit":"auto","auto_suspend":true}"#)
        let held = try await rest(
            .post, "/v2/check_and_reserve",
            #"{"tenant_id":"acme","action":"charge","quantities":{"spend":"0.50"}}"#)
        guard case .string(let id) = held.data["id"] else {
            Issue.record("\(held.body)")
            return
        }
        let extended = try await rest(
            .post, "/v2/reservations/\(id)/actions/extend", #"{"additional":{"spend":"5.00"}}"#)
        #expect(extended.status == 429)
        #expect(try rest.engine.status(ofTenant: "acme") == .suspended)
        #expect(extended[header: "retry-after"] == nil)
    }

    @Test func duplicatesAreNotTriedAgain() async throws {
        let rest = try RESTHarness()
        try await rest.furnish()
        let answer = try await rest(.post, "/v2/tenants", #"{"id":"acme"}"#)
        #expect(answer.status == 409 && answer[header: "x-should-retry"] == "false")
    }
}
