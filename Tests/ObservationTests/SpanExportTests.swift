import JSON
import Limits
import Logging
import Synchronization
import Testing

@testable import Observation

@Suite struct SpanExportTests {
    private struct Failure: Error, CustomStringConvertible {
        let description = "nobody is there"
    }

    /// A collector that answers as it is told, and the pauses that were made.
    private final class World: Sendable {
        let queue = SpanQueue(maximum: 10_000)
        let bodies = Mutex<[[UInt8]]>([])
        let pauses = Mutex<[Int64]>([])
        private let answers: Mutex<[CollectorAnswer?]>

        init(_ answers: [CollectorAnswer?]) { self.answers = Mutex(answers) }

        var export: SpanExport {
            SpanExport(
                queue, OTLPDocument(version: "1", instance: "i"),
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
                now: { 1_700_000_000_000 },
                sleep: { [self] pause in pauses.withLock { $0.append(pause) } },
                send: { [self] body in
                    bodies.withLock { $0.append(body) }
                    let answer = answers.withLock { $0.count > 1 ? $0.removeFirst() : $0[0] }
                    guard let answer else { throw Failure() }
                    return answer
                })
        }

        var attempts: Int { bodies.withLock { $0.count } }
    }

    private static func span(_ id: UInt64 = 1) -> EndedSpan {
        EndedSpan(
            trace: TraceID(high: 1, low: 2), id: id, parent: 0, state: "", name: "n", kind: .server,
            began: 5, ended: 6, attributes: [("a", .text("b"))], error: nil)
    }

    @Test func aBatchThatIsTakenIsSentOnce() async {
        let world = World([CollectorAnswer(status: 200)])
        await world.export.export([Self.span(), Self.span(2)])
        #expect(world.attempts == 1 && world.queue.counts.exported == 2)
        #expect(world.queue.counts.dropped == 0)
    }

    @Test func whatTheCollectorRejectsIsCounted() async {
        let body = Array(#"{"partialSuccess":{"rejectedSpans":"1","errorMessage":"no"}}"#.utf8)
        let world = World([CollectorAnswer(status: 200, body: body)])
        await world.export.export([Self.span(), Self.span(2)])
        #expect(world.queue.counts.exported == 1 && world.queue.counts.dropped == 1)
    }

    @Test(arguments: [
        "", "<html>", "[", #"{"partialSuccess":7}"#, #"{"partialSuccess":{"rejectedSpans":-4}}"#,
    ])
    func anAnswerThatIsNoneIsAYes(body: String) async {
        let world = World([CollectorAnswer(status: 200, body: Array(body.utf8))])
        await world.export.export([Self.span()])
        #expect(world.queue.counts.exported == 1)
    }

    @Test func pausesGrowUntilItIsGivenUp() async {
        for answer in [nil, CollectorAnswer(status: 503), CollectorAnswer(status: 429)] {
            let world = World([answer])
            await world.export.export([Self.span()])
            #expect(world.attempts == 5 && world.queue.counts.dropped == 1)
            let pauses = world.pauses.withLock { $0 }
            #expect(pauses.count == 4)
            for (pause, middle) in zip(pauses, [1_000, 2_000, 4_000, 8_000] as [Int64]) {
                #expect((middle * 3 / 4...middle * 5 / 4).contains(pause))
            }
        }
    }

    @Test(
        arguments: [
            ("3", 3_000), ("Tue, 14 Nov 2023 22:13:25 GMT", 5_000), ("999999999", 30_000),
            ("99999999999999999999", nil), ("soon", nil), ("-5", nil), ("", nil),
            ("Tue, 14 Nov 2023 22:13:00 GMT", nil),
        ] as [(String, Int64?)])
    func aCollectorMayAskForAPause(text: String, expected: Int64?) async {
        let world = World([
            CollectorAnswer(status: 429, retryAfter: text), CollectorAnswer(status: 200),
        ])
        await world.export.export([Self.span()])
        #expect(world.attempts == 2 && world.queue.counts.exported == 1)
        let pauses = world.pauses.withLock { $0 }
        if let expected {
            #expect(pauses == [expected])
        } else {
            #expect(pauses.count == 1 && (750...1_250).contains(pauses[0]))
        }
    }

    @Test(arguments: [301, 400, 401, 404, 413, 500, 501])
    func whatWillNotPassIsNotTriedAgain(status: Int) async {
        let world = World([CollectorAnswer(status: status, retryAfter: "1")])
        await world.export.export([Self.span()])
        #expect(world.attempts == 1 && world.queue.counts.dropped == 1)
    }

    @Test func theDocumentIsOTLP() throws {
        var span = Self.span(0xAB)
        span.parent = 7
        span.state = "v=1"
        span.error = "INTERNAL"
        span.attributes = [
            ("t", .text("x\n")), ("i", .integer(5)), ("d", .decimal(0.5)), ("b", .truth(true)),
        ]
        let bytes = OTLPDocument(version: "1", instance: "i").encoded([span])
        let document = try JSONParser.parse(bytes)
        let resource = try #require(document["resourceSpans"]?.array?.first)
        let scope = try #require(resource["scopeSpans"]?.array?.first)
        let found = try #require(scope["spans"]?.array?.first)
        #expect(found["traceId"] == "00000000000000010000000000000002")
        #expect(
            found["spanId"] == "00000000000000ab" && found["parentSpanId"] == "0000000000000007")
        #expect(found["traceState"] == "v=1" && found["kind"] == 2)
        #expect(found["startTimeUnixNano"] == "5" && found["endTimeUnixNano"] == "6")
        #expect(found["status"] == ["code": 2, "message": "INTERNAL"])
        #expect(
            found["attributes"] == [
                ["key": "t", "value": ["stringValue": "x\n"]],
                ["key": "i", "value": ["intValue": "5"]],
                ["key": "d", "value": ["doubleValue": .number("0.5")]],
                ["key": "b", "value": ["boolValue": true]],
            ])
        let name = resource["resource"]?["attributes"]?.array?.first
        #expect(name == ["key": "service.name", "value": ["stringValue": "tollgate"]])
    }

    @Test func flushingSendsWhatWaits() async {
        let world = World([CollectorAnswer(status: 200)])
        for id in 1...1_000 { world.queue.add([Self.span(UInt64(id))]) }
        await world.export.flush()
        #expect(world.attempts == 2 && world.queue.counts.exported == 1_000)
        let broken = World([nil])
        for id in 1...1_000 { broken.queue.add([Self.span(UInt64(id))]) }
        await broken.export.flush()
        #expect(broken.attempts == 1 && broken.queue.counts.exported == 0)
    }
}
