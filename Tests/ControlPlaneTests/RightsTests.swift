import Access
import Engine
import Foundation
import HTTPTypes
import JSON
import Limits
import Testing

@testable import ControlPlane

/// Who may do what over REST.
@Suite struct RightsTests {
    private let rest: RESTHarness
    private let boss: String

    init() throws {
        rest = try RESTHarness(isOpen: false, projection: FixedReadModel())
        boss = try rest.authority.create(
            name: "boss", scopes: Role.owner.scopes, tenantIDs: []
        ).secret
        try rest.engine.setTenant(TenantSettings(id: "acme", limits: TenantLimits(maxDIDs: 1)))
    }

    private func token(_ scopes: Scopes, rate: Int? = nil) throws -> String {
        let tenants = scopes.contains(.tenant) ? ["acme"] : []
        return try rest.authority.create(
            name: "x", scopes: scopes, tenantIDs: tenants, rate: rate
        ).secret
    }

    /// What REST asks for, route by route: a change of this list is a change of who may do what.
    private static let rights: [(String, [Right?])] = [
        ("/healthz", [nil]), ("/readyz", [nil]), ("/openapi.json", [nil]),
        ("/errors", [nil]), ("/errors/{code}", [nil]),
        ("/v2/public_key", [nil]), ("/v2/access_statistics", [.readStatistics]),
        ("/v2/tokens", [.administer, .administer]),
        ("/v2/tokens/{id}", [.administer, .administer]),
        ("/v2/messaging_profiles", [.readProfiles, .change]),
        ("/v2/messaging_profiles/{id}", [.readProfiles, .change, .change]),
        ("/v2/messaging_profile/{id}", [.readProfiles, .change, .change]),
        ("/v2/outbound_voice_profiles", [.readProfiles, .change]),
        ("/v2/outbound_voice_profiles/{id}", [.readProfiles, .change, .change]),
        ("/v2/tenants", [.readConfiguration, .change]),
        ("/v2/tenants/{id}", [.readConfiguration, .change, .change]),
        ("/v2/tenants/{id}/actions/reset_limits", [.change]),
        ("/v2/tenants/{id}/actions/suspend", [.change]),
        ("/v2/tenants/{id}/actions/reinstate", [.change]),
        ("/v2/tenants/{id}/actions/set_counts", [.change]),
        ("/v2/tenant_defaults", [.readConfiguration, .change]),
        ("/v2/tenants/{id}/usage", [.readUsage]), ("/v2/tenants/{id}/usage/daily", [.readDays]),
        ("/v2/messaging_profiles/{id}/usage", [.readUsage]),
        ("/v2/messaging_profiles/{id}/usage/daily", [.readDays]),
        ("/v2/outbound_voice_profiles/{id}/usage", [.readUsage]),
        ("/v2/outbound_voice_profiles/{id}/usage/daily", [.readDays]),
        ("/v2/usage", [.readReports]), ("/v2/reports/overview", [.readReports]),
        ("/v2/reports/invoices", [.readReports]), ("/v2/reports/invoices/{id}", [.readReports]),
        ("/v2/reports/usage", [.readReports]), ("/v2/reports/forecast", [.readReports]),
        ("/v2/reservations", [.readConfiguration]),
        ("/v2/reservations/{id}", [.readConfiguration]),
        ("/v2/check_and_reserve", [.charge]),
        ("/v2/reservations/{id}/actions/commit", [.charge]),
        ("/v2/reservations/{id}/actions/release", [.charge]),
        ("/v2/reservations/{id}/actions/extend", [.charge]), ("/v2/usage_records", [.charge]),
        ("/v2/audit_events", [.readConfiguration]), ("/v2/events", [.readConfiguration]),
        ("/v2/events/{id}", [.readConfiguration]),
        ("/v2/webhook_endpoints", [.readRecipients, .administer]),
        ("/v2/webhook_endpoints/{id}", [.readRecipients, .administer, .administer]),
        ("/v2/webhook_endpoints/{id}/actions/test", [.administer]),
        ("/v2/webhook_endpoints/{id}/actions/rotate_secret", [.administer]),
        ("/v2/webhook_deliveries", [.readConfiguration]),
        ("/v2/webhook_deliveries/{id}", [.readConfiguration]),
        ("/v2/webhook_deliveries/{id}/actions/resend", [.change]),
        ("/v2/email_recipients", [.readRecipients, .administer]),
        ("/v2/email_recipients/{id}", [.readRecipients, .administer, .administer]),
        ("/v2/email_recipients/{id}/actions/test", [.administer]),
        ("/v2/email_recipients/actions/test", [.administer]),
        ("/metrics", [.readStatistics]),
    ]

    @Test func theTable() {
        let routes = RESTRoutes.all(rest.server.core)
        let order: [HTTPRequest.Method] = [.get, .post, .patch, .delete]
        for (path, expected) in Self.rights {
            let found = order.compactMap { method in
                routes.first { $0.path == path && $0.method == method }
            }
            #expect(found.map(\.right) == expected, "\(path)")
        }
        #expect(Set(routes.map(\.path)) == Set(Self.rights.map(\.0)))
    }

    /// Every route, asked with every scope by itself: let in or refused as the table says.
    @Test(arguments: Caller.Scope.allCases) func everyRoute(scope: Caller.Scope) async throws {
        let token = try token(Scopes(scope))
        for route in RESTRoutes.all(rest.server.core) {
            let path = route.path.replacingOccurrences(of: "{id}", with: "nothing")
            let answer = try await rest(
                route.method, path, route.method == .get ? nil : #"{"odd":1}"#, token: token)
            let isLetIn = route.right.map { $0.scopes.contains(Scopes(scope)) } ?? true
            #expect((answer.status != 403) == isLetIn, "\(route.method) \(route.path)")
            if !isLetIn { #expect(answer.errors == ["10010"]) }
            #expect(answer.status != 401 && answer.status != 500)
        }
    }

    // MARK: Tokens

    @Test func scopesOfTokens() async throws {
        func create(_ body: String) async throws -> RESTHarness.Answer {
            try await rest(.post, "/v2/tokens", body, token: boss)
        }
        // One name, as ever.
        let old = try await create(#"{"name":"a","scope":"operator"}"#)
        #expect(old.data["scope"] == "operator" && old.data["scopes"] == ["admin", "operator"])
        // A list says exactly what it says.
        let new = try await create(#"{"name":"b","scopes":["operator"]}"#)
        #expect(new.data["scope"] == "operator" && new.data["scopes"] == ["operator"])
        let billing = try await create(
            #"{"name":"c","scopes":["reports","viewer"],"requests_per_second":5}"#)
        #expect(billing.data["scopes"] == ["viewer", "reports"])
        #expect(billing.data["requests_per_second"] == 5 && billing.data["last_used_at"] == .null)
        guard case .string(let operatorOnly) = new.data["secret"] else { throw Missing() }
        #expect(try await rest(.get, "/v2/tenants/acme", token: operatorOnly).status == 200)
        for path in ["/v2/tokens", "/v2/webhook_endpoints"] {
            #expect(try await rest(.post, path, "{}", token: operatorOnly).status == 403)
        }
        for (body, errors) in [
            (#"{"name":"x"}"#, ["10004 /scope"]),
            (#"{"name":"x","scope":null}"#, ["10026 /scope"]),
            (#"{"name":"x","scope":"check","scopes":["check"]}"#, ["10015 /scopes"]),
            (#"{"name":"x","scopes":[]}"#, ["10015 /scopes"]),
            (#"{"name":"x","scopes":["root"]}"#, ["10015 /scopes/0"]),
            (#"{"name":"x","scopes":"check"}"#, ["10026 /scopes"]),
            (#"{"name":"x","scopes":["viewer"],"tenant_ids":["acme"]}"#, ["10015 /tenant_ids"]),
            (#"{"name":"x","scopes":["check","tenant"]}"#, ["10004 /tenant_ids"]),
            (
                #"{"name":"x","scope":"check","requests_per_second":0}"#,
                [
                    "10033 /requests_per_second"
                ]
            ),
        ] {
            let answer = try await create(body)
            #expect(answer.status == 422 && answer.errors == errors, "\(body)")
        }
    }

    @Test func lastUse() async throws {
        let (made, secret) = try rest.authority.create(
            name: "x", scopes: .check, tenantIDs: [])
        func lastUse() async throws -> JSON? {
            try await rest(.get, "/v2/tokens/\(made.id)", token: boss).data["last_used_at"]
        }
        #expect(try await lastUse() == .null)
        #expect(try await rest(.get, "/v2/tenants/acme/usage", token: secret).status == 200)
        guard case .string(let instant) = try await lastUse() else { throw Missing() }
        #expect(instant.hasSuffix(":00.000Z"))
    }

    struct Missing: Error {}

    // MARK: Rates

    @Test func whoIsTooFastIsToldWhen() async throws {
        let token = try token(.check, rate: 1)
        func ask() async throws -> RESTHarness.Answer {
            try await rest(.get, "/v2/tenants/acme/usage", token: token)
        }
        // However slow this machine is: of a hundred calls in a row two come within a second.
        var refused: RESTHarness.Answer?
        for _ in 0..<100 where refused == nil {
            let answer = try await ask()
            if answer.status != 200 { refused = answer }
        }
        let answer = try #require(refused)
        #expect(answer.status == 429 && answer.errors == ["10011"])
        #expect(answer[header: "retry-after"] == "1" && answer[header: "x-should-retry"] == nil)
        #expect(rest.authority.hurried == 1)
        // Others are as free as ever.
        for _ in 0..<10 {
            #expect(try await rest(.get, "/v2/tenants/acme/usage", token: boss).status == 200)
        }
    }

    // MARK: Failures

    @Test func statistics() async throws {
        for token in ["tg_wrong", "tg_wrong", "a.b.c"] {
            #expect(try await rest(.get, "/v2/tenants", token: token).status == 401)
        }
        #expect(try await rest(.get, "/v2/tenants").status == 401)
        rest.authority.set(
            Identities(issuers: [
                Issuer(name: "i", audiences: ["a"], keys: .file("f"), scopes: .check)
            ]))
        let answer = try await rest(
            .get, "/v2/access_statistics", token: try token(.metrics))
        #expect(answer.status == 200 && answer.data["failed_attempts"] == 4)
        #expect(
            answer.data["failures"]
                == ["no token": 1, "unknown token": 2, "unknown issuer": 1])
        guard case .array(let issuers) = answer.data["issuers"] else { throw Missing() }
        #expect(issuers.map { $0["issuer"] } == ["i"] && issuers[0]["keys"] == 0)
    }

    /// Keys that are not there yet are no reason to send somebody away.
    @Test func laterIsUnavailable() async throws {
        rest.authority.set(
            Identities(issuers: [
                Issuer(name: "i", audiences: ["a"], keys: .file("f"), scopes: .viewer)
            ]))
        func part(_ text: String) -> String {
            Data(text.utf8).base64EncodedString().replacingOccurrences(of: "=", with: "")
        }
        let claims = #"{"iss":"i","aud":"a","exp":99999999999,"scope":"viewer"}"#
        let token = "\(part(#"{"alg":"ES256"}"#)).\(part(claims)).AAAA"
        let answer = try await rest(.get, "/v2/tenants", token: token)
        #expect(answer.status == 503 && answer[header: "retry-after"] == "1")
    }

    // MARK: White label

    /// A tenant's own switch charges, and learns no more of its provider's limits than the tenant does.
    @Test(arguments: [false, true]) func aTenantsOwnDataPlane(discloses: Bool) async throws {
        var settings = try #require(rest.engine.tenant("acme"))
        settings.disclosesLimits = discloses
        settings.limits.monthlySpendNanos = 1_000_000_000
        settings.limits.autoSuspend = false
        settings.onLimit = .alert
        try rest.engine.setTenant(settings)
        let own = try token([.check, .tenant])
        func check(_ quantities: String) async throws -> RESTHarness.Answer {
            try await rest(
                .post, "/v2/check_and_reserve",
                #"{"tenant_id":"acme","action":"charge","mode":"commit","include_limits":true,"quantities":\#(quantities)}"#,
                token: own)
        }
        let warned = try await check(#"{"spend":"2"}"#)
        #expect(warned.status == 200)
        guard case .array(let warnings) = warned.data["warnings"] else { throw Missing() }
        #expect(warnings.isEmpty == !discloses)
        settings = try #require(rest.engine.tenant("acme"))
        settings.onLimit = .block
        try rest.engine.setTenant(settings)
        let denied = try await check(#"{"spend":"1"}"#)
        #expect(denied.errors == [discloses ? "49001" : "20012"])
        #expect(denied.status == (discloses ? 429 : 403))
        #expect((denied[header: "retry-after"] != nil) == discloses)
        #expect(denied.body.contains("cap_hidden") == !discloses)
        #expect(!denied.body.contains(#""cap":"1.00""#) == !discloses)
    }
}
