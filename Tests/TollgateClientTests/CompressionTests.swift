import Gzip
import HTTP2
import Testing
import Wire

@testable import TollgateClient

@Suite("Compressed messages", .timeLimit(.minutes(5)))
struct CompressionTests {
    private static func packed(_ bytes: [UInt8]) throws -> [UInt8] {
        var encoder = GzipEncoder()
        return try #require(bytes.withUnsafeBytes { encoder.encode($0).map { Array($0) } })
    }

    private static func unpacked(_ bytes: some Sequence<UInt8>) throws -> [UInt8] {
        var decoder = GzipDecoder()
        return try Array(bytes).withUnsafeBytes {
            guard case .complete(let message) = decoder.decode($0, maximumBytes: 1 << 20) else {
                throw FramePeer.Gone()
            }
            return Array(message)
        }
    }

    private static func with(
        accepts: Bool = true, compressesFrom: Int? = nil,
        _ body: (FramePeer, TollgateClient) async throws -> Void
    ) async throws {
        let peer = try await FramePeer.listen(maximumStreams: 100, manner: .polite)
        var configuration = TollgateClient.Configuration(
            host: "127.0.0.1", port: peer.port, timeout: .seconds(300),
            connectTimeout: .seconds(300), keepaliveInterval: nil)
        configuration.acceptsCompression = accepts
        configuration.compressesRequestsFrom = compressesFrom
        let client = TollgateClient(configuration)
        defer { client.shutdown() }
        try await body(peer, client)
        try await peer.stop()
    }

    // MARK: Answers

    /// RecordUsageResponse with `replayed`, and a field of a later contract that is worth compressing.
    private static let answer: [UInt8] = [0x18, 1, 0x7a, 100] + [UInt8](repeating: 0, count: 100)
    private static let usage = RecordUsageRequest(
        tenantID: "a", action: .charge, quantities: [Quantity(.spend, 1)], idempotencyKey: "k")

    private static func outcome(
        _ message: [UInt8], flag: UInt8 = 1, encoding: String? = "gzip", accepts: Bool = true
    ) async throws -> Result<RecordUsageResponse, TollgateError> {
        var outcome: Result<RecordUsageResponse, TollgateError>?
        try await with(accepts: accepts) { peer, client in
            async let answered = { () async -> Result<RecordUsageResponse, TollgateError> in
                do throws(TollgateError) {
                    return .success(try await client.record(usage))
                } catch {
                    return .failure(error)
                }
            }()
            let call = try await peer.next(.headers)
            try await call.reply(
                FramePeer.head(call.stream, encoding: encoding),
                FramePeer.message(call.stream, message, flag: flag),
                FramePeer.trailers(call.stream, status: 0))
            outcome = await answered
        }
        return try #require(outcome)
    }

    @Test func aCompressedAnswerIsRead() async throws {
        let bytes = try Self.packed(Self.answer)
        #expect(bytes.count < Self.answer.count)
        #expect(try await Self.outcome(bytes).get().isReplayed)
        #expect(try await Self.outcome(Self.answer, flag: 0).get().isReplayed)
        // The encoding counts for messages that say they are compressed.
        #expect(try await Self.outcome(Self.answer, flag: 0, encoding: "br").get().isReplayed)
    }

    @Test func whatCannotBeReadIsSaid() async throws {
        let bytes = try Self.packed(Self.answer)
        var flipped = bytes
        flipped[bytes.count - 6] ^= 1
        for (message, flag, encoding, accepts, sentence) in [
            (Array(bytes.dropLast()), 1, "gzip", true, "The answer is damaged or truncated gzip"),
            (Array(bytes.prefix(10)), 1, "gzip", true, "The answer is damaged or truncated gzip"),
            ([], 1, "gzip", true, "The answer is damaged or truncated gzip"),
            (bytes + [0], 1, "gzip", true, "The answer is damaged or truncated gzip"),
            (flipped, 1, "gzip", true, "The answer is damaged or truncated gzip"),
            (bytes, 1, "br", true, "unsupported compression"),
            (bytes, 1, "gzip", false, "unsupported compression"),
            (bytes, 1, nil, true, "without a grpc-encoding"),
            (bytes, 1, "identity", true, "without a grpc-encoding"),
            (bytes, 2, "gzip", true, "The answer is not a gRPC message"),
        ] as [([UInt8], UInt8, String?, Bool, String)] {
            let outcome = try await Self.outcome(
                message, flag: flag, encoding: encoding, accepts: accepts)
            guard case .failure(let error) = outcome else {
                Issue.record("\(sentence): \(outcome)")
                continue
            }
            #expect(error.code == .internal && error.message.contains(sentence))
        }
    }

    @Test func aBombIsRefused() async throws {
        let bomb = try Self.packed(
            [UInt8](repeating: 0, count: MessageCodec.maximumAnswerBytes + 1))
        #expect(bomb.count < 65_535)
        guard case .failure(let error) = try await Self.outcome(bomb) else {
            Issue.record("it was taken")
            return
        }
        #expect(error.code == .resourceExhausted)
        #expect(error.message == "The answer is too large for this client")
    }

    @Test func theBoundIsExact() throws {
        let codec = MessageCodec(.init())
        for (count, fits) in [
            (MessageCodec.maximumAnswerBytes, true), (MessageCodec.maximumAnswerBytes + 1, false),
        ] {
            let bytes = try Self.packed([UInt8](repeating: 7, count: count))
            bytes.withUnsafeBytes { payload in
                let frame = MessageCodec.Frame(isCompressed: true, payload: payload)
                let message = try? codec.message(frame, .gzip)
                #expect((message?.count == count) == fits && (message == nil) != fits)
            }
        }
    }

    @Test func anAnnouncementThatIsTooLargeIsRefused() throws {
        let prefix: [UInt8] = [0] + FramePeer.bytes(UInt32(MessageCodec.maximumAnswerBytes + 1))
        let error = #expect(throws: TollgateError.self) {
            try prefix.withUnsafeBytes { bytes in _ = try MessageCodec.frame(in: bytes) }
        }
        #expect(error?.code == .resourceExhausted)
    }

    @Test func aStreamMixesThem() async throws {
        try await Self.with { peer, client in
            let stream = client.checkStream()
            try await stream.send(CheckRequest(tenantID: "a", action: .charge, quantities: []))
            let head = try await peer.next(.headers)
            let answers: [[UInt8]] = (1...3).map { number in
                [0x08, 1, 0x11, number, 0, 0, 0, 0, 0, 0, 0, 0x7a, 100]
                    + [UInt8](repeating: 0, count: 100)
            }
            try await head.reply(
                FramePeer.head(head.stream, encoding: "gzip"),
                FramePeer.message(head.stream, try Self.packed(answers[0]), flag: 1),
                FramePeer.message(head.stream, answers[1]),
                FramePeer.message(head.stream, try Self.packed(answers[2]), flag: 1),
                FramePeer.trailers(head.stream, status: 0))
            var found: [UInt64] = []
            for try await answer in stream.responses { found.append(answer.reservationID) }
            #expect(found == [1, 2, 3])
        }
    }

    // MARK: Requests

    /// The size is the request's; what does not become smaller goes as it is.
    @Test func largeRequestsAreSentCompressed() async throws {
        for (tenant, from, isCompressed) in [
            (String(repeating: "a", count: 300), 100, true), ("a", 100, false),
            ("no two letters", 1, false),
        ] {
            try await Self.with(compressesFrom: from) { peer, client in
                var request = Self.usage
                request.tenantID = tenant
                async let answered = client.record(request)
                let call = try await peer.next(.headers)
                let sent = try await peer.data()
                try await call.succeed()
                _ = try await answered
                #expect((sent[0] == 1) == isCompressed)
                #expect(Array(sent[1..<5]) == FramePeer.bytes(UInt32(sent.count - 5)))
                let message = Array(sent.dropFirst(5))
                #expect(try (isCompressed ? Self.unpacked(message) : message) == request.encoded())
            }
        }
    }

    /// What was queued before there was a connection, too.
    @Test func streamsSendCompressed() async throws {
        try await Self.with(compressesFrom: 100) { peer, client in
            let stream = client.checkStream()
            let requests = (0..<2).map { number in
                CheckRequest(
                    tenantID: String(repeating: "\(number)", count: 300), action: .charge,
                    quantities: [Quantity(.spend, 1)])
            }
            for request in requests { try await stream.send(request) }
            stream.finish()
            var sent = try await peer.data()[...]
            for request in requests {
                let count = sent.dropFirst(1).prefix(4).reduce(0) { $0 << 8 | Int($1) }
                #expect(sent.first == 1)
                #expect(try Self.unpacked(sent.dropFirst(5).prefix(count)) == request.encoded())
                sent = sent.dropFirst(5 + count)
            }
            #expect(sent.isEmpty)
        }
    }

    /// What a service reads of the head.
    @Test(arguments: [(true, nil), (false, nil), (true, 1), (false, 1)] as [(Bool, Int?)])
    func theHeadSaysSo(_ accepts: Bool, _ compressesFrom: Int?) async throws {
        try await Self.with(accepts: accepts, compressesFrom: compressesFrom) { peer, client in
            async let answered = client.record(Self.usage)
            let call = try await peer.next(.headers)
            let routes = RouteTable([
                .init(
                    path: "\(LimitServiceMethod.recordUsage.path)", maximumBodyBytes: 1 << 16,
                    streamsRequests: false)
            ])
            let session = ServerSession(
                configuration: SessionConfiguration(), memory: SessionMemory(), routes: routes)
            let bytes =
                Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + FramePeer.frame(.settings)
                + FramePeer.frame(
                    .headers, flags: call.flags, stream: call.stream, call.payload)
            bytes.withUnsafeBytes { _ = session.receive($0, nowNanoseconds: 0) }
            let stream = session.nextReady()?.stream
            let (acceptsGzip, saysGzip) = Self.read(stream.flatMap { session.request($0) })
            #expect(acceptsGzip == accepts && saysGzip == (compressesFrom != nil))
            try await call.succeed()
            _ = try await answered
        }
    }

    private static func read(
        _ head: UnsafePointer<RequestHead>?
    ) -> (accepts: Bool?, says: Bool?) {
        guard let head = head?.pointee else { return (nil, nil) }
        if case .gzip = head.encoding { return (head.acceptsGzip, true) }
        return (head.acceptsGzip, false)
    }
}
