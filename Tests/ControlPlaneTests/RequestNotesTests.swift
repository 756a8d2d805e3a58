import HTTPTypes
import Hummingbird
import JSON
import LogLines
import NIOCore
import Synchronization
import Testing
import Tracing

@testable import ControlPlane
@testable import Observation

/// What the access log and traces are told of requests.
@Suite struct RequestNotesTests {
    private final class Texts: Sendable {
        let all = Mutex<[String]>([])
    }

    private static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    private static let parent = "00-\(trace)-00f067aa0ba902b7-01"

    private let texts = Texts()
    private let log: AccessLog
    private let queue = SpanQueue(maximum: 100)
    private let observer: CallObserver

    init() {
        log = AccessLog(
            maximum: 100, rate: nil,
            output: AccessLog.Output { [texts] line in
                texts.all.withLock { $0.append(line.encoded(as: .json)) }
            })
        observer = CallObserver(
            accessLog: log, logShare: 1, tracer: CallTracer(queue), traceShare: 0)
    }

    private func lines() async throws -> [JSON] {
        await log.flush(within: .seconds(60))
        return try texts.all.withLock { try $0.map { try JSONParser.parse($0) } }
    }

    private func harness() throws -> RESTHarness {
        var settings = RESTSettings()
        settings.observer = observer
        return try RESTHarness(settings: settings)
    }

    @Test func aRequestHasALineAndSpans() async throws {
        let rest = try harness()
        try await rest.furnish()
        let answer = try await rest(
            .get, "/v2/tenants/acme", headers: ["traceparent": Self.parent, "tracestate": "v=1"])
        #expect(answer.status == 200)
        let line = try #require(try await lines().last)
        #expect(line["route"] == "/v2/tenants/{id}" && line["tenant"] == "acme")
        #expect(line["trace_id"] == .string(Self.trace))
        let spans = queue.take(atMost: 10)
        // Nothing was on its way to a disk.
        #expect(spans.map(\.name) == ["decide", "GET /v2/tenants/{id}"])
        #expect(spans.allSatisfy { "\($0.trace)" == Self.trace && $0.state == "v=1" })
        #expect(spans[0].parent == spans[1].id && spans[1].parent == 0x00f0_67aa_0ba9_02b7)
        #expect(spans[1].kind == .server && spans[1].error == nil)
        #expect(spans[1].attributes["http.response.status_code"]?.toSpanAttribute() == .int64(200))
        #expect(spans[1].attributes["tollgate.tenant"]?.toSpanAttribute() == .string("acme"))
    }

    @Test func twoParentsAreNone() async throws {
        let rest = try harness()
        _ = try await rest(
            .get, "/v2/tenants",
            headers: ["traceparent": Self.parent, "traceparent": Self.parent])
        #expect(try await lines().map { $0["trace_id"] } == [nil])
        #expect(queue.counts.waiting == 0)
    }

    @Test func ofProbesOnlyFailuresHaveLines() async throws {
        let rest = try harness()
        for path in ["/healthz", "/readyz", "/metrics"] {
            _ = try await rest(.get, path)
            _ = try await rest(.get, path + "?x=1")
        }
        let lines = try await lines()
        #expect(lines.map { $0["status"] } == ["422", "422", "422"])
        #expect(lines.map { $0["route"] } == ["/healthz", "/readyz", "/metrics"])
    }

    /// What never comes to be a request is told too.
    @Test func refusalsHaveLines() async throws {
        let rest = try harness()
        try await rest.serving { port in
            let long = String(repeating: "x", count: 10_000)
            for text in ["nonsense\r\n\r\n", "GET /\(long) HTTP/1.1\r\nHost: x\r\n\r\n"] {
                _ = try await RESTHarness.exchange(port, text)
            }
        }
        let lines = try await lines()
        #expect(lines.map { $0["status"] } == ["400", "414"])
        #expect(lines.allSatisfy { $0["method"] == "_OTHER" && $0["peer"] == "127.0.0.1" })
    }

    // MARK: Streams

    private struct Writer: ResponseBodyWriter {
        struct Gone: Error {}
        let isThere: Bool
        mutating func write(_ buffer: ByteBuffer) async throws {
            if !isThere { throw Gone() }
        }
        consuming func finish(_ trailingHeaders: HTTPFields?) async throws {}
    }

    enum End: CaseIterable { case written, peerGone, neverWritten }

    /// It is over when its last byte is written, and not when it begins.
    @Test(arguments: End.allCases) func aStreamHasItsLineAtItsEnd(end: End) async throws {
        let request = Request(
            head: HTTPRequest(method: .get, scheme: nil, authority: nil, path: "/live"),
            body: RequestBody(buffer: ByteBuffer()))
        let notes = try #require(RequestNotes(request, observer, from: "127.0.0.1"))
        var response: Response? = notes.ended(
            with: Response(
                status: .ok,
                body: ResponseBody { writer in
                    try await writer.write(ByteBuffer(string: "data: 1\n\n"))
                    try await writer.finish(nil)
                }))
        #expect(try await lines().isEmpty)
        switch end {
        case .written: try await response?.body.write(Writer(isThere: true))
        case .peerGone: try? await response?.body.write(Writer(isThere: false))
        case .neverWritten: break
        }
        response = nil
        #expect(try await lines().map { $0["status"] } == ["200"])
    }
}
