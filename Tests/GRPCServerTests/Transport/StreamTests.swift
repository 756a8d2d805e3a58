import HTTP2
import NIOCore
import Testing

@testable import GRPCServer

@Suite struct StreamTests {
    @Test func failureEndsTheChat() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let stream = try client.begin(
            "/t.T/Chat", body: TestClient.framed(text("i")) + TestClient.framed(text("f")),
            finished: false)
        let reply = try await client.finish(stream)
        #expect(reply.messages == [text("i")])
        #expect(reply.status == Int32(GRPCCode.aborted.rawValue))
        #expect(test.journal.now.closed == 1)
        #expect(try await client.call("/t.T/Echo", text("x")).status == 0)
        await test.stop()
    }

    @Test func chatCutShortIsInternal() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let stream = try client.begin("/t.T/Chat", body: TestClient.framed(text("i")) + [0, 0])
        let reply = try await client.finish(stream)
        #expect(reply.messages == [text("i")])
        #expect(reply.status == Int32(GRPCCode.internal.rawValue))
        await test.stop()
    }

    @Test func clientStreamIsAnsweredOnceAtItsEnd() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let stream = try client.begin(
            "/t.T/Sum", body: TestClient.framed(text("abc")), finished: false)
        for _ in 0..<100 {
            try client.flush()
            client.send(stream, TestClient.framed(text("1234567")))
        }
        client.send(stream, [], finished: true)
        let reply = try await client.finish(stream)
        #expect(reply.messages == [text("703")] && reply.status == 0)
        await test.stop()
    }

    @Test func watcherIsPushedToAndHeldBackWhenItReadsSlowly() async throws {
        let test = try await TestServer()
        var narrow = SessionConfiguration()
        narrow.streamWindowBytes = 1_000
        let client = try TestClient(port: test.server.port, configuration: narrow)
        let stream = try client.begin("/t.T/Watch", body: TestClient.framed([]))
        #expect(try await client.call("/t.T/Echo", []).status == 0)
        let token = try #require(test.journal.now.watcher)
        let message = [UInt8](repeating: 3, count: 995)
        // The client's window takes 1 000 bytes; the rest waits until the stream's bound is reached.
        var sent = 0
        while sent < 1_000,
            try await test.onLoop({ loop in
                loop.push(token) { buffer in message.withUnsafeBytes { buffer.append($0) } }
            }) == .sent
        {
            sent += 1
        }
        #expect(sent >= 65 && sent <= 68)
        #expect(test.journal.now.writableCalls == 0)
        try await client.pump { client.reply(stream).messages.count == sent }
        try await client.pump { test.journal.now.writableCalls == 1 }

        _ = try await test.onLoop { $0.end(token, nil) }
        let reply = try await client.finish(stream)
        #expect(reply.messages.count == sent && reply.status == 0)
        #expect(test.journal.now.closed == 1)
        await test.stop()
    }

    /// 4 MiB to a peer whose windows have room for all of it: the peer says nothing meanwhile, and no timer runs.
    @Test func whatAWatcherTakesAtOnceIsSentAtOnce() async throws {
        let test = try await TestServer()
        test.journal.change { $0.pushedBytes = 16 * 1024 - 5 }
        var wide = SessionConfiguration()
        wide.streamWindowBytes = 16 * 1024 * 1024
        wide.connectionWindowBytes = 16 * 1024 * 1024
        let client = try TestClient(port: test.server.port, configuration: wide)
        let stream = try client.begin("/t.T/Watch", body: TestClient.framed([]))
        #expect(try await client.call("/t.T/Echo", []).status == 0)
        let token = try #require(test.journal.now.watcher)
        let journal = test.journal
        let first = try await test.onLoop { loop in
            let message = [UInt8](repeating: 3, count: journal.now.pushedBytes)
            var sent = 0
            while loop.push(token, { buffer in message.withUnsafeBytes { buffer.append($0) } })
                == .sent
            {
                sent += 1
            }
            // `streamWritable` goes on, which `onLoop`'s flush brings about.
            journal.change { $0.toPush = 256 - sent }
            return sent
        }
        #expect(first < 16)
        try await client.pump { client.reply(stream).messages.count == 256 }
        #expect(test.journal.now.toPush == 0)
        await test.stop()
    }

    /// A stream's bound stops its requests again and again, the last of which has been read long since.
    @Test func aChatGoesOnWithoutFurtherReads() async throws {
        let test = try await TestServer { $0.maximumStreamOutputBytes = 100 }
        let client = try TestClient(port: test.server.port)
        let messages = (0..<50).map { [UInt8](repeating: $0, count: 200) }.map { text("i") + $0 }
        let stream = try client.begin("/t.T/Chat", body: messages.flatMap { TestClient.framed($0) })
        let reply = try await client.finish(stream)
        #expect(reply.messages == messages && reply.status == 0)
        await test.stop()
    }

    @Test func watcherThatLeavesIsReported() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let stream = try client.begin("/t.T/Watch", body: TestClient.framed([]))
        #expect(try await client.call("/t.T/Echo", []).status == 0)
        let token = try #require(test.journal.now.watcher)
        client.cancel(stream)
        #expect(try await client.call("/t.T/Echo", []).status == 0)
        #expect(test.journal.now.closed == 1)
        #expect(try await test.onLoop { $0.push(token) { _ in } } == .gone)
        await test.stop()
    }

    /// Its head came before the drain, its request after the last GOAWAY: it ends as those do that had begun.
    @Test func aWatchWhoseRequestComesAfterTheLastGoAwayEnds() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let stream = try client.begin("/t.T/Watch", body: [], finished: false)
        #expect(try await client.call("/t.T/Echo", []).status == 0)
        let server = test.server
        let draining = Task { await server.drain(within: .hours(1)) }
        // The PING behind the first GOAWAY is answered.
        try await client.pump { client.sawGoAway }
        var isLeaving = false
        while !isLeaving {
            try client.poll()
            isLeaving = try await test.onLoop { loop in
                loop.call.values.pointee.connection?.life.leaving != nil
            }
        }
        client.send(stream, TestClient.framed([]), finished: true)
        let reply = try await client.finish(stream)
        #expect(reply.status == Int32(GRPCCode.unavailable.rawValue))
        #expect(test.journal.now.closed == 1)
        try await client.waitForClose()
        await draining.value
        await test.stop()
    }

    @Test func watchMayBeRefused() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let reply = try await client.call("/t.T/Watch", [1])
        #expect(reply.status == Int32(GRPCCode.permissionDenied.rawValue))
        #expect(test.journal.now.closed == 0)
        await test.stop()
    }
}
