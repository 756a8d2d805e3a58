internal import HTTP2
internal import NIOCore
internal import ServerTrust
internal import Wire

/// What is in flight on one stream: a unary call or a streaming one.
protocol StreamOwner: AnyObject {
    /// Something happened on its stream.
    ///
    /// - Returns: true when the stream is done; the handler then forgets it.
    func progress(_ stream: StreamHandle, _ events: StreamEvents, _ handler: ClientHandler) -> Bool
    /// It has failed with `error`.
    func fail(_ error: TollgateError)
    /// The deadline sent to the service.
    var deadline: NIODeadline? { get }
    /// When its caller gives up: at its deadline or before.
    var expiry: NIODeadline? { get }
    /// Where it is in flight; nil: not started yet, or over.
    var place: StreamPlace? { get set }
}

extension StreamOwner {
    var expiry: NIODeadline? { deadline }
}

/// A stream of a connection.
struct StreamPlace {
    let handler: ClientHandler
    let stream: StreamHandle

    /// Ends the stream, cancelling it if it still runs. Work that waited for its place is started.
    ///
    /// Not to be called within `progress`, which returns true instead.
    func forget() {
        handler.forget(stream)
        handler.changed(.place)
        handler.flush()
    }
}

/// One TCP connection: an HTTP/2 session in a channel, and the calls in flight on it.
/// `LinkLifecycle` says what to do; this does it.
///
/// Thread safety: the channel's event loop only.
final class ClientHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// What is reported to a connection.
    enum Change {
        /// A place may have become free.
        case place
        /// A call got a gRPC answer, for the first time or since the endpoint was avoided.
        case answered
        /// The endpoint does not respond.
        case avoid
        case gone
    }

    let session: ClientSession
    /// Where it leads.
    let endpoint: Endpoint
    let codec: MessageCodec
    private let headers: RequestHeaders
    private var fields = HeaderFields()
    private var owners: [(any StreamOwner)?]
    private var context: ChannelHandlerContext?
    private var isReporting = false
    /// `Change.answered` must be reported.
    private var isAnswerNew = false
    private var lifecycle: LinkLifecycle
    private var timer: Scheduled<Void>?
    private var hasRead = false
    /// The channel's error.
    private(set) var failure: String?
    /// Who is told of changes.
    var onChange: ((ClientHandler, Change) -> Void)?
    /// Takes a call that is to go over another connection.
    var onMove: ((Call) -> Void)?

    private static let table = 1_024

    init(
        _ configuration: ClientConfiguration, endpoint: Endpoint, headers: RequestHeaders
    ) {
        self.headers = headers
        self.endpoint = endpoint
        codec = MessageCodec(configuration)
        lifecycle = LinkLifecycle(
            keepalive: Keepalive(
                interval: configuration.keepaliveInterval.map { TimeAmount($0) },
                timeout: TimeAmount(configuration.keepaliveTimeout)))
        var configuration = SessionConfiguration()
        configuration.maximumConcurrentStreams = Self.table
        // A batch's answer must fit as a whole.
        configuration.streamWindowBytes = MessageCodec.maximumAnswerBytes
        configuration.connectionWindowBytes = 16 << 20
        configuration.maximumBufferedInputBytes = 64 << 20
        // Budgets against hostile peers, not against this client's own cancellations or a busy
        // service.
        configuration.ownResets = .init(burst: 1_000_000, perSecond: 1_000_000)
        configuration.controlFrames = .init(burst: 100_000, perSecond: 100_000)
        session = ClientSession(configuration: configuration, memory: SessionMemory())
        owners = Array(repeating: nil, count: Self.table)
    }

    /// Its state. One that takes work may have no free place.
    var standing: LinkStanding {
        if lifecycle.isOpen, context?.channel.isActive == true, session.acceptsRequests {
            return .takesWork
        }
        return lifecycle.openStreams > 0 ? .owesAnswers : .isOver
    }

    var openStreams: Int { lifecycle.openStreams }
    var end: LinkLifecycle.End? { lifecycle.end }
    /// A call got a gRPC answer, since the endpoint was avoided if it was.
    var hasAnswered: Bool { lifecycle.hasAnswered }

    private var hasPlace: Bool {
        lifecycle.openStreams < min(Self.table, session.peerMaximumConcurrentStreams)
    }

    func changed(_ change: Change) { onChange?(self, change) }

    // MARK: Calls

    /// Starts a call, or fails it at once.
    ///
    /// - Parameters:
    ///   - finished: What `write` writes is the whole request.
    ///   - write: Writes the first gRPC-framed bytes.
    /// - Returns: false: there is no free place now, and nothing was done.
    func start(
        _ owner: any StreamOwner, method: LimitServiceMethod, finished: Bool,
        write: (inout ByteQueue) -> Void
    ) -> Bool {
        guard hasPlace, let stream = session.begin() else { return false }
        if let output = session.output(stream) { write(&output.pointee) }
        fields.removeAll()
        let now = NIODeadline.now()
        if let deadline = owner.deadline {
            let remaining = deadline - now
            var text = FieldCoding.timeout(nanoseconds: remaining.nanoseconds)
            text.withUTF8 {
                fields.append(name: "grpc-timeout", value: UnsafeRawBufferPointer($0))
            }
        }
        owners[Int(stream.index)] = owner
        owner.place = StreamPlace(handler: self, stream: stream)
        lifecycle.began(at: now)
        if lifecycle.openStreams == 1 { setTimer() }
        let isSubmitted = session.submit(
            stream, headers: headers.view(method), fields: fields, finished: finished)
        if isSubmitted == false {
            forget(stream)
            owner.fail(
                TollgateError(
                    .internal, "The request headers are invalid; check the token",
                    wasNotProcessed: true))
        }
        return true
    }

    /// Forgets a stream, cancelling it (RST_STREAM) if it still runs.
    func forget(_ stream: StreamHandle) {
        let index = Int(stream.index)
        guard let owner = owners[index], owner.place?.stream == stream else { return }
        owner.place = nil
        owners[index] = nil
        lifecycle.ended()
        session.release(stream)
    }

    /// Fails every call whose caller gives up by now, and checks whether the peer is alive.
    ///
    /// - Returns: when the next caller gives up.
    func expire(at now: NIODeadline) -> NIODeadline? {
        var next: NIODeadline?
        var actions: LinkLifecycle.Actions?
        for index in owners.indices {
            guard let owner = owners[index], let expiry = owner.expiry else { continue }
            if expiry <= now {
                if actions == nil { actions = lifecycle.expired(at: now) }
                if let place = owner.place { forget(place.stream) }
                owner.fail(.deadlineExceeded)
            } else {
                next = min(next ?? expiry, expiry)
            }
        }
        if let actions { act(on: actions) }
        return next
    }

    /// Has a call go over another connection, if the service has said that it will not process it here: it announced the
    /// connection's end (GOAWAY) when the call was on its way.
    ///
    /// - Returns: false: the call stays with this connection.
    func move(_ call: Call, from stream: StreamHandle) -> Bool {
        guard let onMove, session.errorCode(stream) == HTTP2ErrorCode.refusedStream,
            session.acceptsRequests == false, session.response(stream)?.httpStatus ?? 0 == 0
        else { return false }
        onMove(call)
        return true
    }

    // MARK: Bytes

    /// Sends what the session has to send, and reports events to the calls.
    func flush() {
        writeOutput()
        while report() {
            changed(.place)
            writeOutput()
        }
        if session.isFinished { act(on: lifecycle.close(.ended)) }
    }

    private func writeOutput() {
        guard let context else { return }
        var buffer: ByteBuffer?
        while true {
            let bytes = session.nextOutput()
            if bytes.isEmpty { break }
            if buffer == nil { buffer = context.channel.allocator.buffer(capacity: 8_192) }
            buffer?.writeBytes(bytes)
        }
        if let buffer { context.writeAndFlush(wrapOutboundOut(buffer), promise: nil) }
    }

    /// Tells the calls what has happened on their streams.
    ///
    /// - Returns: true: they may have something to send. A nested call does nothing: the outer one
    ///   goes on.
    @discardableResult
    private func report() -> Bool {
        guard isReporting == false else { return false }
        isReporting = true
        defer { isReporting = false }
        var hasReported = false
        while let (stream, events) = session.nextReady() {
            hasReported = true
            guard let owner = owners[Int(stream.index)] else { continue }
            if lifecycle.hasAnswered == false, isAnswered(stream) {
                isAnswerNew = lifecycle.answered()
            }
            if owner.progress(stream, events, self) { forget(stream) }
        }
        return hasReported
    }

    // MARK: What the lifecycle says

    /// It is no longer needed.
    func close() { act(on: lifecycle.close(.ended)) }

    private func act(on actions: LinkLifecycle.Actions) {
        if actions.contains(.avoid) { changed(.avoid) }
        // The connection, told to avoid the endpoint, may have closed it.
        if lifecycle.isOpen == false, actions.contains(.close) == false { return }
        if actions.contains(.close) {
            // A peer that does not respond does not answer a TLS close either.
            if lifecycle.end == .silent { abandon() }
            context?.close(promise: nil)
            return
        }
        if actions.contains(.ping) {
            session.ping()
            flush()
        }
        setTimer()
    }

    private func setTimer() {
        guard let context, let due = lifecycle.timerToSet() else { return }
        timer?.cancel()
        // The timer retains it until it is cancelled, at the channel's end: a weak reference would
        // slow down all other references to it.
        timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: due) {
            self.timer = nil
            self.act(on: self.lifecycle.timerWentOff(at: .now()))
        }
    }

    /// Fails everything that is open.
    private func abandon() {
        session.abandon()
        report()
    }

    // MARK: Channel

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        onChange = nil
        onMove = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        flush()
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        let now = NIODeadline.now()
        if hasRead == false { readFirst(buffer) }
        lifecycle.heard(at: now)
        setTimer()
        buffer.withUnsafeReadableBytes {
            session.receive($0, nowNanoseconds: now.uptimeNanoseconds)
        }
        report()
        if isAnswerNew {
            isAnswerNew = false
            changed(.answered)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        changed(.place)
        flush()
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
        lifecycle.gone()
        abandon()
        self.context = nil
        changed(.gone)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if failure == nil, lifecycle.isOpen {
            failure = TLSText.refusal(error, endpoint: "\(endpoint)")
        }
        act(on: lifecycle.close(.lost))
        context.close(promise: nil)
    }

    /// A service that expects TLS answers plaintext with an alert, or with an HTTP/1.1 error.
    private func readFirst(_ buffer: ByteBuffer) {
        hasRead = true
        if buffer.getInteger(at: buffer.readerIndex, as: UInt16.self) == 0x1503 {
            failure = "\(endpoint) requires TLS, but this client is not configured for it"
        } else if buffer.readableBytesView.starts(with: "HTTP/1.".utf8) {
            failure =
                "\(endpoint) answered with HTTP/1.1: it requires TLS, or this is not its gRPC address"
        }
    }
}

extension TollgateError {
    static let deadlineExceeded = TollgateError(
        .deadlineExceeded, "No answer arrived within the deadline")
    static let cancelled = TollgateError(.cancelled, "The call was cancelled")
}
