package import Access
package import Crypto
package import Engine
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
    let responder: Responder
    private let listener: HTTPListener
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
        let responder = Responder(
            core: core, routes: RouteTree(RESTRoutes.all(core, MetricsPage(families))),
            logger: logger)
        self.responder = responder
        var settings = settings
        settings.onRefusal = { [core] in core.requests.addRefusal(status: $0) }
        listener = HTTPListener(settings, group: group, logger, responder: responder) {
            [authority] authorization in authority.caller(authorization: authorization) != nil
        }
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
        await listener.stop { [core] in
            let limiter = core.limiter
            limiter.drain()
            core.page?.drain()
            await Waiting.first(of: { await limiter.empty() }, time)
            // Whoever still waits for it to be empty is released.
            limiter.giveUp()
        }
    }
}
