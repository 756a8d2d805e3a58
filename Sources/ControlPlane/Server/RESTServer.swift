package import Access
package import Engine
import HTTPTypes
import Hummingbird
import HummingbirdCore
package import Logging
package import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization

/// Bounds of the REST interface; each a number with a sane default.
package struct RESTSettings: Sendable {
    package var host = "127.0.0.1"
    /// 0: any free one.
    package var port = 8_080
    /// Bytes of a request's body.
    package var maximumBodyBytes = 1_048_576
    /// Bytes of a request's header fields together, and how many there may be.
    package var maximumHeaderBytes = 32 * 1_024
    package var maximumHeaders = 100
    /// Open connections; more wait in the listening socket's queue.
    package var maximumConnections = 1_024
    /// Requests that are worked on at one time; more are told to come back.
    package var maximumRequests = 256
    /// A connection that sends nothing for so long is closed.
    package var idleTimeLimit = Duration.seconds(60)
    /// How long a request's body may take to arrive.
    package var bodyTimeLimit = Duration.seconds(20)
    /// How long a peer may leave a part of its answer (64 KiB) unread before it is hung up on.
    package var answerTimeLimit = Duration.seconds(30)
    package var maximumWebhookEndpoints = 100
    package var maximumEmailRecipients = 100
    package var maximumTokens = 1_000

    package init() {}
}

/// The REST interface: one server on one address.
///
/// Thread safety: `start` and `shutdown` once each, in this order.
package final class RESTServer: Sendable {
    let core: Core
    private let logger: Logger
    private let group: (any EventLoopGroup)?
    private let running = Mutex<(services: ServiceGroup, task: Task<Void, any Error>)?>(nil)

    /// - Parameters:
    ///   - lanes: the way into the data plane.
    ///   - projection: nil: none is kept, and what needs it answers 503.
    ///   - publicKey: base64 of the key that webhooks are signed with.
    ///   - companion: answers the paths that are none of REST's; nil: they are not found.
    ///   - group: one of its event loops is used; nil: one of the process' shared ones.
    package init(
        engine: Engine, lanes: LaneAccess, authority: TokenAuthority,
        projection: (any ReadModel)?, publicKey: String, companion: (any Companion)? = nil,
        settings: RESTSettings = RESTSettings(), group: (any EventLoopGroup)? = nil,
        logger: Logger = Logger(label: "tollgate.rest")
    ) {
        core = Core(
            engine: engine, lanes: lanes, authority: authority, projection: projection,
            publicKey: publicKey, companion: companion, settings: settings)
        self.group = group
        self.logger = logger
    }

    /// Binds and serves. Returns the address that is bound.
    ///
    /// - Throws: what kept it from listening.
    package func start() async throws -> (host: String, port: Int) {
        let (bound, continuation) = AsyncThrowingStream<SocketAddress?, any Error>.makeStream()
        let application = application { channel in
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
            return (address?.ipAddress ?? core.settings.host, address?.port ?? core.settings.port)
        }
        throw CancellationError()
    }

    /// How long connections may take to close when no request is left.
    private static let farewell = Duration.seconds(1)

    /// Refuses what is new, lets what is under way finish, and stops.
    ///
    /// - Parameter time: how long the finishing may take.
    package func shutdown(within time: Duration) async {
        core.gate.drain()
        core.companion?.drain()
        let gate = core.gate
        await Self.first(of: { await gate.empty() }, time)
        // What still waits for an empty gate is let go.
        gate.giveUp()
        guard let (services, task) = running.withLock({ $0 }) else { return }
        // No connection is cut off that was accepted and not yet looked at: swift-nio ends the process for one.
        await services.triggerGracefulShutdown()
        await Self.first(of: { _ = await task.result }, Self.farewell)
        task.cancel()
        // Whoever does not read its last answer is not waited for.
        await Self.first(of: { _ = await task.result }, Self.farewell)
    }

    /// Returns when the work is done or the time is over; the work goes on then.
    private static func first(
        of work: @escaping @Sendable () async -> Void, _ time: Duration
    ) async {
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

    var responder: Responder {
        Responder(core: core, routes: RouteTree(RESTRoutes.all(core)), logger: logger)
    }

    /// The server as Hummingbird runs it; tests run it in other ways.
    func application(
        onRunning: @escaping @Sendable (any Channel) async -> Void = { _ in }
    ) -> Application<Responder> {
        let settings = core.settings
        // What the library has to say is about its own doings; that it was told to stop is no error.
        var quiet = logger
        quiet.logLevel = .critical
        let http = HTTP1Channel.Configuration(
            idleTimeout: TimeAmount(settings.idleTimeLimit),
            httpDecoderConfiguration: .init(
                maxHeaderFieldSize: settings.maximumHeaderBytes,
                maxHeaderListSize: settings.maximumHeaderBytes,
                maxHeaderFieldCount: settings.maximumHeaders))
        return Application(
            responder: responder, server: .http1(configuration: http),
            configuration: ApplicationConfiguration(
                address: .hostname(settings.host, port: settings.port), serverName: nil,
                availableConnectionsDelegate: .maximum(
                    settings.maximumConnections, logger: logger)),
            onServerRunning: onRunning,
            // One loop for the listener and its connections: a connection that is handed from one loop to another while
            // the listener closes is lost on the way, and swift-nio ends the process for that.
            eventLoopGroupProvider: .shared(
                (group ?? MultiThreadedEventLoopGroup.singleton).next()),
            logger: quiet)
    }
}
