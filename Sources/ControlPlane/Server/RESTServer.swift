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
import Notation
import Synchronization

/// The REST interface: one server on one address.
///
/// Thread safety: `start` and `shutdown` once each, in this order.
package final class RESTServer: Sendable {
    let core: ControlPlaneContext
    private let health: Health
    private let logger: Logger
    private let group: (any EventLoopGroup)?
    private let running = Mutex<(listener: HTTPListener, task: Task<Void, Never>)?>(nil)

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

    /// Why nothing can be recorded at the moment; nil: it can. As long as `trouble` takes.
    package func recordingTrouble() async -> String? { await health.recordingTrouble() }

    /// Says from now on that the service is not ready since it stops; serves on.
    package func announceStop() { core.limiter.announceStop() }

    /// Listens and serves. Returns the address that is bound.
    ///
    /// - Throws: `ListeningSocket.Failure`: what kept it from listening.
    package func start() async throws -> (host: String, port: Int) {
        let settings = core.settings
        let own =
            try settings.listener == nil
            ? ListeningSocket.open(host: settings.host, port: settings.port) : nil
        defer { own?.close() }
        guard let socket = settings.listener ?? own else { throw CancellationError() }
        let eventLoop = (group ?? MultiThreadedEventLoopGroup.singleton).next()
        let listener = try await HTTPListener.start(socket, front, on: eventLoop, logger: quiet)
        core.page?.listens(on: socket.port)
        let task = Task { await listener.serve() }
        running.withLock { $0 = (listener, task) }
        return (socket.host, socket.port)
    }

    /// How long connections may take to close when no request is left.
    private static let farewell = Duration.seconds(1)

    /// Refuses what is new, lets what is under way finish, and stops.
    ///
    /// - Parameter time: how long the finishing may take.
    package func shutdown(within time: Duration) async {
        let running = running.withLock { $0 }
        // First: whoever has nothing under way then is hung up on, and asks elsewhere, or later.
        await running?.listener.close()
        core.limiter.drain()
        core.page?.drain()
        let limiter = core.limiter
        await Self.first(of: { await limiter.empty() }, time)
        // Whoever still waits for it to be empty is released.
        limiter.giveUp()
        guard let task = running?.task else { return }
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

    /// What the library has to say is about its own doings; that it was told to stop is no error.
    private var quiet: Logger {
        var quiet = logger
        quiet.logLevel = .critical
        return quiet
    }

    /// What stands between a connection and the responder.
    private var front: HTTPFront {
        let settings = core.settings
        // What stands in front keeps stricter bounds.
        let bytes = settings.maximumTargetBytes + settings.maximumHeaderBytes
        let http = HTTP1Channel.Configuration(
            httpDecoderConfiguration: .init(
                maxHeaderFieldSize: bytes, maxHeaderListSize: bytes,
                maxHeaderFieldCount: settings.maximumHeaders + 1))
        // All connections are on one loop.
        let strangers = Strangers { [authority = core.authority] authorization in
            authority.caller(authorization: authorization) != nil
        }
        let (responder, logger, wall) = (responder, quiet, EngineClock.Source.system.wall)
        let channel = HTTP1Channel(
            responder: {
                (request: Request, writer: consuming ResponseWriter, channel: any Channel) in
                let context = RESTContext(
                    source: ApplicationRequestContextSource(channel: channel, logger: logger))
                var response = try await responder.respond(to: request, context: context)
                response.headers[.date] = Instant.http(wall())
                try await writer.write(response: response.head, body: response.body)
            }, configuration: http)
        return HTTPFront(channel, settings, strangers, self.logger)
    }
}
