import HTTP2
import NIOCore
import Testing

@testable import GRPCServer

@Suite struct UnaryTests {
    @Test func echoesOverLoopback() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        for size in [0, 1, 100, 5_000, 65_536] {
            let body = [UInt8](repeating: UInt8(size & 255), count: size)
            let reply = try await client.call(
                "/t.T/Echo", body, extra: [("authorization", "Bearer x")])
            #expect(reply.httpStatus == 200 && reply.status == 0)
            #expect(reply.messages == [body])
        }
        #expect(test.journal.now.authorization == text("Bearer x"))
        #expect(test.journal.now.peer.hasPrefix("127.0.0.1:"))
        await test.stop()
    }

    @Test func batchesMayBeLargerThanTheWindow() async throws {
        let test = try await TestServer()
        var wide = SessionConfiguration()
        wide.streamWindowBytes = 2 * 1024 * 1024
        let client = try TestClient(port: test.server.port, configuration: wide)
        let body = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0) }
        let reply = try await client.call("/t.T/Batch", body)
        let isWhole = reply.messages == [body]
        #expect(isWhole && reply.status == 0)
        await test.stop()
    }

    @Test func dataFramesAreNoMessageBoundaries() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let bytes = TestClient.framed(text("hello"))
        let stream = try client.begin("/t.T/Echo", body: [bytes[0]], finished: false)
        for (index, byte) in bytes.enumerated().dropFirst() {
            try client.flush()
            client.send(stream, [byte], finished: index == bytes.count - 1)
        }
        #expect(try await client.finish(stream).messages == [text("hello")])
        await test.stop()
    }

    @Test func manyStreamsOfManyConnections() async throws {
        let test = try await TestServer { $0.threads = 2 }
        let clients = try (0..<4).map { _ in try TestClient(port: test.server.port) }
        for round in 0..<20 {
            var streams: [(TestClient, StreamHandle, [UInt8])] = []
            for client in clients {
                for index in 0..<64 {
                    let body = text("\(round) \(index)")
                    let stream = try client.begin("/t.T/Echo", body: TestClient.framed(body))
                    streams.append((client, stream, body))
                }
            }
            for client in clients { try client.flush() }
            for (client, stream, body) in streams {
                #expect(try await client.finish(stream).messages == [body])
            }
        }
        await test.stop()
    }

    /// A bad request, what it is answered, and whether over plain HTTP.
    struct Bad: Sendable, CustomStringConvertible {
        var description: String
        var path = "/t.T/Echo"
        var body = TestClient.framed(text("x"))
        var replacing: [String: String] = [:]
        var extra: [(String, String)] = []
        var status: GRPCCode?
        var httpStatus: Int32 = 200
    }

    static let bad = [
        Bad(description: "unknown method", path: "/t.T/Nope", status: .unimplemented),
        Bad(description: "unknown service", path: "/", status: .unimplemented),
        Bad(
            description: "content type", replacing: ["content-type": "application/json"],
            httpStatus: 415),
        Bad(
            description: "grpc-web", replacing: ["content-type": "application/grpc-web"],
            httpStatus: 415),
        Bad(description: "GET", replacing: [":method": "GET"], httpStatus: 405),
        Bad(
            description: "snappy", extra: [("grpc-encoding", "snappy")], status: .unimplemented),
        Bad(
            description: "compressed, and not said how",
            body: TestClient.framed(text("x"), flag: 1), extra: [("grpc-encoding", "identity")],
            status: .internal),
        Bad(
            description: "no gzip", body: TestClient.framed(text("hello"), flag: 1),
            extra: [("grpc-encoding", "gzip")], status: .internal),
        Bad(
            description: "an empty gzip", body: TestClient.framed([], flag: 1),
            extra: [("grpc-encoding", "gzip")], status: .internal),
        Bad(
            description: "compressed", body: TestClient.framed(text("x"), flag: 1),
            status: .internal),
        Bad(description: "flag", body: TestClient.framed(text("x"), flag: 9), status: .internal),
        Bad(description: "no message", body: [], status: .unimplemented),
        Bad(
            description: "two messages",
            body: TestClient.framed(text("x")) + TestClient.framed(text("y")),
            status: .unimplemented),
        Bad(description: "cut short", body: [0, 0, 0, 0, 9, 1, 2], status: .internal),
        Bad(description: "half a prefix", body: [0, 0], status: .internal),
        Bad(description: "length", body: [0, 255, 255, 255, 255], status: .resourceExhausted),
        Bad(
            description: "too large",
            body: TestClient.framed([UInt8](repeating: 1, count: 65_537)),
            status: .resourceExhausted),
        Bad(
            description: "far too large",
            body: TestClient.framed([UInt8](repeating: 1, count: 500_000)),
            status: .resourceExhausted),
        Bad(
            description: "timeout unit", extra: [("grpc-timeout", "5x")], status: .internal),
        Bad(
            description: "timeout digits", extra: [("grpc-timeout", "123456789m")],
            status: .internal),
        Bad(
            description: "no time at all", extra: [("grpc-timeout", "0m")],
            status: .deadlineExceeded),
    ]

    @Test(arguments: bad)
    func badRequestsAreAnsweredAndHarmNobody(bad: Bad) async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let stream = try client.begin(
            bad.path, body: bad.body, replacing: bad.replacing, extra: bad.extra)
        let neighbour = try client.begin("/t.T/Echo", body: TestClient.framed(text("n")))
        let reply = try await client.finish(stream)
        #expect(reply.httpStatus == bad.httpStatus)
        #expect(reply.status == bad.status.map { Int32($0.rawValue) } ?? -1)
        #expect(reply.messages.isEmpty)
        #expect(try await client.finish(neighbour).messages == [text("n")])
        #expect(try await client.call("/t.T/Echo", text("after")).messages == [text("after")])
        #expect(test.journal.now.unaryCalls == 2, "the service never saw it")
        await test.stop()
    }

    @Test func failuresCarryMessageAndDetails() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let reply = try await client.call("/t.T/Fail", [])
        #expect(reply.status == Int32(GRPCCode.failedPrecondition.rawValue))
        #expect(reply.message == "100 %25 wrong: %C3%BC")
        #expect(reply.details == "CAn/")
        await test.stop()
    }

    /// The deadline is looked at again when the answer is there.
    @Test func answerThatComesTooLateIsWithdrawn() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let late = try await client.call(
            "/t.T/Slow", text("s"), extra: [("grpc-timeout", "5S")])
        #expect(late.status == Int32(GRPCCode.deadlineExceeded.rawValue))
        #expect(late.messages.isEmpty)
        #expect(test.journal.now.withdrawn == [text("s")])
        let patient = try await client.call("/t.T/Slow", text("t"))
        #expect(patient.messages == [text("t")])
        #expect(test.journal.now.withdrawn == [text("s")])
        await test.stop()
    }
}
