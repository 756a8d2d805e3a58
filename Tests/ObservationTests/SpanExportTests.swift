import JSON
import Limits
import LogLines
import Logging
import Synchronization
import Testing
import Tracing

@testable import Observation

@Suite struct SpanExportTests {
    private struct Failure: Error, CustomStringConvertible {
        let description = "nobody is there"
    }

    /// A collector that answers as it is told, the pauses that were made, and what was logged. Pauses take no time, but the
    /// clock goes on by them.
    private final class World: Sendable {
        static let start: Int64 = 1_700_000_000_000

        let queue: SpanQueue
        let bodies = Mutex<[[UInt8]]>([])
        let pauses = Mutex<[Int64]>([])
        let now = Mutex<Int64>(World.start)
        let lines = Mutex<[String]>([])
        /// What is done before each pause.
        let onPause = Mutex<@Sendable () -> Void>({})
        private let answers: Mutex<[CollectorAnswer?]>

        init(_ answers: [CollectorAnswer?], maximum: Int = 10_000) {
            self.answers = Mutex(answers)
            queue = SpanQueue(maximum: maximum)
        }

        var logger: Logger {
            Logger(label: "test") { _ in
                LineLogHandler(.json) { line in self.lines.withLock { $0.append(line) } }
            }
        }

        /// The messages of the lines.
        var said: [String] {
            lines.withLock {
                $0.map { (try? JSONParser.parse($0))?["message"]?.string ?? "" }
            }
        }

        var export: SpanExport {
            export { [self] body in
                bodies.withLock { $0.append(body) }
                let answer = answers.withLock { $0.count > 1 ? $0.removeFirst() : $0[0] }
                guard let answer else { throw Failure() }
                return answer
            }
        }

        func export(_ send: @escaping SpanExport.Send) -> SpanExport {
            SpanExport(
                queue, OTLPDocument(version: "1", instance: "i"), logger: logger,
                now: { [self] in now.withLock { $0 } },
                sleep: { [self] pause in
                    pauses.withLock { $0.append(pause) }
                    now.withLock { $0 += pause }
                    onPause.withLock(\.self)()
                    await Task.yield()
                }, send: send)
        }

        var attempts: Int { bodies.withLock { $0.count } }
    }

    private static func span(_ id: UInt64 = 1) -> EndedSpan {
        EndedSpan(
            trace: TraceID(high: 1, low: 2), id: id, parent: 0, state: "", name: "n", kind: .server,
            began: 5, ended: 6, attributes: ["a": "b"])
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
        #expect(world.queue.counts.overflowed == 0)
        #expect(world.said == ["traces cannot be exported"])
        #expect(world.lines.withLock { $0[0].contains("the collector rejected spans") })
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
        span.attributes = ["t": "x\n", "i": 5, "d": 0.5, "b": true]
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
                ["key": "b", "value": ["boolValue": true]],
                ["key": "d", "value": ["doubleValue": .number("0.5")]],
                ["key": "i", "value": ["intValue": "5"]],
                ["key": "t", "value": ["stringValue": "x\n"]],
            ])
        let name = resource["resource"]?["attributes"]?.array?.first
        #expect(name == ["key": "service.name", "value": ["stringValue": "tollgate"]])
    }

    @Test func flushingSendsWhatWaits() async {
        let world = World([CollectorAnswer(status: 200)])
        for id in 1...1_000 { world.queue.add(Self.span(UInt64(id))) }
        await world.export.flush()
        #expect(world.attempts == 2 && world.queue.counts.exported == 1_000)
        let broken = World([nil])
        for id in 1...1_000 { broken.queue.add(Self.span(UInt64(id))) }
        await broken.export.flush()
        #expect(broken.attempts == 1 && broken.queue.counts.exported == 0)
    }

    // MARK: What is said of losses

    /// Runs an export for so many pauses, and does something before each.
    private func run(
        _ world: World, pauses: Int, _ step: @escaping @Sendable (Int) -> Void
    ) async {
        let running = Mutex<Task<Void, Never>?>(nil)
        let count = Mutex(0)
        world.onPause.withLock {
            $0 = {
                let number = count.withLock { count in
                    count += 1
                    return count
                }
                if number < pauses { step(number) } else { running.withLock { $0?.cancel() } }
            }
        }
        let export = world.export
        let task = Task { await export.run() }
        running.withLock { $0 = task }
        await task.value
    }

    /// What a collector refuses is no sign that spans end too fast.
    @Test func aRefusingCollectorIsOneState() async {
        let world = World([CollectorAnswer(status: 400)])
        await run(world, pauses: 100) { _ in world.queue.add(Self.span()) }
        #expect(world.attempts > 10 && world.queue.counts.dropped > 10)
        #expect(world.said == ["traces cannot be exported"])
    }

    /// It is full again and again: that is one state, which ends when a minute has passed without a loss.
    @Test func anOverloadIsOneState() async {
        let world = World([CollectorAnswer(status: 200)], maximum: 10)
        await run(world, pauses: 200) { number in
            guard number <= 100 else { return }
            for _ in 0..<(number % 2 == 0 ? 20 : 5) { world.queue.add(Self.span()) }
        }
        #expect(world.queue.counts.overflowed == 50 * 10)
        #expect(
            world.said == [
                "spans are dropped: they end faster than they are exported",
                "no more spans are dropped",
            ])
    }

    // MARK: A stop

    private final class Signal: Sendable {
        private let ends = AsyncStream.makeStream(of: Void.self)
        func raise() { ends.continuation.yield() }
        /// Until it is raised, or the task is cancelled.
        func wait() async { for await _ in ends.stream { return } }
    }

    /// The attempt that is under way, or the pause after one.
    @Test(arguments: [true, false])
    func aStopLosesNothing(withinAnAttempt: Bool) async {
        let world = World([CollectorAnswer(status: 200)])
        for id in 1...1_000 { world.queue.add(Self.span(UInt64(id))) }
        let (began, never) = (Signal(), Signal())
        if !withinAnAttempt { world.onPause.withLock { $0 = { began.raise() } } }
        let export = world.export { _ in
            guard withinAnAttempt else { return CollectorAnswer(status: 503) }
            began.raise()
            await never.wait()
            throw Failure()
        }
        let task = Task { await export.run() }
        await began.wait()
        task.cancel()
        await task.value
        #expect(world.queue.counts.waiting == 1_000 && world.queue.counts.dropped == 0)
        await world.export.flush()
        #expect(world.queue.counts.exported == 1_000 && world.queue.counts.dropped == 0)
        #expect(world.queue.counts.waiting == 0)
    }

    /// It was taken just before the end.
    @Test func whatWasTakenIsNotSentAgain() async {
        let world = World([CollectorAnswer(status: 200)])
        world.queue.add(Self.span())
        let (began, never) = (Signal(), Signal())
        let export = world.export { _ in
            began.raise()
            await never.wait()
            return CollectorAnswer(status: 200)
        }
        let task = Task { await export.run() }
        await began.wait()
        task.cancel()
        await task.value
        #expect(world.queue.counts.exported == 1 && world.queue.counts.dropped == 0)
        #expect(world.queue.counts.waiting == 0)
    }

    /// Batches are as large as they may be, whatever was queued together.
    @Test func theOldestGoFirst() {
        let queue = SpanQueue(maximum: 10_000)
        for id in 1...2_000 { queue.add(Self.span(UInt64(id))) }
        let first = queue.take(atMost: 512)
        #expect(first.map(\.id) == Array(1...512))
        queue.putBack(first)
        var ids: [UInt64] = []
        while case let batch = queue.take(atMost: 512), !batch.isEmpty { ids += batch.map(\.id) }
        #expect(ids == Array(1...2_000) && queue.counts.waiting == 0)
    }
}
