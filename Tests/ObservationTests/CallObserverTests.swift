import JSON
import LogLines
import Synchronization
import Testing
import Tracing

@testable import Observation

@Suite struct CallObserverTests {
    /// Sorted.
    private static func names(_ attributes: SpanAttributes) -> [String] {
        var names: [String] = []
        attributes.forEach { name, _ in names.append(name) }
        return names.sorted()
    }

    private static let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0"

    /// An observer with what it tells.
    private struct World {
        let lines = Lines()
        let queue = SpanQueue(maximum: 100)
        let observer: CallObserver

        init(log: Double? = nil, rate: Int? = nil, maximum: Int = 100, traces: Double? = nil) {
            let accessLog = log.map { [lines] _ in
                AccessLog(maximum: maximum, rate: rate, output: lines.output)
            }
            observer = CallObserver(
                accessLog: accessLog, logShare: log ?? 0,
                tracer: traces.map { [queue] _ in CallTracer(queue) }, traceShare: traces ?? 0)
        }

        func begin(_ traceparent: String? = nil) -> CallReport? {
            observer.begin(
                .grpc, method: "a.B/C", peer: "127.0.0.1:5", traceparent: traceparent,
                tracestate: "v=1", began: 1_000_000)
        }

        /// A call that has taken 2 ms and was decided within its first.
        func call(_ traceparent: String? = nil) {
            guard var report = begin(traceparent) else { return }
            report.caller = 0xAB
            report.tenant = "acme"
            report.answer = "denied"
            report.decision = CallReport.Interval(from: 1_000_000, to: 2_000_000)
            report.ended = 3_000_000
            report.end(grpc: 0, "OK")
            observer.end(report)
        }

        func written() async throws -> [JSON] {
            await observer.accessLog?.write(now: 1_000)
            return try lines.objects
        }
    }

    @Test func nobodyIsToldOfWhatNobodyWants() {
        #expect(World().begin(Self.parent + "1") == nil)
        #expect(World(log: 0, traces: 0).begin() == nil)
        #expect(World(log: 0, traces: 0).begin(Self.parent + "0") == nil)
    }

    @Test func aLineSaysWhatTheCallWas() async throws {
        let world = World(log: 1)
        world.call(Self.parent + "0")
        let line = try #require(try await world.written().first)
        #expect(line["message"] == "call" && line["level"] == "info")
        #expect(line["protocol"] == "grpc" && line["method"] == "a.B/C" && line["status"] == "OK")
        #expect(line["answer"] == "denied" && line["duration_ms"] == 2)
        #expect(line["peer"] == "127.0.0.1:5" && line["tenant"] == "acme")
        #expect(line["caller"] == "00000000000000ab")
        #expect(line["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736")
        #expect(world.queue.counts.waiting == 0)
    }

    @Test func beyondTheRateCallsAreCounted() async throws {
        let world = World(log: 1, rate: 3)
        for _ in 0..<10 { world.call() }
        let lines = try await world.written()
        // A second may begin in between.
        let told = lines.count { $0["message"] == "call" }
        let dropped = lines.compactMap { $0["count"]?.integer }.reduce(0, +)
        #expect(told + Int(dropped) == 10 && (3...6).contains(told))
    }

    @Test func whatWaitsHasABound() async throws {
        let world = World(log: 1, maximum: 4)
        for _ in 0..<10 { world.call() }
        let lines = try await world.written()
        #expect(lines.count == 5)
        #expect(lines.last?["message"] == "lines of the access log were dropped")
        #expect(lines.last?["count"] == 6)
    }

    /// A caller's word decides, where there is one.
    @Test func spansHaveTheCallersTrace() throws {
        let world = World(traces: 0)
        world.call(Self.parent + "0")
        #expect(world.queue.counts.waiting == 0)
        world.call(Self.parent + "1")
        let spans = world.queue.take(atMost: 10)
        #expect(spans.map(\.name) == ["a.B/C", "decide"])
        #expect(spans.allSatisfy { "\($0.trace)" == "4bf92f3577b34da6a3ce929d0e0e4736" })
        #expect(spans[0].parent == 0x00f0_67aa_0ba9_02b7 && spans[1].parent == spans[0].id)
        #expect(spans.allSatisfy { $0.state == "v=1" })
        #expect(spans[0].kind == .server && spans[1].kind == .internal)
        #expect(spans[0].ended - spans[0].began == 2_000_000)
        #expect(spans[1].ended - spans[1].began == 1_000_000)
        #expect(
            Self.names(spans[0].attributes) == [
                "client.address", "client.port", "rpc.grpc.status_code", "rpc.method",
                "rpc.service", "rpc.system",
                "tollgate.answer", "tollgate.caller", "tollgate.tenant",
            ])
        #expect(spans[0].error == nil)
    }

    @Test func aTraceMayBeginHere() {
        let world = World(traces: 1)
        for _ in 0..<10 { world.call() }
        let spans = world.queue.take(atMost: 100)
        #expect(spans.count == 20)
        #expect(Set(spans.map(\.trace)).count == 10 && Set(spans.map(\.id)).count == 20)
        #expect(spans.count { $0.parent == 0 } == 10)
    }

    @Test func faultsAreErrors() throws {
        let world = World(traces: 1)
        for (code, isFault) in [(0, false), (3, false), (7, false), (13, true), (14, true)] {
            var report = try #require(world.begin())
            report.end(grpc: code, "DEADLINE_EXCEEDED")
            world.observer.end(report)
            #expect((world.queue.take(atMost: 1)[0].error == "DEADLINE_EXCEEDED") == isFault)
        }
    }

    @Test func aTraceIsQueuedAsAWhole() {
        let queue = SpanQueue(maximum: 3)
        let observer = CallObserver(
            accessLog: nil, logShare: 0, tracer: CallTracer(queue), traceShare: 1)
        for _ in 0..<2 {
            guard
                var report = observer.begin(
                    .http, method: "GET", peer: "", traceparent: nil, tracestate: nil, began: 1)
            else { continue }
            report.decision = CallReport.Interval(from: 1, to: 2)
            report.end(http: 200)
            observer.end(report)
        }
        #expect(queue.counts.waiting == 2 && queue.counts.dropped == 2)
    }
}

@Suite struct CallTracerTests {
    private static let parent = TraceContext(
        traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", tracestate: "v=1")

    private static func context(_ trace: TraceContext?) -> InstrumentationContext {
        var context = InstrumentationContext.topLevel
        context.trace = trace
        return context
    }

    @Test func isATracerOfTheLibrary() async throws {
        let queue = SpanQueue(maximum: 10)
        let tracer = CallTracer(queue)
        struct Broken: Error {}
        #expect(throws: Broken.self) {
            try tracer.withSpan("outer", context: Self.context(Self.parent), ofKind: .client) {
                outer in
                outer.attributes["number"] = 3
                tracer.withSpan("inner") { _ in }
                throw Broken()
            }
        }
        let spans = queue.take(atMost: 10)
        #expect(spans.map(\.name) == ["inner", "outer"])
        #expect(spans[0].parent == spans[1].id && spans[1].parent == 0x00f0_67aa_0ba9_02b7)
        #expect(spans.allSatisfy { $0.trace == Self.parent?.trace && $0.state == "v=1" })
        #expect(spans[1].kind == .client && spans[1].error != nil && spans[0].error == nil)
        #expect(spans[1].attributes == ["number": 3] && spans[0].ended >= spans[0].began)
    }

    @Test func aSpanEndsOnce() {
        let queue = SpanQueue(maximum: 10)
        let span = CallTracer(queue).startSpan("one")
        #expect(span.isRecording)
        span.end()
        span.operationName = "another"
        span.end()
        #expect(!span.isRecording)
        #expect(queue.take(atMost: 10).map(\.name) == ["one"])
    }

    @Test func whatIsNotSampledIsNotKept() throws {
        let queue = SpanQueue(maximum: 10)
        var trace = try #require(Self.parent)
        trace.isSampled = false
        CallTracer(queue).withSpan("one", context: Self.context(trace)) {
            #expect(!$0.isRecording)
        }
        #expect(queue.counts.waiting == 0)
    }
}

@Suite struct CallReportTests {
    /// docs/operate/sizing.md counts with half a kilobyte for each that waits, its tenant's id included.
    @Test func isSmall() {
        #expect(MemoryLayout<CallReport>.stride <= 320)
    }

    private func report(
        _ transport: CallReport.Transport, _ method: String, route: String? = nil, peer: String
    ) throws -> CallReport {
        let observer = CallObserver(
            accessLog: nil, logShare: 0, tracer: CallTracer(SpanQueue(maximum: 1)), traceShare: 1)
        var report = try #require(
            observer.begin(
                transport, method: method, peer: peer, traceparent: nil, tracestate: nil, began: 1))
        report.route = route
        return report
    }

    @Test(arguments: [
        ("127.0.0.1:50123", "127.0.0.1", 50_123), ("2001:db8::1:443", "2001:db8::1", 443),
        ("unknown", "unknown", nil),
    ])
    func aPeerHasAnAddressAndAPort(peer: String, address: String, port: Int?) throws {
        let attributes = try report(.grpc, "a.B/C", peer: peer).spanAttributes
        #expect(attributes["client.address"]?.toSpanAttribute() == .string(address))
        #expect(
            attributes["client.port"]?.toSpanAttribute() == port.map { .int64(Int64($0)) })
        let plain = try report(.http, "GET", peer: "2001:db8::1").spanAttributes
        #expect(plain["client.address"]?.toSpanAttribute() == .string("2001:db8::1"))
        #expect(plain["client.port"] == nil)
    }

    @Test(
        arguments: [
            ("GET", "/v2/tenants/{id}", "GET /v2/tenants/{id}"), ("GET", nil, "GET"),
            ("GET", "page", "GET"), ("_OTHER", "/v2/tenants", "HTTP /v2/tenants"),
            ("_OTHER", nil, "HTTP"),
        ] as [(String, String?, String)])
    func aRequestIsCalledByItsRoute(method: String, route: String?, name: String) throws {
        let report = try report(.http, method, route: route, peer: "")
        #expect(report.spanName == name)
        let hasRoute = report.spanAttributes["http.route"] != nil
        #expect(hasRoute == (route?.hasPrefix("/") ?? false))
    }
}

@Suite struct AccessLogTests {
    private func report(failed: Bool = false, isProbe: Bool = false) throws -> CallReport {
        let observer = CallObserver(
            accessLog: AccessLog(maximum: 1, rate: nil, output: Lines().output), logShare: 1,
            tracer: nil, traceShare: 0)
        var report = try #require(
            observer.begin(
                .http, method: "GET", peer: "", traceparent: nil, tracestate: nil, began: 1))
        report.end(http: failed ? 503 : 200)
        report.isProbe = isProbe
        return report
    }

    /// A burst is not written into an output that has no room for it, and no line of it is lost.
    @Test func aBurstWaitsForRoom() async throws {
        let lines = Lines()
        let log = AccessLog(maximum: 10_000, rate: nil, output: lines.output(atMost: 600))
        let report = try report()
        for _ in 0..<5_000 { log.add(report, at: 0) }
        var most = 0
        for _ in 0..<100 where lines.written < 5_000 {
            await log.write(now: 0)
            most = max(most, lines.waiting)
            lines.read()
        }
        #expect(lines.written == 5_000 && log.dropped == 0)
        #expect(most > 0 && most <= 600)
    }

    @Test func droppedCallsAreToldOnceAMinute() async throws {
        let lines = Lines()
        let log = AccessLog(maximum: 1, rate: nil, output: lines.output)
        let report = try report()
        var counts: [JSON] = []
        for second: Int64 in 0...120 {
            for _ in 0..<3 { log.add(report, at: second * 1_000) }
            await log.write(now: second * 1_000)
        }
        for _ in 0..<3 { log.add(report, at: 121_000) }
        await log.flush(within: .zero)
        counts = try lines.objects.compactMap { $0["count"] }
        // Of the first second, of two minutes, and what was left.
        #expect(counts == [2, 120, 120, 2] && log.dropped == 244)
    }

    @Test func whatFindsNoRoomAtTheEndIsDropped() async throws {
        let lines = Lines()
        let log = AccessLog(maximum: 1_000, rate: nil, output: lines.output(atMost: 0))
        let report = try report()
        for _ in 0..<10 { log.add(report, at: 0) }
        await log.flush(within: .milliseconds(20))
        #expect(try lines.objects.map { $0["count"] } == [10] && log.dropped == 10)
    }

    @Test func ofProbesOnlyFailuresHaveLines() async throws {
        let lines = Lines()
        let log = AccessLog(maximum: 10, rate: nil, output: lines.output)
        let observer = CallObserver(accessLog: log, logShare: 1, tracer: nil, traceShare: 0)
        for (failed, isProbe) in [(false, true), (true, true), (false, false)] {
            observer.end(try report(failed: failed, isProbe: isProbe))
        }
        await log.write(now: 0)
        #expect(try lines.objects.map { $0["status"] } == ["503", "200"])
    }
}

/// What is written, and how much of it its reader has not taken.
private final class Lines: Sendable {
    private let state = Mutex<(all: [String], waiting: Int)>(([], 0))

    var output: AccessLog.Output { output(atMost: .max) }

    /// - Parameter count: lines that may wait; slices are written while fewer than half do.
    func output(atMost count: Int) -> AccessLog.Output {
        AccessLog.Output(
            hasRoom: { self.waiting < count / 2 },
            write: { line in
                self.state.withLock { state in
                    state.all.append(line.encoded(as: .json))
                    state.waiting += 1
                }
            })
    }

    var written: Int { state.withLock { $0.all.count } }
    var waiting: Int { state.withLock { $0.waiting } }
    func read() { state.withLock { $0.waiting = 0 } }

    var objects: [JSON] {
        get throws { try state.withLock { try $0.all.map { try JSONParser.parse($0) } } }
    }
}
