import JSON
import LogLines
import Synchronization
import Testing
import Tracing

@testable import Observation

@Suite struct CallObserverTests {
    private static let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0"

    /// An observer with what it tells.
    private struct World {
        let lines = Lines()
        let queue = SpanQueue(maximum: 100)
        let observer: CallObserver

        init(log: Double? = nil, rate: Int? = nil, maximum: Int = 100, traces: Double? = nil) {
            let accessLog = log.map { [lines] _ in
                AccessLog(maximum: maximum, rate: rate) { line in
                    lines.all.withLock { $0.append(line.encoded(as: .json)) }
                }
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
            report.add("decide", from: 1_000_000, to: 2_000_000)
            report.ended = 3_000_000
            report.end(grpc: 0, "ok")
            observer.end(report)
        }

        func written() throws -> [JSON] {
            observer.accessLog?.write()
            return try lines.all.withLock { try $0.map { try JSONParser.parse($0) } }
        }
    }

    private final class Lines: Sendable {
        let all = Mutex<[String]>([])
    }

    @Test func nobodyIsToldOfWhatNobodyWants() {
        #expect(World().begin(Self.parent + "1") == nil)
        #expect(World(log: 0, traces: 0).begin() == nil)
        #expect(World(log: 0, traces: 0).begin(Self.parent + "0") == nil)
    }

    @Test func aLineSaysWhatTheCallWas() throws {
        let world = World(log: 1)
        world.call(Self.parent + "0")
        let line = try #require(try world.written().first)
        #expect(line["message"] == "call" && line["level"] == "info")
        #expect(line["protocol"] == "grpc" && line["method"] == "a.B/C" && line["status"] == "OK")
        #expect(line["answer"] == "denied" && line["duration_ms"] == 2)
        #expect(line["peer"] == "127.0.0.1:5" && line["tenant"] == "acme")
        #expect(line["caller"] == "00000000000000ab")
        #expect(line["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736")
        #expect(world.queue.counts.waiting == 0)
    }

    @Test func beyondTheRateCallsAreCounted() throws {
        let world = World(log: 1, rate: 3)
        for _ in 0..<10 { world.call() }
        let lines = try world.written()
        // A second may begin in between.
        let told = lines.count { $0["message"] == "call" }
        let dropped = lines.compactMap { $0["count"]?.integer }.reduce(0, +)
        #expect(told + Int(dropped) == 10 && (3...6).contains(told))
    }

    @Test func whatWaitsHasABound() throws {
        let world = World(log: 1, maximum: 4)
        for _ in 0..<10 { world.call() }
        let lines = try world.written()
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
            spans[0].attributes.map(\.name) == [
                "client.address", "rpc.grpc.status_code", "rpc.method", "rpc.service", "rpc.system",
                "tollgate.answer", "tollgate.caller", "tollgate.tenant",
            ])
        #expect(spans[0].error == nil)
    }

    @Test func atraceMayBeginHere() {
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
            report.end(grpc: code, "deadlineExceeded")
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
            report.add("decide", from: 1, to: 2)
            report.end(http: 200)
            observer.end(report)
        }
        #expect(queue.counts.waiting == 2 && queue.counts.dropped == 2)
    }
}

@Suite struct CallTracerTests {
    private struct Fields: Extractor, Injector {
        func extract(key: String, from carrier: [String: String]) -> String? { carrier[key] }
        func inject(_ value: String, forKey key: String, into carrier: inout [String: String]) {
            carrier[key] = value
        }
    }

    @Test func isATracerOfTheLibrary() async throws {
        let queue = SpanQueue(maximum: 10)
        let tracer = CallTracer(queue)
        var context = InstrumentationContext.topLevel
        let fields = [
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "tracestate": "v=1",
        ]
        tracer.extract(fields, into: &context, using: Fields())
        var handedOn: [String: String] = [:]
        struct Broken: Error {}
        try? tracer.withSpan("outer", context: context, ofKind: .client) { outer in
            outer.attributes["number"] = 3
            tracer.inject(outer.context, into: &handedOn, using: Fields())
            tracer.withSpan("inner") { _ in }
            throw Broken()
        }
        let spans = queue.take(atMost: 10)
        #expect(spans.map(\.name) == ["inner", "outer"])
        #expect(spans[0].parent == spans[1].id && spans[1].parent == 0x00f0_67aa_0ba9_02b7)
        #expect(spans[1].kind == .client && spans[1].error != nil)
        #expect(spans[1].attributes.map(\.value) == [.integer(3)])
        #expect(handedOn["tracestate"] == "v=1")
        #expect(handedOn["traceparent"]?.hasPrefix("00-4bf92f3577b34da6a3ce929d0e0e4736-") == true)
        #expect(handedOn["traceparent"] != fields["traceparent"])
    }

    @Test func aSpanEndsOnce() {
        let queue = SpanQueue(maximum: 10)
        let span = CallTracer(queue).startSpan("one")
        #expect(span.isRecording)
        span.end()
        span.end()
        #expect(!span.isRecording && queue.counts.waiting == 1)
    }

    @Test func whatIsNotSampledIsNotKept() {
        let queue = SpanQueue(maximum: 10)
        var context = InstrumentationContext.topLevel
        CallTracer(queue).extract(
            ["traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"],
            into: &context, using: Fields())
        CallTracer(queue).withSpan("one", context: context) { #expect(!$0.isRecording) }
        #expect(queue.counts.waiting == 0)
    }
}
