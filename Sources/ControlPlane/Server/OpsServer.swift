import Access
import HTTPTypes
import Hummingbird
package import Logging
package import NIOCore

/// The ops listener: `/healthz`, `/readyz` and `/metrics` without TLS and tokens, on an address of its own, for probes and
/// scrapers that have neither. Nothing can be changed through it, and nothing it says is of a tenant.
///
/// It has its own connections, and does not wait for REST's: whoever looks after the service sees it while it drains.
///
/// Thread safety: `start` and `stop` once each, in this order.
package final class OpsServer: Sendable {
    private let listener: HTTPListener

    /// - Parameters:
    ///   - rest: whose health and metrics are told.
    ///   - settings: its TLS is not looked at.
    ///   - group: as of `RESTServer`.
    package init(
        _ rest: RESTServer, settings: RESTSettings, group: (any EventLoopGroup)? = nil,
        logger: Logger = Logger(label: "tollgate.ops")
    ) {
        var settings = settings
        settings.tls = nil
        // Probes and scrapes are nobody's calls.
        settings.observer = nil
        let responder = OpsResponder(
            health: rest.health, metrics: MetricsPage(rest.families), faults: FaultLog(logger))
        listener = HTTPListener(
            settings, group: group, logger, responder: responder, isKnown: { _ in false })
    }

    /// Listens and serves. Returns the address that is bound.
    ///
    /// - Throws: `ListeningSocket.Failure`: what kept it from listening.
    package func start() async throws -> (host: String, port: Int) { try await listener.start() }

    package func stop() async { await listener.stop() }
}

/// Answers on the ops listener.
struct OpsResponder: HTTPResponder {
    let health: Health
    let metrics: MetricsPage
    let faults: FaultLog

    func respond(to request: Request, context: RESTContext) async throws -> Response {
        let id = Responder.requestID(request.headers[header: HeaderName.requestID])
        let reply: Reply
        do {
            reply = try await answer(request)
        } catch let error as APIError {
            reply = Reply(error)
        } catch {
            faults.tell(error, id)
            reply = Reply(APIError(.unexpected))
        }
        return reply.response(to: request, id).inParts()
    }

    private func answer(_ request: Request) async throws -> Reply {
        let target = (request.head.path ?? "/").split(
            separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let handler: Route.Handler
        switch target[0] {
        case "/healthz": handler = health.healthz
        case "/readyz": handler = health.readyz
        case "/metrics": handler = metrics.get
        default: throw APIError(.notFound, "No such path")
        }
        guard request.method == .get || request.method == .head else {
            var error = APIError(.methodNotAllowed)
            error.headers[.allow] = "GET, HEAD"
            throw error
        }
        let exchange = Exchange(
            parameters: [:], query: target.count == 2 ? String(target[1]) : "",
            headers: request.headers, body: [], caller: .anyone)
        try exchange.queryReader().finish()
        return try await handler(exchange)
    }
}
