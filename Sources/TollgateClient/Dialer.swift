internal import NIOCore
internal import NIOPosix
internal import NIOSSL
internal import NIOTLS
internal import ServerTrust

/// Makes TCP connections, with TLS if configured.
struct Dialer: Sendable {
    private let configuration: ClientConfiguration
    private let loop: any EventLoop

    init(_ configuration: ClientConfiguration, loop: any EventLoop) {
        self.configuration = configuration
        self.loop = loop
    }

    /// Makes a connection within `Configuration.dialTimeout`, the TLS handshake included.
    ///
    /// - Parameter made: Called once, on the loop, after this call has returned.
    func connect(
        _ endpoint: Endpoint, _ headers: RequestHeaders,
        _ made: @escaping @Sendable (Result<ClientHandler, TollgateError>) -> Void
    ) {
        let configuration = configuration
        let timeout = TimeAmount(configuration.dialTimeout)
        let due = NIODeadline.now() + timeout
        let context = configuration.tls?.material.context()
        ClientBootstrap(group: loop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connectTimeout(timeout)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    let handler = ClientHandler(configuration, endpoint: endpoint, headers: headers)
                    guard let context else { return try pipeline.addHandler(handler) }
                    let name = configuration.tls?.name(of: endpoint)
                    try pipeline.addHandlers(
                        NIOSSLClientHandler(context: context, serverHostname: name),
                        HandshakeGate(handler, endpoint: endpoint, name: name))
                }
            }
            .connect(host: endpoint.host, port: endpoint.port)
            .hop(to: loop)
            .whenComplete { result in
                switch result {
                case .failure(let error): made(.failure(Self.noConnection(endpoint, error)))
                case .success(let channel):
                    let pipeline = channel.pipeline.syncOperations
                    if let handler = try? pipeline.handler(type: ClientHandler.self) {
                        made(.success(handler))
                    } else if let gate = try? pipeline.handler(type: HandshakeGate.self) {
                        gate.whenOpen(within: due, made)
                    } else {
                        // It broke while it was made.
                        made(.failure(Self.noConnection(endpoint, ChannelError.eof)))
                        channel.close(promise: nil)
                    }
                }
            }
    }

    static func noConnection(_ endpoint: Endpoint, _ error: any Error) -> TollgateError {
        TollgateError(
            .unavailable, ConnectionText.failure(error, endpoint: "\(endpoint)"),
            wasNotProcessed: true)
    }
}

/// Waits until the TLS handshake of a connection is done and has chosen HTTP/2; then the handler
/// takes its place.
///
/// Thread safety: the channel's event loop only.
final class HandshakeGate: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    private let handler: ClientHandler
    private let endpoint: Endpoint
    /// nil: the certificate must contain the address.
    private let name: String?
    private var context: ChannelHandlerContext?
    private var result: Result<ClientHandler, TollgateError>?
    private var made: ((Result<ClientHandler, TollgateError>) -> Void)?
    private var timer: Scheduled<Void>?

    init(_ handler: ClientHandler, endpoint: Endpoint, name: String?) {
        self.handler = handler
        self.endpoint = endpoint
        self.name = name
    }

    /// Calls `made` once, when the handshake has ended or takes too long.
    func whenOpen(
        within due: NIODeadline, _ made: @escaping (Result<ClientHandler, TollgateError>) -> Void
    ) {
        if let result { return made(result) }
        self.made = made
        timer = context?.eventLoop.assumeIsolated().scheduleTask(deadline: due) { [weak self] in
            guard let self else { return }
            fail("\(endpoint) did not finish the TLS handshake in time")
        }
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case TLSUserEvent.handshakeCompleted(let chosen)? = event as? TLSUserEvent {
            open(context, chosen)
        }
        context.fireUserInboundEventTriggered(event)
    }

    private func open(_ context: ChannelHandlerContext, _ chosen: String?) {
        guard chosen == "h2" else { return fail(TLSText.noHTTP2("\(endpoint)")) }
        let pipeline = context.pipeline.syncOperations
        // As in `TLSNames.check`.
        if let name {
            let tls = try? pipeline.handler(type: NIOSSLClientHandler.self)
            guard let certificate = tls?.peerCertificate, TLSNames.bears(certificate, name) else {
                return fail(TLSText.otherHost("\(endpoint)"))
            }
        }
        do {
            try pipeline.addHandler(handler, position: .after(self))
        } catch {
            return fail(ConnectionText.failure(error, endpoint: "\(endpoint)"))
        }
        pipeline.removeHandler(context: context, promise: nil)
        end(.success(handler))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        let tls = try? context.pipeline.syncOperations.handler(type: NIOSSLClientHandler.self)
        fail(
            ConnectionText.failure(
                error, endpoint: "\(endpoint)", certificate: tls?.peerCertificate))
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail("\(endpoint) closed the connection during the TLS handshake")
        context.fireChannelInactive()
    }

    private func fail(_ sentence: String) {
        let context = context
        end(.failure(TollgateError(.unavailable, sentence, wasNotProcessed: true)))
        context?.close(promise: nil)
    }

    private func end(_ result: Result<ClientHandler, TollgateError>) {
        guard self.result == nil else { return }
        self.result = result
        timer?.cancel()
        timer = nil
        let made = made
        self.made = nil
        made?(result)
    }
}
