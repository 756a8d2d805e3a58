import Glibc
import Gzip
import HTTP2
import NIOCore
import Testing

@testable import GRPCServer

@Suite struct CompressionTests {
    static func gzip(_ bytes: [UInt8]) -> [UInt8] {
        var encoder = GzipEncoder()
        // What does not become smaller alone does with something behind it.
        return bytes.withUnsafeBytes { encoder.encode($0).map { Array($0) } } ?? []
    }

    static let zeros = [UInt8](repeating: 0, count: 60_000)
    static let sends = [("grpc-encoding", "gzip")]
    static let takes = [("grpc-accept-encoding", "identity, deflate, gzip")]

    static func packed(_ message: [UInt8]) -> [UInt8] {
        TestClient.framed(gzip(message), flag: 1)
    }

    // MARK: Requests

    @Test func requestsMayBeCompressed() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        for extra in [Self.sends, Self.sends + Self.takes] {
            let stream = try client.begin("/t.T/Echo", body: Self.packed(Self.zeros), extra: extra)
            let reply = try await client.finish(stream)
            #expect(reply.status == 0 && reply.messages == [Self.zeros])
        }
        // And need not be, though the call says so.
        let plain = try await client.call("/t.T/Echo", text("x"), extra: Self.sends)
        #expect(plain.status == 0 && plain.messages == [text("x")])
        await test.stop()
    }

    @Test func theBoundHoldsForWhatAMessageUnfoldsTo() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        for (count, code) in [
            (65_536, GRPCCode.ok), (65_537, .resourceExhausted), (20_000_000, .resourceExhausted),
        ] {
            let message = [UInt8](repeating: 7, count: count)
            let stream = try client.begin(
                "/t.T/Echo", body: Self.packed(message), extra: Self.sends)
            #expect(try await client.finish(stream).status == Int32(code.rawValue), "\(count)")
        }
        #expect(test.journal.now.unaryCalls == 1)
        let kept = try await test.onLoop { $0.gunzip.keptBytes }
        #expect(kept <= 65_537)
        await test.stop()
    }

    @Test func damageIsToldAndHarmsNobody() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let good = Self.gzip(Self.zeros)
        var wrong = good
        wrong[wrong.count - 5] ^= 1
        for body in [Array(good.dropLast()), Array(good[..<11]), wrong, good + [0], good + good] {
            let stream = try client.begin(
                "/t.T/Echo", body: TestClient.framed(body, flag: 1), extra: Self.sends)
            let neighbour = try client.begin(
                "/t.T/Echo", body: Self.packed(Self.zeros), extra: Self.sends)
            #expect(try await client.finish(stream).status == Int32(GRPCCode.internal.rawValue))
            #expect(try await client.finish(neighbour).messages == [Self.zeros])
        }
        await test.stop()
    }

    @Test func aStrangersMessagesAreNotUnpacked() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let stream = try client.begin(
            "/t.T/Batch", body: Self.packed(Self.zeros),
            extra: Self.sends + [("authorization", "nobody")])
        #expect(try await client.finish(stream).status == Int32(GRPCCode.unauthenticated.rawValue))
        #expect(try await test.onLoop { $0.gunzip.keptBytes } == 0)
        await test.stop()
    }

    @Test func messagesOfStreamsAreUnpackedOneByOne() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let body =
            Self.packed(text("i") + Self.zeros) + TestClient.framed(text("i2"))
            + Self.packed(text("i") + Self.zeros)
        let stream = try client.begin("/t.T/Chat", body: body, extra: Self.sends)
        let reply = try await client.finish(stream)
        #expect(reply.status == 0 && reply.messages.map(\.count) == [60_001, 2, 60_001])
        let sum = try client.begin("/t.T/Sum", body: body, extra: Self.sends)
        #expect(try await client.finish(sum).messages == [text("120004")])
        // What was good before is answered.
        let damaged = try client.begin(
            "/t.T/Chat", body: TestClient.framed(text("i")) + TestClient.framed(text("i"), flag: 1),
            extra: Self.sends)
        let end = try await client.finish(damaged)
        #expect(end.messages == [text("i")])
        #expect(end.status == Int32(GRPCCode.internal.rawValue))
        await test.stop()
    }

    @Test func aPaceIsKept() {
        var pace = UnpackingPace(bytesPerSecond: 1_000_000, burst: 500)
        #expect(pace.wait(0) == 0)
        pace.spend(400, 10_000)
        #expect(pace.wait(10_000) == 0, "within the burst")
        pace.spend(400, 10_000)
        #expect(pace.wait(10_000) == 300_000)
        #expect(pace.wait(310_000) == 0)
        pace.spend(100_000, 310_000)
        #expect(pace.wait(310_000) == 100_000_000)
        // What was not used is no credit.
        #expect(pace.wait(1_000_000_000) == 0)
        pace.spend(600, 1_000_000_000)
        #expect(pace.wait(1_000_000_000) == 100_000)
    }

    /// Each message uses the pace up, and all are answered: of one connection, and of several in turn.
    @Test func whatUnfoldsToMuchWaitsForItsTurn() async throws {
        let test = try await TestServer { $0.unpackedBurstBytes = 0 }
        let clients = try (0..<3).map { _ in try TestClient(port: test.server.port) }
        var calls: [(TestClient, StreamHandle)] = []
        var chats: [(TestClient, StreamHandle)] = []
        for client in clients {
            for _ in 0..<20 {
                calls.append(
                    (
                        client,
                        try client.begin(
                            "/t.T/Echo", body: Self.packed(Self.zeros), extra: Self.sends)
                    ))
            }
            chats.append(
                (
                    client,
                    try client.begin(
                        "/t.T/Chat",
                        body: (0..<10).flatMap { _ in Self.packed(text("i") + Self.zeros) },
                        extra: Self.sends + Self.takes)
                ))
        }
        for (client, call) in calls {
            #expect(try await client.finish(call).messages == [Self.zeros])
        }
        for (client, chat) in chats {
            #expect(try await client.finish(chat).messages.count == 10)
        }
        #expect(try await test.onLoop { $0.unpacking.count } == 0)
        await test.stop()
    }

    /// While messages wait to be unpacked, others are served, and whoever waits may go.
    @Test func whoWaitsToBeUnpackedHoldsNobodyUp() async throws {
        let test = try await TestServer {
            $0.unpackedBytesPerSecond = 1
            $0.unpackedBurstBytes = 0
        }
        let first = try TestClient(port: test.server.port)
        let call = try first.begin("/t.T/Echo", body: Self.packed(Self.zeros), extra: Self.sends)
        #expect(try await first.finish(call).messages == [Self.zeros])
        // The next one waits for most of a day.
        let slow = try TestClient(port: test.server.port)
        let late = try slow.begin(
            "/t.T/Echo", body: Self.packed(Self.zeros),
            extra: Self.sends + [("grpc-timeout", "50m")])
        let gone = try TestClient(port: test.server.port)
        _ = try gone.begin("/t.T/Chat", body: Self.packed(text("i")), extra: Self.sends)
        try await gone.waitForArrival()
        try await test.until { $0.unpacking.count == 2 }
        #expect(try await first.call("/t.T/Echo", text("x")).messages == [text("x")])
        #expect(try await slow.finish(late).status == Int32(GRPCCode.deadlineExceeded.rawValue))
        shutdown(gone.descriptor, Int32(SHUT_RDWR))
        try await test.until { $0.openConnectionCount == 2 }
        await test.stop()
    }

    /// A call that waited to be unpacked goes on as what it is.
    @Test func whoWaitedIsServedAsItsMethodSays() async throws {
        let test = try await TestServer { $0.unpackedBurstBytes = 0 }
        let client = try TestClient(port: test.server.port)
        for path in ["/t.T/Watch", "/t.T/Sum", "/t.T/Chat"] {
            test.journal.freeze()
            #expect(try await client.finish(try begin(client, "/t.T/Echo")).status == 0)
            let stream = try begin(client, path)
            try await client.waitForArrival()
            try await test.until { $0.unpacking.count == 1 }
            test.journal.advance(.seconds(10))
            guard path == "/t.T/Watch" else {
                let reply = try await client.finish(stream)
                #expect(reply.messages == [path == "/t.T/Sum" ? text("60000") : Self.zeros])
                continue
            }
            try await test.until { [journal = test.journal] _ in journal.now.watcher != nil }
            let token = try #require(test.journal.now.watcher)
            try await test.onLoop { loop in
                for message in ["a", "b"] {
                    _ = loop.push(token) { buffer in
                        text(message).withUnsafeBytes { buffer.append($0) }
                    }
                }
                loop.end(token, nil)
            }
            let reply = try await client.finish(stream)
            #expect(reply.messages == [text("a"), text("b")] && reply.status == 0)
            #expect(test.journal.now.unaryCalls == 1)
        }
        #expect(test.journal.now.closed == 3 && test.journal.now.withdrawn == [])
        await test.stop()
    }

    /// A call whose message uses the pace up.
    private func begin(_ client: TestClient, _ path: String) throws -> StreamHandle {
        try client.begin(path, body: Self.packed(Self.zeros), extra: Self.sends)
    }

    private final class Handler: @unchecked Sendable {
        // SAFETY: on the loop alone.
        weak var handler: ConnectionHandler?
    }

    /// A connection that has had its turn is let go of while others still wait.
    @Test func theQueueKeepsNobodyWhoHadItsTurn() async throws {
        let test = try await TestServer { $0.unpackedBurstBytes = 0 }
        test.journal.freeze()
        let others = try (0..<2).map { _ in try TestClient(port: test.server.port) }
        #expect(try await others[0].finish(try begin(others[0], "/t.T/Echo")).status == 0)
        let first = Handler()
        do {
            let client = try TestClient(port: test.server.port)
            #expect(try await client.call("/t.T/Echo", []).status == 0)
            try await test.onLoop { first.handler = $0.call.values.pointee.connection }
            let call = try begin(client, "/t.T/Echo")
            try await client.waitForArrival()
            try await test.until { $0.unpacking.count == 1 }
            for other in others {
                _ = try begin(other, "/t.T/Echo")
                try await other.waitForArrival()
            }
            try await test.until { $0.unpacking.count == 3 }
            test.journal.advance(.seconds(1))
            #expect(try await client.finish(call).messages == [Self.zeros])
        }
        try await test.until { $0.openConnectionCount == 2 }
        try await test.until { _ in first.handler == nil }
        #expect(try await test.onLoop { $0.unpacking.count } == 2)
        let loop = test.server.loops[0]
        await test.stop()
        #expect(loop.unpacking.count == 0)
    }

    /// A request that waits for room is unpacked again when there is some.
    @Test func whatWaitsForRoomIsUnpackedAgain() async throws {
        let test = try await TestServer { $0.unpackedBurstBytes = 0 }
        let client = try TestClient(port: test.server.port)
        let pieces = [UInt8](repeating: UInt8(ascii: "p"), count: 60)
        let call = try client.begin("/t.T/Parts", body: Self.packed(pieces), extra: Self.sends)
        let stream = try client.begin(
            "/t.T/Chat", body: Self.packed(text("w") + pieces), extra: Self.sends)
        try await client.waitForArrival()
        try await test.until { [journal = test.journal] _ in journal.now.roomWanted > 0 }
        try await test.makeRoom(30)
        try await test.until { [journal = test.journal] _ in journal.now.room == 0 }
        try await test.makeRoom(31)
        #expect(try await client.finish(call).messages == [pieces])
        #expect(try await client.finish(stream).messages == [text("w") + pieces])
        await test.stop()
    }

    // MARK: Answers

    struct Case: Sendable {
        var compression: AnswerCompression
        var extra: [(String, String)]
        var isPacked: Bool
    }

    static let cases = [
        Case(compression: .asked, extra: [], isPacked: false),
        Case(compression: .asked, extra: takes, isPacked: false),
        Case(compression: .asked, extra: sends, isPacked: false),
        Case(compression: .asked, extra: sends + takes, isPacked: true),
        Case(
            compression: .asked, extra: sends + [("grpc-accept-encoding", "identity,gzipped")],
            isPacked: false),
        Case(compression: .accepted, extra: takes, isPacked: true),
        Case(compression: .accepted, extra: sends, isPacked: false),
        Case(compression: .off, extra: sends + takes, isPacked: false),
    ]

    @Test(arguments: cases)
    func answersAreCompressedWhereTheyAreWanted(each: Case) async throws {
        let test = try await TestServer { $0.compression = each.compression }
        let client = try TestClient(port: test.server.port)
        let reply = try await client.call("/t.T/Big", [], extra: each.extra)
        #expect(reply.messages == [[UInt8](repeating: 7, count: 65_536)])
        #expect(reply.packed == (each.isPacked ? 1 : 0) && reply.saysGzip == each.isPacked)
        await test.stop()
    }

    @Test func answersAreCompressedWhereItPays() async throws {
        let test = try await TestServer { $0.compression = .accepted }
        let client = try TestClient(port: test.server.port)
        func echo(_ body: [UInt8]) async throws -> TestClient.Reply {
            let reply = try await client.call("/t.T/Echo", body, extra: Self.takes)
            #expect(reply.messages == [body])
            return reply
        }
        #expect(try await echo([UInt8](repeating: 1, count: 1_023)).packed == 0)
        #expect(try await echo([UInt8](repeating: 1, count: 1_024)).packed == 1)
        #expect(try await echo((0..<60_000).map { _ in UInt8.random(in: 0...255) }).packed == 0)
        // A failure has no message.
        let failure = try await client.call("/t.T/Fail", [], extra: Self.takes)
        #expect(failure.status == Int32(GRPCCode.failedPrecondition.rawValue) && !failure.saysGzip)
        await test.stop()
    }

    @Test func parkedAnswersAreCompressed() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let extra = Self.sends + Self.takes
        let big = try client.begin("/t.T/HoldBig", body: TestClient.framed([]), extra: extra)
        let small = try client.begin("/t.T/Hold", body: TestClient.framed(text("h")), extra: extra)
        let chat = try client.begin(
            "/t.T/Chat",
            body: TestClient.framed(text("h") + Self.zeros) + TestClient.framed(text("i"))
                + TestClient.framed(text("i") + Self.zeros), extra: extra)
        try await client.waitForArrival()
        // What is held is compressed already: the two large answers alone are 125 000 bytes, and a
        // message that is still arriving is counted too.
        try await test.until { $0.parkedCount == 3 && $0.waitingBytes < 10_000 }
        try await test.makeDurable()
        let reply = try await client.finish(big)
        #expect(reply.packed == 1 && reply.saysGzip && reply.messages[0].count == 65_536)
        let plain = try await client.finish(small)
        #expect(plain.packed == 0 && !plain.saysGzip && plain.messages == [text("h")])
        let answers = try await client.finish(chat)
        #expect(answers.messages.map(\.count) == [60_001, 1, 60_001] && answers.packed == 2)
        await test.stop()
    }

    @Test func whatIsPushedIsCompressed() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let stream = try client.begin(
            "/t.T/Watch", body: TestClient.framed([]), extra: Self.sends + Self.takes)
        #expect(try await client.call("/t.T/Echo", []).status == 0)
        let token = try #require(test.journal.now.watcher)
        _ = try await test.onLoop { loop in
            loop.push(token) { buffer in Self.zeros.withUnsafeBytes { buffer.append($0) } }
        }
        _ = try await test.onLoop { loop in
            loop.push(token) { buffer in text("x").withUnsafeBytes { buffer.append($0) } }
        }
        try await client.pump { client.reply(stream).messages.count == 2 }
        let reply = client.reply(stream)
        #expect(reply.messages == [Self.zeros, text("x")] && reply.packed == 1 && reply.saysGzip)
        await test.stop()
    }
}
