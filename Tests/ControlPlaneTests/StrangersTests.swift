import Admission
import Logging
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing
import TransportSecurity

@testable import ControlPlane

/// Whose request is worked on when many strangers ask: connections without sockets, on one event loop.
@Suite struct StrangersTests {
    private let loop = EmbeddedEventLoop()
    private let strangers = Strangers { $0 == "Bearer good" }
    private let settings = RESTSettings()

    private func connection(from address: String) throws -> EmbeddedChannel {
        let channel = EmbeddedChannel(loop: loop)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        try channel.pipeline.syncOperations.configureHTTPServerPipeline(
            withPipeliningAssistance: false, withErrorHandling: false)
        let taken = settings.places.take(address: address, nowNanoseconds: 0) {}
        let place = try #require(taken)
        try HTTPConnection(settings, place, strangers, Logger(label: "test")).join(channel)
        return channel
    }

    private func ask(_ channel: EmbeddedChannel, _ fields: String = "") throws {
        try channel.writeInbound(
            ByteBuffer(string: "GET / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n"))
    }

    /// Whether a whole request was handed on.
    private func hasBegun(_ channel: EmbeddedChannel) throws -> Bool {
        var found = false
        while let part = try channel.readInbound(as: HTTPServerRequestPart.self) {
            if case .end = part { found = true }
        }
        return found
    }

    private func answer(_ channel: EmbeddedChannel) throws {
        let head = HTTPResponseHead(
            version: .http1_1, status: .ok, headers: ["content-length": "0"])
        channel.write(HTTPServerResponsePart.head(head), promise: nil)
        try channel.writeOutbound(HTTPServerResponsePart.end(nil))
    }

    @Test func aFewAtOnceAndEachAddressInTurn() throws {
        let crowd = try (0..<20).map { _ in try connection(from: "crowd") }
        for channel in crowd { try ask(channel) }
        #expect(try crowd.map(hasBegun) == (0..<20).map { $0 < Strangers.atOnce })
        // Who is known does not wait.
        let known = try connection(from: "crowd")
        try ask(known, "Authorization: Bearer good\r\n")
        #expect(try hasBegun(known))
        let wrong = try connection(from: "crowd")
        try ask(wrong, "Authorization: Bearer bad\r\n")
        #expect(try !hasBegun(wrong))
        // Who comes from elsewhere waits for two turns at most.
        let other = try connection(from: "other")
        try ask(other)
        #expect(try !hasBegun(other))
        try answer(crowd[0])
        try answer(crowd[1])
        #expect(try hasBegun(other))
        #expect(try crowd[2...].count { try hasBegun($0) } == 1)
    }

    /// What is under way may end, in time; a stream would go on for ever.
    @Test(arguments: ["waits for its turn", "body", "answer"])
    func aDismissedPeerGoesInTime(phase: String) throws {
        let crowd = try (0..<Strangers.atOnce).map { _ in try connection(from: "a") }
        if phase == "waits for its turn" { for channel in crowd { try ask(channel) } }
        let channel = try connection(from: "a")
        if phase == "body" {
            try channel.writeInbound(
                ByteBuffer(string: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe"))
        } else {
            try ask(channel)
        }
        if phase == "answer" {
            let head = HTTPResponseHead(version: .http1_1, status: .ok)
            try channel.writeOutbound(HTTPServerResponsePart.head(head))
        }
        channel.pipeline.fireUserInboundEventTriggered(PeerDismissed())
        loop.advanceTime(by: .seconds(4))
        channel.pipeline.fireUserInboundEventTriggered(PeerDismissed())
        if phase == "answer" {
            try channel.writeOutbound(
                HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(string: "data: 1\n\n"))))
        }
        #expect(channel.isActive)
        loop.advanceTime(by: .seconds(2))
        #expect(!channel.isActive)
    }

    @Test func aDismissedPeerThatAsksForNothingGoesAtOnce() throws {
        let channel = try connection(from: "a")
        channel.pipeline.fireUserInboundEventTriggered(PeerDismissed())
        loop.run()
        #expect(!channel.isActive)
    }

    @Test func whoIsGoneIsPassedOver() throws {
        let all = try (0..<5).map { _ in try connection(from: "a") }
        for channel in all { try ask(channel) }
        _ = try all.map(hasBegun)
        try all[2].close().wait()
        try all[0].close().wait()
        loop.run()
        #expect(try hasBegun(all[3]))
        #expect(try !hasBegun(all[4]))
        try answer(all[1])
        #expect(try hasBegun(all[4]))
    }

    /// A handler that waits, for the disk or for a body, keeps nobody from going on.
    @Test func whoWaitsForSomethingIsNoWork() throws {
        let all = try (0..<5).map { _ in try connection(from: "a") }
        for channel in all { try ask(channel) }
        #expect(try all.map(hasBegun) == [true, true, false, false, false])
        loop.advanceTime(by: Strangers.patience)
        #expect(try all[2...].map(hasBegun) == [true, true, false])
        // What ends late does not count a second time.
        try answer(all[0])
        #expect(try !hasBegun(all[4]))
        try answer(all[2])
        #expect(try hasBegun(all[4]))
        // What it waits for is asked for.
        let next = try (0..<3).map { _ in try connection(from: "a") }
        for channel in next { try ask(channel) }
        #expect(try next.map(hasBegun) == [false, false, false])
        try all[3].triggerUserOutboundEvent(ConnectionEvent.bodyIsWanted).wait()
        #expect(try next.map(hasBegun) == [true, false, false])
        try all[4].triggerUserOutboundEvent(ConnectionEvent.peerIsKnown).wait()
        #expect(try next[1...].map(hasBegun) == [true, false])
    }

    /// What comes meanwhile, and the end of it, is not lost.
    @Test func aBodyThatCameMeanwhileIsThere() throws {
        let first = try (0..<2).map { _ in try connection(from: "a") }
        for channel in first { try ask(channel) }
        let third = try connection(from: "a")
        try third.writeInbound(
            ByteBuffer(string: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe"))
        try third.writeInbound(ByteBuffer(string: "llo"))
        third.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(try third.readInbound(as: HTTPServerRequestPart.self) == nil)
        try answer(first[0])
        var body = ""
        var isWhole = false
        while let part = try third.readInbound(as: HTTPServerRequestPart.self) {
            if case .body(let bytes) = part { body += String(buffer: bytes) }
            if case .end = part { isWhole = true }
        }
        #expect(body == "hello" && isWhole)
    }
}
