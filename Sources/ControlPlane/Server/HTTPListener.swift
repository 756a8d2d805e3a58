import Admission
import Engine
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOPosix
import Notation
import Synchronization
import TransportSecurity

/// HTTP/1.1 on one socket, within the bounds of `RESTSettings`: what answers is a responder's. Hummingbird serves each
/// connection; its own server makes its socket itself, and this one takes a socket that is there before and after it.
///
/// One event loop for the listener and its connections: a connection that is handed from one loop to another while the
/// listener closes is lost on the way, and swift-nio ends the process for that.
///
/// Thread safety: `start` and `stop` once each, in this order.
final class HTTPListener: Sendable {
    /// On the event loop.
    private struct Connections {
        var open: [ObjectIdentifier: any Channel] = [:]
        var isClosing = false
    }

    private struct Running {
        let channel: any Channel
        let connections: NIOLoopBoundBox<Connections>
        /// Accepts and serves.
        let task: Task<Void, Never>
    }

    private let settings: RESTSettings
    private let front: HTTPFront
    private let group: (any EventLoopGroup)?
    /// The library's: what it has to say is about its own doings; that it was told to stop is no error.
    private let quiet: Logger
    private let running = Mutex<Running?>(nil)

    /// - Parameters:
    ///   - group: one of its event loops is used; nil: one of the process' shared ones.
    ///   - isKnown: whether a value of `authorization` is somebody's.
    init(
        _ settings: RESTSettings, group: (any EventLoopGroup)?, _ logger: Logger,
        responder: some HTTPResponder<RESTContext>, isKnown: @escaping @Sendable (String) -> Bool
    ) {
        var quiet = logger
        quiet.logLevel = .critical
        self.quiet = quiet
        self.settings = settings
        self.group = group
        front = Self.front(settings, responder, Strangers(isKnown: isKnown), logger, quiet: quiet)
    }

    /// Listens and serves. Returns the address that is bound.
    ///
    /// - Parameter onLoop: called on the event loop, before the first connection.
    /// - Throws: `ListeningSocket.Failure`: what kept it from listening.
    func start(
        onLoop: @escaping @Sendable (any EventLoop) -> Void = { _ in }
    ) async throws -> (host: String, port: Int) {
        if let socket = settings.listener { return try await accept(from: socket, onLoop) }
        let socket = try ListeningSocket.open(host: settings.host, port: settings.port)
        defer { socket.close() }
        return try await accept(from: socket, onLoop)
    }

    private func accept(
        from socket: ListeningSocket, _ onLoop: @escaping @Sendable (any EventLoop) -> Void
    ) async throws -> (host: String, port: Int) {
        let eventLoop = (group ?? MultiThreadedEventLoopGroup.singleton).next()
        let connections = NIOLoopBoundBox.makeBoxSendingValue(
            Connections(), as: Connections.self, eventLoop: eventLoop)
        let listener = try await ServerBootstrap(group: eventLoop)
            // Who comes stands behind all who came before: they are let in before anything is done for them.
            .serverChannelOption(.maxMessagesPerRead, value: 4)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    onLoop(channel.eventLoop)
                    // First, or an error of accepting would end the listener.
                    try channel.pipeline.syncOperations.addHandler(AcceptPause(), position: .first)
                }
            }
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .bind(socket.duplicate()) { [front, quiet] channel in
                front.setup(channel: channel, logger: quiet).map { value in
                    Self.note(channel, in: connections)
                    return value
                }
            }
        socket.lengthenQueue()
        let task = Task { [front, quiet] in await Self.serve(listener, front, quiet) }
        running.withLock {
            $0 = Running(channel: listener.channel, connections: connections, task: task)
        }
        return (socket.host, socket.port)
    }

    private static func note(_ channel: any Channel, in connections: NIOLoopBoundBox<Connections>) {
        let id = ObjectIdentifier(channel)
        connections.value.open[id] = channel
        channel.closeFuture.whenComplete { _ in connections.value.open[id] = nil }
        if connections.value.isClosing { quiesce(channel) }
    }

    private static func quiesce(_ channel: any Channel) {
        channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
    }

    /// Serves until the listener was closed and all connections have ended. A cancelled task cuts them off.
    private static func serve(
        _ listener: NIOAsyncChannel<HTTP1Channel.Value, Never>, _ front: HTTPFront, _ logger: Logger
    ) async {
        await withDiscardingTaskGroup { group in
            // An error: the listener broke. Whoever is connected is served on.
            try? await listener.executeThenClose { inbound in
                for try await connection in inbound {
                    group.addTask { await front.handle(value: connection, logger: logger) }
                }
            }
        }
    }

    /// How long connections may take to close when no request is left.
    private static let farewell = Duration.seconds(1)

    /// Accepts nobody any more, has each connection end with the request that is under way on it, and cuts off what is left
    /// then.
    ///
    /// - Parameter finish: returns when what is under way has had its time.
    func stop(_ finish: () async -> Void = {}) async {
        let running = running.withLock { $0 }
        // First: whoever has nothing under way then is hung up on, and asks elsewhere, or later.
        if let running { await Self.close(running) }
        await finish()
        guard let task = running?.task else { return }
        await Waiting.first(of: { _ = await task.result }, Self.farewell)
        task.cancel()
        // Whoever does not read its last answer is not waited for.
        await Waiting.first(of: { _ = await task.result }, Self.farewell)
    }

    /// Who was accepted before is among those that are told.
    private static func close(_ running: Running) async {
        let (channel, connections) = (running.channel, running.connections)
        await AcceptPause.end(channel)
        // An accepted connection is on its way for a turn or two.
        for _ in 0..<2 { try? await channel.eventLoop.submit {}.get() }
        try? await channel.close().get()
        try? await channel.eventLoop.submit {
            connections.value.isClosing = true
            for open in connections.value.open.values { quiesce(open) }
        }.get()
    }

    /// What stands between a connection and the responder.
    private static func front(
        _ settings: RESTSettings, _ responder: some HTTPResponder<RESTContext>,
        _ strangers: Strangers, _ logger: Logger, quiet: Logger
    ) -> HTTPFront {
        // What stands in front keeps stricter bounds.
        let bytes = settings.maximumTargetBytes + settings.maximumHeaderBytes
        let http = HTTP1Channel.Configuration(
            httpDecoderConfiguration: .init(
                maxHeaderFieldSize: bytes, maxHeaderListSize: bytes,
                maxHeaderFieldCount: settings.maximumHeaders + 1))
        let wall = EngineClock.Source.system.wall
        let channel = HTTP1Channel(
            responder: {
                (request: Request, writer: consuming ResponseWriter, channel: any Channel) in
                let context = RESTContext(
                    source: ApplicationRequestContextSource(channel: channel, logger: quiet))
                var response = try await responder.respond(to: request, context: context)
                response.headers[.date] = Instant.http(wall())
                try await writer.write(response: response.head, body: response.body)
            }, configuration: http)
        return HTTPFront(channel, settings, strangers, logger)
    }
}

enum Waiting {
    /// Returns when the work is done or the time is over; the work goes on then.
    static func first(of work: @escaping @Sendable () async -> Void, _ time: Duration) async {
        let (ends, end) = AsyncStream.makeStream(of: Void.self)
        let working = Task {
            await work()
            end.yield()
        }
        let alarm = Task {
            try? await Task.sleep(for: time)
            end.yield()
        }
        for await _ in ends { break }
        working.cancel()
        alarm.cancel()
    }
}
