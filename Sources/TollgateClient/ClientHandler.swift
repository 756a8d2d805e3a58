internal import HTTP2
internal import NIOCore
internal import Wire

/// What is in flight on one stream: a unary call or a streaming one.
protocol StreamOwner: AnyObject {
    /// Something happened on its stream.
    ///
    /// - Returns: true when the stream is done with; the handler then lets go of it.
    func progress(_ stream: StreamHandle, _ events: StreamEvents, _ handler: ClientHandler) -> Bool
    /// Nothing more will come, because of `error`.
    func fail(_ error: TollgateError)
    var deadline: NIODeadline? { get }
    /// Where it is in flight; nil: not started yet, or over.
    var place: StreamPlace? { get set }
}

/// A stream of a connection.
struct StreamPlace {
    let handler: ClientHandler
    let stream: StreamHandle

    /// Ends the stream; one that still runs is cancelled.
    func letGo() {
        handler.letGo(stream)
        handler.flush()
    }
}

/// One TCP connection: an HTTP/2 session in a channel, and the calls that are in flight on it.
///
/// Thread safety: the channel's event loop only.
final class ClientHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let session: ClientSession
    private let headers: RequestHeaders
    private var fields = HeaderFields()
    private var owners: [(any StreamOwner)?]
    private(set) var inFlightCount = 0
    private var context: ChannelHandlerContext?
    /// Monotonic time of the PING that no one has answered; nil: none.
    private var unansweredPing: NIODeadline?
    /// A place has become free, or the connection has ended.
    var onChange: (() -> Void)?

    private static let table = 1_024
    private static let pingPatience = TimeAmount.seconds(5)

    init(headers: RequestHeaders) {
        self.headers = headers
        var configuration = SessionConfiguration()
        configuration.maximumConcurrentStreams = Self.table
        // A batch's answer must fit as a whole.
        configuration.streamWindowBytes = 8 << 20
        configuration.connectionWindowBytes = 16 << 20
        configuration.maximumBufferedInputBytes = 64 << 20
        // Budgets against hostile peers, not against this client's own cancellations and a busy service.
        configuration.ownResets = .init(burst: 1_000_000, perSecond: 1_000_000)
        configuration.controlFrames = .init(burst: 100_000, perSecond: 100_000)
        session = ClientSession(configuration: configuration, memory: SessionMemory())
        owners = Array(repeating: nil, count: Self.table)
    }

    /// New calls may be started, now or when a place becomes free.
    var isUsable: Bool { context?.channel.isActive == true && session.acceptsRequests }

    private var hasPlace: Bool {
        inFlightCount < min(Self.table, session.peerMaximumConcurrentStreams)
    }

    // MARK: Calls

    /// Starts a call, or fails it at once.
    ///
    /// - Parameters:
    ///   - finished: what `write` writes is the whole request.
    ///   - write: gRPC-framed bytes that go out first.
    /// - Returns: false: there is no place for now, and nothing has happened.
    func start(
        _ owner: any StreamOwner, method: LimitServiceMethod, finished: Bool,
        write: (inout ByteQueue) -> Void
    ) -> Bool {
        guard hasPlace, let stream = session.begin() else { return false }
        if let output = session.output(stream) { write(&output.pointee) }
        fields.removeAll()
        if let deadline = owner.deadline {
            let remaining = deadline - NIODeadline.now()
            var text = FieldCoding.timeout(nanoseconds: remaining.nanoseconds)
            text.withUTF8 {
                fields.append(name: "grpc-timeout", value: UnsafeRawBufferPointer($0))
            }
        }
        owners[Int(stream.index)] = owner
        owner.place = StreamPlace(handler: self, stream: stream)
        inFlightCount += 1
        let isSubmitted = session.submit(
            stream, headers: headers.view(method), fields: fields, finished: finished)
        if isSubmitted == false {
            letGo(stream)
            owner.fail(
                TollgateError(
                    .internal, "The request could not be made: is the token a legal header?",
                    wasNotProcessed: true))
        }
        return true
    }

    /// Lets go of a stream; one that still runs is cancelled (RST_STREAM).
    func letGo(_ stream: StreamHandle) {
        let index = Int(stream.index)
        guard let owner = owners[index], owner.place?.stream == stream else { return }
        owner.place = nil
        owners[index] = nil
        inFlightCount -= 1
        session.release(stream)
    }

    /// Fails every call whose deadline has passed.
    ///
    /// - Returns: the earliest deadline of the others.
    func expire(at now: NIODeadline) -> NIODeadline? {
        var next: NIODeadline?
        for index in owners.indices {
            guard let owner = owners[index], let deadline = owner.deadline else { continue }
            if deadline <= now {
                if let place = owner.place { letGo(place.stream) }
                owner.fail(.deadlineExceeded)
            } else {
                next = min(next ?? deadline, deadline)
            }
        }
        return next
    }

    /// After a deadline has passed: is anybody there at all? A peer that answers no PING for five seconds is gone.
    func probe(at now: NIODeadline) {
        if let since = unansweredPing {
            if now - since > Self.pingPatience { context?.close(promise: nil) }
        } else {
            unansweredPing = now
            session.ping()
        }
    }

    /// Sends what the session has to send.
    func flush() {
        guard let context else { return }
        var buffer: ByteBuffer?
        while true {
            let bytes = session.nextOutput()
            if bytes.isEmpty { break }
            if buffer == nil { buffer = context.channel.allocator.buffer(capacity: 8_192) }
            buffer?.writeBytes(bytes)
        }
        if let buffer { context.writeAndFlush(wrapOutboundOut(buffer), promise: nil) }
        if session.isFinished { context.close(promise: nil) }
    }

    func close() { context?.close(promise: nil) }

    // MARK: Channel

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        onChange = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        flush()
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        let now = NIODeadline.now().uptimeNanoseconds
        buffer.withUnsafeReadableBytes { session.receive($0, nowNanoseconds: now) }
        report()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        onChange?()
        flush()
    }

    func channelInactive(context: ChannelHandlerContext) {
        session.abandon()
        report()
        let onChange = onChange
        self.context = nil
        onChange?()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func report() {
        while let (stream, events) = session.nextReady() {
            guard let owner = owners[Int(stream.index)] else { continue }
            if owner.progress(stream, events, self) { letGo(stream) }
        }
        if session.takeEvents().contains(.pingAcknowledged) { unansweredPing = nil }
    }
}

extension TollgateError {
    static let deadlineExceeded = TollgateError(
        .deadlineExceeded, "No answer came within the deadline")
    static let cancelled = TollgateError(.cancelled, "The call was cancelled")
}
