import Access
import Engine
import HTTPTypes
import JSON
import Limits
import Testing

@testable import ControlPlane

/// Decisions as JSON.
@Suite struct DataPlaneTests {
    private func furnished() async throws -> RESTHarness {
        let rest = try RESTHarness()
        try await rest.furnish()
        return rest
    }

    private let spend =
        #"{"tenant_id":"acme","messaging_profile_id":"promo","action":"send_message","quantities":{"spend":"0.004"}}"#

    struct Missing: Error {}

    private func id(_ answer: RESTHarness.Answer) throws -> String {
        guard case .string(let id) = answer.data["id"] else { throw Missing() }
        return id
    }

    @Test func reserveCommitAndRelease() async throws {
        let rest = try await furnished()
        let held = try await rest(
            .post, "/v2/check_and_reserve",
            spend.replacing("}}", with: #"},"include_limits":true,"reference":"m-1"}"#))
        #expect(held.status == 200)
        #expect(held.data["record_type"] == "reservation")
        #expect(held.data["decision"] == "allowed")
        #expect(held.data["granted"] == [:])
        #expect(held.data["replayed"] == false)
        #expect(held.data["tenant_status"] == "active")
        guard case .array(let limits) = held.data["limits"] else { throw Missing() }
        #expect(
            limits.map { $0["limit"] } == [
                "profile_daily_spend", "tenant_monthly_spend", "tenant_daily_spend",
            ])
        #expect(limits[0]["held"] == "0.004")
        #expect(limits[0]["subject_id"] == "promo")
        let path = "/v2/reservations/\(try id(held))"
        let committed = try await rest(
            .post, path + "/actions/commit", #"{"actual":{"spend":"0.005"}}"#)
        #expect(committed.data["committed"] == ["spend": "0.005"])
        #expect(committed.data["replayed"] == false)
        let again = try await rest(
            .post, path + "/actions/commit", #"{"actual":{"spend":"0.005"}}"#)
        #expect(again.data["replayed"] == true)
        let other = try await rest(.post, path + "/actions/release")
        #expect(other.status == 422)
        #expect(other.errors == ["49203"])

        let second = try id(try await rest(.post, "/v2/check_and_reserve", spend))
        // Nothing named is nothing said: nobody charges a whole hold by mistake.
        for wrong in [#"{"actual":{}}"#, #"{"actual":{"spnd":"1"}}"#] {
            let refused = try await rest(
                .post, "/v2/reservations/\(second)/actions/commit", wrong)
            #expect(refused.status == 422 && !refused.errors.isEmpty)
        }
        let empty = try await rest(
            .post, "/v2/reservations/\(second)/actions/commit", #"{"actual":{}}"#)
        #expect(empty.errors == ["10015 /actual"])
        let shown = try await rest(.get, "/v2/reservations/\(second)")
        #expect(shown.data["held"] == ["spend": "0.004"])
        #expect(shown.data["tenant_id"] == "acme")
        let listed = try await rest(.get, "/v2/reservations?filter[tenant_id]=acme")
        #expect(listed.json["meta"]?["total_results"] == 1)
        #expect(
            try await rest(.get, "/v2/reservations?filter[older_than_ms]=3600000").json["data"]
                == [])
        for action in ["commit", "release", "extend"] {
            let path = "/v2/reservations/\(second)/actions/\(action)"
            #expect(try await rest(.post, path, #"{"tenant_id":"other"}"#).status == 404)
        }
        let released = try await rest(
            .post, "/v2/reservations/\(second)/actions/release", #"{"tenant_id":"acme"}"#)
        #expect(released.data["expired"] == false)
        #expect(try await rest(.get, "/v2/reservations/\(second)").status == 404)
    }

    /// What an operator's action ends is charged to nobody, and a commit that comes then is late.
    @Test(arguments: [false, true])
    func anOperatorsActionEndsTheHolds(_ deletes: Bool) async throws {
        let rest = try await furnished()
        var ids: [String] = []
        for _ in 0..<3 {
            let made = try await rest(
                .post, "/v2/check_and_reserve",
                #"""
                {"tenant_id":"acme","action":"charge","quantities":{"spend":"1"},"on_expiry":"commit"}
                """#)
            ids.append(try id(made))
        }
        let done =
            deletes
            ? try await rest(.delete, "/v2/tenants/acme")
            : try await rest(.post, "/v2/tenants/acme/actions/suspend", "{}")
        #expect(done.status == 200)
        let listed = try await rest(.get, "/v2/reservations")
        #expect(listed.json["meta"]?["total_results"] == 0)
        let path = "/v2/reservations/\(ids[1])/actions/"
        #expect(try await rest(.post, path + "release").data["expired"] == true)
        let late = try await rest(.post, "/v2/reservations/\(ids[0])/actions/commit")
        #expect(late.data["late"] == true)
    }

    @Test func theSeedsBodyToTheLetter() async throws {
        let rest = try await furnished()
        _ = try await rest(
            .patch, "/v2/messaging_profiles/promo",
            #"{"daily_spend_limit_enabled":true,"daily_spend_limit":"0.003"}"#)
        let denied = try await rest(.post, "/v2/check_and_reserve", spend)
        #expect(denied.status == 429)
        #expect(
            denied.body
                == #"{"errors":[{"code":"40333","title":"Messaging profile spend limit reached","#
                + #""detail":"The daily spend limit configured on this messaging profile has been reached","#
                + #""meta":{"url":"https://developers.telnyx.com/docs/overview/errors/40333"}}]}"#)
        #expect(denied[header: "x-should-retry"] == "false")
        #expect(denied[header: "tollgate-treatment"] == "reject")
        let seconds = try #require(denied[header: "retry-after"].flatMap { Int($0) })
        #expect((1...86_400).contains(seconds))
    }

    @Test func everyLimitThatRefusedIsNamed() async throws {
        let rest = try await furnished()
        _ = try await rest(
            .patch, "/v2/tenants/acme",
            #"{"monthly_spend_limit":"1","max_dids":0,"on_limit":"block"}"#)
        let denied = try await rest(
            .post, "/v2/check_and_reserve",
            #"{"tenant_id":"acme","action":"assign_did","quantities":{"spend":"2","dids":1},"include_limits":true}"#
        )
        #expect(denied.status == 429)
        #expect(denied.errors == ["49001", "49003"])
        // A count never starts anew.
        #expect(denied[header: "retry-after"] == nil)
        guard case .array(let limits) = denied.json["meta"]?["limits"] else { throw Missing() }
        #expect(limits.map { $0["cap"] } == ["1.00", 0, .null])
        let count = try await rest(
            .post, "/v2/check_and_reserve",
            #"{"tenant_id":"acme","action":"assign_did","quantities":{"dids":1}}"#)
        #expect(count.status == 403)
        #expect(count.errors == ["49003"])
    }

    @Test func theDenialThatSuspendsSaysNoReset() async throws {
        let rest = try await furnished()
        _ = try await rest(
            .patch, "/v2/tenants/acme",
            #"{"monthly_spend_limit":"1","auto_suspend":true,"alert_threshold":100}"#)
        func ask(_ spend: String) async throws -> RESTHarness.Answer {
            try await rest(
                .post, "/v2/check_and_reserve",
                #"{"tenant_id":"acme","action":"charge","quantities":{"spend":"\#(spend)"}}"#)
        }
        // It suspends nobody, and next month there is room.
        let early = try await ask("1.01")
        #expect(early.errors == ["49001"] && early[header: "retry-after"] != nil)
        let held = try id(try await ask("0.01"))
        _ = try await rest(
            .post, "/v2/usage_records", #"{"tenant_id":"acme","quantities":{"spend":"0.9"}}"#)
        let denied = try await ask("0.2")
        #expect(denied.errors == ["49001"] && denied[header: "retry-after"] == nil)
        #expect(try await ask("0.2").errors == ["20012"])
        _ = try await rest(.post, "/v2/tenants/acme/actions/reinstate", "{}")
        let extended = try await rest(
            .post, "/v2/reservations/\(held)/actions/extend", #"{"additional":{"spend":"0.2"}}"#)
        #expect(extended.errors == ["49001"] && extended[header: "retry-after"] == nil)
    }

    @Test func warnings() async throws {
        let rest = try await furnished()
        _ = try await rest(.patch, "/v2/tenants/acme", #"{"max_dids":0,"on_limit":"alert"}"#)
        let allowed = try await rest(
            .post, "/v2/check_and_reserve",
            #"{"tenant_id":"acme","action":"assign_did","quantities":{"dids":1},"mode":"check_only"}"#
        )
        #expect(allowed.status == 200)
        #expect(allowed.data["id"] == .null)
        #expect(allowed.data["expires_at"] == .null)
        guard case .array(let warnings) = allowed.data["warnings"] else { throw Missing() }
        #expect(warnings.map { $0["code"] } == ["49003"])
    }

    @Test func partialGrants() async throws {
        let rest = try await furnished()
        _ = try await rest(.patch, "/v2/tenants/acme", #"{"max_extensions":3}"#)
        func ask(_ rest: RESTHarness, _ more: String) async throws -> RESTHarness.Answer {
            try await rest(
                .post, "/v2/check_and_reserve",
                #"{"tenant_id":"acme","action":"provision_extension","mode":"partial","quantities":{"extensions":5}\#(more)}"#
            )
        }
        #expect(try await ask(rest, #","minimums":{"extensions":4}"#).status == 403)
        #expect(try await ask(rest, "").data["granted"] == ["extensions": 3])
        #expect(
            try await ask(rest, #","minimums":{"extensions":6}"#).errors
                == ["10015 /minimums/extensions"])
    }

    @Test func extend() async throws {
        let rest = try await furnished()
        let path =
            "/v2/reservations/\(try id(try await rest(.post, "/v2/check_and_reserve", spend)))"
        let longer = try await rest(
            .post, path + "/actions/extend",
            #"{"ttl_ms":3600000,"additional":{"spend":"1"}}"#)
        #expect(longer.status == 200)
        #expect(longer.data["decision"] == "allowed")
        #expect(try await rest(.get, path).data["held"] == ["spend": "1.004"])
        _ = try await rest(
            .patch, "/v2/messaging_profiles/promo",
            #"{"daily_spend_limit_enabled":true,"daily_spend_limit":"1"}"#)
        let denied = try await rest(
            .post, path + "/actions/extend", #"{"additional":{"spend":"1"}}"#)
        #expect(denied.status == 429)
        #expect(denied.errors == ["40333"])
        #expect(
            try await rest(.post, path + "/actions/extend", #"{"mode":"commit","ttl_ms":999}"#)
                .errors
                == ["10015 /ttl_ms", "10015 /mode"])
    }

    @Test func actualThatIsAbsentOrNullIsWhatWasHeld() async throws {
        let rest = try await furnished()
        for body in [nil, "{}", #"{"actual":null}"#] {
            let held = try id(try await rest(.post, "/v2/check_and_reserve", spend))
            let path = "/v2/reservations/\(held)/actions/commit"
            let committed = try await rest(.post, path, body)
            #expect(committed.data["committed"] == ["spend": "0.004"])
        }
        let none = try id(try await rest(.post, "/v2/check_and_reserve", spend))
        let path = "/v2/reservations/\(none)/actions/commit"
        #expect(try await rest(.post, path, #"{"actual":{"spend":"0"}}"#).status == 200)
    }

    @Test func aCommitOnADeletedTenantSaysSo() async throws {
        let rest = try await furnished()
        let held = try id(try await rest(.post, "/v2/check_and_reserve", spend))
        #expect(try await rest(.delete, "/v2/tenants/acme").status == 200)
        let committed = try await rest(.post, "/v2/reservations/\(held)/actions/commit")
        #expect(committed.data["tenant_status"] == "closed")
        #expect(try await rest(.post, "/v2/check_and_reserve", spend).status == 404)
    }

    @Test func idempotency() async throws {
        let rest = try await furnished()
        func ask(_ key: String, _ body: String) async throws -> RESTHarness.Answer {
            try await rest(
                .post, "/v2/check_and_reserve", body, headers: ["idempotency-key": key])
        }
        let first = try await ask("k-1", spend)
        let second = try await ask("\"k-1\"", spend)
        #expect(second.data["id"] == first.data["id"])
        #expect(second.data["replayed"] == true)
        let reused = try await ask("k-1", spend.replacing("0.004", with: "0.005"))
        #expect(reused.status == 422)
        #expect(reused.errors == ["49201 Idempotency-Key"])
        for wrong in ["\"open", "\"a\"b", #""\x""#, "\"\"", String(repeating: "k", count: 129)] {
            #expect(try await ask(wrong, spend).errors == ["10015 Idempotency-Key"], "\(wrong)")
        }
        // The HTTP library would join them to a key that nobody sent.
        let twice = try await rest(
            .post, "/v2/check_and_reserve", spend,
            headers: ["idempotency-key": "k-1", "Idempotency-Key": "k-1"])
        #expect(twice.status == 400 && twice.errors == ["10015 Idempotency-Key"])
        #expect(twice.body.contains("The header appears 2 times"))
        #expect(DataPlane.unquote(#""a\"b\\c""#) == #"a"b\c"#)

        _ = try await rest(.patch, "/v2/tenants/acme", #"{"max_dids":0}"#)
        let did = #"{"tenant_id":"acme","action":"assign_did","quantities":{"dids":1}}"#
        for _ in 0..<2 {
            let denied = try await ask("k-2", did)
            #expect(denied.status == 403)
            #expect(denied[header: "idempotency-replayed"] == nil)
        }
        // A denial is no stored answer, but it binds the key.
        #expect(try await ask("k-2", spend).errors == ["49201 Idempotency-Key"])
        _ = try await rest(.patch, "/v2/tenants/acme", #"{"max_dids":1}"#)
        #expect(try await ask("k-2", did).data["replayed"] == false)
        #expect(try await ask("k-2", did).data["replayed"] == true)
    }

    /// A key on a settlement is bound to it, in the one key space of the tenant.
    @Test(arguments: ["commit", "release"]) func keysOfSettlements(action: String) async throws {
        let rest = try await furnished()
        let held = try id(try await rest(.post, "/v2/check_and_reserve", spend))
        let other = try id(try await rest(.post, "/v2/check_and_reserve", spend))
        let key: KeyValuePairs = ["idempotency-key": "k"]
        func settle(_ id: String, _ action: String, _ body: String? = nil) async throws
            -> RESTHarness.Answer
        {
            try await rest(.post, "/v2/reservations/\(id)/actions/\(action)", body, headers: key)
        }
        let body = action == "commit" ? #"{"actual":{"spend":"0.003"}}"# : nil
        let first = try await settle(held, action, body)
        #expect(first.status == 200 && first.data["replayed"] == false)
        let second = try await settle(held, action, body)
        #expect(second.status == 200 && second.data["replayed"] == true)
        #expect(second.data["committed"] == first.data["committed"])
        // Another amount, another reservation, another method.
        if action == "commit" {
            let more = try await settle(held, action, #"{"actual":{"spend":"0.002"}}"#)
            #expect(more.status == 422 && more.errors == ["49201 Idempotency-Key"], "\(more.body)")
        }
        let elsewhere = try await settle(other, action, body)
        #expect(elsewhere.status == 422 && elsewhere.errors == ["49201 Idempotency-Key"])
        let another = action == "commit" ? "release" : "commit"
        #expect(try await settle(other, another).errors == ["49201 Idempotency-Key"])
        let fresh = try await rest(.post, "/v2/check_and_reserve", spend, headers: key)
        #expect(fresh.errors == ["49201 Idempotency-Key"])
        let plain = try await rest(.post, "/v2/reservations/\(other)/actions/\(action)", body)
        #expect(plain.status == 200 && plain.data["replayed"] == false)
    }

    @Test func fieldRulesAreThoseOfTheContract() async throws {
        let rest = try await furnished()
        let empty = try await rest(.post, "/v2/check_and_reserve", "{}")
        #expect(empty.status == 422)
        #expect(
            empty.errors.sorted() == ["10004 /action", "10004 /quantities", "10004 /tenant_id"])
        let wrong = try await rest(
            .post, "/v2/check_and_reserve",
            #"""
            {"tenant_id":"a\u0000","messaging_profile_id":"\#(String(repeating: "p", count: 65))",
             "action":"fly","quantities":{"spend":"-1","dids":1.5,"minutes":3,"call_seconds":-1},
             "ttl_ms":86400001,"mode":"x","on_expiry":"x","overage":"x","include_limits":1,
             "reference":"\#(String(repeating: "r", count: 65))","key":"k"}
            """#)
        #expect(
            wrong.errors.sorted() == [
                "10015 /action", "10015 /key", "10015 /messaging_profile_id", "10015 /mode",
                "10015 /on_expiry", "10015 /overage", "10015 /quantities/call_seconds",
                "10015 /quantities/minutes", "10015 /quantities/spend", "10015 /reference",
                "10015 /tenant_id", "10015 /ttl_ms", "10026 /include_limits",
                "10026 /quantities/dids",
            ])
        for unknown in [spend.replacing("acme", with: "x"), spend.replacing("promo", with: "x")] {
            let answer = try await rest(.post, "/v2/check_and_reserve", unknown)
            #expect(answer.status == 404)
            #expect(answer.errors.map { $0.prefix(5) } == ["10005"])
        }
        for id in ["0", "x", "-1", "9223372036854775808", "18446744073709551616", "1"] {
            #expect(
                try await rest(.post, "/v2/reservations/\(id)/actions/commit", "{}").status == 404)
        }
    }

    @Test func usageRecords() async throws {
        let rest = try await furnished()
        let body = #"{"tenant_id":"acme","quantities":{"spend":"4.99","dids":2}}"#
        let recorded = try await rest(.post, "/v2/usage_records", body)
        #expect(recorded.status == 200)
        #expect(recorded.data["record_type"] == "usage_record")
        #expect(
            try await rest(
                .post, "/v2/usage_records", #"{"tenant_id":"acme","quantities":{"dids":-2}}"#
            ).status == 200)
        let below = try await rest(
            .post, "/v2/usage_records", #"{"tenant_id":"acme","quantities":{"dids":-1}}"#)
        #expect(below.status == 422)
        #expect(below.errors.map { $0.prefix(5) } == ["10015"])
        #expect(
            try await rest(
                .post, "/v2/usage_records", #"{"tenant_id":"acme","quantities":{"spend":"-1"}}"#
            ).errors == ["10015 /quantities/spend"])
    }

    /// It is asked for, never charged, whatever the amount.
    @Test(arguments: Resource.allCases.filter { !$0.mayBeCharged })
    func whatIsOnlyHeld(_ resource: Resource) async throws {
        let rest = try await furnished()
        let name = resource.name
        let held = try await rest(
            .post, "/v2/check_and_reserve",
            #"{"tenant_id":"acme","action":"charge","quantities":{"\#(name)":1}}"#)
        #expect(held.status == 200)
        let path = "/v2/reservations/\(try id(held))/actions"
        let more = try await rest(
            .post, path + "/extend", #"{"additional":{"\#(name)":1}}"#)
        #expect(more.status == 200)
        for amount in [0, 1] {
            let refused = [
                try await rest(
                    .post, "/v2/check_and_reserve",
                    #"{"tenant_id":"acme","action":"charge","mode":"commit","quantities":{"\#(name)":\#(amount)}}"#
                ),
                try await rest(
                    .post, "/v2/usage_records",
                    #"{"tenant_id":"acme","quantities":{"spend":"1","\#(name)":\#(amount)}}"#),
                try await rest(.post, path + "/commit", #"{"actual":{"\#(name)":\#(amount)}}"#),
                try await rest(
                    .post, "/v2/tenants/acme/actions/set_counts",
                    #"{"dids":1,"\#(name)":\#(amount)}"#),
            ]
            #expect(refused.map(\.status) == [422, 422, 422, 422])
            #expect(
                refused.map(\.errors) == [
                    ["10015 /quantities/\(name)"], ["10015 /quantities/\(name)"],
                    ["10015 /actual/\(name)"], ["10015 /\(name)"],
                ])
            for answer in refused { #expect(answer.body.contains("\(Resource.chargingDetail)")) }
        }
        let committed = try await rest(.post, path + "/commit")
        #expect(committed.status == 200 && committed.data["committed"] == [name: 0])
    }

    /// A reservation has room for so many.
    @Test(.enabled(if: Resource.count > Resource.mostOfRequest))
    func moreResourcesThanARequestMayName() async throws {
        let rest = try await furnished()
        let all = Resource.catalogue.map { "\"\($0.name)\":\($0.unit == .amount ? "\"1\"" : "1")" }
        let refused = try await rest(
            .post, "/v2/check_and_reserve",
            #"{"tenant_id":"acme","action":"charge","quantities":{\#(all.joined(separator: ","))}}"#
        )
        #expect(refused.status == 422 && refused.errors == ["10015 /quantities"])
        let most = all.prefix(Resource.mostOfRequest).joined(separator: ",")
        let held = try await rest(
            .post, "/v2/check_and_reserve",
            #"{"tenant_id":"acme","action":"charge","quantities":{\#(most)}}"#)
        #expect(held.status == 200)
    }

    @Test func whiteLabel() async throws {
        let rest = try RESTHarness(isOpen: false)
        let (_, boss) = try rest.authority.create(name: "o", scope: .operator, tenantIDs: [])
        try rest.engine.setTenant(TenantSettings(id: "acme", limits: .newTenant))
        try rest.engine.setProfile(
            ProfileSettings(
                id: "promo", tenantID: "acme", dailySpendLimitEnabled: true,
                dailySpendLimitNanos: 10_000_000_000))
        let (_, own) = try rest.authority.create(name: "t", scope: .tenant, tenantIDs: ["acme"])
        let path = "/v2/tenants/acme/usage?messaging_profile_id=promo"
        func limits(_ token: String) async throws -> [JSON] {
            guard case .array(let limits) = try await rest(.get, path, token: token).data["limits"]
            else { throw Missing() }
            return limits
        }
        let hidden = try await limits(own)
        #expect(hidden.count == 1 + LimitSubject.tenant.limits.count)
        #expect(hidden[0]["cap"] == "10.00")
        for limit in hidden.dropFirst() {
            #expect(limit["cap"] == .null)
            #expect(limit["cap_hidden"] == true)
            for name in ["window_start", "resets_at", "blocking", "cap_minutes"] {
                #expect(limit[name] == nil)
            }
        }
        #expect(try await limits(boss)[4]["cap_minutes"] == 5_000)
        var disclosing = try #require(rest.engine.tenant("acme"))
        disclosing.disclosesLimits = true
        try rest.engine.setTenant(disclosing)
        #expect(try await limits(own) == (try await limits(boss)))
    }
}
