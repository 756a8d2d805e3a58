import Access
import Engine
import Events
import HTTPTypes
import JSON
import Limits
import Testing

@testable import ControlPlane

/// Tenants, messaging profiles, defaults, and what is kept as settings of the service.
@Suite struct ResourceTests {
    /// A journal may hold the defaults as they were kept at first.
    @Test func defaultsOfAnEarlierJournalAreRead() async throws {
        let rest = try RESTHarness()
        try rest.engine.setSetting(
            DefaultLimits.setting,
            """
            {"monthlySpendNanos":1500000000,"maxDIDs":3,"monthlyCallSeconds":120,\
            "alertThresholdPercent":70,"autoSuspend":true}
            """)
        let made = try await rest(.post, "/v2/tenants", #"{"id":"a"}"#)
        #expect(made.data["monthly_spend_limit"] == "1.50" && made.data["max_dids"] == 3)
        #expect(made.data["max_monthly_minutes"] == 2 && made.data["max_extensions"] == .null)
        #expect(made.data["alert_threshold"] == 70 && made.data["auto_suspend"] == true)
    }

    // MARK: Tenants

    @Test func lifeOfATenant() async throws {
        let rest = try RESTHarness()
        let made = try await rest(
            .post, "/v2/tenants",
            #"{"id":"acme","name":"ACME","monthly_spend_limit":"0.12","time_zone":"Europe/Berlin"}"#
        )
        #expect(made.status == 200)
        #expect(made[header: "etag"] == "\"1\"")
        let caps = CapSetting.all.dropFirst().map { #""\#($0.name)":null,"# }.joined()
        #expect(
            made.body.hasPrefix(
                #"{"data":{"record_type":"tenant","id":"acme","name":"ACME","status":"active","#
                    + #""monthly_spend_limit":"0.12",\#(caps)"alert_threshold":80,"#
                    + #""alert_thresholds":[80],"auto_suspend":false,"#
                    + #""on_limit":"auto","billing_cycle_day":1,"time_zone":"Europe/Berlin","#
                    + #""disclose_limits":false,"created_at":""#))
        let changed = try await rest(
            .patch, "/v2/tenants/acme",
            #"{"monthly_spend_limit":null,"max_dids":9223372036854775807,"on_limit":"block"}"#)
        #expect(changed.status == 200)
        #expect(changed.data["monthly_spend_limit"] == .null)
        #expect(changed.data["max_dids"] == .number("9223372036854775807"))
        #expect(changed.data["on_limit"] == "block")
        #expect(changed.json["meta"] == ["over_by": [:]])
        #expect(changed[header: "etag"] == "\"2\"")
        #expect(try await rest(.get, "/v2/tenants/acme").data == changed.data)

        let again = try await rest(.post, "/v2/tenants", #"{"id":"acme"}"#)
        #expect(again.status == 409)
        #expect(again.errors == ["10012 /id"])
        #expect(try await rest(.delete, "/v2/tenants/acme").data["status"] == "closed")
        #expect(try await rest(.get, "/v2/tenants/acme").errors == ["10005"])
        #expect(try await rest(.patch, "/v2/tenants/acme", "{}").status == 404)
        #expect(try await rest(.post, "/v2/tenants", #"{"id":"acme"}"#).status == 409)
    }

    @Test func aTenantWithoutAnIDGetsOne() async throws {
        let rest = try RESTHarness()
        let made = try await rest(.post, "/v2/tenants", #"{"name":"x"}"#)
        guard case .string(let id) = made.data["id"] else { throw Missing() }
        #expect(id.count == 36)
        #expect(try await rest(.get, "/v2/tenants/\(id)").status == 200)
    }

    @Test func idsWithSlashesAndSpaces() async throws {
        let rest = try RESTHarness()
        #expect(try await rest(.post, "/v2/tenants", #"{"id":"a/b c?"}"#).status == 200)
        #expect(try await rest(.get, "/v2/tenants/a%2Fb%20c%3F").data["id"] == "a/b c?")
    }

    struct Missing: Error {}

    @Test(arguments: [".", "..", " a", "a ", "a\u{202e}b", "\u{200f}"])
    func idsThatNothingMayHave(id: String) async throws {
        let rest = try RESTHarness()
        let tenant = try await rest(.post, "/v2/tenants", "{\"id\":\"\(id)\"}")
        #expect(tenant.status == 422)
        #expect(try await rest(.post, "/v2/tenants", #"{"id":"a"}"#).status == 200)
        let profile = try await rest(
            .post, "/v2/messaging_profiles", "{\"id\":\"\(id)\",\"tenant_id\":\"a\",\"name\":\"x\"}"
        )
        #expect(profile.status == 422)
    }

    @Test func presetsAndDefaults() async throws {
        let rest = try RESTHarness()
        let trusted = try await rest(
            .post, "/v2/tenants", #"{"id":"a","preset":"new-tenant","max_dids":11}"#)
        #expect(trusted.data["monthly_spend_limit"] == "500.00")
        #expect(trusted.data["max_extensions"] == 50)
        #expect(trusted.data["max_dids"] == 11)
        #expect(trusted.data["max_monthly_minutes"] == 5_000)
        #expect(trusted.data["auto_suspend"] == true)
        let defaults = try await rest(
            .patch, "/v2/tenant_defaults", #"{"max_extensions":7,"alert_threshold":60}"#)
        #expect(defaults.data["max_extensions"] == 7)
        #expect(try await rest(.get, "/v2/tenant_defaults").data == defaults.data)
        let filled = try await rest(.post, "/v2/tenants", #"{"id":"b"}"#)
        #expect(filled.data["max_extensions"] == 7)
        #expect(filled.data["alert_threshold"] == 60)
        let reset = try await rest(.post, "/v2/tenants/a/actions/reset_limits")
        #expect(reset.data["max_extensions"] == 7)
        #expect(reset.data["monthly_spend_limit"] == .null)
        #expect(reset.data["auto_suspend"] == false)
        #expect(
            try await rest(.patch, "/v2/tenant_defaults", #"{"name":"x"}"#).errors == [
                "10015 /name"
            ])
    }

    @Test func ifMatch() async throws {
        let rest = try RESTHarness()
        try await rest.furnish()
        for path in ["/v2/tenants/acme", "/v2/messaging_profiles/promo", "/v2/tenant_defaults"] {
            let tag = try #require(try await rest(.get, path)[header: "etag"])
            let wrong = try await rest(.patch, path, "{}", headers: ["if-match": "\"99\""])
            #expect(wrong.status == 412)
            #expect(wrong.errors == ["49302"])
            let body = path.contains("defaults") ? #"{"max_dids":3}"# : #"{"name":"new"}"#
            let right = try await rest(
                .patch, path, body, headers: ["if-match": "\"99\", \(tag)"])
            #expect(right.status == 200)
            #expect(right[header: "etag"] != tag)
            #expect(
                try await rest(.patch, path, body, headers: ["if-match": tag]).status == 412)
            #expect(try await rest(.patch, path, body, headers: ["if-match": "*"]).status == 200)
        }
    }

    @Test func overBy() async throws {
        let rest = try RESTHarness()
        try await rest.furnish()
        _ = try await rest(
            .post, "/v2/usage_records",
            #"{"tenant_id":"acme","quantities":{"spend":"5","extensions":3,"call_seconds":90}}"#)
        let changed = try await rest(
            .patch, "/v2/tenants/acme",
            #"{"monthly_spend_limit":"1.5","max_extensions":1,"max_monthly_minutes":1}"#)
        #expect(
            changed.json["meta"]?["over_by"]
                == [
                    "tenant_monthly_spend": "3.50", "tenant_extensions": 2,
                    "tenant_monthly_minutes": 30,
                ])
        #expect(changed.data["status"] == "active")
    }

    @Test func suspension() async throws {
        let rest = try RESTHarness()
        try await rest.furnish()
        let suspended = try await rest(
            .post, "/v2/tenants/acme/actions/suspend", #"{"reason":"fraud"}"#)
        #expect(suspended.data["status"] == "suspended")
        #expect(try await rest(.post, "/v2/tenants/acme/actions/suspend").status == 200)
        let check = #"{"tenant_id":"acme","action":"inbound_call","quantities":{"spend":"0"}}"#
        let denied = try await rest(.post, "/v2/check_and_reserve", check)
        #expect(denied.status == 403)
        #expect(denied.errors == ["20012"])
        #expect(denied[header: "tollgate-treatment"] == "service_interrupted")
        #expect(denied[header: "retry-after"] == nil)
        let back = try await rest(.post, "/v2/tenants/acme/actions/reinstate", "{}")
        #expect(back.data["status"] == "active")
        #expect(try await rest(.post, "/v2/check_and_reserve", check).status == 200)
        #expect(try await rest(.post, "/v2/tenants/nobody/actions/suspend").status == 404)
        let long = #"{"reason":"\#(String(repeating: "x", count: 513))"}"#
        #expect(
            try await rest(.post, "/v2/tenants/acme/actions/suspend", long).errors
                == ["10015 /reason"])
    }

    @Test func counts() async throws {
        let rest = try RESTHarness()
        try await rest.furnish()
        let path = "/v2/tenants/acme/actions/set_counts"
        let set = try await rest(.post, path, #"{"extensions":12,"dids":3}"#)
        #expect(set.status == 200)
        func committed(_ limit: JSON) async throws -> JSON? {
            let usage = try await rest(.get, "/v2/tenants/acme/usage")
            guard case .array(let limits) = usage.data["limits"] else { throw Missing() }
            return limits.first { $0["limit"] == limit }?["committed"]
        }
        #expect(try await committed("tenant_extensions") == 12)
        #expect(try await rest(.post, path, #"{"extensions":10}"#).status == 200)
        #expect(try await committed("tenant_extensions") == 10)
        #expect(try await committed("tenant_dids") == 3)
        #expect(try await rest(.post, path, "{}").errors == ["10004 "])
        #expect(try await rest(.post, path, #"{"dids":-1}"#).errors == ["10033 /dids"])
    }

    // MARK: Messaging profiles

    @Test func lifeOfAProfile() async throws {
        let rest = try RESTHarness()
        try await rest.furnish()
        // The seed's own request.
        let changed = try await rest(
            .patch, "/v2/messaging_profile/promo",
            "{\n\"daily_spend_limit_enabled\": true,\n\"daily_spend_limit\": \"10.00\"\n}")
        #expect(changed.status == 200)
        #expect(changed.data["daily_spend_limit"] == "10.00")
        #expect(changed.data["daily_spend_limit_enabled"] == true)
        #expect(changed.json["meta"]?["over_by"] == [:])
        #expect(try await rest(.get, "/v2/messaging_profiles/promo").data == changed.data)

        let missing = try await rest(.post, "/v2/messaging_profiles", "{}")
        #expect(missing.errors == ["10004 /name", "10004 /tenant_id"])
        let orphan = try await rest(
            .post, "/v2/messaging_profiles", #"{"name":"x","tenant_id":"nobody"}"#)
        #expect(orphan.status == 404)
        #expect(orphan.errors == ["10005 /tenant_id"])
        #expect(
            try await rest(
                .post, "/v2/messaging_profiles", #"{"id":"promo","name":"x","tenant_id":"acme"}"#
            ).errors == ["10012 /id"])
        #expect(
            try await rest(.patch, "/v2/messaging_profiles/promo", #"{"tenant_id":"other"}"#).errors
                == ["10015 /tenant_id"])
        #expect(try await rest(.delete, "/v2/messaging_profile/promo").status == 200)
        #expect(try await rest(.get, "/v2/messaging_profiles/promo").status == 404)
        #expect(
            try await rest(
                .post, "/v2/messaging_profiles", #"{"id":"promo","name":"x","tenant_id":"acme"}"#
            ).status == 409)
    }

    @Test func aTenantHasUpToFourThresholds() async throws {
        let rest = try RESTHarness()
        try await rest.furnish()
        let path = "/v2/tenants/acme"
        func change(_ body: String) async throws -> [String] {
            try await rest(.patch, path, body).errors
        }
        let set = try await rest(.patch, path, #"{"alert_thresholds":[50,80,95]}"#)
        #expect(set.data["alert_threshold"] == 50)
        #expect(set.data["alert_thresholds"] == [50, 80, 95])
        // The first alone, as those who know no others set it.
        let first = try await rest(.patch, path, #"{"alert_threshold":60}"#)
        #expect(first.data["alert_thresholds"] == [60, 80, 95])
        #expect(try await change(#"{"alert_threshold":80}"#) == ["10015 /alert_threshold"])
        let both = try await rest(
            .patch, path, #"{"alert_threshold":90,"alert_thresholds":[90,100]}"#)
        #expect(both.data["alert_thresholds"] == [90, 100])
        for (list, error) in [
            ("[]", "10033 /alert_thresholds"), ("[1,2,3,4,5]", "10033 /alert_thresholds"),
            ("[80,50]", "10015 /alert_thresholds"), ("[50,50]", "10015 /alert_thresholds"),
            ("[50,101]", "10033 /alert_thresholds/1"), ("[0]", "10033 /alert_thresholds/0"),
            ("[50.5]", "10026 /alert_thresholds/0"), (#"["50"]"#, "10026 /alert_thresholds/0"),
            ("null", "10026 /alert_thresholds"), ("50", "10026 /alert_thresholds"),
        ] {
            #expect(try await change(#"{"alert_thresholds":\#(list)}"#) == [error], "\(list)")
        }
        #expect(
            try await change(#"{"alert_threshold":50,"alert_thresholds":[60,80]}"#)
                == ["10015 /alert_threshold"])
        #expect(try await rest(.get, path).data == both.data)
        // They are the defaults' too.
        let defaults = try await rest(
            .patch, "/v2/tenant_defaults", #"{"alert_thresholds":[10,20]}"#)
        #expect(defaults.data["alert_thresholds"] == [10, 20])
        let filled = try await rest(.post, "/v2/tenants", #"{"id":"new"}"#)
        #expect(filled.data["alert_thresholds"] == [10, 20])
    }

    @Test func aLimitThatIsOnNeedsAnAmount() async throws {
        let rest = try RESTHarness()
        try await rest.furnish()
        let path = "/v2/messaging_profiles/promo"
        #expect(
            try await rest(.patch, path, #"{"daily_spend_limit_enabled":true}"#).errors
                == ["10004 /daily_spend_limit"])
        for wrong in [#""1e3""#, #""-1""#, #"".5""#, #""0.1234567891""#, #"" 1""#] {
            #expect(
                try await rest(.patch, path, #"{"daily_spend_limit":\#(wrong)}"#).errors
                    == ["10015 /daily_spend_limit"])
        }
        #expect(
            try await rest(.patch, path, #"{"daily_spend_limit":1.5}"#).errors
                == ["10026 /daily_spend_limit"])
        #expect(
            try await rest(.patch, path, #"{"daily_spend_limit":"9999999999999"}"#).errors
                == ["10033 /daily_spend_limit"])
    }

    @Test func theVendorsFieldsAreKept() async throws {
        let rest = try RESTHarness()
        try await rest.furnish()
        let path = "/v2/messaging_profiles/promo"
        let plain = try await rest(.get, path).data
        #expect(plain["enabled"] == true)
        #expect(plain["number_pool_settings"] == .null)
        #expect(plain["redaction_level"] == 2)
        let set = try await rest(
            .patch, path,
            #"{"whitelisted_destinations":["US","DE"],"number_pool_settings":{"long_code_weight":2.50}}"#
        )
        #expect(set.status == 200)
        let kept = try await rest(.patch, path, #"{"mms_transcoding":true}"#).data
        #expect(kept["whitelisted_destinations"] == ["US", "DE"])
        #expect(kept["number_pool_settings"]?.text == #"{"long_code_weight":2.50}"#)
        #expect(kept["mms_transcoding"] == true)
        #expect(
            try await rest(.patch, path, #"{"number_pool_settings":null}"#)
                .data["number_pool_settings"] == .null)
        let wrong = try await rest(
            .patch, path,
            #"{"enabled":1,"whitelisted_destinations":["US",5],"daily_spend_limt":"1","redaction_level":3}"#
        )
        #expect(
            wrong.errors.sorted() == [
                "10015 /daily_spend_limt", "10026 /enabled",
                "10026 /whitelisted_destinations/1", "10033 /redaction_level",
            ])
        let large = String(repeating: "x", count: 3_072)
        #expect(
            try await rest(.patch, path, #"{"url_shortener_settings":{"domain":"\#(large)"}}"#)
                .errors
                == ["10027 "])
        #expect(try await rest(.get, path).data["mms_transcoding"] == true)
    }

    @Test func webhookAddresses() async throws {
        let rest = try RESTHarness()
        try await rest.furnish()
        let path = "/v2/messaging_profiles/promo"
        let set = try await rest(
            .patch, path, #"{"webhook_url":"https://example.com/a","webhook_failover_url":""}"#)
        #expect(set.data["webhook_url"] == "https://example.com/a")
        #expect(set.data["webhook_failover_url"] == .null)
        for wrong in ["ftp://example.com", "example.com", "https://u:p@example.com", "https://"] {
            #expect(
                try await rest(.patch, path, #"{"webhook_url":"\#(wrong)"}"#).errors
                    == ["10015 /webhook_url"])
        }
        #expect(try await rest(.patch, path, #"{"webhook_url":null}"#).data["webhook_url"] == .null)
    }

    // MARK: Settings of the service

    @Test func webhookEndpoints() async throws {
        let rest = try RESTHarness()
        let path = "/v2/webhook_endpoints"
        let made = try await rest(
            .post, path,
            #"{"url":"https://example.com/hooks","event_types":["tenant.suspended"]}"#)
        #expect(made.status == 200)
        guard case .string(let id) = made.data["id"] else { throw Missing() }
        #expect(made.data["failover_url"] == .null)
        // The secret is told when it is made, and never again.
        let kept = try await rest(.get, "\(path)/\(id)").data
        #expect(made.data["secret"] != nil && kept["secret"] == nil)
        #expect(kept["url"] == made.data["url"] && kept["event_types"] == made.data["event_types"])
        let tag = try #require(made[header: "etag"])
        let changed = try await rest(
            .patch, "\(path)/\(id)", #"{"enabled":false,"event_types":[]}"#,
            headers: ["if-match": tag])
        #expect(changed.data["enabled"] == false)
        #expect(changed.data["url"] == "https://example.com/hooks")
        #expect(
            try await rest(.patch, "\(path)/\(id)", "{}", headers: ["if-match": tag]).status == 412)
        #expect(try await rest(.get, path).json["meta"]?["total_results"] == 1)
        #expect(
            try await rest(
                .post, path,
                #"{"event_types":["x","tenant.suspended","tenant.suspended"],"enabled":null,"colour":1}"#
            ).errors.sorted() == [
                "10004 /url", "10015 /colour", "10015 /event_types/0", "10015 /event_types/2",
                "10026 /enabled",
            ])
        #expect(try await rest(.delete, "\(path)/\(id)").status == 200)
        #expect(try await rest(.get, "\(path)/\(id)").status == 404)
        #expect(rest.engine.settings(prefix: WebhookEndpoint.settingPrefix).isEmpty)
    }

    /// An address that must be there cannot be taken away: that is told, rather than passed over.
    @Test(arguments: [
        ("/v2/webhook_endpoints", "url", "https://example.com/hooks"),
        ("/v2/email_recipients", "address", "ops@example.com"),
    ])
    func anAddressCannotBeTakenAway(
        _ path: String, _ name: String, _ address: String
    ) async throws {
        let rest = try RESTHarness()
        let made = try await rest(.post, path, #"{"\#(name)":"\#(address)"}"#)
        guard case .string(let id) = made.data["id"] else { throw Missing() }
        let refused = try await rest(.patch, "\(path)/\(id)", #"{"\#(name)":null}"#)
        #expect(refused.status == 422 && refused.errors == ["10004 /\(name)"])
        #expect(try await rest(.get, "\(path)/\(id)").data[name] == .string(address))
        let missing = try await rest(.post, path, #"{"\#(name)":null}"#)
        #expect(missing.errors == ["10004 /\(name)"])
    }

    @Test func resourcesOfTheServiceAreBounded() async throws {
        var settings = RESTSettings()
        settings.maximumEmailRecipients = 2
        let rest = try RESTHarness(settings: settings)
        let path = "/v2/email_recipients"
        for name in ["a", "b"] {
            #expect(
                try await rest(.post, path, #"{"address":"\#(name)@example.com"}"#).status == 200)
        }
        let refused = try await rest(.post, path, #"{"address":"c@example.com"}"#)
        #expect(refused.status == 422)
        #expect(refused.errors == ["10027"])
        #expect(
            try await rest(.get, path + "?page[size]=1&page[number]=2").json["meta"]?["total_pages"]
                == 2)
    }

    @Test(arguments: [
        "a", "a@", "@b", "a@b@c", "a b@c", "a@-b.de", "a@b..de", ".a@b", "a..b@c", "a@b_c", "<a@b>",
    ])
    func mailAddressesThatAreNone(_ address: String) async throws {
        #expect(Emails.fault(of: address) != nil)
        let rest = try RESTHarness()
        #expect(
            try await rest(.post, "/v2/email_recipients", #"{"address":"\#(address)"}"#).errors
                == ["10015 /address"])
    }

    @Test func tokens() async throws {
        let rest = try RESTHarness(isOpen: false)
        let (_, boss) = try rest.authority.create(name: "o", scope: .operator, tenantIDs: [])
        try rest.engine.setTenant(TenantSettings(id: "acme"))
        let made = try await rest(
            .post, "/v2/tokens",
            #"{"name":"portal","scope":"tenant","tenant_ids":["acme"],"expires_at":"2999-01-01T00:00:00Z"}"#,
            token: boss)
        guard case .string(let secret) = made.data["secret"], case .string(let id) = made.data["id"]
        else { throw Missing() }
        #expect(try await rest(.get, "/v2/tenants/acme/usage", token: secret).status == 200)
        let list = try await rest(.get, "/v2/tokens", token: boss)
        #expect(!list.body.contains(secret))
        #expect(!list.body.contains("hash"))
        #expect(list.json["meta"]?["total_results"] == 2)
        #expect(try await rest(.delete, "/v2/tokens/\(id)", token: boss).status == 200)
        #expect(try await rest(.get, "/v2/tenants/acme/usage", token: secret).status == 401)
        #expect(try await rest(.delete, "/v2/tokens/\(id)", token: boss).status == 404)
        let wrong = try await rest(
            .post, "/v2/tokens",
            #"{"scope":"tenant","tenant_ids":["acme","nobody"],"expires_at":"2001-01-01T00:00:00Z"}"#,
            token: boss)
        #expect(
            wrong.errors.sorted() == [
                "10004 /name", "10015 /tenant_ids", "10015 /tenant_ids/1", "10033 /expires_at",
            ])
        #expect(
            try await rest(
                .post, "/v2/tokens", #"{"name":"x","scope":"operator","tenant_ids":["acme"]}"#,
                token: boss
            ).errors == ["10015 /tenant_ids"])
    }
}
