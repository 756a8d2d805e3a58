import Access
import HTTPTypes
import Telemetry
import Testing

@testable import ControlPlane

@Suite struct MetricsTests {
    private static let things = Metric.counter("t_things", "Things")
    private static let requests = Metric.counter(
        "t_requests", "Requests", by: "method", "route", "status")

    private static let source: MetricsSource = { rest in
        var requests = MetricFamily(Self.requests)
        for (key, count) in rest.requests {
            requests.add(.count(count), key.method, key.route, "\(key.status)")
        }
        return [MetricFamily(things, UInt64(7)), requests]
    }

    @Test func scopes() async throws {
        let rest = try RESTHarness(isOpen: false, metrics: Self.source)
        #expect(try await rest(.get, "/metrics").status == 401)
        for scope in Caller.Scope.allCases {
            let tenants = scope == .tenant ? ["acme"] : []
            let (_, token) = try rest.authority.create(
                name: scope.rawValue, scope: scope, tenantIDs: tenants)
            let answer = try await rest(.get, "/metrics", token: token)
            let mayRead = [.metrics, .operator, .admin, .viewer].contains(scope)
            #expect(answer.status == (mayRead ? 200 : 403), "\(scope)")
        }
    }

    @Test func formats() async throws {
        let rest = try RESTHarness(metrics: Self.source)
        let plain = try await rest(.get, "/metrics")
        #expect(plain[header: "content-type"] == "text/plain; version=0.0.4; charset=utf-8")
        #expect(plain[header: "cache-control"] == "no-store")
        #expect(plain.body.contains("# TYPE t_things_total counter\nt_things_total 7\n"))
        let open = try await rest(
            .get, "/metrics", headers: ["accept": "application/openmetrics-text; version=1.0.0"])
        #expect(
            open[header: "content-type"]
                == "application/openmetrics-text; version=1.0.0; charset=utf-8")
        #expect(open.body.hasSuffix("# EOF\n"))
        let head = try await rest(.head, "/metrics")
        #expect(head.status == 200 && head.body.isEmpty)
        #expect(try await rest(.post, "/metrics", "{}").status == 405)
        #expect(try await rest(.get, "/metrics?x=1").errors == ["10015 x"])
    }

    /// Requests count by the pattern of their path: no id, and no path that somebody made up.
    @Test func requestsAreCounted() async throws {
        let rest = try RESTHarness(metrics: Self.source)
        for id in ["a", "b"] { _ = try await rest(.get, "/v2/tenants/\(id)") }
        for path in ["/v2/nothing", "/v2/a%ZZ", "/v2/tenants/x/y/z"] {
            _ = try await rest(.get, path)
        }
        _ = try await rest(.put, "/v2/tenants")
        _ = try await rest(HTTPRequest.Method("BREW") ?? .get, "/healthz")
        let text = try await rest(.get, "/metrics").body
        for line in [
            #"t_requests_total{method="GET",route="/v2/tenants/{id}",status="404"} 2"#,
            #"t_requests_total{method="GET",route="none",status="404"} 2"#,
            #"t_requests_total{method="GET",route="none",status="422"} 1"#,
            #"t_requests_total{method="PUT",route="none",status="405"} 1"#,
            #"t_requests_total{method="other",route="none",status="405"} 1"#,
        ] { #expect(text.contains(line + "\n"), "\(line) in\n\(text)") }
        #expect(
            rest.server.core.requests.times.count == 8, "the last one is counted when it is made")
    }

    /// What a connection refuses itself is counted too, and once.
    @Test(.timeLimit(.minutes(1))) func refusalsOfConnectionsAreCounted() async throws {
        var settings = RESTSettings()
        settings.port = 0
        settings.headTimeLimit = .milliseconds(200)
        settings.bodyTimeLimit = .milliseconds(200)
        let rest = try RESTHarness(metrics: Self.source, settings: settings)
        let large = String(repeating: "x", count: 40_000)
        try await rest.serving { port in
            for (text, status) in [
                ("GET /\(large) HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
                ("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: \(large)\r\n\r\n", 431),
                ("GET /healthz HTTP/1.1\r\n", 408), ("GET /healthz HTTP/1.1\r\n\r\n", 400),
                (
                    "POST /v2/tenants HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{",
                    408
                ),
            ] {
                let answer = try await RESTHarness.exchange(port, text)
                #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(answer)")
            }
            func key(_ method: String, _ route: String, _ status: Int) -> RequestCounts.Key {
                RequestCounts.Key(method: method, route: route, status: status)
            }
            // The last one was handed on: its handler counts it a little after its answer.
            while rest.server.core.requests.counts.count < 5 { await Task.yield() }
            #expect(
                rest.server.core.requests.counts == [
                    key("other", "none", 414): 1, key("other", "none", 431): 1,
                    key("other", "none", 408): 1, key("other", "none", 400): 1,
                    key("POST", "/v2/tenants", 408): 1,
                ])
        }
    }

    // MARK: Accept

    @Test(
        arguments: [
            (nil, false), ("", false), ("*/*", false), ("text/plain", false),
            ("application/json", false), ("application/openmetrics-text", true),
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", true),
            ("application/openmetrics-text;version=\"1.0.0\"", true),
            ("APPLICATION/OpenMetrics-Text", true),
            ("application/openmetrics-text;version=0.0.1", false),
            ("application/openmetrics-text;version=2.0.0", false),
            ("application/openmetrics-text;q=0", false),
            ("application/openmetrics-text;q=x,text/plain", false),
            ("text/plain;q=0.5,application/openmetrics-text;q=0.6", true),
            ("text/plain;q=0.7,application/openmetrics-text;q=0.6", false),
            // Prometheus 2 and 3.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                true
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.4,*/*;q=0.2",
                true
            ),
            (";,;q=,;;", false),
        ] as [(String?, Bool)])
    func metricFormats(accepted: String?, isOpenMetrics: Bool) {
        #expect(
            MetricsPage.format(AcceptedTypes(accepted))
                == (isOpenMetrics ? .openMetrics : .prometheus))
    }

    @Test(
        arguments: [
            (nil, false), ("*/*", false), ("application/json", false), ("text/html", true),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
            ("application/json, text/plain, */*", false), ("text/html;q=0", false),
            ("text/html;q=0.5, application/json", false),
            ("application/json;q=0.5, text/html;q=0.9", true), ("TEXT/HTML; q=1", true),
            ("text/html, application/json", false), ("text/html;q=7", false),
        ] as [(String?, Bool)])
    func errorFormats(accepted: String?, isHTML: Bool) {
        #expect(ErrorCatalogue.prefersHTML(AcceptedTypes(accepted)) == isHTML)
    }

    // MARK: The ops listener

    private func withOps(
        settings: RESTSettings = RESTSettings(), isOpen: Bool = false,
        _ body: (Int, RESTHarness) async throws -> Void
    ) async throws {
        let rest = try RESTHarness(isOpen: isOpen, metrics: Self.source)
        var settings = settings
        settings.port = 0
        let ops = OpsServer(rest.server, settings: settings)
        let port = try await ops.start().port
        let result: Result<Void, any Error>
        do {
            result = .success(try await body(port, rest))
        } catch { result = .failure(error) }
        await ops.stop()
        try result.get()
    }

    private func ask(
        _ port: Int, _ path: String, method: String = "GET", _ fields: String = ""
    ) async throws -> String {
        try await RESTHarness.exchange(
            port,
            "\(method) \(path) HTTP/1.1\r\nHost: x\r\n\(fields)Connection: close\r\n\r\n")
    }

    @Test func threePathsAndNothingElse() async throws {
        try await withOps { port, _ in
            #expect(try await ask(port, "/healthz").contains(#"{"status":"ok"}"#))
            #expect(try await ask(port, "/readyz").contains(#""status":"ready""#))
            let metrics = try await ask(port, "/metrics")
            #expect(metrics.hasPrefix("HTTP/1.1 200 OK"))
            #expect(metrics.contains("t_things_total 7\n"))
            let open = try await ask(port, "/metrics", "Accept: application/openmetrics-text\r\n")
            #expect(open.contains("# EOF"))
            for path in [
                "/", "/v2/tenants", "/v2/public_key", "/openapi.json", "/login", "/metrics/",
                "/metrics/x", "/v2/access_statistics", "//metrics", "/%6Detrics",
            ] {
                #expect(try await ask(port, path).hasPrefix("HTTP/1.1 404"), "\(path)")
            }
            #expect(try await ask(port, "/metrics?x=1").hasPrefix("HTTP/1.1 422"))
            let head = try await ask(port, "/metrics", method: "HEAD")
            #expect(head.hasPrefix("HTTP/1.1 200") && !head.contains("t_things_total"))
            for method in ["POST", "PUT", "DELETE", "PATCH"] {
                let answer = try await ask(
                    port, "/metrics", method: method, "Content-Length: 0\r\n")
                #expect(answer.hasPrefix("HTTP/1.1 405"), "\(method)")
                #expect(answer.lowercased().contains("allow: get, head\r\n"))
            }
        }
    }

    /// A wrong token is nobody's business where none is asked for.
    @Test func noTokenIsLookedAt() async throws {
        try await withOps { port, rest in
            let answer = try await ask(port, "/metrics", "Authorization: Bearer wrong\r\n")
            #expect(answer.hasPrefix("HTTP/1.1 200"))
            #expect(rest.authority.attempts.counts.isEmpty)
        }
    }

    /// While REST drains, whoever looks after the service is answered, and learns of it.
    @Test func itIsThereWhileRESTDrains() async throws {
        try await withOps { port, rest in
            rest.server.core.limiter.drain()
            let ready = try await ask(port, "/readyz")
            #expect(ready.hasPrefix("HTTP/1.1 503"))
            #expect(try await ask(port, "/healthz").hasPrefix("HTTP/1.1 200"))
            #expect(try await ask(port, "/metrics").hasPrefix("HTTP/1.1 200"))
        }
    }

    @Test func bounds() async throws {
        var settings = RESTSettings()
        settings.headTimeLimit = .milliseconds(200)
        try await withOps(settings: settings) { port, _ in
            let large = String(repeating: "x", count: 40_000)
            #expect(try await ask(port, "/metrics", "X-A: \(large)\r\n").hasPrefix("HTTP/1.1 431"))
            #expect(try await ask(port, "/" + large).hasPrefix("HTTP/1.1 414"))
            let slow = try await RESTHarness.exchange(port, "GET /metrics HTTP/1.1\r\n")
            #expect(slow.hasPrefix("HTTP/1.1 408"))
            #expect(try await ask(port, "/healthz").hasPrefix("HTTP/1.1 200"))
        }
    }

    /// More scrapes at a time than there are to be: told to come back, and no place is lost.
    @Test func scrapesAreBounded() async throws {
        let (arrivals, arrival) = AsyncStream.makeStream(of: Void.self)
        let (gate, open) = AsyncStream.makeStream(of: Void.self)
        let page = MetricsPage {
            arrival.yield()
            for await _ in gate { break }
            return []
        }
        let exchange = Exchange(
            parameters: [:], query: "", headers: [:], body: [], caller: .anyone)
        try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<MetricsPage.atOnce {
                group.addTask { try await page.get(exchange).status }
            }
            var count = 0
            for await _ in arrivals {
                count += 1
                if count == MetricsPage.atOnce { break }
            }
            await #expect(throws: APIError.self) { try await page.get(exchange) }
            open.finish()
            for try await status in group { #expect(status == 200) }
        }
        #expect(try await page.get(exchange).status == 200)
    }
}
