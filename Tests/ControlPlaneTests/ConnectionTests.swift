import Access
import Admission
import Engine
import Foundation
import HTTPTypes
import JSON
import Limits
import Logging
import NIOCore
import NIOEmbedded
import NIOHTTP1
import NIOPosix
import Synchronization
import Testing

@testable import ControlPlane

/// What a server owes its peers over HTTP/1.1, and what it owes nobody: on a socket.
@Suite struct ConnectionTests {
    private static func settings(_ change: (inout RESTSettings) -> Void = { _ in }) -> RESTSettings
    {
        var settings = RESTSettings()
        settings.port = 0
        change(&settings)
        return settings
    }

    private static func status(_ answer: String) -> Int? {
        Int(answer.dropFirst("HTTP/1.1 ".count).prefix(3))
    }

    /// Requests that each end their connection, and the status of each.
    static let requests: [(text: String, status: Int)] = [
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 200),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: TE, Close\r\n\r\n", 200),
        ("\r\nGET /healthz HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close\r\n\r\n", 200),
        ("GET /healthz HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n", 200),
        // Host
        ("GET /healthz HTTP/1.1\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
        ("GET /healthz HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        // An old client
        ("GET /healthz HTTP/1.0\r\n\r\n", 200),
        ("GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200),
        ("POST /v2/tokens HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        // The length of the body
        ("POST /v2/tokens HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (
            "POST /v2/tokens HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            501
        ),
        ("POST /v2/tokens HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: nonsense\r\n\r\n", 501),
        (
            "POST /v2/tokens HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
            400
        ),
        (
            "POST /v2/tokens HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            400
        ),
        (
            "POST /v2/tokens HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            400
        ),
        ("POST /v2/tokens HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400),
        ("POST /v2/tokens HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", 400),
        (
            "POST /v2/tokens HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
            400
        ),
        (
            "POST /v2/tokens HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}}}0\r\n\r\n",
            400
        ),
        ("POST /v2/tokens HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n{", 413),
        // Too long
        (
            "GET /healthz?" + String(repeating: "a", count: 9_000) + " HTTP/1.1\r\nHost: a\r\n\r\n",
            414
        ),
        ("GET /" + String(repeating: "a", count: 9_000), 414),
        (
            "GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + String(repeating: "a", count: 40_000)
                + "\r\n\r\n", 431
        ),
        (
            "GET /healthz HTTP/1.1\r\nHost: a\r\n" + String(repeating: "X: a\r\n", count: 101)
                + "\r\n",
            431
        ),
        // Expectations
        (
            "POST /v2/tokens HTTP/1.1\r\nHost: localhost\r\nExpect: tea\r\nContent-Length: 2\r\n\r\n{}",
            417
        ),
        // No HTTP/1
        ("GET /healthz HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        ("nonsense\r\n\r\n", 400),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 501),
        ("GET /healthz HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nno field\r\n\r\n", 400),
        // Another protocol is not spoken: the request is answered, and nothing behind it.
        (
            "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nPRI *",
            200
        ),
    ]

    /// Each is answered with its status and the connection closed; none is logged as more than a note for debugging.
    @Test(.timeLimit(.minutes(10))) func duties() async throws {
        let log = TestLog()
        let rest = try RESTHarness(settings: Self.settings(), logger: log.logger)
        try await rest.serving { port in
            for (text, status) in Self.requests {
                let answer = try await RESTHarness.exchange(port, text)
                #expect(Self.status(answer) == status, "\(text.prefix(200)) \(answer.prefix(300))")
                let answers = answer.components(separatedBy: "\r\n").filter {
                    $0.hasPrefix("HTTP/1.")
                }
                #expect(answers.count == 1, "\(answer)")
                #expect(answer.lowercased().contains("\r\ndate: "), "\(text) \(answer)")
                guard status != 200 else { continue }
                #expect(answer.lowercased().contains("\r\nconnection: close\r\n"), "\(text)")
                #expect(answer.contains(#"{"errors":[{"code":""#), "\(text.prefix(200)) \(answer)")
            }
        }
        #expect(rest.engine.tenantCount == 0)
        #expect(log.worst ?? .debug <= .debug, "\(log.lines)")
    }

    /// A host that the target names goes before the field.
    @Test func theTargetsHostCounts() async throws {
        let rest = try RESTHarness(settings: Self.settings())
        try await rest.serving { port in
            for (target, status) in [
                ("http://localhost:80/v2/tokens", 200), ("http://evil.example/v2/tokens", 403),
                ("http://a@localhost/v2/tokens", 400),
            ] {
                let answer = try await RESTHarness.exchange(
                    port, "GET \(target) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                #expect(Self.status(answer) == status, "\(target) \(answer)")
            }
        }
    }

    /// One request after the other, in whatever pieces they come.
    @Test(.timeLimit(.minutes(10))) func pipelines() async throws {
        let rest = try RESTHarness(settings: Self.settings())
        func post(_ id: String, _ rest: String = "") -> String {
            let body = #"{"id":"\#(id)"}"#
            return """
                POST /v2/tenants HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                Content-Length: \(body.utf8.count)\r\n\(rest)\r\n\(body)
                """
        }
        let chunked = """
            POST /v2/tenants HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
            Transfer-Encoding: chunked\r\n\r\n5\r\n{"id"\r\n5;x\r\n:"b"}\r\n0\r\nT: v\r\n\r\n
            """
        try await rest.serving { port in
            let answer = try await RESTHarness.exchange(
                port,
                post("a") + chunked + "\r\n" + post("c") + post("d", "Connection: close\r\n")
                    + post("e"))
            let ids = answer.matches(of: #/"record_type":"tenant","id":"(\w)"/#).map { $0.1 }
            #expect(ids == ["a", "b", "c", "d"], "\(answer)")
            #expect(rest.engine.tenant("e") == nil)
            // A peer that ends its side is still answered.
            let last = try await RESTHarness.exchange(port, post("f") + post("g"), ends: true)
            #expect(last.matches(of: #/HTTP\/1.1 200/#).count == 2, "\(last)")
        }
    }

    /// A body that breaks off is none, and no shorter one.
    @Test(.timeLimit(.minutes(10))) func aBodyThatBreaksOffIsNone() async throws {
        let rest = try RESTHarness(settings: Self.settings())
        try rest.engine.setTenant(TenantSettings(id: "acme"))
        try await rest.serving { port in
            let head = "POST /v2/tenants/acme/actions/suspend HTTP/1.1\r\nHost: localhost\r\n"
            for text in [
                head + "Content-Length: 20\r\n\r\n", head + "Transfer-Encoding: chunked\r\n\r\n",
                head + "Content-Length: 3\r\n\r\n{}", head,
            ] {
                let answer = try await RESTHarness.exchange(port, text, ends: true)
                #expect(Self.status(answer) == 400, "\(text) \(answer)")
            }
            #expect(try rest.engine.status(ofTenant: "acme") == .active)
        }
    }

    /// Who waits to be asked for the body is asked when it is wanted, and not before.
    @Test(.timeLimit(.minutes(10))) func bodiesAreAskedFor() async throws {
        let rest = try RESTHarness(isOpen: false, settings: Self.settings())
        let (_, secret) = try rest.authority.create(name: "o", scope: .operator, tenantIDs: [])
        func head(_ token: String, _ length: Int = 13) -> String {
            """
            POST /v2/tenants HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
            Authorization: Bearer \(token)\r\nContent-Length: \(length)\r\n\
            Expect: 100-Continue\r\nConnection: close\r\n\r\n
            """
        }
        try await rest.serving { port in
            // Nobody's: no body is wanted, and whether it comes cannot be known.
            let refused = try await RESTHarness.exchange(port, head("x"))
            #expect(Self.status(refused) == 401 && refused.contains("onnection: close\r\n"))
            let long = try await RESTHarness.exchange(port, head(secret, 2_000_000))
            #expect(Self.status(long) == 413 && long.contains("onnection: close\r\n"), "\(long)")

            let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connect(host: "127.0.0.1", port: port) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                            wrappingChannelSynchronously: channel)
                    }
                }
            try await channel.executeThenClose { inbound, outbound in
                try await outbound.write(ByteBuffer(string: head(secret)))
                var parts = inbound.makeAsyncIterator()
                let first = try await parts.next().map { String(buffer: $0) }
                #expect(first == "HTTP/1.1 100 Continue\r\n\r\n")
                try await outbound.write(ByteBuffer(string: #"{"id":"acme"}"#))
                let second = try await parts.next().map { String(buffer: $0) }
                #expect(second?.hasPrefix("HTTP/1.1 200 ") == true, "\(second ?? "")")
            }
            // A body that comes unasked needs no asking.
            let unasked = try await RESTHarness.exchange(port, head(secret) + #"{"id":"bcde"}"#)
            #expect(unasked.contains("HTTP/1.1 200 "), "\(unasked)")
        }
        #expect(rest.engine.tenant("acme") != nil)
    }

    /// Bytes that are no text name nobody, and are not made into somebody else's name.
    @Test(.timeLimit(.minutes(10))) func identitiesAreUTF8() async throws {
        let rest = try RESTHarness(settings: Self.settings())
        try rest.engine.setTenant(TenantSettings(id: "acme"))
        func bytes(_ target: [UInt8], _ fields: [UInt8] = []) -> [UInt8] {
            Array("GET ".utf8) + target
                + Array(" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n".utf8) + fields
                + Array("\r\n".utf8)
        }
        func charge(_ key: [UInt8]) -> [UInt8] {
            let body = #"{"tenant_id":"acme","action":"charge","quantities":{"spend":"1.00"}}"#
            return Array(
                """
                POST /v2/usage_records HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\
                idempotency-key:
                """.utf8) + key + Array("\r\n\r\n\(body)".utf8)
        }
        try await rest.serving { port in
            for target: [UInt8] in [
                Array("/v2/tenants/a".utf8) + [0xFF], Array("/v2/tenants/a%FF".utf8),
                Array("/v2/usage?filter[id]=".utf8) + [0xE9],
                Array("/v2/usage?filter[id]=%E9".utf8),
            ] {
                let answer = try await RESTHarness.exchange(port, bytes(target))
                #expect(Self.status(answer) == 422, "\(answer)")
            }
            let named = try await RESTHarness.exchange(
                port, bytes(Array("/healthz".utf8), Array("User-Agent: caf".utf8) + [0xE9, 13, 10]))
            #expect(Self.status(named) == 200, "it names nobody")
            for key: [UInt8] in [[0xE9], [0xE8], [0x22, 0xC3, 0x22]] {
                let answer = try await RESTHarness.exchange(port, charge(key))
                #expect(Self.status(answer) == 422 && answer.contains("Idempotency-Key"))
            }
            // What stands for such bytes elsewhere is a text like others.
            for key in ["é", "è", "\u{FFFD}", "e\u{301}", "\u{FFFD}\u{FFFD}"] {
                let answer = try await RESTHarness.exchange(port, charge(Array(key.utf8)))
                #expect(Self.status(answer) == 200 && answer.contains(#""replayed":false"#))
            }
            let usage = try await rest(.get, "/v2/tenants/acme/usage").body
            #expect(usage.contains(#""committed":"5.00""#), "\(usage)")
        }
    }

    /// What has not come, or is somebody's whom nobody knows, is in nobody's way.
    @Test(.timeLimit(.minutes(10))) func unfinishedRequestsTakeNoPlace() async throws {
        let rest = try RESTHarness(settings: Self.settings { $0.maximumRequests = 1 })
        try await rest.serving { port in
            var open: [any Channel] = []
            for _ in 0..<20 {
                let channel = try await ClientBootstrap(
                    group: MultiThreadedEventLoopGroup.singleton
                )
                .connect(host: "127.0.0.1", port: port).get()
                try await channel.writeAndFlush(
                    ByteBuffer(
                        string:
                            "POST /v2/tokens HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
                    ))
                open.append(channel)
            }
            for path in ["/v2/tokens", "/healthz"] {
                let answer = try await RESTHarness.exchange(
                    port, "GET \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                #expect(Self.status(answer) == 200, "\(answer)")
            }
            for channel in open { try await channel.close() }
        }
    }

    private static func connect(_ port: Int, _ text: String = "") async throws -> any Channel {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port).get()
        if !text.isEmpty { try await channel.writeAndFlush(ByteBuffer(string: text)) }
        return channel
    }

    /// Whoever holds connections and does nothing with them makes room for others.
    @Test(.timeLimit(.minutes(10))) func idlersMakeRoom() async throws {
        for places in [
            ConnectionPlaces(total: 4, perAddress: 4), ConnectionPlaces(total: 64, perAddress: 4),
        ] {
            let rest = try RESTHarness(
                isOpen: false, settings: Self.settings { $0.places = places })
            let (_, secret) = try rest.authority.create(name: "o", scope: .operator, tenantIDs: [])
            let request = """
                GET /v2/tokens HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(secret)\r\n
                """
            try await rest.serving { port in
                // Strangers: silent, slow, unfinished.
                var strangers: [any Channel] = []
                let unfinished = "POST /v2/tokens HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"
                for text in ["", "GET /hea", unfinished] {
                    for _ in 0..<4 { strangers.append(try await Self.connect(port, text)) }
                    let answer = try await RESTHarness.exchange(
                        port, request + "Connection: close\r\n\r\n")
                    #expect(Self.status(answer) == 200, "\(answer)")
                }
                // Those that came first went first.
                for stranger in strangers.prefix(8) { try await stranger.closeFuture.get() }
                for stranger in strangers.suffix(2) { #expect(stranger.isActive) }
                for stranger in strangers { try? await stranger.close() }
            }
            #expect(places.counts.evicted >= 8 && places.counts.refused == 0)
        }
    }

    /// What waits for peers is bounded over all of them, and given back.
    @Test(.timeLimit(.minutes(10))) func bytesAreBounded() async throws {
        let memory = PeerMemory(limit: 1 << 20)
        let rest = try RESTHarness(settings: Self.settings { $0.memory = memory })
        let head = "POST /v2/tokens HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n\r\n"
        let request = "GET /v2/tokens HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        try await rest.serving { port in
            // One that waits, and takes up the most of it.
            let waiting = try await Self.connect(
                port, head + String(repeating: "x", count: 800_000))
            while memory.used < 700_000 { await Task.yield() }
            // The next is told that there is no room, and who asks for little is served.
            let more = try await RESTHarness.exchange(
                port, head + String(repeating: "x", count: 899_999), ends: true)
            #expect(Self.status(more) == 503, "\(more)")
            #expect(more.lowercased().contains("retry-after: 1"), "\(more)")
            let answer = try await RESTHarness.exchange(port, request)
            #expect(Self.status(answer) == 200)
            #expect(memory.used < 2 << 20)
            try await waiting.close()
            while memory.used > 0 { await Task.yield() }
        }
    }

    /// Nothing that somebody looked for is in the log.
    @Test func logsCarryNoQueries() async throws {
        let log = TestLog()
        let rest = try RESTHarness(settings: Self.settings(), logger: log.logger)
        _ = try await rest(.get, "/v2/tokens?page[size]=7&filter[name]=+4915112345")
        #expect(log.lines.contains { $0.contains("/v2/tokens") })
        #expect(!log.lines.contains { $0.contains("4915112345") }, "\(log.lines)")
    }
}

/// A connection without a socket, and with a clock that tests move.
@Suite struct ConnectionStateTests {
    private let channel = EmbeddedChannel()
    private let settings = RESTSettings()

    init() throws {
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        try channel.pipeline.syncOperations.configureHTTPServerPipeline(
            withPipeliningAssistance: false, withErrorHandling: false)
        let taken = settings.places.take(address: "", nowNanoseconds: 0) {}
        let place = try #require(taken)
        try HTTPConnection(settings, place, Strangers { _ in true }, Logger(label: "test")).join(
            channel)
    }

    private func send(_ text: String) throws {
        try channel.writeInbound(ByteBuffer(string: text))
    }

    private var heads: Int {
        get throws {
            var count = 0
            while let part = try channel.readInbound(as: HTTPServerRequestPart.self) {
                if case .head = part { count += 1 }
            }
            return count
        }
    }

    private func answer() throws {
        let head = HTTPResponseHead(
            version: .http1_1, status: .ok, headers: ["content-length": "0"])
        channel.write(HTTPServerResponsePart.head(head), promise: nil)
        try channel.writeOutbound(HTTPServerResponsePart.end(nil))
    }

    private var written: String {
        get throws {
            var text = ""
            while let part = try channel.readOutbound(as: IOData.self) {
                if case .byteBuffer(let buffer) = part { text += String(buffer: buffer) }
            }
            return text
        }
    }

    /// A body that comes byte by byte, each byte in a buffer as reads have them, holds little more than it is counted for.
    @Test func smallPartsHoldLittleMemory() throws {
        try send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n")
        for _ in 0..<100 {
            var read = channel.allocator.buffer(capacity: 16 << 10)
            read.writeString("x")
            try channel.writeInbound(read)
        }
        var bytes = 0
        var held = 0
        while let part = try channel.readInbound(as: HTTPServerRequestPart.self) {
            guard case .body(let body) = part else { continue }
            bytes += body.readableBytes
            held += body.storageCapacity
        }
        #expect(bytes == 100)
        #expect(held <= 6_400, "\(held)")
    }

    /// However much is sent at once, what is not its turn waits as bytes.
    @Test func oneRequestAtATime() throws {
        let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        try send(String(repeating: request, count: 3) + "GET /")
        for _ in 0..<3 {
            #expect(try heads == 1)
            #expect(try heads == 0)
            try answer()
        }
        #expect(try heads == 0)
        try send(" HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try heads == 1)
    }

    /// Nothing but a whole head stops its time.
    @Test func headsHaveTheirTime() throws {
        try send("GET / HTTP/1.1\r\n")
        channel.embeddedEventLoop.advanceTime(by: .seconds(9))
        try send("Host: a\r\n")
        #expect(try written.isEmpty)
        channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(try written.hasPrefix("HTTP/1.1 408 "))
        channel.embeddedEventLoop.advanceTime(by: .seconds(2))
        #expect(!channel.isActive)
    }

    @Test func bodiesHaveTheirTime() throws {
        try send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n")
        for _ in 0..<19 {
            channel.embeddedEventLoop.advanceTime(by: .seconds(1))
            try send("x")
        }
        #expect(try written.isEmpty)
        #expect(throws: PeerFault.self) {
            channel.embeddedEventLoop.advanceTime(by: .seconds(1))
            try channel.throwIfErrorCaught()
        }
        #expect(try written.hasPrefix("HTTP/1.1 408 "))
    }

    /// A body that nobody waits for any more, since it was answered, has its time too.
    @Test func whatWasAnsweredEarlyEnds() throws {
        try send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n")
        try answer()
        #expect(try written.hasPrefix("HTTP/1.1 200 "))
        channel.embeddedEventLoop.advanceTime(by: .seconds(20))
        #expect(!channel.isActive)
        #expect(try written.isEmpty)
    }

    @Test func idleConnectionsAreClosed() throws {
        channel.embeddedEventLoop.advanceTime(by: .seconds(59))
        try send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        // A request that is worked on is not idle.
        channel.embeddedEventLoop.advanceTime(by: .seconds(600))
        try answer()
        channel.embeddedEventLoop.advanceTime(by: .seconds(59))
        #expect(channel.isActive)
        channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(!channel.isActive)
    }

    @Test func aStopWaitsForAnswersOnly() throws {
        try send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        #expect(channel.isActive)
        try answer()
        #expect(try written.lowercased().contains("connection: close"))
        channel.embeddedEventLoop.advanceTime(by: .seconds(2))
        #expect(!channel.isActive)
        let idle = try ConnectionStateTests()
        idle.channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        #expect(!idle.channel.isActive)
    }
}

/// Keeps what is logged.
final class TestLog: Sendable {
    private let records = Mutex<[(level: Logger.Level, text: String)]>([])

    var logger: Logger {
        var logger = Logger(label: "test") { _ in Handler(log: self) }
        logger.logLevel = .trace
        return logger
    }

    var lines: [String] { records.withLock { $0.map(\.text) } }
    var worst: Logger.Level? { records.withLock { $0.map(\.level).max() } }

    private struct Handler: LogHandler {
        let log: TestLog
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let text = "\(event.message) \(event.metadata ?? [:])"
            log.records.withLock { $0.append((event.level, text)) }
        }
    }
}
