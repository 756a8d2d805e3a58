package import Access
import Admission
package import Crypto
package import Engine
import HTTPTypes
import Hummingbird
import HummingbirdCore
package import Logging
package import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization
import Threads
import TransportSecurity

/// The REST interface: one server on one address.
///
/// Thread safety: `start` and `shutdown` once each, in this order.
package final class RESTServer: Sendable {
    let core: ControlPlaneContext
    private let health: Health
    private let logger: Logger
    private let group: (any EventLoopGroup)?
    private let running = Mutex<(services: ServiceGroup, task: Task<Void, any Error>)?>(nil)

    /// - Parameters:
    ///   - lanes: the way into the data plane.
    ///   - projection: nil: none is kept, and what needs it answers 503.
    ///   - publicKey: base64 of the key that webhooks are signed with.
    ///   - answerKey: a secret that answers to changes with an idempotency key are sealed with; the same as long as the
    ///     engine's journal is.
    ///   - page: answers the paths that are none of REST's; nil: they are not found.
    ///   - group: one of its event loops is used; nil: one of the process' shared ones.
    package init(
        engine: Engine, lanes: LaneAccess, authority: TokenAuthority,
        projection: (any ReadModel)?, publicKey: String, answerKey: SymmetricKey,
        page: (any PageResponder)? = nil,
        settings: RESTSettings = RESTSettings(), group: (any EventLoopGroup)? = nil,
        logger: Logger = Logger(label: "tollgate.rest")
    ) {
        core = ControlPlaneContext(
            engine: engine, lanes: lanes, authority: authority, projection: projection,
            publicKey: publicKey, answerKey: answerKey, page: page, settings: settings)
        health = Health(core: core)
        self.group = group
        self.logger = logger
    }

    /// Why the service cannot do its work, as `/readyz` says it; nil: it can. Takes 5 s where the disk does nothing.
    package func trouble() async -> String? { await health.trouble() }

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
            core.page?.listens(on: address?.port)
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
        core.limiter.drain()
        core.page?.drain()
        let limiter = core.limiter
        await Self.first(of: { await limiter.empty() }, time)
        // Whoever still waits for it to be empty is released.
        limiter.giveUp()
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
        // What stands in front keeps stricter bounds.
        let bytes = settings.maximumTargetBytes + settings.maximumHeaderBytes
        let http = HTTP1Channel.Configuration(
            httpDecoderConfiguration: .init(
                maxHeaderFieldSize: bytes, maxHeaderListSize: bytes,
                maxHeaderFieldCount: settings.maximumHeaders + 1))
        // All connections are on one loop, see below.
        let strangers = Strangers { [authority = core.authority] authorization in
            authority.caller(authorization: authorization) != nil
        }
        let server = HTTPServerBuilder { [logger] responder in
            HTTPFront(
                HTTP1Channel(responder: responder, configuration: http), settings, strangers,
                logger)
        }
        return Application(
            responder: responder, server: server,
            configuration: ApplicationConfiguration(
                address: .hostname(settings.host, port: settings.port), serverName: nil,
                backlog: ConnectionPlaces.backlog),
            onServerRunning: { channel in
                // Who comes stands behind all who came before: they are let in before anything is done for them.
                try? await channel.setOption(.maxMessagesPerRead, value: 4).get()
                // First, or an error of accepting would end the library's listener.
                try? await channel.eventLoop.submit {
                    NamedThread.setName(.rest)
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
