internal import Glibc
internal import HTTP2
internal import NIOCore

/// One connection: bytes between its channel and its HTTP/2 session. Calls are in
/// `ConnectionHandler+Calls.swift` and `ConnectionHandler+Streams.swift`.
///
/// A read is worked off in place: all streams that it completed are decided, and what came of them
/// goes out in one write. Nothing is read while the peer does not take what waits for it.
final class ConnectionHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let loop: ServerLoop
    let service: any GRPCService
    let session: ServerSession
    let peer: String
    /// Its part of the server's connections, given back with this object.
    private let admission: Admission
    private(set) var place: (index: UInt32, generation: UInt32) = (0, 0)
    /// Whether `place` is taken.
    private var isPlaced = false
    private var context: ChannelHandlerContext?
    /// Whether the channel is there.
    var isOpen: Bool { context != nil }
    private var isWritable = true
    private var isReadPaused = false
    private var readWanted = false
    private var isClosing = false
    private var hasSettings = false
    private(set) var isLastGoAwaySent = false
    /// Set by `ServerLoop` while this connection waits in its list.
    var isDirty = false
    /// While the connection is being worked on: it will write by itself.
    private(set) var isRunning = false

    /// All but those that are answered within their read.
    let calls = CallTable()
    /// This connection's part of the answers that the loop holds, and the bytes they keep.
    var heldAnswers = 0
    var heldBytes = 0
    /// Answers given since the last write that need not wait for the disk.
    var answeredAtOnce: UInt64 = 0
    /// The clock of the read that is being worked on.
    private(set) var nowNanoseconds: UInt64

    private let openedNanoseconds: UInt64
    private var lastActivityNanoseconds: UInt64
    private var drainBeganNanoseconds: UInt64?
    /// Since when the peer has taken nothing although something waits; and what it had taken then.
    private var stalledSinceNanoseconds: UInt64?
    private var stalledSentBytes: UInt64 = 0

    init(loop: ServerLoop, service: any GRPCService, peer: String, admission: Admission) {
        self.loop = loop
        self.service = service
        self.peer = peer
        self.admission = admission
        session = ServerSession(
            configuration: loop.configuration.session, memory: loop.memory, routes: loop.routes)
        nowNanoseconds = loop.clock()
        openedNanoseconds = nowNanoseconds
        lastActivityNanoseconds = nowNanoseconds
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        place = loop.add(self)
        isPlaced = true
        if context.channel.isActive { begin() }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        // A channel that dies before it is active is removed without becoming inactive.
        leave()
    }

    /// Gives the place in the loop back, once, when the channel and all held answers are gone.
    func leave() {
        guard isPlaced, context == nil, heldAnswers == 0 else { return }
        isPlaced = false
        loop.remove(place.index)
    }

    func channelActive(context: ChannelHandlerContext) {
        begin()
        context.fireChannelActive()
    }

    private func begin() {
        if loop.isDraining { beginDrain() } else { run() }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        session.abandon()
        while let (stream, _) = session.nextReady() { closed(stream) }
        loop.call.values.pointee.connection = nil  // it may be this one
        leave()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        nowNanoseconds = loop.clock()
        unwrapInboundIn(data).withUnsafeReadableBytes {
            session.receive($0, nowNanoseconds: nowNanoseconds)
        }
        lastActivityNanoseconds = nowNanoseconds
        isRunning = true
        _ = decide()
        isRunning = false
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        run()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        isWritable = context.channel.isWritable
        if isWritable { run() } else { updateReading() }
        context.fireChannelWritabilityChanged()
    }

    func read(context: ChannelHandlerContext) {
        if isReadPaused { readWanted = true } else { context.read() }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A reset or a failed write: there is nobody left to tell.
        context.close(promise: nil)
    }

    // MARK: Work

    /// Decides what is ready and writes what came of it, until nothing is left or the peer does not
    /// take more.
    func run() {
        guard context != nil, !isRunning else { return }
        isRunning = true
        var isHeldBack: Bool
        repeat {
            isHeldBack = !decide()
            if answeredAtOnce > 0 { service.answersLeave() }
            write()
            noteAnswers()
        } while isHeldBack && isWritable && hasOutputRoom
        isRunning = false
        noteSessionEvents()
        updateReading(isHeldBack: isHeldBack)
        if session.isFinished { closeAfterOutput() }
    }

    private var hasOutputRoom: Bool {
        session.queuedOutputBytes + heldBytes
            <= loop.configuration.maximumConnectionOutputBytes
    }

    /// Works off what the session reports.
    ///
    /// - Returns: false when it stopped because too many answers wait to be sent.
    private func decide() -> Bool {
        while hasOutputRoom {
            guard let (stream, events) = session.nextReady() else { return true }
            handle(stream, events)
        }
        return false
    }

    private func write() {
        guard isWritable, let context, var buffer = loop.outbound.take() else { return }
        while isWritable {
            let count = buffer.writeWithUnsafeMutableBytes(
                minimumWritableBytes: ServerSession.largestPiece
            ) { session.writeOutput(into: $0) }
            if count == 0 { break }
            context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
            buffer.clear()
        }
        loop.outbound = buffer
    }

    /// Records how long the answers took that were just written: all that one read brought took as long, and share one
    /// look at the clock.
    private func noteAnswers() {
        guard answeredAtOnce > 0 else { return }
        loop.noteAnswers(
            answeredAtOnce, receivedNanoseconds: nowNanoseconds, nowNanoseconds: loop.clock())
        answeredAtOnce = 0
    }

    private func updateReading(isHeldBack: Bool = false) {
        isReadPaused = !isWritable || isHeldBack
        if !isReadPaused, readWanted {
            readWanted = false
            context?.read()
        }
    }

    private func noteSessionEvents() {
        let events = session.takeEvents()
        if events.contains(.settings) { hasSettings = true }
        if events.contains(.pingAcknowledged), drainBeganNanoseconds != nil { sendLastGoAway() }
    }

    private func closeAfterOutput() {
        guard !isClosing, let context else { return }
        isClosing = true
        let written = context.eventLoop.makePromise(of: Void.self)
        let channel = context.channel
        written.futureResult.whenComplete { _ in channel.close(promise: nil) }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: written)
    }

    /// Closes at once and drops what the kernel still holds for a peer that takes nothing.
    private func abort() {
        guard let context else { return }
        let channel = context.channel
        guard let options = channel as? any SocketOptionProvider else { return close() }
        options.setSoLinger(linger(l_onoff: 1, l_linger: 0))
            .whenComplete { _ in channel.close(promise: nil) }
    }

    /// Closes at once.
    func close() {
        context?.close(promise: nil)
    }

    // MARK: Timers

    /// Called every second.
    func checkTimers(nowNanoseconds now: UInt64) {
        guard context != nil else { return }
        let configuration = loop.configuration
        func isOver(_ timeout: TimeAmount, since start: UInt64) -> Bool {
            now > start && now - start > UInt64(max(0, timeout.nanoseconds))
        }
        if !hasSettings, isOver(configuration.prefaceTimeout, since: openedNanoseconds) {
            return close()
        }
        if isStalled(now), let since = stalledSinceNanoseconds,
            isOver(configuration.writeStallTimeout, since: since)
        {
            return abort()
        }
        let requestTimeout = UInt64(max(0, configuration.requestTimeout.nanoseconds))
        if session.openStreamCount > 0, now > requestTimeout {
            session.resetIncompleteRequests(openedBefore: now - requestTimeout)
            run()
        }
        if let began = drainBeganNanoseconds, isOver(.seconds(1), since: began) { sendLastGoAway() }
        if session.openStreamCount == 0, drainBeganNanoseconds == nil,
            isOver(configuration.idleTimeout, since: lastActivityNanoseconds)
        {
            beginDrain()
        }
    }

    /// Whether output waits and none of it has gone since the last call.
    private func isStalled(_ now: UInt64) -> Bool {
        let sent = session.sentBodyBytes
        guard !isWritable || session.queuedOutputBytes > 0 else {
            stalledSinceNanoseconds = nil
            return false
        }
        if stalledSinceNanoseconds == nil || sent != stalledSentBytes {
            stalledSinceNanoseconds = now
            stalledSentBytes = sent
        }
        return true
    }

    // MARK: Drain

    /// Says that the end is near; the last GOAWAY follows when the peer has read it.
    func beginDrain() {
        guard drainBeganNanoseconds == nil, context != nil else { return }
        drainBeganNanoseconds = loop.clock()
        session.announceShutdown()
        run()
    }

    private func sendLastGoAway() {
        guard !isLastGoAwaySent else { return }
        isLastGoAwaySent = true
        session.refuseNewStreams()
        endIdleStreams()
        run()
    }
}
