import Admission
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOPosix
import Threads
import TransportSecurity

/// Accepts connections on one event loop and has Hummingbird serve each. Its own server makes its socket itself; this one
/// takes a socket that is there before and after it.
///
/// One loop for the listener and its connections: a connection that is handed from one loop to another while the listener
/// closes is lost on the way, and swift-nio ends the process for that.
///
/// Thread safety: any thread.
final class HTTPListener: Sendable {
    /// On the event loop.
    private struct Connections {
        var open: [ObjectIdentifier: any Channel] = [:]
        var isClosing = false
    }

    private let front: HTTPFront
    private let listener: NIOAsyncChannel<HTTP1Channel.Value, Never>
    private let connections: NIOLoopBoundBox<Connections>
    private let logger: Logger

    private init(
        _ front: HTTPFront, _ listener: NIOAsyncChannel<HTTP1Channel.Value, Never>,
        _ connections: NIOLoopBoundBox<Connections>, _ logger: Logger
    ) {
        self.front = front
        self.listener = listener
        self.connections = connections
        self.logger = logger
    }

    /// Begins to accept; `serve` must follow.
    ///
    /// - Parameter socket: what to accept from; it stays open.
    static func start(
        _ socket: ListeningSocket, _ front: HTTPFront, on eventLoop: any EventLoop, logger: Logger
    ) async throws -> HTTPListener {
        let connections = NIOLoopBoundBox.makeBoxSendingValue(
            Connections(), as: Connections.self, eventLoop: eventLoop)
        let listener = try await ServerBootstrap(group: eventLoop)
            // Who comes stands behind all who came before: they are let in before anything is done for them.
            .serverChannelOption(.maxMessagesPerRead, value: 4)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    NamedThread.setName(.rest)
                    // First, or an error of accepting would end the listener.
                    try channel.pipeline.syncOperations.addHandler(AcceptPause(), position: .first)
                }
            }
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .bind(socket.duplicate()) { channel in
                front.setup(channel: channel, logger: logger).map { value in
                    note(channel, in: connections)
                    return value
                }
            }
        return HTTPListener(front, listener, connections, logger)
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

    /// Serves until `close` was called and all connections have ended. A cancelled task cuts them off.
    func serve() async {
        await withDiscardingTaskGroup { group in
            // An error: the listener broke. Whoever is connected is served on.
            try? await listener.executeThenClose { inbound in
                for try await connection in inbound {
                    group.addTask { [front, logger] in
                        await front.handle(value: connection, logger: logger)
                    }
                }
            }
        }
    }

    /// Accepts nobody any more, and has each connection end with the request that is under way on it. Who was accepted
    /// before is among them.
    func close() async {
        let channel = listener.channel
        try? await channel.setOption(.autoRead, value: false).get()
        // An accepted connection is on its way for a turn or two.
        for _ in 0..<2 { try? await channel.eventLoop.submit {}.get() }
        try? await channel.close().get()
        try? await channel.eventLoop.submit { [connections] in
            connections.value.isClosing = true
            for open in connections.value.open.values { Self.quiesce(open) }
        }.get()
    }
}
