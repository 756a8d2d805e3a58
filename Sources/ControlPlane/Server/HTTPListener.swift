import Admission
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization
import TransportSecurity

/// HTTP/1.1 on one address, within the bounds of `RESTSettings`: what answers is a responder's.
///
/// Thread safety: `start` and `stop` once each, in this order.
final class HTTPListener<Answering: HTTPResponder>: Sendable
where Answering.Context == RESTContext {
    private let settings: RESTSettings
    private let responder: @Sendable () -> Answering
    /// Whether a value of `authorization` is somebody's.
    private let isKnown: @Sendable (String) -> Bool
    private let group: (any EventLoopGroup)?
    private let logger: Logger
    private let running = Mutex<(services: ServiceGroup, task: Task<Void, any Error>)?>(nil)

    /// - Parameter group: one of its event loops is used; nil: one of the process' shared ones.
    init(
        _ settings: RESTSettings, group: (any EventLoopGroup)?, _ logger: Logger,
        isKnown: @escaping @Sendable (String) -> Bool,
        responder: @escaping @Sendable () -> Answering
    ) {
        self.settings = settings
        self.responder = responder
        self.isKnown = isKnown
        self.group = group
        self.logger = logger
    }

    /// Binds and serves. Returns the address that is bound.
    ///
    /// - Parameter onLoop: called on the event loop, before the first connection.
    /// - Throws: what kept it from listening.
    func start(
        onLoop: @escaping @Sendable (any EventLoop) -> Void = { _ in }
    ) async throws -> (host: String, port: Int) {
        let (bound, continuation) = AsyncThrowingStream<SocketAddress?, any Error>.makeStream()
        let application = application(onLoop: onLoop) { channel in
            continuation.yield(channel.localAddress)
            continuation.finish()
        }
        let services = ServiceGroup(
            configuration: .init(
                services: [.init(service: application)], logger: application.logger))
        let task = Task {
            do {
                try await services.run()
                continuation.finish()
            } catch {
                continuation.finish(throwing: error)
                throw error
            }
        }
        running.withLock { $0 = (services, task) }
        for try await address in bound {
            return (address?.ipAddress ?? settings.host, address?.port ?? settings.port)
        }
        throw CancellationError()
    }

    /// How long connections may take to close when no request is left.
    private static var farewell: Duration { .seconds(1) }

    /// Closes the port and the connections: requests that are under way are not waited for.
    func stop() async {
        guard let (services, task) = running.withLock({ $0 }) else { return }
        // No connection is cut off that was accepted and not yet looked at: swift-nio ends the process for one.
        await services.triggerGracefulShutdown()
        await Waiting.first(of: { _ = await task.result }, Self.farewell)
        task.cancel()
        // Whoever does not read its last answer is not waited for.
        await Waiting.first(of: { _ = await task.result }, Self.farewell)
    }

    /// The server as Hummingbird runs it; tests run it in other ways.
    func application(
        onLoop: @escaping @Sendable (any EventLoop) -> Void = { _ in },
        onRunning: @escaping @Sendable (any Channel) async -> Void = { _ in }
    ) -> Application<Answering> {
        let settings = settings
        // What the library has to say is about its own doings; that it was told to stop is no error.
        var quiet = logger
        quiet.logLevel = .critical
        // What stands in front keeps stricter bounds.
        let bytes = settings.maximumTargetBytes + settings.maximumHeaderBytes
        let http = HTTP1Channel.Configuration(
            httpDecoderConfiguration: .init(
                maxHeaderFieldSize: bytes, maxHeaderListSize: bytes,
                maxHeaderFieldCount: settings.maximumHeaders + 1))
        // All connections are on one loop, see below.
        let strangers = Strangers(isKnown: isKnown)
        let server = HTTPServerBuilder { [logger] responder in
            HTTPFront(
                HTTP1Channel(responder: responder, configuration: http), settings, strangers,
                logger)
        }
        return Application(
            responder: responder(), server: server,
            configuration: ApplicationConfiguration(
                address: .hostname(settings.host, port: settings.port), serverName: nil,
                backlog: ConnectionPlaces.backlog),
            onServerRunning: { channel in
                // Who comes stands behind all who came before: they are let in before anything is done for them.
                try? await channel.setOption(.maxMessagesPerRead, value: 4).get()
                // First, or an error of accepting would end the library's listener.
                try? await channel.eventLoop.submit {
                    onLoop(channel.eventLoop)
                    try channel.pipeline.syncOperations.addHandler(AcceptPause(), position: .first)
                }.get()
                await onRunning(channel)
            },
            // One loop for the listener and its connections: a connection that is handed from one loop to another while
            // the listener closes is lost on the way, and swift-nio ends the process for that.
            eventLoopGroupProvider: .shared(
                (group ?? MultiThreadedEventLoopGroup.singleton).next()),
            logger: quiet)
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
