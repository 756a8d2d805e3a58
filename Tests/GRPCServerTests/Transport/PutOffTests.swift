import HTTP2
import NIOCore
import Testing

@testable import GRPCServer

/// Requests for which there is no room wait, and their connections are not read meanwhile; the test's hand makes room.
@Suite struct PutOffTests {
    private static let deadlineExceeded = Int32(GRPCCode.deadlineExceeded.rawValue)

    private func begin(
        _ client: TestClient, _ body: String, timeout: String? = nil
    ) throws -> StreamHandle {
        let stream = try client.begin(
            "/t.T/Parts", body: TestClient.framed(text(body)),
            extra: timeout.map { [("grpc-timeout", $0)] } ?? [])
        _ = try client.flush()
        return stream
    }

    /// Room was asked for so many times: the last request has come to where there is none.
    private func wanted(_ test: TestServer, _ times: Int) async throws {
        let journal = test.journal
        try await test.until { _ in journal.now.roomWanted >= times }
    }

    private func echo(_ client: TestClient) async throws {
        #expect(try await client.call("/t.T/Echo", text("n")).messages == [text("n")])
    }

    @Test func aConnectionWaitsForRoomAndOthersDoNot() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let other = try TestClient(port: test.server.port)
        let waiting = try begin(client, "abc")
        try await wanted(test, 1)
        let behind = try client.begin("/t.T/Echo", body: TestClient.framed(text("behind")))
        _ = try client.flush()
        try await echo(other)
        let calls = test.journal.now.unaryCalls
        #expect(client.reply(waiting) == TestClient.Reply())
        #expect(client.reply(behind) == TestClient.Reply() && calls == 2)
        // A part of what it needs.
        try await test.makeRoom(2)
        try await echo(other)
        #expect(client.reply(waiting) == TestClient.Reply())
        try await test.makeRoom(1)
        #expect(try await client.finish(waiting).messages == [text("abc")])
        #expect(try await client.finish(behind).messages == [text("behind")])
        #expect(test.journal.now.withdrawn == [])
        await test.stop()
    }

    /// Whoever came first has the room first.
    @Test func connectionsHaveRoomInTurn() async throws {
        let test = try await TestServer()
        let clients = try (0..<3).map { _ in try TestClient(port: test.server.port) }
        var streams: [StreamHandle] = []
        for (index, client) in clients.enumerated() {
            streams.append(try begin(client, "ab"))
            try await wanted(test, index + 1)
        }
        for index in clients.indices {
            try await test.makeRoom(2)
            #expect(try await clients[index].finish(streams[index]).messages == [text("ab")])
            for later in clients.indices where later > index {
                #expect(clients[later].reply(streams[later]) == TestClient.Reply())
            }
        }
        await test.stop()
    }

    /// What was decided of a request before it was put off waits for the disk with the rest of it.
    @Test func aHeldAnswerIsHeldAsAWhole() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let other = try TestClient(port: test.server.port)
        let stream = try begin(client, "hbc")
        try await wanted(test, 1)
        try await test.makeRoom(1)
        // Another's answer is held between the parts.
        let held = try other.begin("/t.T/Hold", body: TestClient.framed(text("other")))
        try await echo(other)
        try await test.makeRoom(2)
        try await echo(client)
        #expect(client.reply(stream) == TestClient.Reply())
        try await test.makeDurable()
        #expect(try await client.finish(stream).messages == [text("hbc")])
        #expect(try await other.finish(held).messages == [text("other")])
        #expect(test.journal.now.withdrawn == [])
        await test.stop()
    }

    /// Whose deadline passes is told so, and what was decided of its request is taken back.
    @Test(arguments: [0, 2]) func deadlinesAreObeyed(_ decided: Int) async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let stream = try begin(client, "abc", timeout: "5S")
        try await wanted(test, 1)
        if decided > 0 { try await test.makeRoom(decided) }
        test.journal.advance(.hours(1))
        let reply = try await client.finish(stream)
        #expect(reply.status == Self.deadlineExceeded && reply.messages.isEmpty)
        #expect(test.journal.now.withdrawn == (decided > 0 ? [text("ab")] : []))
        try await test.makeRoom(100)
        try await echo(client)
        #expect(test.journal.now.room == 100, "nothing more of it is decided")
        await test.stop()
    }

    /// The caller's token was revoked meanwhile: it is told that nothing was done.
    @Test(arguments: ["abf", "hbf"])
    func whatFailsInTheEndIsTakenBack(_ body: String) async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let other = try TestClient(port: test.server.port)
        let held = try other.begin("/t.T/Hold", body: TestClient.framed(text("other")))
        try await echo(other)
        let stream = try begin(client, body)
        try await wanted(test, 1)
        try await test.makeRoom(2)
        try await wanted(test, 2)
        try await test.makeRoom(1)
        try await test.makeDurable()
        let reply = try await client.finish(stream)
        #expect(reply.status == Int32(GRPCCode.unauthenticated.rawValue))
        #expect(reply.messages.isEmpty)
        #expect(test.journal.now.withdrawn == [text(String(body.prefix(2)))])
        #expect(try await other.finish(held).messages == [text("other")])
        await test.stop()
    }

    @Test func whatAClosedConnectionWaitedForIsTakenBack() async throws {
        let test = try await TestServer()
        let survivor = try TestClient(port: test.server.port)
        try await echo(survivor)
        do {
            let client = try TestClient(port: test.server.port)
            _ = try begin(client, "abc")
            try await wanted(test, 1)
            try await test.makeRoom(2)
        }
        try await test.until { $0.openConnectionCount == 1 }
        #expect(test.journal.now.withdrawn == [text("ab")])
        try await test.makeRoom(100)
        try await echo(survivor)
        #expect(test.journal.now.room == 100)
        await test.stop()
    }

    @Test func aStreamGoesOnWhereItStopped() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let messages = ["i0", "w1", "h2", "w3", "i4"]
        let stream = try client.begin(
            "/t.T/Chat", body: messages.flatMap { TestClient.framed(text($0)) })
        _ = try client.flush()
        try await wanted(test, 1)
        try await client.pump { client.reply(stream).messages.count == 1 }
        try await test.makeRoom(1)
        try await wanted(test, 2)
        try await test.makeDurable()
        try await client.pump { client.reply(stream).messages.count == 3 }
        try await test.makeRoom(1)
        let reply = try await client.finish(stream)
        #expect(reply.messages == messages.map(text) && reply.status == 0)
        #expect(test.journal.now.messages == messages.count)
        await test.stop()
    }

    /// A stream that brought messages while another one of its connection waited is not forgotten.
    @Test func otherStreamsOfItsConnectionGoOn() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let first = try client.begin(
            "/t.T/Chat", body: TestClient.framed(text("h0")), finished: false)
        try await echo(client)
        let waiting = try begin(client, "a")
        client.send(first, TestClient.framed(text("i1")), finished: true)
        _ = try client.flush()
        try await wanted(test, 1)
        try await test.makeDurable()
        try await test.makeRoom(1)
        #expect(try await client.finish(waiting).messages == [text("a")])
        #expect(try await client.finish(first).messages == [text("h0"), text("i1")])
        await test.stop()
    }

    /// One stream's messages do not keep those of another waiting until all of them are decided.
    @Test func streamsOfAConnectionHaveRoomInTurn() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let streams = try (0..<2).map { _ in
            try client.begin("/t.T/Chat", body: TestClient.framed(text("i")), finished: false)
        }
        for stream in streams {
            try await client.pump { client.reply(stream).messages.count == 1 }
        }
        for (stream, count) in zip(streams, [3, 1]) {
            let messages = (0..<count).flatMap { _ in TestClient.framed(text("w")) }
            client.send(stream, messages, finished: true)
        }
        _ = try client.flush()
        try await wanted(test, 1)
        try await test.makeRoom(1)
        try await wanted(test, 2)
        try await test.makeRoom(1)
        try await client.pump {
            streams.reduce(0) { $0 + client.reply($1).messages.count } == 4
        }
        #expect(streams.map { client.reply($0).messages.count } == [2, 2])
        try await test.makeRoom(2)
        #expect(try await client.finish(streams[0]).messages.count == 4)
        #expect(try await client.finish(streams[1]).messages.count == 2)
        await test.stop()
    }

    /// What waits behind another request when the last GOAWAY leaves is begun, and ends.
    @Test func aStreamThatWaitedForADrainEnds() async throws {
        let test = try await TestServer()
        test.journal.freeze()
        let client = try TestClient(port: test.server.port)
        try await echo(client)
        let waiting = try client.begin(
            "/t.T/Parts", body: TestClient.framed(text("a")), flushed: false)
        let chat = try client.begin(
            "/t.T/Chat", body: TestClient.framed(text("i")), finished: false)
        try await wanted(test, 1)
        let server = test.server
        let draining = Task { await server.drain(within: .hours(1)) }
        try await leave(test)
        try await test.makeRoom(1)
        #expect(try await client.finish(waiting).messages == [text("a")])
        let reply = try await client.finish(chat)
        #expect(reply.status == Int32(GRPCCode.unavailable.rawValue))
        #expect(reply.messages == [text("i")] && test.journal.now.closed == 1)
        try await client.waitForClose()
        await draining.value
        await test.stop()
    }

    /// The same of one that waits itself, to be unpacked.
    @Test func aWatchThatWaitedForADrainEnds() async throws {
        let test = try await TestServer { $0.unpackedBurstBytes = 0 }
        test.journal.freeze()
        let client = try TestClient(port: test.server.port)
        let (packed, sends) = (
            CompressionTests.packed(CompressionTests.zeros), CompressionTests.sends
        )
        let echo = try client.begin("/t.T/Echo", body: packed, extra: sends)
        #expect(try await client.finish(echo).status == 0)
        let watch = try client.begin("/t.T/Watch", body: packed, extra: sends)
        try await client.waitForArrival()
        try await test.until { $0.unpacking.count == 1 }
        let server = test.server
        let draining = Task { await server.drain(within: .hours(1)) }
        try await leave(test)
        let reply = try await client.finish(watch)
        #expect(reply.status == Int32(GRPCCode.unavailable.rawValue) && reply.messages.isEmpty)
        #expect(test.journal.now.watcher != nil && test.journal.now.closed == 1)
        try await client.waitForClose()
        await draining.value
        await test.stop()
    }

    /// A PING is not answered where nothing is read: the last GOAWAY follows when its time is up.
    private func leave(_ test: TestServer) async throws {
        try await test.until { $0.isDraining }
        let journal = test.journal
        try await test.onLoop { loop in
            journal.advance(.seconds(2))
            loop.checkTimers()
        }
    }

    @Test func aDrainWaitsForWhatWaits() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let stream = try begin(client, "abc")
        try await wanted(test, 1)
        let server = test.server
        let draining = Task { await server.drain(within: .hours(1)) }
        try await test.until { $0.isDraining }
        try await test.makeRoom(3)
        #expect(try await client.finish(stream).messages == [text("abc")])
        try await client.waitForClose()
        await draining.value
        await test.stop()
    }
}
