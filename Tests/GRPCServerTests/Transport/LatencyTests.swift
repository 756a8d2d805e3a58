import HTTP2
import NIOCore
import Telemetry
import Testing

@testable import GRPCServer

/// How long requests took, by a clock that stands but for what the test adds.
@Suite struct LatencyTests {
    private func server() async throws -> TestServer {
        let test = try await TestServer()
        test.journal.freeze()
        return test
    }

    private func send(
        _ client: TestClient, _ path: String, _ messages: [String], finished: Bool = true
    ) throws -> StreamHandle {
        try client.begin(
            path, body: messages.flatMap { TestClient.framed(text($0)) }, finished: finished)
    }

    /// Once this is answered, everything before it was decided; and it is counted itself.
    private func settle(_ test: TestServer, _ client: TestClient) async throws {
        #expect(try await client.call("/t.T/Echo", text("n")).messages == [text("n")])
        _ = try await test.onLoop { _ in }
    }

    /// An answer is counted when it has been written: when the loop has come that far.
    private func latency(_ test: TestServer) async throws -> LatencyHistogram {
        _ = try await test.onLoop { _ in }
        return test.server.latency
    }

    private func count(_ test: TestServer) async throws -> UInt64 {
        try await latency(test).count
    }

    private func seconds(_ test: TestServer, _ percent: Double) async throws -> Double {
        try #require(try await latency(test).percentile(percent)) / .seconds(1)
    }

    @Test func aHeldAnswerCountsItsWait() async throws {
        let test = try await server()
        let client = try TestClient(port: test.server.port)
        let first = try send(client, "/t.T/Hold", ["first"])
        try await settle(test, client)
        #expect(try await count(test) == 1, "what waits is not counted yet")
        let ticket = try await test.ticket()
        test.journal.advance(.seconds(2))
        let second = try send(client, "/t.T/Hold", ["second"])
        let third = try send(client, "/t.T/HoldFail", ["third"])
        try await settle(test, client)
        test.journal.advance(.seconds(6))
        try await test.makeDurable(ticket)
        _ = try await client.finish(first)
        #expect(try await count(test) == 3)
        #expect((8...10).contains(try await seconds(test, 100)))
        try await test.makeDurable()
        _ = try await client.finish(second)
        _ = try await client.finish(third)
        #expect(try await count(test) == 5)
        // At once, at once, 6 s, 6 s, 8 s.
        #expect(try await seconds(test, 40) < 1)
        #expect((6...7.9).contains(try await seconds(test, 60)))
        #expect((6...7.9).contains(try await seconds(test, 80)))
        await test.stop()
    }

    /// What an answer waited for the disk is told apart from what it took to decide it.
    @Test func theDisksPartIsToldByItself() async throws {
        let test = try await server()
        let client = try TestClient(port: test.server.port)
        let held = try (0..<3).map { try send(client, "/t.T/Hold", ["\($0)"]) }
        try await settle(test, client)
        test.journal.advance(.seconds(2))
        try await test.makeDurable()
        for stream in held { _ = try await client.finish(stream) }
        #expect(try await client.call("/t.T/Nothing", text("n")).status == 12)
        _ = try await test.onLoop { _ in }
        let figures = test.server.figures
        #expect(figures.decided.count == 4)
        #expect(try #require(figures.decided.percentile(100)) < .seconds(1))
        #expect(figures.durable.count == 3)
        #expect(figures.durable.sumNanoseconds == 6_000_000_000)
        #expect(figures.whole.count == 4)
        #expect(figures.whole.sumNanoseconds == 6_000_000_000)
        let requests = Dictionary(
            uniqueKeysWithValues: figures.requests.map { ($0.path, $0.count) })
        #expect(requests["/t.T/Hold"] == 3 && requests["/t.T/Echo"] == 1)
        #expect(requests.values.reduce(0, +) == 4)
        #expect(
            figures.failures == [
                ServerFigures.Failure(method: figures.requests.count, code: .unimplemented): 1
            ])
        await test.stop()
    }

    /// The disk's time is told also where nobody could wait for it.
    @Test func anAnswerThatCameTooLateCounts() async throws {
        let test = try await server()
        let client = try TestClient(port: test.server.port)
        let stream = try client.begin(
            "/t.T/Hold", body: TestClient.framed(text("late")), extra: [("grpc-timeout", "5S")])
        try await settle(test, client)
        test.journal.advance(.seconds(20))
        let reply = try await client.finish(stream)
        #expect(reply.status == Int32(GRPCCode.deadlineExceeded.rawValue))
        try await test.makeDurable()
        #expect((20...30).contains(try await seconds(test, 100)))
        await test.stop()
    }

    @Test func answersAtOnceShareALook() async throws {
        let test = try await server()
        let client = try TestClient(port: test.server.port)
        // Ten seconds go by while it is decided.
        let reply = try await client.call("/t.T/Slow", text("x"))
        #expect(reply.messages == [text("x")])
        #expect(try await count(test) == 1)
        #expect((10...15).contains(try await seconds(test, 50)))
        // A failure is an answer too.
        _ = try await client.call("/t.T/Fail", text("x"))
        #expect(try await count(test) == 2)
        #expect(try await seconds(test, 50) < 1)
        await test.stop()
    }

    @Test func answersOfStreamsCountOneByOne() async throws {
        let test = try await server()
        let client = try TestClient(port: test.server.port)
        let stream = try send(client, "/t.T/Chat", ["i0", "i1", "h2", "i3", "h4"], finished: false)
        try await settle(test, client)
        #expect(try await count(test) == 3, "two answers of the stream, and one more")
        test.journal.advance(.seconds(3))
        try await test.makeDurable()
        try await settle(test, client)
        #expect(client.reply(stream).messages.count == 5)
        #expect(try await count(test) == 7)
        #expect(try await seconds(test, 50) < 1)
        #expect((3...10).contains(try await seconds(test, 60)))
        #expect((3...10).contains(try await seconds(test, 100)))
        // One answer to many requests.
        let sum = try send(client, "/t.T/Sum", ["i1", "i2"])
        #expect(try await client.finish(sum).messages == [text("4")])
        #expect(try await count(test) == 8)
        await test.stop()
    }

    @Test func whatNobodyWasAskedDoesNotCount() async throws {
        let test = try await server()
        let client = try TestClient(port: test.server.port)
        let unknown = Int32(GRPCCode.unimplemented.rawValue)
        #expect(try await client.call("/t.T/Nothing", text("x")).status == unknown)
        let watch = try client.begin("/t.T/Watch", body: TestClient.framed(text("watch")))
        try await settle(test, client)
        client.cancel(watch)
        let held = try send(client, "/t.T/Hold", ["held"])
        try await settle(test, client)
        #expect(try await count(test) == 2, "the two that settled")
        // What is cut off at the end is told nobody.
        await test.server.shutdown(within: .milliseconds(50))
        #expect(test.server.latency.count == 2)
        #expect(client.reply(held) == TestClient.Reply())
    }
}
