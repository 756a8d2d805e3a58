import Access
import Engine
import HTTPTypes
import JSON
import Limits
import NIOCore
import NIOPosix
import Projection
import Testing

@testable import ControlPlane

/// What holds for every resource: routes, tokens, bodies, lists, the document.
@Suite struct ProtocolTests {
    @Test func unknownPathsAndMethods() async throws {
        let rest = try RESTHarness()
        #expect(try await rest(.get, "/v2/nothing").errors == ["10005"])
        #expect(try await rest(.get, "/v2/tenants/").status == 404)
        for path in ["a%ZZ", "%FF", "a%C3", "%ED%A0%80"] {
            #expect(try await rest(.get, "/v2/tenants/\(path)").errors == ["10015"], "\(path)")
        }
        let wrong = try await rest(.put, "/v2/tenants")
        #expect(wrong.status == 405)
        #expect(wrong.errors == ["10030"])
        #expect(wrong[header: "allow"] == "GET, POST, HEAD")
        let head = try await rest(.head, "/healthz")
        #expect(head.status == 200)
        #expect(head.body.isEmpty)
    }

    @Test func requestsHaveAnID() async throws {
        let rest = try RESTHarness()
        let made = try await rest(.get, "/healthz")
        #expect(made[header: "x-request-id"]?.count == 36)
        let given = try await rest(.get, "/healthz", headers: ["x-request-id": "abc-1"])
        #expect(given[header: "x-request-id"] == "abc-1")
        let long = try await rest(
            .get, "/healthz", headers: ["x-request-id": String(repeating: "x", count: 129)])
        #expect(long[header: "x-request-id"]?.count == 36)
    }

    @Test func withoutATokenNobodyGetsIn() async throws {
        let rest = try RESTHarness(isOpen: false)
        for path in ["/v2/tenants", "/v2/nothing", "/v2/tokens/x"] {
            let answer = try await rest(.get, path)
            #expect(answer.status == 401)
            #expect(answer.errors == ["10009"])
            #expect(answer[header: "www-authenticate"] == "Bearer realm=\"tollgate\"")
        }
        #expect(try await rest(.get, "/v2/tenants", token: "tg_wrong").status == 401)
        for path in ["/healthz", "/readyz", "/openapi.json", "/v2/public_key"] {
            #expect(try await rest(.get, path).status == 200, "\(path)")
        }
    }

    @Test func scopes() async throws {
        let rest = try RESTHarness(isOpen: false)
        let (_, boss) = try rest.authority.create(name: "o", scope: .operator, tenantIDs: [])
        try rest.engine.setTenant(TenantSettings(id: "acme"))
        try rest.engine.setTenant(TenantSettings(id: "other"))
        try rest.engine.setProfile(ProfileSettings(id: "promo", tenantID: "acme"))
        try rest.engine.setProfile(ProfileSettings(id: "alien", tenantID: "other"))
        let (_, check) = try rest.authority.create(
            name: "c", scope: .check, tenantIDs: ["acme"])
        let (_, tenant) = try rest.authority.create(
            name: "t", scope: .tenant, tenantIDs: ["acme"])
        func status(_ token: String, _ path: String) async throws -> Int {
            try await rest(.get, path, token: token).status
        }
        for path in ["/v2/tenants/acme", "/v2/tokens", "/v2/webhook_endpoints", "/v2/reservations"]
        {
            #expect(try await status(boss, path) == 200, "\(path)")
            #expect(try await status(check, path) == 403, "\(path)")
            #expect(try await status(tenant, path) == 403, "\(path)")
        }
        #expect(try await status(check, "/v2/tenants/acme/usage") == 200)
        #expect(try await status(check, "/v2/tenants/other/usage") == 404)
        #expect(try await status(check, "/v2/messaging_profiles/promo") == 403)
        #expect(try await status(tenant, "/v2/tenants/acme/usage") == 200)
        #expect(try await status(tenant, "/v2/tenants/other/usage") == 404)
        #expect(try await status(tenant, "/v2/messaging_profiles/promo") == 200)
        #expect(try await status(tenant, "/v2/messaging_profiles/alien") == 404)
        #expect(try await status(tenant, "/v2/messaging_profiles/promo/usage") == 200)
        #expect(try await status(tenant, "/v2/messaging_profiles/alien/usage") == 404)
        // Let in; without a journal there are no days.
        #expect(try await status(tenant, "/v2/tenants/acme/usage/daily") == 503)
        #expect(try await status(tenant, "/v2/tenants/other/usage/daily") == 404)
        #expect(try await status(check, "/v2/tenants/acme/usage/daily") == 403)

        let body = #"{"tenant_id":"other","action":"charge","quantities":{"spend":"1"}}"#
        let denied = try await rest(.post, "/v2/check_and_reserve", body, token: check)
        #expect(denied.status == 403)
        #expect(denied.errors == ["10010"])
        let own = body.replacing("other", with: "acme")
        #expect(try await rest(.post, "/v2/check_and_reserve", own, token: check).status == 200)
        #expect(try await rest(.post, "/v2/check_and_reserve", own, token: tenant).status == 403)

        // Another tenant's reservation is not there.
        let held = try await rest(.post, "/v2/check_and_reserve", body, token: boss)
        guard case .string(let id) = held.data["id"] else { throw Missing() }
        let path = "/v2/reservations/\(id)/actions/release"
        #expect(try await rest(.post, path, token: check).status == 404)
        #expect(try await rest(.post, path, token: boss).status == 200)
    }

    struct Missing: Error {}

    @Test func bodies() async throws {
        var settings = RESTSettings()
        settings.maximumBodyBytes = 256
        let rest = try RESTHarness(settings: settings)
        let path = "/v2/tenants"
        let long = #"{"name":"\#(String(repeating: "x", count: 256))"}"#
        let tooLarge = try await rest(.post, path, long)
        #expect(tooLarge.status == 413)
        #expect(tooLarge.errors == ["49301"])
        for type in [
            "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1",
        ] {
            let wrong = try await rest(.post, path, "{}", headers: ["content-type": type])
            #expect(wrong.status == 415)
            #expect(wrong.errors == ["10014"])
        }
        let charset: KeyValuePairs = ["content-type": "Application/JSON; charset=utf-8"]
        #expect(try await rest(.post, path, "{}", headers: charset).status == 200)
        for text in ["", "{", "[", #"{"name":"a","name":"b"}"#, "\"\u{1}\""] {
            let wrong = try await rest(.post, path, text)
            #expect(wrong.status == 400, "\(text)")
            #expect(wrong.errors == ["10023"], "\(text)")
        }
        let bytes = try await rest.send(
            .post, path, Array(#"{"name":""#.utf8) + [0xFF, 0x22, 0x7D])
        #expect(bytes.status == 400)
        #expect(try await rest(.post, path, "[]").errors == ["10026 "])
    }

    @Test func everythingThatIsWrongIsTold() async throws {
        let rest = try RESTHarness()
        let answer = try await rest(
            .post, "/v2/tenants",
            #"""
            {"id":"","name":5,"monthly_spend_limit":"1.0000000001","max_extensions":-1,
             "max_dids":1.5,"max_monthly_minutes":9223372036854775807,"alert_threshold":101,
             "auto_suspend":"yes","on_limit":"never","billing_cycle_day":0,
             "time_zone":"Mars/Olympus","a/b~c":1}
            """#)
        #expect(answer.status == 422)
        #expect(
            answer.errors.sorted() == [
                "10015 /a~1b~0c", "10015 /id", "10015 /monthly_spend_limit", "10015 /on_limit",
                "10015 /time_zone", "10026 /auto_suspend", "10026 /max_dids", "10026 /name",
                "10033 /alert_threshold", "10033 /billing_cycle_day", "10033 /max_extensions",
                "10033 /max_monthly_minutes",
            ])
        #expect(rest.engine.tenantCount == 0)
    }

    @Test func lists() async throws {
        let rows = (1...55).map {
            TenantRow(
                settings: TenantSettings(id: "t\($0)", name: "n\($0)"), status: .active, usage: [])
        }
        let rest = try RESTHarness(projection: FixedReadModel(tenantRows: rows))
        let first = try await rest(.get, "/v2/tenants")
        #expect(
            first.json["meta"]?.text
                == #"{"total_pages":3,"total_results":55,"page_number":1,"page_size":20}"#)
        let last = try await rest(.get, "/v2/tenants?page%5Bnumber%5D=3&page[size]=25")
        guard case .array(let found) = last.json["data"] else { throw Missing() }
        #expect(found.compactMap { $0["id"] } == ["t51", "t52", "t53", "t54", "t55"])
        #expect(try await rest(.get, "/v2/tenants?page[number]=9").json["data"] == [])
        let one = try await rest(.get, "/v2/tenants?filter[name][eq]=n7")
        #expect(one.json["meta"]?["total_results"] == 1)
        let some = try await rest(.get, "/v2/tenants?filter[name][contains]=n1")
        #expect(some.json["meta"]?["total_results"] == 11)
        let later = try await rest(.get, "/v2/tenants?filter[id][after]=t8")
        #expect(later.json["meta"]?["total_results"] == 1)
        for bad in ["", String(repeating: "a", count: 65)] {
            for list in ["tenants", "messaging_profiles"] {
                let refused = try await rest(.get, "/v2/\(list)?filter[id][after]=\(bad)")
                #expect(refused.errors == ["10015 filter[id][after]"], "\(refused.body)")
            }
        }

        let wrong = try await rest(
            .get,
            "/v2/tenants?page[number]=0&page[size]=251&sort=age&filter[status]=closed&nothing=1&filter[id]=%FF"
        )
        #expect(wrong.status == 422)
        #expect(
            wrong.errors.sorted() == [
                "10015 filter%5Bid%5D".replacing("%5B", with: "[").replacing("%5D", with: "]"),
                "10015 filter[status]", "10015 nothing", "10015 sort", "10033 page[number]",
                "10033 page[size]",
            ])
        #expect(try await rest(.get, "/v2/tenants?page[size]=x").errors == ["10026 page[size]"])
        #expect(
            try await rest(.get, "/v2/tenants?page[size]=1&page[size]=2").errors
                == ["10015 page[size]"])
        #expect(try await rest(.get, "/v2/tenants/acme?x=1").errors == ["10015 x"])
    }

    /// The word alone puts first what it says.
    @Test func orders() throws {
        func query(_ text: String, _ standing: TenantQuery.Sort = .id) -> TenantQuery {
            TenantQuery(QueryReader(text, ValidationErrors()), defaultSort: standing)
        }
        #expect(query("", .nearestToLimit) == query("sort=nearest_to_limit"))
        #expect(query("sort=nearest_to_limit").descending)
        #expect(!query("sort=-nearest_to_limit", .nearestToLimit).descending)
        #expect(!query("").descending && !query("sort=monthly_spend", .nearestToLimit).descending)
        #expect(query("sort=-monthly_spend").descending)
    }

    @Test func percentOfACap() {
        func percent(_ used: Int64, of cap: Int64?) -> Int64? {
            LimitView(
                LimitUsage(
                    kind: .tenantDIDs, cap: cap, committed: used, held: 0, windowStart: 0,
                    resetsAt: 0), subjectID: "acme"
            ).percent
        }
        #expect(percent(1, of: nil) == nil && percent(0, of: 0) == 0)
        #expect(percent(19, of: 20) == 95 && percent(-1, of: 20) == 0)
        #expect(percent(1, of: 0) == 1_000_000 && percent(.max, of: 1) == 1_000_000)
        #expect(percent(.max, of: .max) == 100)
    }

    @Test func listsOfReservationsEnd() async throws {
        let rest = try RESTHarness()
        let path = "/v2/reservations?page[size]=250&page[number]="
        #expect(try await rest(.get, path + "4000").status == 200)
        #expect(try await rest(.get, path + "4001").errors == ["10033 page[number]"])
        #expect(try await rest(.get, path + "1000000000").errors == ["10033 page[number]"])
    }

    @Test func withoutAJournalListsSayWhy() async throws {
        let rest = try RESTHarness()
        for path in ["/v2/tenants", "/v2/audit_events", "/v2/events", "/v2/usage"] {
            let answer = try await rest(.get, path)
            #expect(answer.status == 503)
            #expect(answer.errors == ["10037"])
            #expect(answer.body.contains("--durability memory"))
        }
    }

    /// A part of a list is no list: until what was durable at the start is taken up there is none.
    @Test func listsThatAreNotWholeAreRefused() async throws {
        let rest = try RESTHarness(projection: FixedReadModel(isWhole: false))
        try await rest.furnish()
        let ids = [
            "tenants": "acme", "messaging_profiles": "promo", "outbound_voice_profiles": "calls",
        ]
        let voice = #"{"id":"calls","tenant_id":"acme","name":"Calls"}"#
        #expect(try await rest(.post, "/v2/outbound_voice_profiles", voice).status == 200)
        var others: Set<String> = []
        for route in RESTRoutes.all(rest.server.core) {
            guard case .page = route.operation.answer else { continue }
            let collection = String(route.path.split(separator: "/")[1])
            let answer = try await rest(
                .get, route.path.replacing("{id}", with: ids[collection] ?? ""))
            guard answer.status == 503 else {
                #expect(answer.status == 200, "\(route.path) \(answer.body)")
                others.insert(collection)
                continue
            }
            #expect(answer.errors == ["10037"] && answer.body.contains("Lists are not whole"))
            #expect(answer[header: "retry-after"] == "1", "\(route.path)")
        }
        // These are the engine's own.
        #expect(
            others == ["reservations", "tokens", "webhook_endpoints", "email_recipients"])
        for path in ["/v2/events/e", "/v2/webhook_deliveries/1"] {
            #expect(try await rest(.get, path).status == 503, "\(path)")
        }
        #expect(try await rest(.get, "/readyz").status == 200)
    }

    @Test func readiness() async throws {
        let troubled = try RESTHarness(projection: FixedReadModel(trouble: "the disk is full"))
        let answer = try await troubled(.get, "/readyz")
        #expect(answer.status == 200, "a single failure is no standstill")
        #expect(answer.json["projection"]?["status"] == "trouble")
        #expect(!answer.body.contains("the disk is full"), "the log's, not everybody's")
        let dead = try RESTHarness(
            projection: FixedReadModel(trouble: "the disk is full", standstill: "disk I/O error"))
        let dark = try await dead(.get, "/readyz")
        #expect(dark.status == 503 && dark.errors == ["10037"])
        #expect(dark.body.contains("Lists and alerts are not updating: disk I/O error"))
        #expect(try await dead(.get, "/healthz").status == 200)
        let draining = try RESTHarness()
        draining.server.core.limiter.drain()
        #expect(try await draining(.get, "/readyz").status == 503)
        #expect(try await draining(.get, "/healthz").status == 200)
        #expect(try await draining(.get, "/v2/tokens").status == 503)
    }

    /// Decisions do not need the wall clock: nobody is sent away, and who asks is told how far apart it is.
    @Test func readinessTellsOfAClockThatIsApart() async throws {
        let clocks = MachineClocks()
        let rest = try RESTHarness(clock: EngineClock(clocks.source))
        for (ahead, status) in [
            (0, "ok"), (1_000, "ok"), (-1_000, "ok"), (1_001, "apart"), (-7_200_000, "apart"),
            (0, "ok"),
        ] as [(Int64, String)] {
            clocks.leap(-ahead)
            let answer = try await rest(.get, "/readyz")
            clocks.leap(ahead)
            #expect(answer.status == 200 && answer.json["status"] == "ready", "\(answer.body)")
            let clock = answer.json["clock"]
            #expect(clock?["status"] == .string(status), "\(answer.body)")
            #expect(clock?["ahead_ms"] == .integer(ahead), "\(answer.body)")
        }
    }

    @Test func concurrencyIsBounded() async throws {
        var settings = RESTSettings()
        settings.maximumRequests = 1
        let rest = try RESTHarness(settings: settings)
        #expect(rest.server.core.limiter.enter())
        for path in ["/healthz", "/readyz", "/openapi.json", "/v2/public_key"] {
            #expect(try await rest(.get, path).status == 200, "\(path)")
        }
        let refused = try await rest(.get, "/v2/tokens")
        #expect(refused.status == 503)
        #expect(refused[header: "retry-after"] == "1")
        rest.server.core.limiter.leave()
        #expect(try await rest(.get, "/v2/tokens").status == 200)
        // Its place is free again.
        #expect(try await rest(.get, "/v2/tokens").status == 200)
    }

    /// A body that does not arrive is given up, and the connection with it; one in time is answered.
    @Test func slowBodies() async throws {
        var settings = RESTSettings()
        settings.port = 0
        settings.bodyTimeLimit = .milliseconds(200)
        let rest = try RESTHarness(settings: settings)
        let port = try await rest.server.start().port
        let head = """
            POST /v2/tenants HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
            Content-Length: 13\r\nConnection: close\r\n\r\n
            """
        let slow = try await RESTHarness.exchange(port, head + #"{"id":"#)
        await rest.server.shutdown(within: .seconds(1))
        #expect(slow.hasPrefix("HTTP/1.1 408 ") && slow.contains("49303"), "\(slow)")
        #expect(rest.engine.tenant("acme") == nil)
        settings.bodyTimeLimit = .seconds(600)
        let patient = try RESTHarness(settings: settings)
        let whole = try await RESTHarness.exchange(
            patient.server.start().port, head + #"{"id":"acme"}"#)
        #expect(whole.hasPrefix("HTTP/1.1 200 "), "\(whole)")
        await patient.server.shutdown(within: .seconds(1))
    }

    /// A peer that asks and never reads is hung up on, and takes nobody's place meanwhile.
    @Test(.timeLimit(.minutes(10))) func whoDoesNotReadIsHungUpOn() async throws {
        var settings = RESTSettings()
        settings.port = 0
        settings.maximumRequests = 1
        settings.answerTimeLimit = .seconds(2)
        let rest = try RESTHarness(settings: settings)
        try await rest.serving { port in
            let many = String(
                repeating: "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n", count: 1_000)
            var deaf: [any Channel] = []
            for _ in 0..<4 {
                let channel = try await ClientBootstrap(
                    group: MultiThreadedEventLoopGroup.singleton
                )
                .channelOption(.autoRead, value: false)
                .connect(host: "127.0.0.1", port: port).get()
                channel.writeAndFlush(ByteBuffer(string: many), promise: nil)
                deaf.append(channel)
            }
            let request = "GET /v2/tokens HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            for _ in 0..<20 {
                #expect(
                    try await RESTHarness.exchange(port, request).hasPrefix("HTTP/1.1 200 "))
            }
            // What they asked for and was not read is in the way of an orderly end: they are told.
            for channel in deaf { try await channel.closeFuture.get() }
        }
    }

    /// Connections that are accepted while the server stops are closed like others.
    @Test func connectionsArriveDuringAStop() async throws {
        for _ in 0..<20 {
            var settings = RESTSettings()
            settings.port = 0
            let rest = try RESTHarness(settings: settings)
            let port = try await rest.server.start().port
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<40 {
                    group.addTask {
                        // Whoever is too late is refused or cut off.
                        _ = try? await RESTHarness.exchange(port, "GET /healthz HTTP/1.1\r\n\r\n")
                    }
                }
                group.addTask { await rest.server.shutdown(within: .seconds(60)) }
            }
        }
    }

    /// Who comes to wait when it has been given up does not wait.
    @Test func aGateThatWasGivenUpKeepsNobody() async {
        let limiter = ConcurrencyLimiter(maximum: 1)
        limiter.begin()
        limiter.giveUp()
        await limiter.empty()
    }

    @Test func theDocumentNamesEveryRoute() async throws {
        let rest = try RESTHarness()
        let document = try await rest(.get, "/openapi.json").json
        #expect(document["openapi"] == "3.1.0")
        let routes = RESTRoutes.all(rest.server.core)
        for route in routes {
            let operation = document["paths"]?[route.path]?[route.method.rawValue.lowercased()]
            #expect(operation?["operationId"] == .string(route.operation.id), "\(route.path)")
        }
        guard case .object(let paths) = document["paths"] else { throw Missing() }
        let methods = paths.flatMap { path -> [JSON.Member] in
            if case .object(let members) = path.value { members } else { [] }
        }
        #expect(methods.count == routes.count)
        #expect(Set(routes.map(\.operation.id)).count == routes.count)
        // Every reference leads somewhere.
        let names = Set(Schemas.all.map(\.name))
        let text = document.text
        for match in text.matches(of: /#\/components\/schemas\/(\w+)/) {
            #expect(names.contains(String(match.1)), "\(match.1)")
        }
        #expect(names.count == Schemas.all.count)
    }
}
