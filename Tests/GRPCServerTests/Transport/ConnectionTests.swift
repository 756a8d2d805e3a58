import Admission
import Glibc
import HTTP2
import NIOCore
import Testing

@testable import GRPCServer

@Suite struct ConnectionTests {
    @Test func drainFinishesWhatRunsAndEndsWatchers() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let held = try client.begin("/t.T/Hold", body: TestClient.framed(text("done")))
        let watcher = try client.begin("/t.T/Watch", body: TestClient.framed([]))
        #expect(try await client.call("/t.T/Echo", []).status == 0)

        let server = test.server
        let stopping = Task { await server.shutdown(within: .seconds(120)) }
        #expect(
            try await client.finish(watcher).status == Int32(GRPCCode.unavailable.rawValue))
        #expect(client.sawGoAway)
        #expect(!client.reply(held).isEnded)
        try await test.makeDurable()
        #expect(try await client.finish(held).messages == [text("done")])
        try await client.waitForClose()
        await stopping.value
        #expect(throws: ClientError.self) { try TestClient(port: server.port) }
    }

    /// A call that does not end on one loop keeps nobody on another from hearing of the end.
    @Test func drainTellsEverybodyAtOnce() async throws {
        let test = try await TestServer { $0.threads = 2 }
        var clients: [TestClient] = []
        for _ in 0..<8 {
            let client = try TestClient(port: test.server.port)
            _ = try client.begin("/t.T/Hold", body: TestClient.framed(text("held")))
            #expect(try await client.call("/t.T/Echo", []).status == 0)
            clients.append(client)
        }
        let server = test.server
        let stopping = Task { await server.drain(within: .hours(1)) }
        for client in clients { try await client.pump { client.sawGoAway } }
        for loop in server.loops { loop.eventLoop.execute { loop.closeAll() } }
        await stopping.value
        await test.stop()
    }

    @Test func drainCutsOffWhatDoesNotFinish() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        _ = try client.begin("/t.T/Hold", body: TestClient.framed(text("cut")))
        #expect(try await client.call("/t.T/Echo", []).status == 0)
        let server = test.server
        let stopping = Task { await server.shutdown(within: .milliseconds(300)) }
        try await client.waitForClose()
        await stopping.value
        #expect(test.journal.now.withdrawn == [text("cut")], "nobody learnt of it")
    }

    @Test func whoComesToAFullAddressTakesTheStrangersPlace() async throws {
        let test = try await TestServer {
            $0.places = ConnectionPlaces(total: 10, perAddress: 2)
        }
        let first = try TestClient(port: test.server.port)
        #expect(try await first.call("/t.T/Echo", []).status == 0)
        let stranger = try TestClient(port: test.server.port)
        try stranger.flush()
        try await test.until { $0.openConnectionCount == 2 }
        let third = try TestClient(port: test.server.port)
        #expect(try await third.call("/t.T/Echo", []).status == 0)
        try await stranger.waitForClose()
        #expect(stranger.sawGoAway)
        #expect(try await first.call("/t.T/Echo", []).status == 0)
        await test.stop()
    }

    @Test func whoComesWhereAllAreBusyIsClosed() async throws {
        let test = try await TestServer {
            $0.places = ConnectionPlaces(total: 1, perAddress: 2)
        }
        let first = try TestClient(port: test.server.port)
        #expect(try await first.call("/t.T/Echo", []).status == 0)
        let held = try first.begin("/t.T/Hold", body: TestClient.framed(text("a")))
        try first.flush()
        try await test.until { loop in
            // As the loop's timer does every second.
            loop.checkTimers()
            return loop.parkedCount == 1
        }
        let second = try TestClient(port: test.server.port)
        try await second.waitForClose()
        #expect(!second.sawGoAway)
        try await test.makeDurable()
        #expect(try await first.finish(held).status == 0)
        await test.stop()
    }

    /// Whoever is served when its place goes has a few seconds, and no more whatever comes of them.
    @Test func whoIsServedWhenItsPlaceGoesIsCutOffInTheEnd() async throws {
        let test = try await TestServer { $0.evictionGrace = .seconds(5) }
        test.journal.freeze()
        let client = try TestClient(port: test.server.port)
        #expect(try await client.call("/t.T/Echo", []).status == 0)
        let cut = try client.begin("/t.T/Hold", body: TestClient.framed(text("a")))
        try await test.until { $0.parkedCount == 1 }
        // As who takes its place does, on whatever loop: the last call's connection is the only one.
        try await test.onLoop { $0.call.values.pointee.connection?.makeRoom() }
        try await client.pump { client.sawGoAway }
        test.journal.advance(.seconds(5))
        #expect(
            try await test.onLoop { loop in
                loop.checkTimers()
                return loop.openConnectionCount
            } == 1)
        test.journal.advance(.seconds(1))
        try await test.until { loop in
            loop.checkTimers()
            return loop.openConnectionCount == 0
        }
        try await client.waitForClose()
        #expect(!client.reply(cut).isEnded)
        try await test.makeDurable()
        #expect(test.journal.now.withdrawn == [text("a")], "nobody learnt of it")
        await test.stop()
    }

    @Test func silentConnectionIsClosed() async throws {
        let test = try await TestServer { $0.prefaceTimeout = .milliseconds(100) }
        let descriptor = try TestClient.connect(port: test.server.port)
        defer { close(descriptor) }
        var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        var buffer = [UInt8](repeating: 0, count: 1_024)
        var count = 1
        // The server's SETTINGS, then the end.
        while count > 0, Glibc.poll(&poll, 1, 120_000) > 0 {
            count = read(descriptor, &buffer, buffer.count)
        }
        #expect(count == 0)
        await test.stop()
    }

    @Test func dribbledRequestIsReset() async throws {
        let test = try await TestServer { $0.requestTimeout = .milliseconds(100) }
        let client = try TestClient(port: test.server.port)
        let stream = try client.begin("/t.T/Echo", body: [0, 0], finished: false)
        #expect(try await client.finish(stream).isReset)
        #expect(try await client.call("/t.T/Echo", []).status == 0)
        await test.stop()
    }

    @Test func idleConnectionIsToldToGo() async throws {
        let test = try await TestServer { $0.idleTimeout = .milliseconds(100) }
        let client = try TestClient(port: test.server.port)
        try client.flush()
        try await client.waitForClose()
        #expect(client.sawGoAway)
        await test.stop()
    }

    @Test func otherProtocolIsHungUpOn() async throws {
        let test = try await TestServer()
        let descriptor = try TestClient.connect(port: test.server.port)
        defer { close(descriptor) }
        let request = text("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(send(descriptor, request, request.count, 0) == request.count)
        var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        var buffer = [UInt8](repeating: 0, count: 1_024)
        var count = 1
        while count > 0, Glibc.poll(&poll, 1, 120_000) > 0 {
            count = read(descriptor, &buffer, buffer.count)
        }
        #expect(count <= 0)
        await test.stop()
    }

    /// A client that asks for 64 KiB over and over and reads nothing: what is decided for it stays
    /// far below 8 MiB, and it is cut off in the end.
    @Test func clientThatReadsNothingCostsLittle() async throws {
        let test = try await TestServer { $0.writeStallTimeout = .milliseconds(500) }
        let client = try TestClient(port: test.server.port)
        var asked = 0
        let limit = TestClient.milliseconds() + 120_000
        // Asks as long as the socket takes requests and the server takes streams.
        while asked < 250, TestClient.milliseconds() < limit {
            _ = try client.begin("/t.T/Big", body: TestClient.framed([]))
            asked += 1
            if try !client.flush() { break }
        }
        var poll = pollfd(
            fd: client.descriptor, events: Int16(POLLHUP) | 0x2000 /* POLLRDHUP */, revents: 0)
        #expect(Glibc.poll(&poll, 1, 120_000) > 0, "the server hangs up")
        let decided = test.journal.now.answeredBytes
        #expect(decided > 0 && decided < 4 * 1024 * 1024)
        await test.stop()
    }
}

@Suite struct FramingTests {
    @Test func percentEncoding() {
        #expect(GRPCFraming.percentEncode("a b~%\n€") == text("a b~%25%0A%E2%82%AC"))
        let long = GRPCFraming.percentEncode(String(repeating: "%", count: 5_000))
        #expect(long.count <= 1_024 && long.count % 3 == 0)
    }

    @Test func base64() {
        #expect(GRPCFraming.base64([]) == [])
        #expect(GRPCFraming.base64(text("f")) == text("Zg"))
        #expect(GRPCFraming.base64(text("fo")) == text("Zm8"))
        #expect(GRPCFraming.base64(text("foo")) == text("Zm9v"))
        #expect(GRPCFraming.base64(text("foobar")) == text("Zm9vYmFy"))
        #expect(GRPCFraming.base64([251, 255]) == text("+/8"))
    }

}
