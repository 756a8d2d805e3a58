import Access
import Admission
import Glibc
import Logging
import NIOCore
import NIOHTTP1
import Observation
import TransportSecurity

/// A connection as it stands before Hummingbird's handlers. It gives the parser one request at a time and reads no
/// further until the answer has been taken, judges heads, bounds and times what comes and what goes, and sees to it
/// that the last answer arrives before the connection ends. A peer's fault is answered here and logged for debugging
/// only.
///
/// Its two handlers stand around the parser: `BytesIn` before and `PartsIn` behind it. A stranger's requests wait for
/// their turn among those of all strangers.
///
/// Thread safety: the connection's event loop only.
final class HTTPConnection {
    enum Phase {
        /// Nothing of a request is there.
        case idle
        /// A part of a head.
        case head
        /// The head is there, and is handed on when it is a stranger's turn.
        case waiting
        /// The head was handed on, its body not whole.
        case body
        /// A whole request was handed on.
        case answering
        /// The last answer is on its way or gone; whatever comes is dropped.
        case ending
        case closed
    }

    private enum Answer { case none, begun, done }

    private let settings: RESTSettings
    private let logger: Logger
    /// Where `BytesIn` and `PartsIn` stand.
    var bytes: ChannelHandlerContext?
    var parts: ChannelHandlerContext?
    private(set) var phase = Phase.idle
    /// Of the request that is worked on.
    private var answer = Answer.none
    private var terms = RequestTerms()
    private var version = HTTPVersion.http1_1
    private var isQuiescing = false
    var isInputClosed = false

    /// What came and was not the parser's turn yet.
    private var pending = ByteBuffer()
    private var cutter: RequestCutter
    private var rawHead = ByteBuffer()
    private var chunks: ChunkCutter?
    /// Of a body of known length, what has not come.
    private var remaining = 0
    private var bodyBytes = 0
    /// Parts of a body that came together.
    private var bodyPart: ByteBuffer?
    private var isFeeding = false
    var isReadHeld = false

    /// Writes that the peer, or what stands between, has not taken.
    private var outstanding = 0
    /// Bytes of the request that was handed on, until its answer begins; then of the answer, until they were taken.
    private var held = 0
    private let place: ConnectionPlace
    private var share: PeerMemoryShare
    private var isKnown = false
    private let strangers: Strangers
    /// Of a stranger whose turn it is.
    private var turn: Strangers.Turn?
    /// What waits for that.
    private var waiting: (head: HTTPRequestHead, isWhole: Bool)?
    private var requestDeadline: NIODeadline?
    private var answerDeadline: NIODeadline?
    /// Of a peer that is not served any more.
    private var dismissalDeadline: NIODeadline?
    private var alarm: (at: NIODeadline, task: Scheduled<Void>)?

    /// - Parameter place: given back when the connection is closed.
    init(
        _ settings: RESTSettings, _ place: ConnectionPlace, _ strangers: Strangers, _ logger: Logger
    ) {
        self.settings = settings
        self.place = place
        self.strangers = strangers
        self.logger = logger
        share = PeerMemoryShare(of: settings.memory)
        cutter = RequestCutter(settings.headBounds)
    }

    /// Puts the handlers around the parser of a channel that Hummingbird has furnished.
    func join(_ channel: any Channel) throws {
        let pipeline = channel.pipeline.syncOperations
        let parser = try pipeline.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self)
        try pipeline.addHandler(BytesIn(self), position: .first)
        try pipeline.addHandler(PartsIn(self), position: .after(parser))
        limit(settings.idleTimeLimit)
    }

    // MARK: What comes

    var wantsBytes: Bool { phase != .answering && phase != .waiting && phase != .closed }

    func received(_ buffer: inout ByteBuffer) {
        guard phase != .ending, phase != .closed else { return }
        if pending.readableBytes > 0 {
            pending.writeBuffer(&buffer)
        } else {
            // What is handed on keeps its memory, of which a peer that sends byte by byte uses next to nothing.
            pending =
                buffer.readableBytes < buffer.storageCapacity / 4 ? Self.compact(buffer) : buffer
        }
        // Only a peer that ends its side is read on meanwhile, to the last byte that it sent.
        if !wantsBytes, pending.readableBytes > settings.maximumPendingBytes { close() }
        feed()
        if !count(), phase == .head || phase == .body {
            refuse(APIError(.unavailable, "The service's buffers are full"))
        }
    }

    private static func compact(_ buffer: ByteBuffer) -> ByteBuffer {
        var fresh = ByteBufferAllocator().buffer(capacity: buffer.readableBytes)
        fresh.writeImmutableBuffer(buffer)
        return fresh
    }

    /// False: no more may be taken in from this peer.
    private func count() -> Bool { share.set(pending.readableBytes + held) }

    /// Gives the parser what is its turn.
    func feed() {
        guard !isFeeding else { return }
        isFeeding = true
        while pending.readableBytes > 0, step() {}
        isFeeding = false
        if pending.readableBytes == 0 { pending = ByteBuffer() }
        flushBody()
        // A head that is not whole is still there.
        if isInputClosed, pending.readableBytes == 0 || phase == .head { inputEnded() }
        if isReadHeld, wantsBytes {
            isReadHeld = false
            bytes?.read()
        }
    }

    /// False: there is nothing that can go on now.
    private func step() -> Bool {
        switch phase {
        case .idle:
            if Misdirection.isTLS(pending) { return turnAway() }
            phase = .head
            limit(settings.headTimeLimit)
            return true
        case .head: return feedHead()
        case .body: return feedBody()
        case .waiting, .answering: return false
        case .ending, .closed:
            pending.clear()
            return false
        }
    }

    /// The peer begins a TLS handshake, which is no request.
    private func turnAway() -> Bool {
        let address = parts?.channel.remoteAddress
        settings.onTLS("\(address?.ipAddress ?? ""):\(address?.port ?? 0)")
        bytes?.writeAndFlush(NIOAny(IOData.byteBuffer(Misdirection.alert)), promise: nil)
        end()
        return true
    }

    private func feedHead() -> Bool {
        do throws(RequestCutter.Fault) {
            let length = try pending.withUnsafeReadableBytes { bytes in
                Result { () throws(RequestCutter.Fault) in try cutter.headLength(bytes) }
            }.get()
            guard let length, let head = pending.readSlice(length: length) else { return false }
            answer = .none
            // The parser would refuse a target for its bytes before anybody knew what they are.
            if let fault = HeadRules.textFault(head.readableBytesView) {
                refuse(fault)
                return true
            }
            rawHead = head
            give(head)
            rawHead = ByteBuffer()
            // The parser says at once what it found.
            if phase == .head { refuse(APIError(.badRequest, "Malformed HTTP request")) }
        } catch {
            refuse(APIError(error == .targetTooLong ? .targetTooLong : .fieldsTooLong))
        }
        return true
    }

    private func feedBody() -> Bool {
        do throws(RequestCutter.Fault) {
            let length: Int
            if chunks != nil {
                length = try pending.withUnsafeReadableBytes { bytes in
                    Result { () throws(RequestCutter.Fault) in try chunks?.take(bytes) ?? 0 }
                }.get()
            } else {
                length = min(remaining, pending.readableBytes)
                remaining -= length
            }
            let isWhole = chunks?.isDone ?? (remaining == 0)
            if let part = pending.readSlice(length: length) { give(part) }
            if isWhole, phase == .body { refuse(APIError(.badRequest, "The body is incomplete")) }
        } catch {
            refuse(APIError(.badRequest, "Malformed chunked body"))
        }
        return true
    }

    private func give(_ buffer: ByteBuffer) {
        bytes?.fireChannelRead(NIOAny(buffer))
        bytes?.fireChannelReadComplete()
    }

    private func inputEnded() {
        switch phase {
        case .idle: close()
        case .ending: if outstanding == 0 { close() }
        case .head, .body: refuse(APIError(.badRequest, "The request is incomplete"))
        case .waiting, .answering, .closed: break
        }
    }

    // MARK: What the parser found

    func parsed(_ part: HTTPServerRequestPart) {
        switch part {
        case .head(let head):
            guard phase == .head else { return }
            begin(head)
        case .body(var buffer):
            guard phase == .body else { return }
            bodyBytes += buffer.readableBytes
            // It is read on only to be dropped: not after the answer.
            if bodyBytes > settings.maximumBodyBytes { terms.keepsAlive = false }
            if bodyPart == nil { bodyPart = buffer } else { bodyPart?.writeBuffer(&buffer) }
        case .end:
            if phase == .waiting { waiting?.isWhole = true }
            if phase == .body { requestIsWhole() }
        }
    }

    private func requestIsWhole() {
        flushBody()
        phase = .answering
        limit(nil)
        hand(on: .end(nil))
        proceed()
    }

    private func begin(_ parsed: HTTPRequestHead) {
        var head = parsed
        do throws(APIError) {
            terms = try HeadRules.terms(of: &head)
        } catch {
            return refuse(error)
        }
        version = head.version
        phase = .waiting
        chunks = nil
        remaining = 0
        bodyBytes = 0
        switch terms.body {
        case .none: break
        case .length(let length):
            remaining = length
            // It will not be read to its end.
            if length > settings.maximumBodyBytes { terms.keepsAlive = false }
        case .chunked: chunks = ChunkCutter(maximumLine: settings.maximumTargetBytes)
        }
        limit(nil)
        held = rawHead.readableBytes
        waiting = (head, false)
        if !isKnown, strangers.know(head.headers.first(name: "authorization")) { peerIsKnown() }
        place.markBusy()
        if isKnown { goOn() } else { strangers.ask(self, of: place.address) }
    }

    /// It is the stranger's turn.
    ///
    /// - Returns: false: it does not want it any more.
    func take(_ turn: Strangers.Turn) -> Bool {
        guard phase == .waiting else { return false }
        self.turn = turn
        goOn()
        feed()
        return true
    }

    /// The handler has made its answer, or waits for the peer, or there will be none.
    private func endTurn() {
        guard let turn else { return }
        self.turn = nil
        strangers.end(turn)
    }

    /// Hands the head on that waits, and its end if that was there already.
    private func goOn() {
        guard phase == .waiting, let (head, isWhole) = waiting else { return }
        waiting = nil
        phase = .body
        limit(settings.bodyTimeLimit)
        hand(on: .head(head))
        if isWhole, phase == .body { requestIsWhole() }
    }

    private func flushBody() {
        guard let part = bodyPart else { return }
        bodyPart = nil
        guard phase == .body else { return }
        // What comes when it was answered is dropped.
        if answer == .none { held += part.readableBytes }
        hand(on: .body(part))
    }

    private func hand(on part: HTTPServerRequestPart) {
        parts?.fireChannelRead(NIOAny(part))
        parts?.fireChannelReadComplete()
    }

    func peerIsKnown() {
        guard !isKnown else { return }
        isKnown = true
        place.markKnown()
        // Its request has shown it.
        place.markBusy()
        endTurn()
    }

    /// The handler has come to the body.
    func bodyIsWanted() {
        endTurn()
        guard terms.waitsForContinue, phase == .body, answer == .none else { return }
        terms.waitsForContinue = false
        parts?.writeAndFlush(
            NIOAny(
                HTTPServerResponsePart.head(HTTPResponseHead(version: version, status: .continue))),
            promise: nil)
    }

    // MARK: Answers

    func write(_ part: HTTPServerResponsePart, _ promise: EventLoopPromise<Void>?) {
        guard phase == .body || phase == .answering else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        switch part {
        case .head(var head):
            endTurn()
            // Whether a body that was never asked for comes all the same cannot be known.
            if terms.waitsForContinue, phase == .body { terms.keepsAlive = false }
            if isQuiescing { terms.keepsAlive = false }
            let said = head.headers[canonicalForm: "connection"]
            if said.contains(where: { $0.lowercased() == "close" }) { terms.keepsAlive = false }
            if !terms.keepsAlive { head.headers.replaceOrAdd(name: "connection", value: "close") }
            // An old client does not know chunks.
            if version == .http1_0 { head.version = version }
            answer = .begun
            held = head.headers.first(name: "content-length").flatMap { Int($0) } ?? 0
            guard count() else {
                answer = .none
                promise?.fail(ChannelError.ioOnClosedChannel)
                return refuse(APIError(.unavailable, "The service's buffers are full"))
            }
            parts?.write(NIOAny(HTTPServerResponsePart.head(head)), promise: promise)
        case .body(let data): send(part, promise, bytes: data.readableBytes)
        case .end:
            send(part, promise)
            answer = .done
        }
    }

    /// Writes and watches that it is taken.
    private func send(
        _ part: HTTPServerResponsePart, _ promise: EventLoopPromise<Void>?, bytes: Int = 0
    ) {
        guard let parts else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        let promise = promise ?? parts.eventLoop.makePromise()
        outstanding += 1
        if outstanding == 1 { watchAnswer(settings.answerTimeLimit) }
        promise.futureResult.assumeIsolated().whenComplete { [weak self] _ in self?.taken(bytes) }
        parts.write(NIOAny(part), promise: promise)
    }

    private func taken(_ bytes: Int) {
        outstanding -= 1
        held = max(0, held - bytes)
        _ = count()
        watchAnswer(outstanding == 0 ? nil : settings.answerTimeLimit)
        proceed()
    }

    /// Goes on when an exchange is over.
    private func proceed() {
        guard outstanding == 0, answer == .done else { return }
        switch phase {
        case .answering where terms.keepsAlive && !isQuiescing:
            answer = .none
            phase = .idle
            held = 0
            _ = count()
            // What a stranger sends is of no use.
            if isKnown { place.markIdle(sinceNanoseconds: NIODeadline.now().uptimeNanoseconds) }
            limit(settings.idleTimeLimit)
            feed()
        case .answering: end()
        case .body where !terms.keepsAlive: end()
        default: break
        }
    }

    /// Refuses what the peer sends, and ends the connection.
    func refuse(_ error: APIError) {
        guard phase == .head || phase == .waiting || phase == .body || phase == .answering else {
            return
        }
        waiting = nil
        endTurn()
        let isHandedOn = phase == .body
        let canAnswer = answer == .none
        if canAnswer, phase == .head || phase == .waiting { settings.onRefusal(error.status) }
        phase = .ending
        limit(settings.answerTimeLimit)
        pending.clear()
        bodyPart = nil
        logger.debug("a request was refused", metadata: ["status": "\(error.status)"])
        // What was handed on is told of by who has it.
        if !isHandedOn, canAnswer { noteRefusal(error) }
        if canAnswer, let parts {
            let reply = RefusalReply(error, version: version)
            let sent = parts.eventLoop.makePromise(of: Void.self)
            outstanding += 1
            sent.futureResult.assumeIsolated().whenComplete { [weak self] _ in
                self?.outstanding -= 1
                self?.end()
            }
            parts.write(NIOAny(HTTPServerResponsePart.head(reply.head)), promise: nil)
            parts.write(NIOAny(HTTPServerResponsePart.body(.byteBuffer(reply.body))), promise: nil)
            parts.writeAndFlush(NIOAny(HTTPServerResponsePart.end(nil)), promise: sent)
        } else {
            end()
        }
        if isHandedOn { parts?.fireErrorCaught(PeerFault(answer: canAnswer ? error : nil)) }
    }

    private func noteRefusal(_ error: APIError) {
        let now = MonotonicClock.now
        guard
            var report = settings.observer?.begin(
                .http, method: CallReport.otherMethod,
                peer: parts?.channel.remoteAddress?.ipAddress ?? "", traceparent: nil,
                tracestate: nil, began: now)
        else { return }
        report.ended = now
        report.end(http: error.status)
        settings.observer?.end(report)
    }

    /// Ends the connection so that the last answer is not lost: what is still under way to here would have the system
    /// take it back (RFC 9112 §9.6).
    private func end() {
        guard phase != .closed else { return }
        guard !isInputClosed else { return close() }
        phase = .ending
        pending.clear()
        limit(settings.endTimeLimit)
        parts?.close(mode: .output, promise: nil)
        if isReadHeld {
            isReadHeld = false
            bytes?.read()
        }
    }

    private func close() {
        guard phase != .closed else { return }
        // Who does not take its answers is told at once, and the system keeps nothing of them.
        if outstanding > 0, let socket = parts?.channel as? any SocketOptionProvider {
            _ = socket.setSoLinger(linger(l_onoff: 1, l_linger: 0))
        }
        let isHandedOn = phase == .body
        phase = .closed
        if isHandedOn { parts?.fireErrorCaught(PeerFault()) }
        parts?.close(mode: .all, promise: nil)
    }

    func closed() {
        let isHandedOn = phase == .body
        phase = .closed
        waiting = nil
        endTurn()
        place.give()
        alarm?.task.cancel()
        alarm = nil
        // A body that broke off must not pass for a whole one.
        if isHandedOn { parts?.fireErrorCaught(PeerFault()) }
    }

    func quiesce() {
        isQuiescing = true
        if phase == .idle || phase == .head || phase == .ending { close() }
    }

    /// The peer is not served any more: what is under way may end, but in time.
    func dismiss() {
        dismissalDeadline = dismissalDeadline ?? deadline(in: settings.dismissalTimeLimit)
        quiesce()
        setAlarm()
    }

    // MARK: Time

    private func limit(_ time: Duration?) {
        requestDeadline = deadline(in: time)
        setAlarm()
    }

    private func watchAnswer(_ time: Duration?) {
        answerDeadline = deadline(in: time)
        setAlarm()
    }

    private func deadline(in time: Duration?) -> NIODeadline? {
        guard let time, let now = parts?.eventLoop.now else { return nil }
        return now + TimeAmount(time)
    }

    /// An alarm that is too early is let ring: it costs less than to set it anew each time.
    private func setAlarm() {
        let deadlines = [requestDeadline, answerDeadline, dismissalDeadline]
        guard let next = deadlines.compactMap(\.self).min(),
            let loop = parts?.eventLoop, phase != .closed
        else { return }
        if let alarm {
            guard next < alarm.at else { return }
            alarm.task.cancel()
        }
        let task = loop.assumeIsolated().scheduleTask(deadline: next) { [weak self] in
            self?.alarm = nil
            self?.timeIsUp()
        }
        alarm = (next, task)
    }

    private func timeIsUp() {
        guard let now = parts?.eventLoop.now else { return }
        if let answerDeadline, answerDeadline <= now { return close() }
        if let dismissalDeadline, dismissalDeadline <= now { return close() }
        if let requestDeadline, requestDeadline <= now {
            self.requestDeadline = nil
            switch phase {
            case .head: refuse(APIError(.tooSlow, "The request header did not arrive in time"))
            case .body where answer == .none: refuse(APIError(.tooSlow))
            case .idle, .body, .ending: close()
            case .waiting, .answering, .closed: break
            }
        }
        setAlarm()
    }
}
