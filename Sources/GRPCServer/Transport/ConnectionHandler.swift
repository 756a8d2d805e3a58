internal import Access
internal import Admission
internal import Glibc
internal import HTTP2
internal import NIOCore
internal import TransportSecurity

/// One connection: bytes between its channel and its HTTP/2 session. Calls are in
/// `ConnectionHandler+Calls.swift` and `ConnectionHandler+Streams.swift`, time and memory in
/// `ConnectionHandler+Care.swift`.
///
/// A read is worked off in place: all streams that it completed are decided, and what came of them
/// goes out in one write. A read is one turn: what header fields make more work than a turn may have waits for another
/// turn, as everybody else has had theirs. Nothing is read while the peer's machine does not take what waits for it, or
/// the process has no memory for more.
final class ConnectionHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let loop: ServerLoop
    let service: any GRPCService
    let session: ServerSession
    let peer: String
    /// Its place among the server's connections.
    let admission: ConnectionPlace
    /// nil: the connection is plaintext.
    private let tls: TLSSession?
    private(set) var place: (index: UInt32, generation: UInt32) = (0, 0)
    /// Whether `place` is taken.
    private var isPlaced = false
    private(set) var context: ChannelHandlerContext?
    /// Whether the channel is there.
    var isOpen: Bool { context != nil }
    private(set) var isWritable = true
    private var readGate = ReadGate()
    /// When it is asked for a sign of life, told that it ends, and given up.
    var life: ConnectionLifecycle
    /// What was read and is for another turn.
    private(set) var unread: ByteBuffer?
    /// Its part of the bytes that wait for peers, and whether it may have more.
    var share: PeerMemoryShare
    var hasMemory = true
    /// Set by `ServerLoop` while this connection waits in its list.
    var isDirty = false
    /// While the connection is being worked on: it will write by itself.
    var isRunning = false

    /// All but those that are answered within their read.
    let calls = CallTable()
    /// Bytes that this connection's part of the answers that the loop holds keeps.
    var parkedBytes = 0
    /// Set while a request waits for room, or to be unpacked: nothing more is decided or read.
    private(set) var isPutOff = false
    /// The request of one message that waited may be unpacked.
    var mayUnpack = false
    /// The request of one message that waits; nil: messages of a stream do, which stay where they are.
    var putOffCall: PutOffCall?
    /// The index of the stream that goes on first when messages of streams have waited.
    var firstToContinue = 0
    /// Answers given since the last write that need not wait for the disk.
    var answeredAtOnce: UInt64 = 0
    /// The clock of the read that is being worked on.
    var nowNanoseconds: UInt64

    /// Whether the peer has shown who it is.
    var isKnown = false
    /// Whom its certificate names; nil: it has none.
    let certified: CertifiedPeer?
    private var hasRead = false

    init(
        loop: ServerLoop, service: any GRPCService, peer: String, admission: ConnectionPlace,
        tls: TLSSession? = nil
    ) {
        self.loop = loop
        self.service = service
        self.peer = peer
        self.admission = admission
        self.tls = tls
        certified = tls?.identity.map {
            CertifiedPeer(CertificateNames(dnsNames: $0.dnsNames, uris: $0.uris))
        }
        session = ServerSession(
            configuration: loop.configuration.session, memory: loop.memory, routes: loop.routes)
        share = PeerMemoryShare(of: loop.configuration.peerMemory)
        nowNanoseconds = loop.clock()
        life = ConnectionLifecycle(opened: nowNanoseconds, loop.configuration)
        if admission.isSuspect { session.limitCredit() }
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

    /// Gives the place in the loop back, once, when the channel and all parked answers are gone.
    func leave() {
        // A call of a closed connection is there as long as one of its answers is parked.
        guard isPlaced, context == nil, calls.count == 0 else { return }
        isPlaced = false
        admission.give(unpaidAtNanoseconds: isKnown && !session.hasOffended ? nil : loop.clock())
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
        let bytes = unwrapInboundIn(data)
        guard !life.isClosing else { return perform(life.discard(bytes.readableBytes)) }
        if !hasRead {
            hasRead = true
            if tls == nil, Misdirection.isTLS(bytes) { return turnAway() }
        }
        let taken = bytes.withUnsafeReadableBytes {
            session.receive($0, nowNanoseconds: nowNanoseconds)
        }
        life.read(nowNanoseconds)
        if session.isPaused { keep(bytes, from: taken) }
        isRunning = true
        _ = decide()
        isRunning = false
    }

    /// The peer begins a TLS handshake. It was sent SETTINGS already, which its library takes for no TLS, and says so.
    private func turnAway() {
        loop.configuration.onTLS(peer)
        closeAfterOutput()
    }

    /// Keeps what the session has not taken for a turn of its own.
    private func keep(_ bytes: ByteBuffer, from taken: Int) {
        var rest = bytes
        rest.moveReaderIndex(forwardBy: taken)
        if var unread {
            unread.writeBuffer(&rest)
            self.unread = unread
        } else {
            unread = rest
            scheduleTurn()
        }
    }

    private func scheduleTurn() {
        // Not at once: a loop does all that was given to it before it looks at its sockets again. Some strangers together
        // leave it most of its time.
        context?.eventLoop.assumeIsolated().scheduleTask(
            in: isKnown ? .microseconds(50) : .milliseconds(1)
        ) { [weak self] in self?.takeTurn() }
    }

    private func takeTurn() {
        guard context != nil, var rest = unread else { return }
        nowNanoseconds = loop.clock()
        let taken = rest.withUnsafeReadableBytes {
            session.resume($0, nowNanoseconds: nowNanoseconds)
        }
        rest.moveReaderIndex(forwardBy: taken)
        unread = session.isPaused ? rest : nil
        if session.isPaused { scheduleTurn() }
        run()
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
        if readGate.ask() { context.read() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case is Evicted: makeRoom()
        case is PeerDismissed: perform(life.evict(loop.clock(), isServed: false))
        default: context.fireUserInboundEventTriggered(event)
        }
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
        var isThrottled: Bool
        repeat {
            isThrottled = !decide()
            if answeredAtOnce > 0 { service.answersLeave() }
            write()
            noteAnswers()
            // What was written may have brought more to do, and no read follows that would do it.
        } while (isThrottled || session.hasReady) && isWritable && hasOutputRoom && !isPutOff
        isRunning = false
        noteSessionEvents()
        noteMemory()
        updateReading()
        if session.isFinished { closeAfterOutput() }
    }

    private var hasOutputRoom: Bool {
        session.queuedOutputBytes + parkedBytes
            <= (hasMemory
                ? loop.configuration.maximumConnectionOutputBytes
                : loop.configuration.scarceConnectionOutputBytes)
    }

    /// Works off what the session reports.
    ///
    /// - Returns: false when it stopped because too many answers wait to be sent.
    private func decide() -> Bool {
        while hasOutputRoom, !isPutOff {
            guard let (stream, events) = session.nextReady() else { return true }
            handle(stream, events)
        }
        return false
    }

    /// A request found no room.
    func putOff() {
        guard !isPutOff else { return }
        isPutOff = true
        loop.putOff(self)
    }

    /// A compressed message waits for its turn.
    func awaitUnpacking() {
        guard !isPutOff else { return }
        isPutOff = true
        loop.unpacking.wait(self)
    }

    /// There may be room for what was put off, or its turn has come.
    func resume() {
        isPutOff = false
        guard context != nil else { return }
        nowNanoseconds = loop.clock()
        isRunning = true
        resumePutOffCall()
        if !isPutOff { continueStreams() }
        isRunning = false
        run()
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

    /// While answers wait for the peer's windows it is read from, or it could not open them: what it may send then is
    /// bounded by our windows and its streams.
    private func updateReading() {
        let isShut = !life.isClosing && (!isWritable || unread != nil || isPutOff)
        if readGate.set(isShut: isShut) { context?.read() }
    }

    private func noteSessionEvents() {
        let events = session.takeEvents()
        if events.contains(.settings) { life.settingsArrived() }
        if events.contains(.pingAcknowledged) { perform(life.pingAcknowledged()) }
    }

    private func closeAfterOutput() {
        guard let context, life.finish(loop.clock()) else { return }
        unread = nil
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenComplete { [weak self] _ in self?.awaitPeersEnd()
        }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: written)
        updateReading()
    }

    /// Ends our side, and waits a little for the peer's end: what it has sent and nobody reads would have the system take
    /// back the last that we said.
    private func awaitPeersEnd() {
        guard life.lingers, let context else { return close() }
        context.close(mode: .output, promise: nil)
        context.eventLoop.assumeIsolated().scheduleTask(in: loop.configuration.lingerTime) {
            [weak self] in self?.close()
        }
    }

    /// Closes at once and drops what the kernel still holds for a peer that takes nothing.
    func abort() {
        guard let context else { return }
        let channel = context.channel
        guard let options = channel as? any SocketOptionProvider else { return close() }
        let linger = options.setSoLinger(linger(l_onoff: 1, l_linger: 0))
        linger.assumeIsolated().whenComplete { [tls] _ in
            // TLS has no last word either.
            if let tls { tls.closeAtOnce() } else { channel.close(promise: nil) }
        }
    }

    /// Closes at once.
    func close() {
        context?.close(promise: nil)
    }

    // MARK: Drain

    /// Says that the end is near; the last GOAWAY follows when the peer has read it.
    func beginDrain() {
        guard context != nil else { return }
        perform(life.dismiss(loop.clock()))
    }

    /// Does what the connection's life asks for.
    func perform(_ actions: ConnectionLifecycle.Actions) {
        guard !actions.isEmpty, context != nil else { return }
        if actions.contains(.close) { return close() }
        if actions.contains(.abort) { return abort() }
        if actions.contains(.terminate) {
            session.terminate(code: HTTP2ErrorCode.noError)
            return run()
        }
        if actions.contains(.resetIncomplete) {
            session.resetIncompleteRequests(openedBefore: loop.clock() - life.limits.request)
        }
        if actions.contains(.announceEnd) { session.announceShutdown() }
        if actions.contains(.refuseStreams) {
            session.refuseNewStreams()
            endIdleStreams()
        }
        if actions.contains(.ping) { session.ping() }
        if actions != .trim { run() }
        if actions.contains(.trim) { session.trim() }
    }
}
