internal import Admission
package import NIOCore
internal import NIOSSL
internal import NIOTLS

/// How a connection's handshake ended.
package enum HandshakeOutcome {
    /// What is spoken inside TLS may begin: on this turn of the loop, in handlers behind those that are there.
    case established(TLSSession)
    /// The channel is closed.
    case failed
}

/// TLS of one connection. Its handlers stand first in the channel's pipeline: `FirstBytes` until something has come,
/// `TLSFront`, the library's handler, and `HandshakeWatch`.
///
/// Thread safety: the connection's event loop only.
package final class TLSSession {
    enum Phase {
        case handshaking
        case established
        /// The last word is on its way or gone; whatever comes is dropped.
        case refused
        case closed
    }

    /// How long, and for how many bytes, a peer that was refused is read on: what it has sent and nobody reads would
    /// have the system take back what it was told.
    private static let lingerTime = TimeAmount.seconds(1)
    private static let lingerBytes = 64 * 1024
    /// What the library is to keep for the next writes of a connection, bytes. 2.37.6 passes over it: decision 0010.
    private static let keptOutputBytes = 64 * 1024

    private let tls: ServerTLS
    private let peer: String
    private let place: ConnectionPlace
    private var ended: ((HandshakeOutcome) throws -> Void)?
    private var alarm: Scheduled<Void>?
    private var droppedBytes = 0
    private(set) var phase = Phase.handshaking
    fileprivate var front: ChannelHandlerContext?
    /// Who the peer is; nil: it presented no certificate.
    package private(set) var identity: PeerIdentity?

    fileprivate init(
        _ tls: ServerTLS, peer: String, _ place: ConnectionPlace,
        _ ended: @escaping (HandshakeOutcome) throws -> Void
    ) {
        self.tls = tls
        self.peer = peer
        self.place = place
        self.ended = ended
    }

    /// Closes without a word to the peer; what waits for it is dropped.
    package func closeAtOnce() { front?.close(promise: nil) }

    // MARK: What happens

    fileprivate func begin(_ loop: any EventLoop) {
        alarm = loop.assumeIsolated().scheduleTask(
            in: .milliseconds(tls.bounds.handshakeTimeoutMilliseconds)
        ) { [weak self] in self?.timeIsUp() }
    }

    private func timeIsUp() {
        guard phase == .handshaking else { return }
        tls.handshakeLog.tell(.timedOut, peer: peer)
        phase = .refused
        closeAtOnce()
    }

    /// The peer speaks no TLS.
    func misdirected() {
        guard phase == .handshaking, let front else { return }
        tls.handshakeLog.tell(.plaintext, peer: peer)
        refuse(front, saying: Misdirection.badRequest)
    }

    func completed(
        _ negotiated: String?, _ handler: NIOSSLServerHandler, _ context: ChannelHandlerContext
    ) {
        guard phase == .handshaking else { return }
        alarm?.cancel()
        place.give()
        let wanted = tls.applicationProtocol
        guard negotiated == wanted.rawValue || wanted == .http1 && negotiated == nil else {
            tls.handshakeLog.tell(.noProtocol, peer: peer)
            return refuse(context, saying: nil)
        }
        if let certificate = handler.peerCertificate {
            do {
                let identity = try PeerIdentity(certificate: certificate.toDERBytes())
                if let fault = tls.fault(of: identity) {
                    tls.handshakeLog.tell(fault, peer: peer, subject: identity.subject)
                    return refuse(context, saying: nil)
                }
                self.identity = identity
                tls.add(identity, of: context.channel)
            } catch {
                tls.handshakeLog.tell(.unreadable, peer: peer)
                return refuse(context, saying: nil)
            }
        }
        phase = .established
        do {
            try end(.established(self))
        } catch {
            closeAtOnce()
        }
    }

    /// True: the error is dealt with.
    func failed(_ error: any Error) -> Bool {
        switch phase {
        case .handshaking:
            if HandshakeText.isPeerGone(error) {
                tls.handshakeLog.tellGone(peer: peer)
            } else {
                tls.handshakeLog.tell(.failed, peer: peer, reason: HandshakeText.reason(error))
            }
            phase = .refused
            return true
        case .established:
            // The peer's end of the connection without an alert: HTTP knows by itself what was cut off.
            return error as? NIOSSLError == .uncleanShutdown
        case .refused, .closed: return true
        }
    }

    /// The handshake's place is another's, or the connection's.
    func evicted() {
        guard phase == .handshaking else { return }
        phase = .refused
        closeAtOnce()
    }

    /// More than a peer may send that was refused ends the connection.
    func dropped(_ bytes: Int) {
        droppedBytes += bytes
        if droppedBytes > Self.lingerBytes { closeAtOnce() }
    }

    func closed() {
        guard phase != .closed else { return }
        phase = .closed
        alarm?.cancel()
        place.give()
        try? end(.failed)
    }

    private func end(_ outcome: HandshakeOutcome) throws {
        let ended = ended
        self.ended = nil
        try ended?(outcome)
    }

    /// Says something, if anything, and ends the connection so that it arrives.
    private func refuse(_ context: ChannelHandlerContext, saying answer: ByteBuffer?) {
        phase = .refused
        alarm?.cancel()
        if let answer { context.writeAndFlush(NIOAny(answer), promise: nil) }
        context.close(mode: .output, promise: nil)
        alarm = context.eventLoop.assumeIsolated().scheduleTask(in: Self.lingerTime) {
            [weak self] in self?.closeAtOnce()
        }
    }
}

extension ServerTLS {
    /// Puts TLS into a new connection's pipeline, before all handlers that are there. On the channel's event loop.
    ///
    /// - Parameters:
    ///   - keepsWatch: ends of the connection without TLS's alert are kept from the handlers behind.
    ///   - ended: called once, on the event loop; what it throws closes the connection.
    /// - Throws: the connection cannot be served.
    package func secure(
        _ channel: any Channel, keepsWatch: Bool,
        _ ended: @escaping (HandshakeOutcome) throws -> Void
    ) throws {
        let address = channel.remoteAddress
        let host = address?.ipAddress ?? ""
        let place = handshakes.take(
            address: host, nowNanoseconds: NIODeadline.now().uptimeNanoseconds
        ) { channel.pipeline.fireUserInboundEventTriggered(HandshakeEvicted()) }
        guard let place else { throw ChannelError.ioOnClosedChannel }
        let session = TLSSession(self, peer: "\(host):\(address?.port ?? 0)", place, ended)
        var configuration = NIOSSLHandler.Configuration()
        configuration.maximumPreservedOutboundBufferCapacity = TLSSession.keptBytes
        let handler = NIOSSLServerHandler(context: current.context, configuration: configuration)
        do {
            try channel.pipeline.syncOperations.addHandlers(
                [
                    TLSFront(session), FirstBytes(session), handler,
                    HandshakeWatch(session, handler, stays: keepsWatch),
                ], position: .first)
        } catch {
            place.give()
            throw error
        }
        session.begin(channel.eventLoop)
    }
}

extension TLSSession {
    fileprivate static var keptBytes: Int { keptOutputBytes }
}

// MARK: - Handlers

/// The way past TLS to the channel.
private final class TLSFront: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    private let session: TLSSession

    init(_ session: TLSSession) { self.session = session }

    func handlerAdded(context: ChannelHandlerContext) { session.front = context }
    func handlerRemoved(context: ChannelHandlerContext) { session.front = nil }
}

/// Looks at the first bytes of a connection: whoever speaks no TLS is told.
private final class FirstBytes: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    private let session: TLSSession

    init(_ session: TLSSession) { self.session = session }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        guard session.phase == .handshaking else { return session.dropped(bytes.readableBytes) }
        if Misdirection.isText(bytes) { return session.misdirected() }
        context.fireChannelRead(data)
        context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
    }
}

/// Waits behind the library's handler for the end of the handshake.
private final class HandshakeWatch: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    private let session: TLSSession
    private let handler: NIOSSLServerHandler
    private let stays: Bool

    init(_ session: TLSSession, _ handler: NIOSSLServerHandler, stays: Bool) {
        self.session = session
        self.handler = handler
        self.stays = stays
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard session.phase != .established else { return context.fireChannelRead(data) }
        session.dropped(unwrapInboundIn(data).readableBytes)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case TLSUserEvent.handshakeCompleted(let negotiated):
            session.completed(negotiated, handler, context)
            guard session.phase == .established, !stays else { return }
            context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
        case is any EndsHandshake where session.phase == .handshaking: session.evicted()
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if !session.failed(error) { context.fireErrorCaught(error) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        session.closed()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        // A channel that dies before it is active is removed without becoming inactive.
        if session.phase != .established { session.closed() }
    }
}
