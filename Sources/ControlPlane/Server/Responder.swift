import Access
import Admission
import Engine
import Foundation
import HTTPTypes
import Hummingbird
import Limits
import Logging
import NIOCore
import Observation
import Projection
import Synchronization
import TransportSecurity

/// What Hummingbird knows of a connection and hands to the responder.
struct RESTContext: InitializableFromSource {
    private let channel: any Channel

    init(source: ApplicationRequestContextSource) { channel = source.channel }

    var peer: SocketAddress? { channel.remoteAddress }

    /// What the connection's certificate calls its owner; nil: it has none.
    func certificate(_ tls: ServerTLS?) -> CertificateNames? {
        tls?.identity(of: channel).map {
            CertificateNames(dnsNames: $0.dnsNames, uris: $0.uris)
        }
    }

    /// A peer that sends its body only when it is asked for it is asked.
    func askForBody() { tell(.bodyIsWanted) }

    /// Who has shown who it is keeps its place before strangers.
    func noteKnown() { tell(.peerIsKnown) }

    private func tell(_ event: ConnectionEvent) {
        channel.triggerUserOutboundEvent(event, promise: nil)
    }
}

/// The way of every request: id, route, authentication, scope, body, bound on concurrency, handler, durability, answer.
struct Responder: HTTPResponder {
    let core: ControlPlaneContext
    let routes: RouteTree
    let logger: Logger
    private let faults: FaultLog

    init(core: ControlPlaneContext, routes: RouteTree, logger: Logger) {
        self.core = core
        self.routes = routes
        self.logger = logger
        faults = FaultLog(logger)
    }

    func respond(to request: Request, context: RESTContext) async throws -> Response {
        await answered(request, context).inParts()
    }

    private func answered(_ request: Request, _ context: RESTContext) async -> Response {
        guard let observer = core.settings.observer,
            let notes = RequestNotes(
                request, observer,
                from: core.settings.trustedProxies.client(
                    of: request.headers, context.peer))
        else { return await replied(request, context) }
        let response = await RequestNotes.$current.withValue(notes) {
            await replied(request, context)
        }
        return notes.ended(with: response)
    }

    private func replied(_ request: Request, _ context: RESTContext) async -> Response {
        let path = Self.path(of: request)
        let id = Self.requestID(request.headers[header: HeaderName.requestID])
        if let page = core.page, Self.isPages(path) {
            RequestNotes.current?.note(route: "page")
            let response = await answered(request, context, id, by: page)
            core.requests.add(request.method, RequestCounts.page, status: response.status.code)
            return response
        }
        let began = ContinuousClock.now
        core.limiter.begin()
        var reply: Reply
        let found = Result { () throws(APIError) in try routes.match(path) }
        let route = (try? found.get())?.route(request.method)
        do {
            reply = try await answer(request, context, found)
        } catch let error as APIError {
            reply = Reply(error)
        } catch let fault as PeerFault {
            // The connection has said so, or is gone.
            reply = Reply(fault.answer ?? APIError(.badRequest, "The request is incomplete"))
        } catch {
            faults.tell(error, id)
            reply = Reply(APIError(.unexpected))
        }
        let elapsed = ContinuousClock.now - began
        core.requests.add(
            request.method, route?.path ?? RequestCounts.noRoute, status: reply.status,
            elapsed: elapsed)
        if core.limiter.isDraining { reply.headers[.connection] = "close" }
        // Without the query: it names whom somebody looked for.
        logger.debug(
            "request",
            metadata: [
                "id": "\(id)", "method": "\(request.method)", "path": "\(path.prefix(256))",
                "status": "\(reply.status)", "took": "\(elapsed)",
            ])
        return reply.response(to: request, id) { [limiter = core.limiter] in limiter.end() }
    }

    /// Has the operator's page answer.
    private func answered(
        _ request: Request, _ context: RESTContext, _ id: String, by page: any PageResponder
    ) async -> Response {
        if core.authority.isOpen, let refusal = LoopbackGuard.refusal(of: request.head) {
            return Reply(APIError(ErrorKind(.forbidden), refusal)).response(to: request, id)
        }
        if request.method != .get { context.askForBody() }
        if core.authority.isOpen || page.caller(of: request) != nil { context.noteKnown() }
        return await page.respond(to: request, from: address(of: request, context))
    }

    // MARK: Steps

    private static func path(of request: Request) -> Substring {
        (request.head.path ?? "/").split(
            separator: "?", maxSplits: 1, omittingEmptySubsequences: false)[0]
    }

    /// REST has everything below /v2, the errors' pages, and four paths for machines.
    static func isPages(_ path: Substring) -> Bool {
        path != "/v2" && !path.hasPrefix("/v2/") && !path.hasPrefix("/errors/")
            && !["/healthz", "/readyz", "/metrics", "/openapi.json", "/errors"].contains(path)
    }

    private func answer(
        _ request: Request, _ context: RESTContext, _ found: Result<RouteTree.Match?, APIError>
    ) async throws -> Reply {
        let target = (request.head.path ?? "/").split(
            separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let known = try? found.get()
        let route = known?.route(request.method)
        RequestNotes.current?.note(known?.routes.first?.path, known?.parameters ?? [:])
        var admission = Admission(caller: .anyone)
        let isOpen = route.map { $0.right == nil } ?? false
        if !isOpen {
            if core.limiter.isDraining { throw APIError(.unavailable, "The service is stopping") }
            admission = try authenticate(request, context)
            context.noteKnown()
        }
        let caller = admission.caller
        if !isOpen { RequestNotes.current?.note(caller) }
        guard let match = try found.get() else {
            throw APIError(.notFound, "No such path")
        }
        guard let route else {
            var error = APIError(.methodNotAllowed)
            error.headers[.allow] = match.allowed
            throw error
        }
        if let right = route.right, !caller.may(right) { throw APIError(ErrorKind(.forbidden)) }
        if let rate = admission.rate, !rate.take(now: MonotonicClock.now) {
            core.authority.noteHurry()
            throw APIError(.tooManyRequests, Self.tooFast)
        }
        var exchange = Exchange(
            parameters: match.parameters, query: target.count == 2 ? String(target[1]) : "",
            headers: request.headers, body: [], caller: caller,
            trace: RequestNotes.trace(of: request))
        // Whatever else is under way: who asks for the service's health, or its figures, is answered.
        guard !isOpen, route.waitsForDisk else {
            try checkQuery(exchange, route)
            return try await route.handler(exchange)
        }
        exchange.body = try await body(of: request, context)
        // What has not come takes nobody's place.
        guard core.limiter.enter() else {
            throw APIError(.unavailable, "Too many requests in progress")
        }
        let whole = exchange
        let work = Task {
            // It keeps its place for as long as it takes, whatever its caller is told meanwhile.
            defer { core.limiter.leave() }
            return try await worked(on: whole, route)
        }
        if let reply = try await work.value(within: core.settings.requestTimeLimit) { return reply }
        throw APIError(
            .unavailable,
            route.method == .get
                ? "The request took too long"
                : "The disk did not confirm the change in time, and it may still take effect: retry only "
                    + "with the same Idempotency-Key, or check first"
        )
    }

    private func worked(on exchange: Exchange, _ route: Route) async throws -> Reply {
        try checkQuery(exchange, route)
        let result: Result<Reply, any Error>
        do {
            result = .success(
                try await RequestNotes.timed("decide") { try await handled(exchange, route) })
        } catch let error as EngineError {
            result = .failure(APIError(error))
        } catch let failure as Failure {
            result = .failure(APIError(failure))
        } catch let error as ProjectionError where error.isPassing {
            result = .failure(APIError(.unavailable, error.reason))
        } catch {
            result = .failure(error)
        }
        // Whatever an answer or a failure reflects is on disk before it leaves (semantics §3).
        do {
            try await awaitDisk()
        } catch {
            throw APIError(.unavailable, error.message)
        }
        return try result.get()
    }

    private func awaitDisk() async throws(EngineError) {
        // Where everything is on disk there is nothing to tell of.
        guard core.engine.hasUnsettledRecords else { return try await core.engine.durable() }
        try await RequestNotes.timed("wait for disk") { () async throws(EngineError) in
            try await core.engine.durable()
        }
    }

    /// Operators' changes are made once for a key; the data plane remembers its own keys.
    private func handled(_ exchange: Exchange, _ route: Route) async throws -> Reply {
        if route.isChange { await core.engine.roomForChanges() }
        guard route.method == .post, route.isChange else {
            return try await route.handler(exchange)
        }
        let findings = ValidationErrors()
        let key = try DataPlane.key(exchange, findings)
        try findings.check()
        guard let key else { return try await route.handler(exchange) }
        return try await core.answers.once(key, exchange, of: route) { attempt in
            do {
                return try await route.handler(attempt)
            } catch let error as EngineError {
                throw APIError(error)
            } catch let failure as Failure {
                throw APIError(failure)
            }
        }
    }

    /// Parameters that no handler looks at are refused like any other that is not known.
    private func checkQuery(_ exchange: Exchange, _ route: Route) throws(APIError) {
        if route.operation.parameters.isEmpty { try exchange.queryReader().finish() }
    }

    /// Whose failures are counted together.
    private func address(of request: Request, _ context: RESTContext) -> String {
        PeerAddress.group(
            of: core.settings.trustedProxies.client(of: request.headers, context.peer))
    }

    private static let tooFast = "The caller has exceeded its rate limit"

    private func authenticate(
        _ request: Request, _ context: RESTContext
    ) throws(APIError) -> Admission {
        let authorization = request.headers[.authorization]
        if core.authority.isOpen, let refusal = LoopbackGuard.refusal(of: request.head) {
            throw APIError(ErrorKind(.forbidden), refusal)
        }
        if authorization == nil, let caller = core.page?.caller(of: request) {
            return Admission(caller: caller)
        }
        // A browser shows its certificate to whatever site has it ask.
        let certificate =
            BrowserSite.isOwn(request.head) ? context.certificate(core.settings.tls) : nil
        switch core.authority.judge(
            authorization: authorization ?? "", certificate: certificate,
            from: address(of: request, context))
        {
        case .admitted(let admission): return admission
        case .later: throw APIError(.unavailable, "The token cannot be verified now; try again")
        case .nobody: break
        }
        var error = APIError(ErrorKind(.unauthenticated))
        error.headers[.wwwAuthenticate] = "Bearer realm=\"tollgate\""
        throw error
    }

    private func body(of request: Request, _ context: RESTContext) async throws -> [UInt8] {
        let maximum = core.settings.maximumBodyBytes
        let tooLarge = APIError(.tooLarge, "The body is longer than \(maximum) bytes")
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > maximum {
            throw tooLarge
        }
        context.askForBody()
        do {
            let buffer = try await request.body.collect(upTo: maximum)
            return Array(buffer.readableBytesView)
        } catch is NIOTooManyBytesError {
            throw tooLarge
        } catch let fault as PeerFault {
            throw fault
        } catch {
            throw PeerFault()
        }
    }

    // MARK: Answers

    /// The caller's id for its request, if it is one; else a new one.
    static func requestID(_ given: String?) -> String {
        if let given, (1...128).contains(given.utf8.count),
            given.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        {
            return given
        }
        return UUID().uuidString.lowercased()
    }
}
