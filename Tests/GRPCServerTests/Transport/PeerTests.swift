import Admission
import HTTP2
import NIOCore
import Testing

@testable import GRPCServer

/// What a peer may take: memory before it has shown who it is, time, a connection's life.
@Suite struct PeerTests {
    private static let deadlineExceeded = Int32(GRPCCode.deadlineExceeded.rawValue)
    private static let exhausted = Int32(GRPCCode.resourceExhausted.rawValue)
    private static let unauthenticated = Int32(GRPCCode.unauthenticated.rawValue)

    // MARK: Memory

    @Test func aStrangerIsRefusedAtTheHeadAndNothingOfItsBodyIsKept() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let part = TestClient.framed([UInt8](repeating: 1, count: 60_000)).dropLast(10_000)
        let stream = try client.begin(
            "/t.T/Echo", body: Array(part), finished: false,
            extra: [("authorization", "nobody")])
        let reply = try await client.finish(stream)
        #expect(reply.status == Self.unauthenticated)
        #expect(try await test.onLoop { $0.waitingBytes } == 0)
        #expect(test.journal.now.unaryCalls == 0)
        // Whoever is known is waited for.
        let other = try client.begin("/t.T/Echo", body: Array(part), finished: false)
        try client.flush()
        try await client.waitForArrival()
        try await test.until { $0.waitingBytes == part.count }
        client.send(other, [UInt8](repeating: 1, count: 10_000), finished: true)
        #expect(try await client.finish(other).status == 0)
        await test.stop()
    }

    @Test func whereMemoryIsTakenLargeRequestsAreRefusedAndSmallOnesAreNot() async throws {
        let memory = PeerMemory(limit: 80_000)
        let test = try await TestServer { $0.peerMemory = memory }
        let large = try TestClient(port: test.server.port)
        let small = try TestClient(port: test.server.port)
        let part = Array(TestClient.framed([UInt8](repeating: 1, count: 500_000))[..<100_000])
        let first = try large.begin("/t.T/Batch", body: part, finished: false)
        large.send(first, [UInt8](repeating: 1, count: 50_000))
        #expect(try await large.finish(first).status == Self.exhausted)
        #expect(memory.takePeak() > 0)
        #expect(try await small.call("/t.T/Echo", text("x")).messages == [text("x")])
        // What was refused is given back.
        #expect(try await large.call("/t.T/Echo", text("y")).messages == [text("y")])
        try await test.until { _ in memory.used == 0 }
        await test.stop()
    }

    /// More answers than may wait, for a client whose windows are small: it could never open them if it were not read.
    @Test func answersBeyondTheBoundGoOnAsTheClientTakesThem() async throws {
        var configuration = SessionConfiguration()
        configuration.streamWindowBytes = 128 * 1_024
        configuration.connectionWindowBytes = 64 * 1_024
        let test = try await TestServer { $0.maximumConnectionOutputBytes = 256 * 1_024 }
        let client = try TestClient(port: test.server.port, configuration: configuration)
        var calls: [StreamHandle] = []
        for _ in 0..<40 {
            calls.append(try client.begin("/t.T/Big", body: TestClient.framed([])))
        }
        for call in calls {
            #expect(try await client.finish(call).messages.first?.count == 64 * 1_024)
        }
        await test.stop()
    }

    @Test func requestsThatNeedManyTurnsAreAllAnswered() async throws {
        let test = try await TestServer { $0.session.turnHeaderBytes = 4_000 }
        let client = try TestClient(port: test.server.port)
        let extra = (0..<20).map { ("x-\($0)", String(repeating: "v", count: 100)) }
        let calls = try (0..<100).map { index in
            try client.begin(
                "/t.T/Echo", body: TestClient.framed(text("\(index)")), extra: extra)
        }
        for (index, call) in calls.enumerated() {
            #expect(try await client.finish(call).messages == [text("\(index)")])
        }
        await test.stop()
    }

    @Test func tooMuchMetadataIsAStatus() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let many = (0..<70).map { ("x-\($0)", "v") }
        #expect(try await client.call("/t.T/Echo", [], extra: many).status == Self.exhausted)
        let long = [("x", String(repeating: "v", count: 10_000))]
        #expect(try await client.call("/t.T/Echo", [], extra: long).status == Self.exhausted)
        #expect(try await client.call("/t.T/Echo", []).status == 0)
        await test.stop()
    }

    // MARK: Time

    @Test func theDeadlineRunsWhileTheBodyIsOutstanding() async throws {
        let test = try await TestServer()
        test.journal.freeze()
        let client = try TestClient(port: test.server.port)
        let stream = try client.begin(
            "/t.T/Echo", body: [0, 0], finished: false, extra: [("grpc-timeout", "1S")])
        let inTime = try client.begin(
            "/t.T/Echo", body: [0, 0], finished: false, extra: [("grpc-timeout", "1H")])
        try client.flush()
        try await test.until { $0.activeCallCount == 2 }
        test.journal.advance(.seconds(2))
        #expect(try await client.finish(stream).status == Self.deadlineExceeded)
        client.send(inTime, [0, 0, 1, 7], finished: true)
        #expect(try await client.finish(inTime).messages == [[7]])
        #expect(try await test.onLoop { $0.activeCallCount } == 0)
        await test.stop()
    }

    @Test func aRequestThatIsWaitedForMayBeCancelled() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let stream = try client.begin(
            "/t.T/Echo", body: [0, 0], finished: false, extra: [("grpc-timeout", "1H")])
        try client.flush()
        try await test.until { $0.activeCallCount == 1 }
        client.cancel(stream)
        try client.flush()
        try await test.until { $0.activeCallCount == 0 }
        #expect(try await client.call("/t.T/Echo", []).status == 0)
        await test.stop()
    }

    @Test func aPeerThatVanishedIsGivenUpOnAnOpenStream() async throws {
        let test = try await TestServer()
        test.journal.freeze()
        let alive = try TestClient(port: test.server.port)
        let vanished = try TestClient(port: test.server.port)
        for client in [alive, vanished] {
            _ = try client.begin("/t.T/Watch", body: TestClient.framed([]))
            // The second is answered behind all that the first has left to say, SETTINGS' acknowledgement among it: what
            // the server read later would be a sign of life.
            for _ in 0..<2 { #expect(try await client.call("/t.T/Echo", []).status == 0) }
        }
        test.journal.advance(.seconds(61))
        _ = try await test.onLoop { $0.checkTimers() }
        #expect(try await alive.call("/t.T/Echo", []).status == 0)
        test.journal.advance(.seconds(21))
        _ = try await test.onLoop { $0.checkTimers() }
        try await test.until { $0.openConnectionCount == 1 }
        #expect(try await alive.call("/t.T/Echo", []).status == 0)
        #expect(test.journal.now.closed == 1)
        await test.stop()
    }

    @Test func anOldConnectionFinishesWhatRunsAndIsClosed() async throws {
        let test = try await TestServer {
            $0.maximumAge = .hours(1)
            $0.keepaliveInterval = .zero
        }
        test.journal.freeze()
        let client = try TestClient(port: test.server.port)
        let held = try client.begin("/t.T/Hold", body: TestClient.framed(text("a")))
        let watch = try client.begin("/t.T/Watch", body: TestClient.framed([]))
        #expect(try await client.call("/t.T/Echo", []).status == 0)
        test.journal.advance(.minutes(50))
        _ = try await test.onLoop { $0.checkTimers() }
        #expect(try await client.call("/t.T/Echo", []).status == 0)
        #expect(!client.sawGoAway)
        test.journal.advance(.minutes(20))
        _ = try await test.onLoop { $0.checkTimers() }
        try await client.pump { client.sawGoAway }
        #expect(try await client.finish(watch).status == Int32(GRPCCode.unavailable.rawValue))
        try await test.makeDurable()
        #expect(try await client.finish(held).messages == [text("a")])
        try await client.waitForClose()
        await test.stop()
    }

    @Test func aStrangersConnectionIsNotKeptForLong() async throws {
        let test = try await TestServer { $0.strangerTimeout = .minutes(1) }
        test.journal.freeze()
        let stranger = try TestClient(port: test.server.port)
        let known = try TestClient(port: test.server.port)
        try stranger.flush()
        #expect(try await known.call("/t.T/Echo", []).status == 0)
        try await test.until { $0.openConnectionCount == 2 }
        test.journal.advance(.seconds(61))
        _ = try await test.onLoop { $0.checkTimers() }
        try await stranger.waitForClose()
        #expect(stranger.sawGoAway)
        #expect(try await known.call("/t.T/Echo", []).status == 0)
        await test.stop()
    }
}
