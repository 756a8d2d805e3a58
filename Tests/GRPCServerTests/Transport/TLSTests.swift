import Access
import Admission
import Glibc
import HTTP2
import NIOCore
import Testing
import TransportSecurity

@testable import GRPCServer

/// What holds over TCP holds over TLS.
@Suite struct TLSTests {
    private func start(
        _ tls: ServerTLS? = nil, _ change: (inout ServerConfiguration) -> Void = { _ in }
    ) async throws -> (test: TestServer, relay: TLSRelay) {
        let tls = try tls ?? TestCertificates.server()
        let test = try await TestServer {
            $0.tls = tls
            change(&$0)
        }
        return (test, try await TLSRelay(to: test.server.port))
    }

    private func stop(_ pair: (test: TestServer, relay: TLSRelay)) async {
        await pair.test.stop()
        await pair.relay.stop()
    }

    @Test func callsAreAnswered() async throws {
        let pair = try await start()
        var configuration = SessionConfiguration()
        configuration.streamWindowBytes = 512 * 1_024
        let client = try TestClient(port: pair.relay.port, configuration: configuration)
        #expect(try await client.call("/t.T/Echo", text("hello")).messages == [text("hello")])
        let large = [UInt8](repeating: 7, count: 300_000)
        #expect(try await client.call("/t.T/Batch", large).messages == [large])
        let calls = try (0..<40).map { _ in
            try client.begin("/t.T/Big", body: TestClient.framed([]))
        }
        for call in calls {
            #expect(try await client.finish(call).messages.first?.count == 64 * 1_024)
        }
        await stop(pair)
    }

    @Test func drainFinishesWhatRuns() async throws {
        let pair = try await start()
        let client = try TestClient(port: pair.relay.port)
        let held = try client.begin("/t.T/Hold", body: TestClient.framed(text("done")))
        #expect(try await client.call("/t.T/Echo", []).status == 0)
        let server = pair.test.server
        let stopping = Task { await server.shutdown(within: .seconds(120)) }
        try await client.pump { client.sawGoAway }
        try await pair.test.makeDurable()
        #expect(try await client.finish(held).messages == [text("done")])
        try await client.waitForClose()
        await stopping.value
        await pair.relay.stop()
    }

    @Test func drainCutsOffWhatDoesNotFinish() async throws {
        let pair = try await start()
        let client = try TestClient(port: pair.relay.port)
        _ = try client.begin("/t.T/Hold", body: TestClient.framed(text("cut")))
        #expect(try await client.call("/t.T/Echo", []).status == 0)
        let server = pair.test.server
        let stopping = Task { await server.shutdown(within: .milliseconds(300)) }
        try await client.waitForClose()
        await stopping.value
        #expect(pair.test.journal.now.withdrawn == [text("cut")], "nobody learnt of it")
        await pair.relay.stop()
    }

    /// Nobody waits for a peer that takes nothing: neither for its window nor for its last word.
    @Test func aClientThatReadsNothingIsCutOff() async throws {
        let pair = try await start { $0.writeStallTimeout = .milliseconds(500) }
        let client = try TestClient(port: pair.relay.port)
        var asked = 0
        while asked < 250 {
            _ = try client.begin("/t.T/Big", body: TestClient.framed([]))
            asked += 1
            if try !client.flush() { break }
        }
        let journal = pair.test.journal
        try await pair.test.until { _ in journal.now.answeredBytes > 0 }
        try await pair.test.until { $0.openConnectionCount == 0 }
        let decided = journal.now.answeredBytes
        #expect(decided > 0 && decided < 6 * 1024 * 1024)
        await stop(pair)
    }

    @Test func anIdleConnectionIsToldToGo() async throws {
        let pair = try await start { $0.idleTimeout = .milliseconds(100) }
        let client = try TestClient(port: pair.relay.port)
        try client.flush()
        try await client.waitForClose()
        #expect(client.sawGoAway)
        await stop(pair)
    }

    /// A handshake takes a place, and gives it back however it ends.
    @Test func handshakesHavePlaces() async throws {
        var bounds = TLSBounds()
        bounds.handshakeTimeoutMilliseconds = 1_000
        let tls = try TestCertificates.server(bounds)
        let places = ConnectionPlaces(total: 4, perAddress: 4)
        let pair = try await start(tls) { $0.places = places }
        let silent = try (0..<8).map { _ in try TestClient.connect(port: pair.test.server.port) }
        defer { for descriptor in silent { close(descriptor) } }
        let client = try await served(pair.relay)
        // All others were closed for those who came later, or when their time was up.
        for descriptor in silent {
            var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            var byte: UInt8 = 0
            #expect(Glibc.poll(&poll, 1, 120_000) == 1 && read(descriptor, &byte, 1) <= 0)
        }
        try await pair.test.until { _ in places.count == 1 && tls.counts.underWay == 0 }
        #expect(try await client.call("/t.T/Echo", []).status == 0)
        await stop(pair)
        #expect(places.count == 0)
    }

    /// A client whose handshake was in time, on a machine that may stall for longer than that.
    private func served(_ relay: TLSRelay) async throws -> TestClient {
        for _ in 0..<60 {
            let client = try TestClient(port: relay.port)
            if let reply = try? await client.call("/t.T/Echo", []), reply.status == 0 {
                return client
            }
        }
        throw ClientError(description: "no handshake is in time")
    }

    @Test func whoHasItsPlaceTakenWithinItsHandshakeIsClosed() async throws {
        let tls = try TestCertificates.server()
        let test = try await TestServer {
            $0.tls = tls
            $0.places = ConnectionPlaces(total: 1, perAddress: 1)
        }
        let silent = try TestClient.connect(port: test.server.port)
        defer { close(silent) }
        while tls.counts.underWay == 0 { await Task.yield() }
        let relay = try await TLSRelay(to: test.server.port)
        let client = try TestClient(port: relay.port)
        #expect(try await client.call("/t.T/Echo", []).status == 0)
        var poll = pollfd(fd: silent, events: Int16(POLLIN), revents: 0)
        var byte: UInt8 = 0
        #expect(Glibc.poll(&poll, 1, 120_000) == 1 && read(silent, &byte, 1) <= 0)
        await test.stop()
        await relay.stop()
    }

    @Test func aPeerWithoutTheProtocolIsClosed() async throws {
        let test = try await TestServer { [tls = try TestCertificates.server()] in $0.tls = tls }
        for protocols in [[], ["http/1.1"]] {
            let relay = try await TLSRelay(to: test.server.port, protocols: protocols)
            let client = try TestClient(port: relay.port)
            try client.flush()
            try await client.waitForClose()
            #expect(!client.sawGoAway)
            await relay.stop()
        }
        await test.stop()
    }

    @Test func theCertificateNamesItsOwner() async throws {
        let tls = try TestCertificates.server(clients: .optional)
        let test = try await TestServer { $0.tls = tls }
        let certified = try await TLSRelay(to: test.server.port, client: "client")
        let other = try await TLSRelay(to: test.server.port)
        for (relay, uris) in [(certified, ["spiffe://tollgate.test/client"]), (other, nil)] {
            let client = try TestClient(port: relay.port)
            #expect(try await client.call("/t.T/Echo", []).status == 0)
            let names = try await test.onLoop { loop in
                loop.call.values.pointee.connection?.certified?.names.uris
            }
            #expect(names == uris)
        }
        await test.stop()
        await certified.stop()
        await other.stop()
    }

    /// What is told of a peer's certificate ends its connection with a GOAWAY.
    @Test func aDismissedPeerIsTold() async throws {
        let pair = try await start()
        let client = try TestClient(port: pair.relay.port)
        #expect(try await client.call("/t.T/Echo", []).status == 0)
        try await pair.test.onLoop { loop in
            let channel = loop.call.values.pointee.connection?.context?.channel
            channel?.pipeline.fireUserInboundEventTriggered(PeerDismissed())
        }
        try await client.waitForClose()
        #expect(client.sawGoAway)
        await stop(pair)
    }

    @Test func tlsOnAPortWithoutIsToldAndClosed() async throws {
        let (told, tell) = AsyncStream.makeStream(of: String.self)
        let test = try await TestServer { $0.onTLS = { tell.yield($0) } }
        let descriptor = try TestClient.connect(port: test.server.port)
        defer { close(descriptor) }
        let hello: [UInt8] = [22, 3, 1, 0, 5, 1, 0, 0, 1, 0]
        #expect(send(descriptor, hello, hello.count, 0) == hello.count)
        var peer: String?
        for await each in told {
            peer = each
            break
        }
        #expect(peer?.hasPrefix("127.0.0.1:") == true)
        try await test.until { $0.openConnectionCount == 0 }
        await test.stop()
    }
}
