internal import Admission
internal import HTTP2
package import NIOCore
internal import NIOPosix
package import Telemetry
internal import Threads
internal import TransportSecurity

/// A gRPC server over HTTP/2: listens, spreads connections over its event loops, and drains.
///
/// Thread safety: all members may be used from any thread.
package final class GRPCServer: Sendable {
    /// Where it listens; the real port if 0 was asked for.
    package let host: String
    package let port: Int
    /// The event loops, in the order of their indices.
    package let loops: [ServerLoop]
    /// By their ids.
    let methodPaths: [String]

    private let group: MultiThreadedEventLoopGroup
    private let listener: any Channel

    private init(
        group: MultiThreadedEventLoopGroup, listener: any Channel, loops: [ServerLoop],
        host: String, port: Int, methods: [MethodDescriptor]
    ) {
        methodPaths = methods.map(\.path)
        self.group = group
        self.listener = listener
        self.loops = loops
        self.host = host
        self.port = port
    }

    /// Starts listening.
    ///
    /// - Parameters:
    ///   - methods: what is served; a method's index is its id.
    ///   - makeService: called once on each event loop.
    /// - Throws: `ListeningSocket.Failure` if the address cannot be bound.
    package static func start(
        _ configuration: ServerConfiguration, methods: [MethodDescriptor],
        makeService: @escaping @Sendable (ServerLoop) -> any GRPCService
    ) async throws -> GRPCServer {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: max(1, configuration.threads))
        let routes = RouteTable(
            methods: methods, echoing: configuration.echoedFields,
            keeping: configuration.observer == nil ? [] : CallNotes.fields)
        let loops = group.makeIterator().enumerated().map { index, eventLoop in
            ServerLoop(
                index: index, eventLoop: eventLoop, configuration: configuration,
                methods: methods, routes: routes)
        }
        do {
            for loop in loops {
                try await loop.eventLoop.submit {
                    NamedThread.setName(.grpc(loop.index))
                    loop.start(makeService(loop))
                }.get()
            }
            let own =
                try configuration.listener == nil
                ? ListeningSocket.open(host: configuration.host, port: configuration.port) : nil
            defer { own?.close() }
            guard let socket = configuration.listener ?? own else { throw NotAccepted() }
            let listener = try await listen(socket, configuration, group, loops)
            return GRPCServer(
                group: group, listener: listener, loops: loops,
                host: own == nil ? socket.host : configuration.host, port: socket.port,
                methods: methods)
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
    }

    private static func listen(
        _ socket: ListeningSocket, _ configuration: ServerConfiguration,
        _ group: MultiThreadedEventLoopGroup, _ loops: [ServerLoop]
    ) async throws -> any Channel {
        let loopsByID = Dictionary(
            uniqueKeysWithValues: loops.map { (ObjectIdentifier($0.eventLoop), $0) })
        let noDelay = ChannelOptions.tcpOption(.tcp_nodelay)
        let listener = try await ServerBootstrap(group: group)
            .serverChannelInitializer { listener in
                listener.eventLoop.makeCompletedFuture {
                    try listener.pipeline.syncOperations.addHandler(AcceptPause())
                }
            }
            .childChannelOption(noDelay, value: 1)
            .childChannelOption(ChannelOptions.maxMessagesPerRead, value: 1)
            .childChannelOption(
                ChannelOptions.recvAllocator,
                value: configuration.readAllocator(isKnown: false)
            )
            .childChannelOption(
                ChannelOptions.writeBufferWaterMark,
                value: ChannelOptions.Types.WriteBufferWaterMark(
                    low: 64 * 1024, high: 128 * 1024)
            )
            .childChannelInitializer { channel in
                accept(channel, configuration, loopsByID)
            }
            .withBoundSocket(socket.duplicate()).get()
        socket.lengthenQueue()
        return listener
    }

    private static func accept(
        _ channel: any Channel, _ configuration: ServerConfiguration,
        _ loops: [ObjectIdentifier: ServerLoop]
    ) -> EventLoopFuture<Void> {
        let address = channel.remoteAddress
        let host = address?.ipAddress ?? ""
        guard let loop = loops[ObjectIdentifier(channel.eventLoop)],
            let place = configuration.places.take(
                address: host, nowNanoseconds: configuration.clock(),
                evict: { channel.pipeline.fireUserInboundEventTriggered(Evicted()) })
        else { return channel.eventLoop.makeFailedFuture(NotAccepted()) }
        let peer = "\(host):\(address?.port ?? 0)"
        return channel.eventLoop.makeCompletedFuture {
            do {
                guard let tls = configuration.tls else {
                    return try begin(channel, loop, peer, place, nil)
                }
                loop.handshakeBegan()
                try tls.secure(channel, keepsWatch: false) { outcome in
                    defer { loop.handshakeEnded() }
                    switch outcome {
                    case .established(let session):
                        do {
                            // Nobody waits for a loop that has drained.
                            guard !loop.hasDrained else { throw NotAccepted() }
                            try begin(channel, loop, peer, place, session)
                        } catch {
                            place.give()
                            throw error
                        }
                    case .failed: place.give(unpaidAtNanoseconds: configuration.clock())
                    }
                }
            } catch {
                if configuration.tls != nil { loop.handshakeEnded() }
                place.give()
                throw error
            }
        }
    }

    /// Begins HTTP/2.
    private static func begin(
        _ channel: any Channel, _ loop: ServerLoop, _ peer: String, _ place: ConnectionPlace,
        _ session: TLSSession?
    ) throws {
        guard let service = loop.service else { throw NotAccepted() }
        let handler = ConnectionHandler(
            loop: loop, service: service, peer: peer, admission: place, tls: session)
        try channel.pipeline.syncOperations.addHandler(handler)
    }

    /// How long requests have taken since the start, from the read that brought the last of a request's bytes until its
    /// answer had been written to the connection; where the answer waits for the disk, until the disk let it go, whether
    /// or not its caller still waited. Counted is what methods answered, failures of unary calls too: not what the
    /// transport refused, nor what a server stream pushed, nor the failure that ends a stream.
    ///
    /// In a bidirectional stream, an answer that need not wait but stands behind one that does counts with the time of
    /// that one, and a request that waited among those of its stream counts from the connection's last read.
    ///
    /// - Complexity: O(loops)
    package var latency: LatencyHistogram {
        loops.reduce(LatencyHistogram()) { $0 + $1.counts.whole.histogram }
    }

    /// Ends the serving: no new connections, then no new calls. The event loops go on for whoever else works on them.
    ///
    /// Connections are told (GOAWAY, PING, final GOAWAY); calls that run finish.
    ///
    /// - Parameter timeout: what has not finished by then is cut off.
    package func drain(within timeout: TimeAmount) async {
        await stopAccepting()
        let loops = loops
        let cut = loops[0].eventLoop.scheduleTask(in: timeout) {
            for loop in loops { loop.eventLoop.execute { loop.closeAll() } }
        }
        // All of them are told before any is waited for.
        let ends = loops.map { loop in
            let drained = loop.eventLoop.makePromise(of: Void.self)
            loop.eventLoop.execute { loop.drain { drained.succeed() } }
            return drained.futureResult
        }
        for end in ends { try? await end.get() }
        cut.cancel()
    }

    /// Closes the listener. Whoever was accepted is not lost on the way: a connection goes from the listener's event loop to
    /// its own, back, and to its own again, and a listener that is closed meanwhile closes it.
    private func stopAccepting() async {
        await AcceptPause.end(listener)
        for _ in 0..<2 {
            for loop in loops { try? await loop.eventLoop.submit {}.get() }
            try? await listener.eventLoop.submit {}.get()
        }
        try? await listener.close().get()
    }

    /// Ends the event loops, when nobody works on them any more: what is given to them afterwards is never done.
    package func stop() async { try? await group.shutdownGracefully() }

    /// Ends the serving and the event loops. See `drain` and `stop`.
    package func shutdown(within timeout: TimeAmount) async {
        await drain(within: timeout)
        await stop()
    }
}

/// Why a connection is closed on arrival.
struct NotAccepted: Error {}
