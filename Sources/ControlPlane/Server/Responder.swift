import Access
import Admission
import Engine
import Foundation
import HTTPTypes
import Hummingbird
import Limits
import LogLines
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
    /// Why requests failed that should not have.
    private let faults = RepeatLog(rest: "other")

    init(core: ControlPlaneContext, routes: RouteTree, logger: Logger) {
        self.core = core
        self.routes = routes
        self.logger = logger
    }

    func respond(to request: Request, context: RESTContext) async throws -> Response {
        var response = await answered(request, context)
        response.body = ResponseBody(contentLength: response.body.contentLength) {
            [body = response.body] writer in
            try await body.write(PartWriter(writer))
        }
        return response
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
        observer.end(notes.end(Int(response.status.code)))
        return response
    }

    private func replied(_ request: Request, _ context: RESTContext) async -> Response {
        let path = Self.path(of: request)
        let id = Self.requestID(request.headers[header: HeaderName.requestID])
        if let page = core.page, Self.isPages(path) {
            if core.authority.isOpen, let refusal = LoopbackGuard.refusal(of: request.head) {
                return response(to: request, id, APIError(ErrorKind(.forbidden), refusal))
            }
            RequestNotes.current?.note(route: "page")
            if request.method != .get { context.askForBody() }
            if core.authority.isOpen || page.caller(of: request) != nil { context.noteKnown() }
            return await page.respond(to: request, from: address(of: request, context))
        }
        let began = ContinuousClock.now
        core.limiter.begin()
        var reply: Reply
        do {
            reply = try await answer(request, context)
        } catch let error as APIError {
            reply = Self.reply(error)
        } catch is PeerFault {
            // The connection has said so, or is gone.
            reply = Self.reply(APIError(.badRequest, "The request is incomplete"))
        } catch {
            tell(error, id)
            reply = Self.reply(APIError(.unexpected))
        }
        if core.limiter.isDraining { reply.headers[.connection] = "close" }
        // Without the query: it names whom somebody looked for.
        logger.debug(
            "request",
            metadata: [
                "id": "\(id)", "method": "\(request.method)", "path": "\(path.prefix(256))",
                "status": "\(reply.status)", "took": "\(ContinuousClock.now - began)",
            ])
        return response(to: request, id, reply) { [limiter = core.limiter] in limiter.end() }
    }

    /// A fault of ours. Whoever meets one tries again.
    private func tell(_ error: any Error, _ id: String) {
        let reason = ProjectionError.reason(of: error)
        if let count = faults.note(reason) {
            var metadata: Logger.Metadata = ["request": "\(id)", "error": "\(reason)"]
            if count > 1 { metadata["since_the_last_line"] = "\(count)" }
            logger.error("a request failed", metadata: metadata)
        }
        logger.debug("why it failed", metadata: ["request": "\(id)", "dump": "\(error)"])
    }

    // MARK: Steps

    private static func path(of request: Request) -> Substring {
        (request.head.path ?? "/").split(
            separator: "?", maxSplits: 1, omittingEmptySubsequences: false)[0]
    }

    /// REST has everything below /v2, and three paths for machines.
    static func isPages(_ path: Substring) -> Bool {
        path != "/v2" && !path.hasPrefix("/v2/")
            && !["/healthz", "/readyz", "/openapi.json"].contains(path)
    }

    private func answer(_ request: Request, _ context: RESTContext) async throws -> Reply {
        let target = (request.head.path ?? "/").split(
            separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let found = Result { () throws(APIError) in try routes.match(target[0]) }
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
            headers: request.headers, body: [], caller: caller)
        // Whatever else is under way: who asks for the service's health is answered.
        guard !isOpen else {
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
            try await RequestNotes.timed("wait for disk") { () async throws(EngineError) in
                try await core.engine.durable()
            }
        } catch {
            throw APIError(.unavailable, error.message)
        }
        return try result.get()
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

    private static func reply(_ error: APIError) -> Reply {
        var reply = Reply(error.json)
        reply.status = error.status
        for field in error.headers { reply.headers.append(field) }
        return reply
    }

    private func response(to request: Request, _ id: String, _ error: APIError) -> Response {
        response(to: request, id, Self.reply(error)) {}
    }

    /// - Parameter done: called when the answer is written, or given up.
    private func response(
        to request: Request, _ id: String, _ reply: Reply, done: @escaping @Sendable () -> Void
    ) -> Response {
        var headers = reply.headers
        headers[header: HeaderName.requestID] = id
        headers[.cacheControl] = "no-store"
        headers[.xContentTypeOptions] = "nosniff"
        headers[.contentLength] = String(reply.body.readableBytes)
        let bytes = request.method == .head ? ByteBuffer() : reply.body
        let release = OnceDone(done)
        let body = ResponseBody(contentLength: reply.body.readableBytes) { writer in
            defer { release.call() }
            if bytes.readableBytes > 0 { try await writer.write(bytes) }
            try await writer.finish(nil)
        }
        return Response(
            status: HTTPResponse.Status(code: reply.status), headers: headers, body: body)
    }
}

/// A body's way to its peer, part by part: no more is written before the last part was taken.
private struct PartWriter: ResponseBodyWriter {
    private static let partBytes = 64 << 10

    private var writer: any ResponseBodyWriter

    init(_ writer: any ResponseBodyWriter) { self.writer = writer }

    mutating func write(_ buffer: ByteBuffer) async throws {
        var rest = buffer
        while let part = rest.readSlice(length: min(rest.readableBytes, Self.partBytes)),
            part.readableBytes > 0
        {
            try await writer.write(part)
        }
    }

    consuming func finish(_ trailingHeaders: HTTPFields?) async throws {
        try await writer.finish(trailingHeaders)
    }
}

/// Calls once: when told to, or when nobody can tell it any more.
private final class OnceDone: Sendable {
    private let isDone = Atomic<Bool>(false)
    private let action: @Sendable () -> Void

    init(_ action: @escaping @Sendable () -> Void) { self.action = action }

    // ORDERING: relaxed because the flag orders nothing but itself.
    func call() { if !isDone.exchange(true, ordering: .relaxed) { action() } }

    deinit { call() }
}
