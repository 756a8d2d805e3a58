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

    /// Ends the stream; one that still runs is cancelled. What waited for its place is started.
    ///
    /// Not within `progress`, which returns true instead.
    func letGo() {
        handler.letGo(stream)
        handler.onChange?()
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
    private var isReporting = false
    private var keepalive: Keepalive
    /// The timer for `keepalive`, and when it goes off.
    private var timer: Scheduled<Void>?
    private var timerDue = NIODeadline.distantFuture
    /// The connection was closed because the peer was silent.
    private(set) var hasGivenUp = false
    /// A place has become free, or the connection has ended.
    var onChange: (() -> Void)?

    private static let table = 1_024
    /// With a peer that let a deadline pass: shorter than usual, as it costs the calls that follow.
    private static let patienceAfterDeadline = TimeAmount.seconds(5)

    init(_ configuration: TollgateClient.Configuration, headers: RequestHeaders) {
        self.headers = headers
        keepalive = Keepalive(
            interval: configuration.keepaliveInterval.map { TimeAmount($0) },
            timeout: TimeAmount(configuration.keepaliveTimeout))
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
        if inFlightCount == 1 {
            keepalive.becameBusy(at: .now())
            setTimer()
        }
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
        if inFlightCount == 0 { keepalive.becameIdle() }
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

    /// Sends what the session has to send, and tells the calls what came of it.
    func flush() {
        writeOutput()
        while report() {
            onChange?()
            writeOutput()
        }
        if session.isFinished { context?.close(promise: nil) }
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

    func close() { context?.close(promise: nil) }

    // MARK: Is the peer still there?

    /// A deadline has passed: is anybody there at all?
    func probe(at now: NIODeadline) {
        act(on: keepalive.ask(at: now, patience: Self.patienceAfterDeadline))
    }

    private func act(on action: Keepalive.Action) {
        switch action {
        case .wait: break
        case .ping:
            session.ping()
            flush()
        case .giveUp:
            hasGivenUp = true
            context?.close(promise: nil)
            return
        }
        setTimer()
    }

    /// Sees to it that the timer goes off in time. One that goes off too early sets itself again, so that a read need not
    /// move it.
    private func setTimer() {
        guard let context, let due = keepalive.nextLook, due < timerDue else { return }
        timer?.cancel()
        timerDue = due
        timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: due) { [weak self] in
            guard let self else { return }
            timer = nil
            timerDue = .distantFuture
            act(on: keepalive.look(at: .now()))
        }
    }

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
        let now = NIODeadline.now()
        keepalive.heard(at: now)
        setTimer()
        buffer.withUnsafeReadableBytes {
            session.receive($0, nowNanoseconds: now.uptimeNanoseconds)
        }
        report()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        onChange?()
        flush()
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
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

    /// Tells the calls what has happened on their streams.
    ///
    /// - Returns: true: they may have something to send. Within itself it does nothing: the outer turn goes on.
    @discardableResult
    private func report() -> Bool {
        guard isReporting == false else { return false }
        isReporting = true
        defer { isReporting = false }
        var hasReported = false
        while let (stream, events) = session.nextReady() {
            hasReported = true
            guard let owner = owners[Int(stream.index)] else { continue }
            if owner.progress(stream, events, self) { letGo(stream) }
        }
        return hasReported
    }
}

extension TollgateError {
    static let deadlineExceeded = TollgateError(
        .deadlineExceeded, "No answer came within the deadline")
    static let cancelled = TollgateError(.cancelled, "The call was cancelled")
}
