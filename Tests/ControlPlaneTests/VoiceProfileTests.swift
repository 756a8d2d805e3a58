import HTTPTypes
import JSON
import Limits
import Testing

@testable import ControlPlane

/// Outbound voice profiles: the second kind of profile, beside the first in everything.
@Suite struct VoiceProfileTests {
    private static let path = "/v2/outbound_voice_profiles"
    private static let spend =
        #"{"tenant_id":"acme","action":"outbound_call","quantities":{"spend":"2.00"}"#

    private func furnished() async throws -> RESTHarness {
        let rest = try RESTHarness()
        try await rest.furnish()
        let made = try await rest(
            .post, Self.path,
            #"""
            {"id":"calls","tenant_id":"acme","name":"Calls","daily_spend_limit":"3.00",
             "daily_spend_limit_enabled":true}
            """#)
        try #require(made.status == 200)
        return rest
    }

    private func code(_ answer: RESTHarness.Answer) -> [String] { answer.errors }

    @Test func lifeOfAProfile() async throws {
        let rest = try await furnished()
        let made = try await rest(.get, Self.path + "/calls")
        #expect(made[header: "etag"] == "\"1\"")
        #expect(
            made.body.hasPrefix(
                #"{"data":{"record_type":"outbound_voice_profile","id":"calls","tenant_id":"acme","#
                    + #""name":"Calls","webhook_url":null,"webhook_failover_url":null,"#
                    + #""connections_count":0,"traffic_type":"conversational","#
                    + #""service_plan":"global","concurrent_call_limit":null,"enabled":true,"#
                    + #""tags":[],"usage_payment_method":"rate-deck","#
                    + #""whitelisted_destinations":["US","CA"],"max_destination_rate":null,"#
                    + #""daily_spend_limit":"3.00","daily_spend_limit_enabled":true,"#
                    + #""call_recording":null,"billing_group_id":null,"calling_window":null,"#
                    + #""created_at":""#))
        let changed = try await rest(
            .patch, Self.path + "/calls",
            #"{"daily_spend_limit":"4.00","max_destination_rate":0.5,"tags":["office"],"later":1}"#)
        #expect(changed.status == 200 && changed[header: "etag"] == "\"2\"")
        #expect(changed.data["daily_spend_limit"] == "4.00")
        #expect(changed.data["max_destination_rate"] == .number("0.5"))
        #expect(changed.data["tags"] == ["office"] && changed.data["later"] == 1)
        #expect(try await rest(.get, Self.path + "/calls").data == changed.data)
        let stale = try await rest(
            .patch, Self.path + "/calls", "{}", headers: ["If-Match": "\"1\""])
        #expect(stale.status == 412)
        let slip = try await rest(.patch, Self.path + "/calls", #"{"daily_spend_limt":"1"}"#)
        #expect(slip.errors == ["10015 /daily_spend_limt"])
        let wrong = try await rest(.patch, Self.path + "/calls", #"{"max_destination_rate":"1"}"#)
        #expect(wrong.errors == ["10026 /max_destination_rate"])
        let again = try await rest(
            .post, Self.path, #"{"id":"calls","tenant_id":"acme","name":"x"}"#)
        #expect(again.errors == ["10012 /id"])
        #expect(try await rest(.delete, Self.path + "/calls").status == 200)
        #expect(try await rest(.get, Self.path + "/calls").status == 404)
    }

    /// One id is one profile, and each kind has its own paths.
    @Test func aProfileOfTheOtherKindIsNotThere() async throws {
        let rest = try await furnished()
        for path in [
            "/v2/messaging_profiles/calls", "/v2/messaging_profile/calls", Self.path + "/promo",
            "/v2/messaging_profiles/calls/usage", Self.path + "/promo/usage",
        ] {
            #expect(try await rest(.get, path).errors == ["10005"], "\(path)")
        }
        for path in ["/v2/messaging_profiles/calls", Self.path + "/promo"] {
            #expect(try await rest(.patch, path, "{}").status == 404)
            #expect(try await rest(.delete, path).status == 404)
        }
        let taken = try await rest(
            .post, "/v2/messaging_profiles", #"{"id":"calls","tenant_id":"acme","name":"x"}"#)
        #expect(taken.errors == ["10012 /id"])
        #expect(try await rest(.get, "/v2/outbound_voice_profile/calls").status == 404)
        let usage = try await rest(.get, "/v2/tenants/acme/usage?messaging_profile_id=calls")
        #expect(usage.errors == ["10005 /messaging_profile_id"])
        let both = try await rest(
            .get, "/v2/tenants/acme/usage?messaging_profile_id=promo&voice_profile_id=calls")
        #expect(both.errors == ["10015 voice_profile_id"])
    }

    @Test func decisionsCountAgainstIt() async throws {
        let rest = try await furnished()
        let held = try await rest(
            .post, "/v2/check_and_reserve",
            Self.spend + #","voice_profile_id":"calls","include_limits":true}"#)
        #expect(held.status == 200)
        guard case .array(let limits) = held.data["limits"],
            case .string(let id) = held.data["id"]
        else { return #expect(Bool(false), "\(held.body)") }
        #expect(
            limits.map { $0["limit"] } == [
                "tenant_monthly_spend", "tenant_daily_spend", "voice_profile_daily_spend",
            ])
        #expect(limits.last?["subject_id"] == "calls" && limits.last?["held"] == "2.00")
        let open = try await rest(.get, "/v2/reservations?filter[voice_profile_id]=calls")
        #expect(open.json["meta"]?["total_results"] == 1)
        let shown = try await rest(.get, "/v2/reservations/\(id)")
        #expect(shown.data["voice_profile_id"] == "calls")
        #expect(shown.data["messaging_profile_id"] == .null)
        let denied = try await rest(
            .post, "/v2/check_and_reserve", Self.spend + #","voice_profile_id":"calls"}"#)
        #expect(denied.status == 429 && denied.errors == ["49007"])
        #expect(denied[header: "x-should-retry"] == "false" && denied[header: "retry-after"] != nil)
        #expect(try await rest(.post, "/v2/reservations/\(id)/actions/commit").status == 200)
        let usage = try await rest(.get, Self.path + "/calls/usage")
        #expect(usage.data["record_type"] == "outbound_voice_profile_usage")
        #expect(usage.data["voice_profile_id"] == "calls")
        guard case .array(let own) = usage.data["limits"] else {
            return #expect(Bool(false), "\(usage.body)")
        }
        #expect(own.map { $0["committed"] } == ["2.00"])
        let recorded = try await rest(
            .post, "/v2/usage_records",
            #"{"tenant_id":"acme","quantities":{"spend":"1.00"},"voice_profile_id":"calls"}"#)
        #expect(recorded.status == 200)
        let tenant = try await rest(.get, "/v2/tenants/acme/usage?voice_profile_id=calls")
        guard case .array(let all) = tenant.data["limits"] else {
            return #expect(Bool(false), "\(tenant.body)")
        }
        let daily = all.first { $0["limit"] == "voice_profile_daily_spend" }
        #expect(daily?["committed"] == "3.00" && daily?["cap"] == "3.00")
        // Switched off it counts and refuses nothing.
        let off = try await rest(
            .patch, Self.path + "/calls", #"{"daily_spend_limit_enabled":false}"#)
        #expect(off.status == 200)
        let allowed = try await rest(
            .post, "/v2/check_and_reserve", Self.spend + #","voice_profile_id":"calls"}"#)
        #expect(allowed.status == 200)
    }

    @Test(arguments: ["/v2/check_and_reserve", "/v2/usage_records"])
    func aRequestNamesOneProfile(path: String) async throws {
        let rest = try await furnished()
        let both = try await rest(
            .post, path,
            Self.spend + #","messaging_profile_id":"promo","voice_profile_id":"calls"}"#)
        #expect(both.status == 422 && both.errors == ["10015 /voice_profile_id"])
        let other = try await rest(.post, path, Self.spend + #","voice_profile_id":"promo"}"#)
        #expect(other.status == 404 && other.errors == ["10005 /voice_profile_id"])
        let absent = try await rest(
            .post, path, Self.spend + #","messaging_profile_id":"","voice_profile_id":null}"#)
        #expect(absent.status == 200)
    }

    /// By which field a profile is named is part of the content.
    @Test func aKeyKnowsTheKind() async throws {
        let rest = try await furnished()
        let first = try await rest(
            .post, "/v2/check_and_reserve", Self.spend + #","voice_profile_id":"calls"}"#,
            headers: ["Idempotency-Key": "k"])
        #expect(first.status == 200)
        let again = try await rest(
            .post, "/v2/check_and_reserve", Self.spend + #","voice_profile_id":"calls"}"#,
            headers: ["Idempotency-Key": "k"])
        #expect(again.data["replayed"] == true && again.data["id"] == first.data["id"])
        let other = try await rest(
            .post, "/v2/check_and_reserve", Self.spend + #","messaging_profile_id":"calls"}"#,
            headers: ["Idempotency-Key": "k"])
        #expect(
            other.errors == ["49201 Idempotency-Key"] || other.errors == ["49201 /idempotency_key"])
    }
}
