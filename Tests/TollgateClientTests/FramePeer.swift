import Foundation
import NIOCore
import NIOPosix
import NIOSSL

@testable import TollgateClient

/// A service of bare HTTP/2 frames: it does what a test tells it and little by itself. It gives no window back.
final class FramePeer: Sendable {
    /// What it does by itself.
    enum Manner: Sendable {
        /// Sends SETTINGS, and acknowledges SETTINGS and PING.
        case polite
        case ignoresPings
        /// Sends nothing at all.
        case mute
    }

    enum Kind: UInt8, Sendable {
        case data = 0
        case headers, priority, reset, settings, pushPromise, ping, goAway, windowUpdate
        /// No frame: the connection is closed.
        case closed = 255
    }

    struct Frame: Sendable {
        let kind: Kind
        let flags: UInt8
        let stream: UInt32
        let payload: [UInt8]
        /// The connection that it came from.
        let channel: any Channel

        var endsStream: Bool { flags & FramePeer.endStream != 0 }

        func reply(_ frames: [UInt8]...) async throws {
            try await channel.writeAndFlush(ByteBuffer(bytes: frames.joined())).get()
        }

        /// Answers a call: OK, and one empty message.
        func succeed() async throws {
            try await reply(
                FramePeer.head(stream), FramePeer.message(stream, []),
                FramePeer.trailers(stream, status: 0))
        }
    }

    struct Gone: Error {}

    static let endStream: UInt8 = 1
    private static let endHeaders: UInt8 = 4
    static let acknowledgement: UInt8 = 1

    let port: Int
    private let listener: any Channel
    private let frames: AsyncStream<Frame>

    private init(port: Int, listener: any Channel, frames: AsyncStream<Frame>) {
        self.port = port
        self.listener = listener
        self.frames = frames
    }

    /// - Parameter tls: nil: plaintext.
    static func listen(
        maximumStreams: UInt32, manner: Manner, tls: NIOSSLContext? = nil
    ) async throws -> FramePeer {
        let (frames, continuation) = AsyncStream.makeStream(of: Frame.self)
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if let tls { try pipeline.addHandler(NIOSSLServerHandler(context: tls)) }
                    try pipeline.addHandler(
                        FrameHandler(
                            maximumStreams: maximumStreams, manner: manner,
                            frames: continuation))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        guard let port = listener.localAddress?.port else { throw Gone() }
        return FramePeer(port: port, listener: listener, frames: frames)
    }

    /// A peer and a client with one connection to it, for a while.
    static func with(
        maximumStreams: UInt32 = 100, manner: Manner = .polite, keepaliveInterval: Duration? = nil,
        keepaliveTimeout: Duration = .seconds(300),
        _ body: (FramePeer, TollgateClient) async throws -> Void
    ) async throws {
        let peer = try await listen(maximumStreams: maximumStreams, manner: manner)
        let client = TollgateClient(
            .init(
                host: "127.0.0.1", port: peer.port, timeout: .seconds(300),
                connectTimeout: .seconds(300), keepaliveInterval: keepaliveInterval,
                keepaliveTimeout: keepaliveTimeout))
        defer {
            client.shutdown()
            peer.listener.close(promise: nil)
        }
        try await body(peer, client)
    }

    /// Takes no more connections; those that there are stay.
    func stop() async throws { try await listener.close().get() }

    /// The next frame of a kind; others are skipped. One task at a time.
    func next(_ kind: Kind) async throws -> Frame {
        for await frame in frames where frame.kind == kind { return frame }
        throw Gone()
    }

    /// What DATA frames bring, until there are `count` bytes or the stream ends.
    func data(_ count: Int = .max) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let frame = try await next(.data)
            bytes += frame.payload
            if frame.endsStream { break }
        }
        return bytes
    }

    // MARK: Frames

    static func frame(
        _ kind: Kind, flags: UInt8 = 0, stream: UInt32 = 0, _ payload: [UInt8] = []
    ) -> [UInt8] {
        let length = UInt32(payload.count)
        return [UInt8(length >> 16 & 0xff), UInt8(length >> 8 & 0xff), UInt8(length & 0xff)]
            + [kind.rawValue, flags] + bytes(stream) + payload
    }

    /// - Parameter encoding: Of `grpc-encoding`; nil: none.
    static func head(_ stream: UInt32, encoding: String? = nil) -> [UInt8] {
        frame(
            .headers, flags: endHeaders, stream: stream,
            headFields + (encoding.map { field("grpc-encoding", $0) } ?? []))
    }

    /// A message with its gRPC prefix.
    ///
    /// - Parameter flag: 1: it is compressed.
    static func message(_ stream: UInt32, _ message: [UInt8], flag: UInt8 = 0) -> [UInt8] {
        let whole = [flag] + bytes(UInt32(message.count)) + message
        // What a frame may hold.
        return stride(from: 0, to: whole.count, by: 16_384).flatMap { start in
            frame(.data, stream: stream, Array(whole[start..<min(start + 16_384, whole.count)]))
        }
    }

    /// - Parameters:
    ///   - status: google.rpc.Code, 0 ... 9.
    ///   - details: Of `grpc-status-details-bin`, 90 bytes at most; empty: none.
    static func trailers(
        _ stream: UInt32, status: Int, isAlone: Bool = false, details: [UInt8] = []
    ) -> [UInt8] {
        let text = Data(details).base64EncodedString()
        return frame(
            .headers, flags: endHeaders | endStream, stream: stream,
            (isAlone ? headFields : []) + field("grpc-status", "\(status)")
                + (details.isEmpty ? [] : field("grpc-status-details-bin", text)))
    }

    /// google.rpc.Status of INVALID_ARGUMENT with an ErrorInfo whose metadata say "code": "49201".
    static var keyReused: [UInt8] {
        func part(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] {
            [number << 3 | 2, UInt8(bytes.count)] + bytes
        }
        let entry = part(1, Array("code".utf8)) + part(2, Array("49201".utf8))
        let type = Array("type.googleapis.com/google.rpc.ErrorInfo".utf8)
        return [0x08, 3] + part(3, part(1, type) + part(2, part(3, entry)))
    }

    /// More window for a stream, and for its connection.
    static func window(_ stream: UInt32, _ count: UInt32) -> [UInt8] {
        frame(.windowUpdate, stream: stream, bytes(count)) + frame(.windowUpdate, bytes(count))
    }

    /// RST_STREAM, with INTERNAL_ERROR unless `code` says otherwise.
    static func reset(_ stream: UInt32, code: UInt32 = 2) -> [UInt8] {
        frame(.reset, stream: stream, bytes(code))
    }

    static let refusedStream: UInt32 = 7

    /// GOAWAY without an error: streams above the last one are not processed.
    static func goAway(last stream: UInt32) -> [UInt8] {
        frame(.goAway, bytes(stream) + bytes(0))
    }

    /// 0x88 is ":status: 200" in HPACK's static table.
    private static var headFields: [UInt8] { [0x88] + field("content-type", "application/grpc") }

    /// A literal of HPACK, not indexed.
    private static func field(_ name: String, _ value: String) -> [UInt8] {
        [0, UInt8(name.utf8.count)] + name.utf8 + [UInt8(value.utf8.count)] + value.utf8
    }

    static func bytes(_ number: UInt32) -> [UInt8] {
        withUnsafeBytes(of: number.bigEndian) { Array($0) }
    }
}

/// Cuts one connection's bytes into frames.
private final class FrameHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let maximumStreams: UInt32
    private let manner: FramePeer.Manner
    private let frames: AsyncStream<FramePeer.Frame>.Continuation
    private var unread = ByteBuffer()
    private var hasPreface = false

    init(
        maximumStreams: UInt32, manner: FramePeer.Manner,
        frames: AsyncStream<FramePeer.Frame>.Continuation
    ) {
        self.maximumStreams = maximumStreams
        self.manner = manner
        self.frames = frames
    }

    func channelActive(context: ChannelHandlerContext) {
        if manner == .mute { return }
        // SETTINGS_MAX_CONCURRENT_STREAMS
        write(FramePeer.frame(.settings, [0, 3] + FramePeer.bytes(maximumStreams)), context)
    }

    func channelInactive(context: ChannelHandlerContext) {
        report(.closed, 0, 0, [], context)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        unread.writeImmutableBuffer(unwrapInboundIn(data))
        if hasPreface == false {
            guard unread.readSlice(length: 24) != nil else { return }
            hasPreface = true
        }
        while let head = unread.getBytes(at: unread.readerIndex, length: 9) {
            let length = Int(head[0]) << 16 | Int(head[1]) << 8 | Int(head[2])
            guard unread.readableBytes >= 9 + length else { return }
            unread.moveReaderIndex(forwardBy: 9)
            let payload = unread.readBytes(length: length) ?? []
            guard let kind = FramePeer.Kind(rawValue: head[3]) else { continue }
            let stream = head[5..<9].reduce(UInt32(0)) { $0 << 8 | UInt32($1) } & 0x7fff_ffff
            take(kind, head[4], stream, payload, context)
        }
    }

    private func take(
        _ kind: FramePeer.Kind, _ flags: UInt8, _ stream: UInt32, _ payload: [UInt8],
        _ context: ChannelHandlerContext
    ) {
        let isAcknowledgement = flags & FramePeer.acknowledgement != 0
        if kind == .settings, isAcknowledgement == false, manner != .mute {
            write(FramePeer.frame(.settings, flags: FramePeer.acknowledgement), context)
        } else if kind == .ping, isAcknowledgement == false, manner == .polite {
            write(FramePeer.frame(.ping, flags: FramePeer.acknowledgement, payload), context)
        }
        report(kind, flags, stream, payload, context)
    }

    private func report(
        _ kind: FramePeer.Kind, _ flags: UInt8, _ stream: UInt32, _ payload: [UInt8],
        _ context: ChannelHandlerContext
    ) {
        frames.yield(
            FramePeer.Frame(
                kind: kind, flags: flags, stream: stream, payload: payload, channel: context.channel
            ))
    }

    private func write(_ bytes: [UInt8], _ context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil)
    }
}
