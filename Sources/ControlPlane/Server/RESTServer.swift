package import Access
package import Crypto
package import Engine
import Hummingbird
package import Logging
package import NIOCore
import Telemetry
import Threads

/// The REST interface: one server on one address.
///
/// Thread safety: `start` and `shutdown` once each, in this order.
package final class RESTServer: Sendable {
    let core: ControlPlaneContext
    let health: Health
    private let listener: HTTPListener<Responder>
    private let lateness: LoopLateness
    /// What `/metrics` says.
    let families: @Sendable () async -> [MetricFamily]

    /// - Parameters:
    ///   - lanes: the way into the data plane.
    ///   - projection: nil: none is kept, and what needs it answers 503.
    ///   - publicKey: base64 of the key that webhooks are signed with.
    ///   - answerKey: a secret that answers to changes with an idempotency key are sealed with; the same as long as the
    ///     engine's journal is.
    ///   - page: answers the paths that are none of REST's; nil: they are not found.
    ///   - metrics: what `/metrics` says.
    ///   - group: one of its event loops is used; nil: one of the process' shared ones.
    package init(
        engine: Engine, lanes: LaneAccess, authority: TokenAuthority,
        projection: (any ReadModel)?, publicKey: String, answerKey: SymmetricKey,
        page: (any PageResponder)? = nil, metrics: @escaping MetricsSource = { _ in [] },
        settings: RESTSettings = RESTSettings(), group: (any EventLoopGroup)? = nil,
        logger: Logger = Logger(label: "tollgate.rest")
    ) {
        let core = ControlPlaneContext(
            engine: engine, lanes: lanes, authority: authority, projection: projection,
            publicKey: publicKey, answerKey: answerKey, page: page, settings: settings)
        self.core = core
        health = Health(core: core)
        let lateness = LoopLateness()
        self.lateness = lateness
        let families: @Sendable () async -> [MetricFamily] = {
            await metrics(
                RESTFigures(
                    requests: core.requests.counts, times: core.requests.times,
                    inProgress: core.limiter.inProgress, lateness: lateness.histogram))
        }
        self.families = families
        listener = HTTPListener(settings, group: group, logger) { [authority] authorization in
            authority.caller(authorization: authorization) != nil
        } responder: {
            Responder(
                core: core, routes: RouteTree(RESTRoutes.all(core, MetricsPage(families))),
                logger: logger)
        }
    }

    /// Why the service cannot do its work, as `/readyz` says it; nil: it can. Takes 5 s where the disk does nothing.
    package func trouble() async -> String? { await health.trouble() }

    /// Binds and serves. Returns the address that is bound.
    ///
    /// - Throws: what kept it from listening.
    package func start() async throws -> (host: String, port: Int) {
        let bound = try await listener.start { [lateness] eventLoop in
            NamedThread.setName(.rest)
            lateness.begin(on: eventLoop)
        }
        core.page?.listens(on: bound.port)
        return bound
    }

    /// Refuses what is new, lets what is under way finish, and stops.
    ///
    /// - Parameter time: how long the finishing may take.
    package func shutdown(within time: Duration) async {
        core.limiter.drain()
        core.page?.drain()
        let limiter = core.limiter
        await Waiting.first(of: { await limiter.empty() }, time)
        // Whoever still waits for it to be empty is released.
        limiter.giveUp()
        await listener.stop()
    }

    /// The server as Hummingbird runs it; tests run it in other ways.
    func application() -> Application<Responder> { listener.application() }
}
