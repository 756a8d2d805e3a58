import Access
import Engine
import Events
import Foundation
import HTTPTypes
import Hummingbird
import Limits
import NIOCore
import Projection
import Synchronization
import Testing

@testable import OperatorPage

/// The page as a browser would ask it, without a socket.
struct PageTests {
    private let engine: Engine
    private let authority: TokenAuthority
    private let secret: String

    init() throws {
        engine = try Engine()
        authority = try TokenAuthority(engine, isOpen: false)
        secret = try authority.create(name: "ann", scope: .operator, tenantIDs: []).secret
    }

    private func page(
        _ model: StubModel? = StubModel(tenantRows: [.sample("acme", name: "Acme & Söhne")]),
        isOpen: Bool = false, _ change: (inout PageSettings) -> Void = { _ in }
    ) throws -> OperatorPage {
        var settings = PageSettings()
        change(&settings)
        return try OperatorPage(
            engine: engine,
            authority: isOpen ? TokenAuthority(engine, isOpen: true) : authority, model: model,
            settings: settings)
    }

    private struct Answer {
        var status: Int
        var headers: HTTPFields
        var text: String

        /// "name=value" of the cookie that is set.
        var cookie: String? {
            headers[.setCookie]?.split(separator: ";").first.map { String($0) }
        }
    }

    private func ask(
        _ page: OperatorPage, _ path: String, method: HTTPRequest.Method = .get,
        headers: HTTPFields = [:], form: String? = nil
    ) async throws -> Answer {
        let response = await page.respond(to: request(path, method, headers, form), from: "")
        let writer = TextWriter()
        try await response.body.write(writer)
        return Answer(
            status: response.status.code, headers: response.headers, text: writer.text)
    }

    private func request(
        _ path: String, _ method: HTTPRequest.Method, _ headers: HTTPFields, _ form: String?
    ) -> Request {
        var headers = headers
        if form != nil { headers[.contentType] = "application/x-www-form-urlencoded" }
        return Request(
            head: HTTPRequest(
                method: method, scheme: "http", authority: "localhost", path: path,
                headerFields: headers),
            body: RequestBody(buffer: ByteBuffer(string: form ?? "")))
    }

    /// Who may only look is offered no change.
    @Test func viewers() async throws {
        let page = try page()
        let viewer = try authority.create(name: "eve", scopes: .viewer, tenantIDs: []).secret
        for (token, isViewer) in [(viewer, true), (secret, false)] {
            let answer = try await ask(page, "/login", method: .post, form: "token=\(token)")
            let cookie = try #require(answer.cookie)
            let shown = try await ask(page, "/settings/usage-limits", headers: [.cookie: cookie])
            #expect(shown.status == 200)
            #expect(shown.text.contains(#"<body class="view-only">"#) == isViewer)
            #expect(shown.text.contains("view only") == isViewer)
        }
        // Its session opens REST for reading alone; a log-in that fails is counted.
        let wrong = try await ask(page, "/login", method: .post, form: "token=tg_wrong")
        #expect(wrong.status == 401 && authority.attempts.counts == [.logIn: 1])
    }

    /// Also without a journal.
    @Test func tokensWithTheirLastUse() async throws {
        let page = try page(nil)
        let cookie = try await logIn(page)
        let caller = try authority.create(name: "switch <1>", scopes: .check, tenantIDs: ["acme"])
        let before = try await ask(page, "/tokens", headers: cookie)
        #expect(before.status == 200 && before.text.contains("switch &lt;1&gt;"))
        func row(_ text: String) throws -> Substring {
            let rows = text.split(separator: "<tr ")
            return try #require(rows.first { $0.contains(caller.token.id) })
        }
        let unused = try row(before.text)
        #expect(unused.contains(#"data-label="Last used (UTC)">Never<"#))
        #expect(unused.contains(#"data-label="Expires (UTC)">Never<"#))
        #expect(unused.contains(">check<") && unused.contains(">acme<"))
        #expect(authority.caller(secret: caller.secret) != nil)
        let use = try #require(authority.lastUses[caller.token.id])
        let after = try await ask(page, "/tokens", headers: cookie)
        let used = try row(after.text)
        #expect(used.contains(#"data-label="Last used (UTC)"><time datetime="\#(Texts.iso(use))""#))
        for shown in [before.text, after.text] {
            #expect(!shown.contains(caller.secret) && !shown.contains(caller.token.hash))
            #expect(shown.contains(#"<a href="/tokens" aria-current="page">"#))
        }
    }

    @Test func tokensAreForThoseWhoAdminister() async throws {
        let page = try page()
        for scopes in [Scopes.viewer, .operator] {
            let secret = try authority.create(name: "eve", scopes: scopes, tenantIDs: []).secret
            let answer = try await ask(page, "/login", method: .post, form: "token=\(secret)")
            let cookie = try #require(answer.cookie)
            let shown = try await ask(page, "/tokens", headers: [.cookie: cookie])
            #expect(shown.status == 403 && !shown.text.contains("eve"))
            let other = try await ask(page, "/audit", headers: [.cookie: cookie])
            #expect(other.status == 200 && !other.text.contains("/tokens"))
        }
    }

    @Test func tokensByPage() async throws {
        let page = try page { $0.pageSize = 2 }
        let cookie = try await logIn(page)
        for name in ["bo", "cy", "di"] {
            _ = try authority.create(name: name, scopes: .check, tenantIDs: [])
        }
        let second = try await ask(page, "/tokens?page=2", headers: cookie)
        #expect(second.status == 200 && second.text.matches(of: #/data-token=/#).count == 2)
        let beyond = try await ask(page, "/tokens?page=9", headers: cookie)
        #expect(beyond.status == 200 && beyond.text.contains("No access tokens"))
    }

    /// The value of `Cookie` after a log-in.
    private func logIn(_ page: OperatorPage) async throws -> HTTPFields {
        let answer = try await ask(
            page, "/login", method: .post, form: "token=\(secret)&next=%2Faudit")
        #expect(answer.status == 303)
        #expect(answer.headers[.location] == "/audit")
        return [.cookie: try #require(answer.cookie)]
    }

    private func csrf(_ html: String) throws -> String {
        let match = try #require(html.firstMatch(of: #/name="csrf-token" content="([^"]+)"/#))
        return String(match.1)
    }

    // MARK: Log-in

    @Test func withoutALogInThereAreNoPages() async throws {
        let page = try page()
        for path in [
            "/", "/settings/usage-limits", "/tenants/acme", "/alerts", "/audit", "/live", "/tokens",
        ] {
            let answer = try await ask(page, path)
            #expect(answer.status == 303)
            #expect(answer.headers[.location]?.hasPrefix("/login?next=%2F") == true)
        }
        #expect(try await ask(page, "/audit.csv").status == 303)
        #expect(try await ask(page, "/live/events").status == 401)
        #expect(try await ask(page, "/tenants/acme/events").status == 401)
        #expect(try await ask(page, "/settings/usage-limits/events?ids=acme").status == 401)
    }

    @Test func theCookieIsForThisSiteAndNoScript() async throws {
        let answer = try await ask(page(), "/login", method: .post, form: "token=\(secret)")
        let cookie = try #require(answer.headers[.setCookie])
        #expect(cookie.hasPrefix("tollgate="))
        #expect(cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Strict"))
        #expect(cookie.contains("; Max-Age=43200") && cookie.contains("; Path=/"))
        #expect(!cookie.contains("Secure"))
        #expect(!answer.text.contains(secret))
    }

    @Test func overTLSTheCookieNeverLeavesWithout() async throws {
        let page = try page { $0.isCookieSecure = true }
        let answer = try await ask(page, "/login", method: .post, form: "token=\(secret)")
        let cookie = try #require(answer.headers[.setCookie])
        #expect(cookie.hasPrefix("__Host-tollgate=") && cookie.hasSuffix("; Secure"))
        let known = try await ask(page, "/live", headers: [.cookie: try #require(answer.cookie)])
        #expect(known.status == 200)
    }

    @Test func aWrongTokenIsToldSoAndCounted() async throws {
        let page = try page { $0.maximumFailedLogIns = 2 }
        for _ in 0..<2 {
            let answer = try await ask(page, "/login", method: .post, form: "token=no")
            #expect(answer.status == 401 && answer.cookie == nil)
            #expect(answer.text.contains("Invalid token. Use a token of an operator or viewer."))
        }
        let answer = try await ask(page, "/login", method: .post, form: "token=no")
        #expect(answer.status == 429 && answer.headers[.retryAfter] == "60")
        // Who has the token is let in, whatever others have tried.
        _ = try await logIn(page)
    }

    /// However many fail, the log has the first of an address, where all attempts are told.
    @Test func logInsThatFailAreToldOnce() async throws {
        let page = try page()
        let told = Mutex<[String]>([])
        authority.attempts.onFirst { failure, address in
            told.withLock { $0.append("\(address) \(failure.rawValue)") }
        }
        for address in ["192.0.2.1", "2001:db8::/64", "192.0.2.1", "2001:db8::/64"] {
            let asked = request("/login", .post, [:], "token=no")
            #expect(await page.respond(to: asked, from: address).status == .unauthorized)
        }
        #expect(told.withLock { $0 } == ["192.0.2.1 log-in", "2001:db8::/64 log-in"])
        #expect(authority.attempts.counts == [.logIn: 4])
    }

    /// A browser sends a host's cookies to all of its ports.
    @Test func theCookieIsNamedAfterThePort() async throws {
        let page = try page()
        page.listens(on: 8_081)
        let answer = try await ask(page, "/login", method: .post, form: "token=\(secret)")
        let cookie = try #require(answer.cookie)
        #expect(cookie.hasPrefix("tollgate-8081="))
        #expect(try await ask(page, "/live", headers: [.cookie: cookie]).status == 200)
        let other = cookie.replacing("-8081", with: "-8080")
        #expect(try await ask(page, "/live", headers: [.cookie: other]).status == 303)
    }

    /// A form that has not come takes nobody's place.
    @Test(.timeLimit(.minutes(10))) func unfinishedFormsTakeNoPlace() async throws {
        let page = try page { $0.maximumRequests = 1 }
        let (body, source) = RequestBody.makeStream()
        let head = HTTPRequest(
            method: .post, scheme: "http", authority: "localhost", path: "/login",
            headerFields: [.contentType: "application/x-www-form-urlencoded"])
        async let late = page.respond(to: Request(head: head, body: body), from: "")
        await source.yield(ByteBuffer(string: "token="))
        // Taken up: it waits for the rest.
        await source.yield(ByteBuffer(string: secret))
        for _ in 0..<10 { #expect(try await ask(page, "/login").status == 200) }
        source.finish()
        #expect(await late.status == .seeOther)
    }

    /// Who asks is told in time, and what it asked for keeps its place until it is done.
    @Test(.timeLimit(.minutes(10))) func aPageThatTakesTooLongIsGivenUp() async throws {
        let (opened, open) = AsyncStream<Void>.makeStream()
        var model = StubModel(tenantRows: [.sample("acme", name: "Acme")])
        model.wait = { for await _ in opened {} }
        let page = try page(model, isOpen: true) {
            $0.maximumRequests = 1
            $0.requestTimeLimit = .milliseconds(50)
        }
        let late = try await ask(page, "/settings/usage-limits")
        #expect(late.status == 503 && late.text.contains("took too long"))
        #expect(late.headers[.retryAfter] == "1")
        let busy = try await ask(page, "/settings/usage-limits")
        #expect(busy.status == 503 && busy.text.contains("Too many page requests"))
        open.finish()
        var answer = busy
        while answer.status == 503 { answer = try await ask(page, "/settings/usage-limits") }
        #expect(answer.status == 200 && answer.text.contains("acme"))
    }

    @Test(arguments: ["/tenants/%FF", "/live?x=%FF", "/tenants/a%ZZ"])
    func pathsAreText(path: String) async throws {
        #expect(try await ask(page(), path).status == 422)
    }

    @Test(arguments: [
        "https%3A%2F%2Fevil.example", "%2F%2Fevil.example", "%2F%5Cevil", "x", "%2Fa%0Ab",
    ])
    func afterALogInNobodyIsSentElsewhere(next: String) async throws {
        let answer = try await ask(
            page(), "/login", method: .post, form: "token=\(secret)&next=\(next)")
        #expect(answer.headers[.location] == "/settings/usage-limits")
    }

    @Test func anotherSiteLogsNobodyIn() async throws {
        let name = try #require(HTTPField.Name("sec-fetch-site"))
        let answer = try await ask(
            page(), "/login", method: .post, headers: [name: "cross-site"],
            form: "token=\(secret)")
        #expect(answer.status == 403 && answer.cookie == nil)
    }

    @Test func loggingOutNeedsTheToken() async throws {
        let page = try page()
        let cookie = try await logIn(page)
        let html = try await ask(page, "/live", headers: cookie).text
        #expect(
            try await ask(page, "/logout", method: .post, headers: cookie, form: "csrf=x").status
                == 403)
        #expect(try await ask(page, "/live", headers: cookie).status == 200)
        let answer = try await ask(
            page, "/logout", method: .post, headers: cookie, form: "csrf=\(csrf(html))")
        #expect(answer.status == 303 && answer.headers[.setCookie]?.contains("Max-Age=0") == true)
        #expect(try await ask(page, "/live", headers: cookie).status == 303)
    }

    @Test func withoutAuthenticationNoLogInIsAsked() async throws {
        let page = try page(isOpen: true)
        #expect(try await ask(page, "/live").status == 200)
        #expect(try await ask(page, "/login").headers[.location] == "/settings/usage-limits")
    }

    // MARK: REST with the session

    @Test func changesNeedTheSessionsToken() async throws {
        let page = try page()
        let cookie = try await logIn(page)
        let token = try csrf(try await ask(page, "/live", headers: cookie).text)
        let name = try #require(HTTPField.Name("x-csrf-token"))
        let site = try #require(HTTPField.Name("sec-fetch-site"))
        func caller(_ method: HTTPRequest.Method, _ headers: HTTPFields) -> Caller? {
            page.caller(of: request("/v2/tenants/acme", method, headers, nil))
        }
        #expect(caller(.get, cookie)?.name == "ann")
        #expect(caller(.get, [:]) == nil)
        #expect(caller(.get, [.cookie: "tollgate=x"]) == nil)
        for method in [HTTPRequest.Method.post, .patch, .delete, .put] {
            #expect(caller(method, cookie) == nil)
            var headers = cookie
            headers[name] = "wrong"
            #expect(caller(method, headers) == nil)
            headers[name] = token
            #expect(caller(method, headers)?.isOperator == true)
            headers[site] = "same-site"
            #expect(caller(method, headers) == nil)
        }
    }

    // MARK: Every answer

    static let paths = [
        "/login", "/assets/page.css", "/assets/page.js", "/assets/none", "/suspended/acme",
        "/settings/usage-limits", "/settings/tenant-defaults", "/alerts", "/audit", "/audit.csv",
        "/live", "/tenants/acme", "/tenants/acme/daily.csv", "/tenants/none", "/nowhere", "/%zz",
        "/",
    ]

    @Test(arguments: paths)
    func everyAnswerForbidsWhatIsNotNeeded(path: String) async throws {
        let page = try page()
        let cookie = try await logIn(page)
        for headers in [cookie, [:]] {
            let answer = try await ask(page, path, headers: headers)
            let policy = answer.headers[.contentSecurityPolicy] ?? ""
            #expect(policy.contains("default-src 'none'") && policy.contains("script-src 'self';"))
            #expect(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"))
            #expect(answer.headers[.xContentTypeOptions] == "nosniff")
            #expect(
                answer.headers[try #require(HTTPField.Name("referrer-policy"))] == "no-referrer")
            if answer.headers[.contentType]?.hasPrefix("text/html") == true {
                #expect(answer.headers[.cacheControl] == "no-store")
                #expect(!answer.text.contains("style=\""))
                #expect(answer.text.firstMatch(of: #/<script(?![^>]*src=)/#) == nil)
            }
        }
    }

    @Test func pagesThatAreNoneAreNotFound() async throws {
        let page = try page()
        let cookie = try await logIn(page)
        for path in [
            "/nowhere", "/tenants/none", "/tenants/", "/tenants/acme/x", "/assets/none", "/live/x",
        ] {
            #expect(try await ask(page, path, headers: cookie).status == 404, "\(path)")
        }
        #expect(try await ask(page, "/alerts", method: .delete, headers: cookie).status == 404)
    }

    @Test func filesAreSentOnce() async throws {
        let page = try page()
        for name in Asset.all.keys {
            let answer = try await ask(page, "/assets/\(name)")
            let tag = try #require(answer.headers[.eTag])
            #expect(answer.status == 200 && !answer.text.isEmpty)
            let again = try await ask(page, "/assets/\(name)", headers: [.ifNoneMatch: tag])
            #expect(again.status == 304 && again.text.isEmpty)
        }
    }

    // MARK: Pages

    @Test func aPageWithManyTenantsIsLight() async throws {
        let rows = (0..<45).map { TenantRow.sample("tenant-\($0)", name: "Tenant \($0)") }
        let page = try page(StubModel(tenantRows: rows), isOpen: true)
        let answer = try await ask(page, "/settings/usage-limits?page=2")
        let assets = ["page.css", "page.js", "tenants.js", "usage-limits.js", "icon.svg"]
            .reduce(0) { $0 + (Asset.all[$1]?.bytes.count ?? 0) }
        #expect(answer.text.utf8.count + assets < 120_000)
        #expect(answer.text.contains("21–40 of 45"))
        #expect(answer.text.contains("rel=\"prev\"") && answer.text.contains("rel=\"next\""))
    }

    @Test func aFurtherLimitHasAColumnWhereATenantHasIt() async throws {
        func titles(_ rows: [TenantRow]) async throws -> Set<String> {
            let page = try page(StubModel(tenantRows: rows), isOpen: true)
            let answer = try await ask(page, "/settings/usage-limits")
            let head = try #require(answer.text.split(separator: "</thead>").first)
            let columns = head.split(separator: "<th scope=\"col\"").count - 1
            let shown = CapSetting.all.map(\.columnTitle).filter { title in
                answer.text.contains("<td data-label=\"\(title)\"")
            }
            // Name, thresholds, auto-suspend, actions.
            #expect(columns == shown.count + 4)
            return Set(shown)
        }
        let guides = Set(CapSetting.all.filter(\.isCommon).map(\.columnTitle))
        #expect(guides.count == 4)
        var rows = [TenantRow.sample("one", name: "One"), .sample("two", name: "Two")]
        #expect(try await titles(rows) == guides)
        for further in CapSetting.all where !further.isCommon {
            rows[1].settings.limits = TenantLimits()
            rows[1].settings.limits[further] = 1
            #expect(try await titles(rows) == guides.union([further.columnTitle]))
        }
    }

    @Test func aTenantsNameIsEscapedWhereverItStands() async throws {
        let name = "<img src=x onerror=alert(1)>\"'"
        let page = try page(StubModel(tenantRows: [.sample("a\"b<c", name: name)]), isOpen: true)
        for path in ["/settings/usage-limits", "/tenants/a%22b%3Cc"] {
            let answer = try await ask(page, path)
            #expect(answer.status == 200)
            #expect(!answer.text.contains("<img") && answer.text.contains("&lt;img src=x"))
            #expect(!answer.text.contains("a\"b<c"))
        }
    }

    /// The last day of the chart is today where the tenant is, which is not UTC's today everywhere.
    @Test(arguments: [
        ("Asia/Tokyo", "2026-11-21T20:00:00Z", "2026-11-22", "2026-11-23"),
        ("UTC", "2026-11-21T20:00:00Z", "2026-11-21", "2026-11-22"),
        ("America/Los_Angeles", "2026-11-21T02:00:00Z", "2026-11-20", "2026-11-21"),
    ]) func daysAreTheTenants(zone: String, now: String, today: String, next: String) async throws {
        func time(_ text: String) throws -> Int64 {
            Int64(try Date(text, strategy: .iso8601).timeIntervalSince1970) * 1_000
        }
        let instant = try time(now)
        var row = TenantRow.sample("acme", name: "Acme")
        row.settings.timeZone = zone
        var day = DailyUsageRow(
            day: try time(today + "T00:00:00Z"), profileID: "", committed: Amounts(), allowed: 0,
            denied: 0)
        day.committed.set(Resource.spend.index, 7_770_000_000)
        let engine = try Engine(
            clock: EngineClock(EngineClock.Source(boot: { instant }, wall: { instant })))
        let page = try OperatorPage(
            engine: engine, authority: TokenAuthority(engine, isOpen: true),
            model: StubModel(tenantRows: [row], dayRows: [day]), settings: PageSettings())
        let html = try await ask(page, "/tenants/acme").text
        #expect(html.contains("\(today): $7.77") && !html.contains(next))
        #expect(html.matches(of: #/<title>2026-\d\d-\d\d: /#).count == 30)
    }

    @Test func theSuspendedPageSaysNothingOfLimitsNorOfWhoIsATenant() async throws {
        let page = try page {
            $0.brandName = "Acme Voice"
            $0.contact = "help@acme.example"
        }
        let known = try await ask(page, "/suspended/acme")
        let unknown = try await ask(page, "/suspended/nobody")
        #expect(known.status == 200 && known.text == unknown.text)
        #expect(known.text.contains("Acme Voice"))
        #expect(known.text.contains("href=\"mailto:help@acme.example\""))
        let text = known.text.lowercased().replacing("suspended", with: "")
        for word in ["limit", "cap", "spend", "usage", "tollgate", "bill", "dollar", "$"] {
            #expect(!text.contains(word), "\(word)")
        }
    }

    @Test func withoutAJournalPagesSayWhatIsMissing() async throws {
        let page = try page(nil, isOpen: true)
        for path in [
            "/settings/usage-limits", "/settings/usage-limits/events?ids=acme", "/audit", "/alerts",
            "/tenants/acme", "/tenants/acme/events",
        ] {
            let answer = try await ask(page, path)
            #expect(answer.status == 503 && answer.text.contains("--durability memory"))
        }
    }

    @Test func listsThatAreNotWholeAreNotShown() async throws {
        let page = try page(
            StubModel(tenantRows: [.sample("acme", name: "Acme")], isWhole: false), isOpen: true)
        for path in ["/settings/usage-limits", "/audit", "/audit.csv", "/alerts", "/tenants/acme"] {
            let answer = try await ask(page, path)
            #expect(answer.status == 503 && answer.headers[.retryAfter] == "1", "\(path)")
            #expect(answer.text.contains("Lists are not whole. Try again in a moment."), "\(path)")
        }
    }

    @Test func liveWorksWithoutAJournal() async throws {
        let page = try page(nil, isOpen: true)
        let html = try await ask(page, "/live")
        #expect(html.status == 200 && html.text.contains("--durability memory"))
        #expect(!html.text.contains("data-nearest"))
        let text = try await firstMessage(page, "/live/events")
        #expect(text.contains("\"nearest\":[]") && text.contains("\"rate\":\"0\""))
        let other = try await ask(self.page(isOpen: true), "/live")
        #expect(!other.text.contains("--durability") && other.text.contains("data-nearest"))
    }

    @Test func theAuditLogSaysWhatTriggered() async throws {
        var row = AuditRow(id: 1, time: 1_700_000_000_000, kind: "denied")
        row.tenantID = "acme"
        row.code = "49001"
        row.callerName = "=cmd"
        row.limits = [
            .init(
                name: "tenant_monthly_spend", cap: 500_000_000_000, committed: 499_900_000_000,
                held: 50_000_000, asked: 400_000_000, percent: 80, windowStart: 0, resetsAt: 0)
        ]
        let page = try page(StubModel(auditRows: [row]), isOpen: true)
        let html = try await ask(page, "/audit").text
        #expect(html.contains("Monthly spend: $499.90 of $500.00 used, $0.05 held, $0.40 asked"))
        let csv = try await ask(page, "/audit.csv").text
        #expect(csv.contains("denied,acme,,49001,tenant_monthly_spend,500.00,499.90,0.05,0.40"))
        #expect(csv.contains(",'=cmd,"))
    }

    // MARK: Streams

    /// What a stream says first: the page drains when it has come.
    private func firstMessage(_ page: OperatorPage, _ path: String) async throws -> String {
        let response = await page.respond(to: request(path, .get, [:], nil), from: "")
        #expect(response.headers[.contentType] == "text/event-stream")
        let writer = TextWriter { text in if text.contains("data:") { page.drain() } }
        try await response.body.write(writer)
        return writer.text
    }

    /// The table's stream is asked for by the tenants that the page shows, whatever their ids.
    @Test func theTablesStreamTellsOfItsRows() async throws {
        let rows = ["a", "b&c=d", "ü +", "e%0A"].map { TenantRow.sample($0, name: "Name \($0)") }
        let page = try page(StubModel(tenantRows: rows), isOpen: true) { $0.pageSize = 3 }
        let html = try await ask(page, "/settings/usage-limits").text
        let match = try #require(html.firstMatch(of: #/data-events="([^"]+)"/#))
        let text = try await firstMessage(
            page, String(match.1).replacing("&amp;", with: "&"))
        for row in rows.dropLast() {
            #expect(text.contains("\"id\":\"\(row.settings.id)\""), "\(row.settings.id)")
        }
        #expect(!text.contains("e%0A"))
        #expect(text.contains("$20.00 used"))
    }

    @Test(arguments: ["", "?ids=", "?q=a", "?ids=a%0Ab%0Ac%0Ad"])
    func theTablesStreamIsOfAPageAtMost(query: String) async throws {
        let page = try page(isOpen: true) { $0.pageSize = 3 }
        #expect(try await ask(page, "/settings/usage-limits/events\(query)").status == 404)
        let long = String(repeating: "a", count: 200)
        #expect(try await ask(page, "/settings/usage-limits/events?ids=\(long)").status == 404)
    }

    @Test func aTenantThatIsGoneIsLeftOut() async throws {
        let page = try page(isOpen: true)
        let text = try await firstMessage(
            page, "/settings/usage-limits/events?ids=nobody%0Aacme")
        #expect(text.contains("\"id\":\"acme\"") && !text.contains("nobody"))
    }

    @Test func aStreamTellsAndEndsWithTheService() async throws {
        let page = try page(isOpen: true)
        let response = await page.respond(
            to: request("/tenants/acme/events", .get, [:], nil), from: "")
        #expect(response.headers[.contentType] == "text/event-stream")
        let writer = TextWriter { text in if text.contains("data:") { page.drain() } }
        try await response.body.write(writer)
        #expect(writer.text.contains("\"used\":\"$20.00\""))
        let later = try await ask(page, "/tenants/acme/events")
        #expect(later.status == 503)
    }

    @Test func noMoreStreamsThanAllowed() async throws {
        let page = try page(isOpen: true) { $0.maximumStreams = 1 }
        let asked = request("/live/events", .get, [:], nil)
        let first = await page.respond(to: asked, from: "")
        #expect(first.status == .ok)
        #expect(await page.respond(to: asked, from: "").status == .serviceUnavailable)
        page.drain()
        _ = first
    }

    @Test func aStreamThatIsNeverReadGivesItsPlaceBack() async throws {
        let page = try page(isOpen: true) { $0.maximumStreams = 1 }
        let asked = request("/live/events", .get, [:], nil)
        do { _ = await page.respond(to: asked, from: "") }
        #expect(await page.respond(to: asked, from: "").status == .ok)
        page.drain()
    }
}

/// Collects what is written.
private final class TextWriter: ResponseBodyWriter, Sendable {
    private let bytes = Mutex<[UInt8]>([])
    private let notify: @Sendable (String) -> Void

    init(_ notify: @escaping @Sendable (String) -> Void = { _ in }) { self.notify = notify }

    var text: String { String(decoding: bytes.withLock { $0 }, as: UTF8.self) }

    func write(_ buffer: ByteBuffer) async throws {
        bytes.withLock { $0 += Array(buffer.readableBytesView) }
        notify(text)
    }

    func finish(_ trailingHeaders: HTTPFields?) async throws {}
}
