import HTTP2
import JSON
import LogLines
import NIOCore
import Observation
import Synchronization
import Testing

@testable import GRPCServer

/// The lines of an access log that has all calls, or a share of them.
final class CallLines: Sendable {
    private final class Texts: Sendable {
        let all = Mutex<[String]>([])
    }

    private let texts = Texts()
    private let log: AccessLog
    let observer: CallObserver

    init(share: Double = 1) {
        log = AccessLog(
            maximum: 100_000, rate: nil,
            output: AccessLog.Output { [texts] line in
                texts.all.withLock { $0.append(line.encoded(as: .json)) }
            })
        observer = CallObserver(accessLog: log, logShare: share, tracer: nil, traceShare: 0)
    }

    /// In the order in which the calls have ended.
    func all() async throws -> [JSON] {
        await log.flush(within: .seconds(60))
        return try texts.all.withLock { try $0.map { try JSONParser.parse($0) } }
    }
}

/// Each call has one note, from its head until its end, however it ends.
@Suite struct CallObservationTests {
    private let lines = CallLines()

    private func server(_ lines: CallLines) async throws -> TestServer {
        try await TestServer { $0.observer = lines.observer }
    }

    /// The statuses of calls whose notes are gone, in their order.
    private func statuses(_ test: TestServer) async throws -> [String] {
        try await test.until { $0.notes?.count == 0 }
        return try await lines.all().map { $0["status"]?.string ?? "" }
    }

    @Test func callsThatAreAnswered() async throws {
        let test = try await server(lines)
        let client = try TestClient(port: test.server.port)
        _ = try await client.call("/t.T/Echo", text("x"))
        _ = try await client.call("/t.T/Fail", text("x"))
        let held = try client.begin("/t.T/Hold", body: TestClient.framed(text("x")))
        try await test.until { $0.parkedCount == 1 }
        try await test.makeDurable()
        _ = try await client.finish(held)
        let chat = try client.begin("/t.T/Chat", body: TestClient.framed(text("i")))
        _ = try await client.finish(chat)
        #expect(try await statuses(test) == ["OK", "FAILED_PRECONDITION", "OK", "OK"])
        await test.stop()
    }

    @Test func callsThatAreRefused() async throws {
        let test = try await server(lines)
        let client = try TestClient(port: test.server.port)
        _ = try await client.call("/t.T/Nothing", text("x"))
        _ = try await client.call("/t.T/Echo", text("x"), extra: [("grpc-timeout", "x")])
        _ = try await client.call("/t.T/Echo", text("x"), extra: [("grpc-timeout", "0n")])
        let watch = try client.begin("/t.T/Watch", body: TestClient.framed([1]))
        _ = try await client.finish(watch)
        let large = [UInt8](repeating: 1, count: 70_000)
        _ = try await client.finish(client.begin("/t.T/Echo", body: TestClient.framed(large)))
        #expect(
            try await statuses(test) == [
                "UNIMPLEMENTED", "INTERNAL", "DEADLINE_EXCEEDED", "PERMISSION_DENIED",
                "RESOURCE_EXHAUSTED",
            ])
        await test.stop()
    }

    /// They are no calls of gRPC, and have no status of it.
    @Test func requestsOfAnotherKindHaveNoLine() async throws {
        let test = try await server(lines)
        let client = try TestClient(port: test.server.port)
        for (field, value, status) in [(":method", "GET", 405), ("content-type", "text/html", 415)]
        {
            let stream = try client.begin(
                "/t.T/Echo", body: TestClient.framed(text("x")), replacing: [field: value])
            #expect(try await client.finish(stream).httpStatus == Int32(status))
        }
        #expect(try await statuses(test) == [])
        await test.stop()
    }

    /// By their callers, one at a time and with their connection, while they wait for whatever a call may wait for.
    @Test func callsThatAreGivenUp() async throws {
        let test = try await server(lines)
        for cancels in [true, false] {
            let client = try TestClient(port: test.server.port)
            _ = try await client.call("/t.T/Echo", text("x"))
            let open = [
                try client.begin("/t.T/Hold", body: TestClient.framed(text("x"))),
                try client.begin("/t.T/Watch", body: TestClient.framed(text("xx"))),
                try client.begin("/t.T/Chat", body: [], finished: false),
                try client.begin(
                    "/t.T/Echo", body: [], finished: false, extra: [("grpc-timeout", "1H")]),
                try client.begin("/t.T/Parts", body: TestClient.framed(text("pp"))),
            ]
            try await test.until { $0.notes?.count == open.count }
            // No more is read of a connection while a request waits for room.
            try await test.makeRoom(2)
            _ = try await client.finish(open[4])
            if cancels {
                for stream in open[..<4] { client.cancel(stream) }
                try await client.pump { true }
                try await test.until { $0.notes?.count == 0 }
            }
        }
        try await test.until { $0.notes?.count == 0 }
        try await test.makeDurable()
        let found = try await statuses(test)
        #expect(found.count == 12)
        #expect(found.count { $0 == "CANCELLED" } == 8 && found.count { $0 == "OK" } == 4)
        await test.stop()
    }

    @Test func callsThatTheEndOfTheServerCutsOff() async throws {
        let test = try await server(lines)
        let client = try TestClient(port: test.server.port)
        _ = try client.begin("/t.T/Watch", body: TestClient.framed(text("xx")))
        _ = try client.begin("/t.T/Hold", body: TestClient.framed(text("x")))
        _ = try client.begin("/t.T/Chat", body: [], finished: false)
        try await test.until { $0.notes?.count == 3 }
        let loop = test.server.loops[0]
        await test.server.drain(within: .zero)
        let left = try await loop.eventLoop.submit { loop.notes?.count }.get()
        #expect(left == 0)
        #expect(try await lines.all().count == 3)
        await test.server.stop()
    }

    @Test func aLateAnswerIsTold() async throws {
        let test = try await server(lines)
        let client = try TestClient(port: test.server.port)
        let held = try client.begin(
            "/t.T/Hold", body: TestClient.framed(text("x")), extra: [("grpc-timeout", "1H")])
        try await test.until { $0.parkedCount == 1 }
        test.journal.advance(.hours(2))
        _ = try await client.finish(held)
        try await test.makeDurable()
        #expect(try await statuses(test) == ["DEADLINE_EXCEEDED"])
        await test.stop()
    }

    /// Whether it is logged is drawn once for a call, be it reported in parts.
    @Test func aShareIsOneOfCalls() async throws {
        let lines = CallLines(share: 0.5)
        let test = try await server(lines)
        let client = try TestClient(port: test.server.port)
        let deadline = [("grpc-timeout", "1H")]
        for _ in 0..<10 {
            let streams = try (0..<100).map { _ in
                try client.begin("/t.T/Echo", body: [], finished: false, extra: deadline)
            }
            // The heads were seen, and wait for their bodies.
            try await test.until { $0.activeCallCount == 100 }
            for stream in streams {
                client.send(stream, TestClient.framed(text("x")), finished: true)
            }
            for stream in streams { _ = try await client.finish(stream) }
        }
        // 500, give or take six deviations; drawn twice it would be 750.
        let count = try await lines.all().count
        #expect((405...595).contains(count), "\(count)")
        await test.stop()
    }

    // MARK: Traces

    @Test func aTraceIsNamedOnce() async throws {
        let test = try await server(lines)
        let client = try TestClient(port: test.server.port)
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        let parent = ("traceparent", "00-\(trace)-00f067aa0ba902b7-01")
        for extra in [[parent], [parent, parent], [parent, ("tracestate", "a=\u{fc}")]] {
            _ = try await client.call("/t.T/Echo", text("x"), extra: extra)
        }
        let found = try await lines.all().map { $0["trace_id"]?.string }
        #expect(found == [trace, nil, trace])
        await test.stop()
    }

    @Test func statusesHaveTheirNames() {
        let codes = (0...UInt8.max).compactMap { GRPCCode(rawValue: $0) }
        #expect(codes.count == 17 && codes.map(\.rawValue) == Array(0...16))
        for code in codes {
            let plain = code.name.replacing("_", with: "").lowercased()
            #expect(plain == "\(code)".lowercased())
        }
    }
}
