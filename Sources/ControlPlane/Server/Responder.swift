import Access
import Engine
import Foundation
import HTTPTypes
import Hummingbird
import Limits
import Logging
import NIOCore
import Synchronization

/// What Hummingbird knows of a connection and hands to the responder.
struct RESTContext: InitializableFromSource {
    let channel: any Channel

    init(source: ApplicationRequestContextSource) { channel = source.channel }
}

/// The way of every request: id, bound on concurrency, route, authentication, scope, body, handler, durability, answer.
struct Responder: HTTPResponder {
    let core: Core
    let routes: RouteTree
    let logger: Logger

    func respond(to request: Request, context: RESTContext) async throws -> Response {
        var response = await answered(request, context)
        let alarm = UnreadAlarm(context.channel, TimeAmount(core.settings.answerTimeLimit))
        // The head is written before the body is asked for.
        let head = alarm.set()
        response.body = ResponseBody(contentLength: response.body.contentLength) {
            [body = response.body] writer in
            head.cancel()
            try await body.write(TimedWriter(writer, alarm))
        }
        return response
    }

    private func answered(_ request: Request, _ context: RESTContext) async -> Response {
        let path = Self.path(of: request)
        let id = Self.requestID(request.headers[header: HeaderName.requestID])
        if let companion = core.companion, Self.isCompanions(path) {
            if core.authority.isOpen, let refusal = OpenDoor.refusal(of: request.head) {
                return response(to: request, id, APIError(ErrorKind(.forbidden), refusal))
            }
            return await companion.respond(to: request, from: context.channel.remoteAddress)
        }
        let began = ContinuousClock.now
        guard core.gate.enter() else {
            return response(
                to: request, id, APIError(.unavailable, "Too many requests are being worked on"))
        }
        var reply: Reply
        do {
            reply = try await answer(request, context)
        } catch let error as APIError {
            reply = Self.reply(error)
        } catch {
            logger.error(
                "a request failed", metadata: ["request": "\(id)", "error": "\(error)"])
            reply = Self.reply(APIError(.unexpected))
        }
        if core.gate.isDraining { reply.headers[.connection] = "close" }
        logger.debug(
            "request",
            metadata: [
                "id": "\(id)", "method": "\(request.method)",
                "path": "\(request.head.path?.prefix(256) ?? "")", "status": "\(reply.status)",
                "took": "\(ContinuousClock.now - began)",
            ])
        return response(to: request, id, reply) { [gate = core.gate] in gate.leave() }
    }

    // MARK: Steps

    private static func path(of request: Request) -> Substring {
        (request.head.path ?? "/").split(
            separator: "?", maxSplits: 1, omittingEmptySubsequences: false)[0]
    }

    /// REST has everything below /v2, and three paths for machines.
    static func isCompanions(_ path: Substring) -> Bool {
        path != "/v2" && !path.hasPrefix("/v2/")
            && !["/healthz", "/readyz", "/openapi.json"].contains(path)
    }

    private func answer(_ request: Request, _ context: RESTContext) async throws -> Reply {
        let target = (request.head.path ?? "/").split(
            separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let match = routes.match(target[0])
        let route = match?.route(request.method)
        var caller = Caller.anyone
        if route?.access != .open {
            if core.gate.isDraining { throw APIError(.unavailable, "The service is stopping") }
            caller = try authenticate(request)
        }
        guard let match else { throw APIError(.notFound, "There is no such path") }
        guard let route else {
            var error = APIError(.methodNotAllowed)
            error.headers[.allow] = match.allowed
            throw error
        }
        guard route.access.allows(caller.scope) else { throw APIError(ErrorKind(.forbidden)) }
        let exchange = Exchange(
            parameters: match.parameters, query: target.count == 2 ? String(target[1]) : "",
            headers: request.headers, body: try await body(of: request, context), caller: caller)
        // Parameters that no handler looks at are refused like any other that is not known.
        if route.operation.parameters.isEmpty { try exchange.queryReader().finish() }
        guard route.access != .open else { return try await route.handler(exchange) }
        let result: Result<Reply, any Error>
        do {
            result = .success(try await route.handler(exchange))
        } catch let error as EngineError {
            result = .failure(APIError(error))
        } catch let failure as Failure {
            result = .failure(APIError(failure))
        } catch {
            result = .failure(error)
        }
        // Whatever an answer or a failure reflects is on disk before it leaves (semantics §3).
        do {
            try await core.engine.durable()
        } catch {
            throw APIError(.unavailable, error.message)
        }
        return try result.get()
    }

    private func authenticate(_ request: Request) throws(APIError) -> Caller {
        let authorization = request.headers[.authorization]
        if core.authority.isOpen, let refusal = OpenDoor.refusal(of: request.head) {
            throw APIError(ErrorKind(.forbidden), refusal)
        }
        if let caller = core.authority.caller(authorization: authorization ?? "") {
            return caller
        }
        if authorization == nil, let caller = core.companion?.caller(of: request) { return caller }
        var error = APIError(ErrorKind(.unauthenticated))
        error.headers[.wwwAuthenticate] = "Bearer realm=\"tollgate\""
        throw error
    }

    private func body(of request: Request, _ context: RESTContext) async throws -> [UInt8] {
        let maximum = core.settings.maximumBodyBytes
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > maximum {
            throw tooLarge(context)
        }
        let limit = core.settings.bodyTimeLimit
        return try await withThrowingTaskGroup(of: [UInt8]?.self) { group in
            group.addTask {
                do {
                    let buffer = try await request.body.collect(upTo: maximum)
                    return Array(buffer.readableBytesView)
                } catch is NIOTooManyBytesError {
                    throw tooLarge(context)
                }
            }
            group.addTask {
                try await Task.sleep(for: limit)
                return nil
            }
            defer { group.cancelAll() }
            guard let bytes = try await group.next() ?? nil else {
                closeSoon(context)
                throw APIError(.tooSlow)
            }
            return bytes
        }
    }

    private func tooLarge(_ context: RESTContext) -> APIError {
        closeSoon(context)
        return APIError(
            .tooLarge, "The body is longer than \(core.settings.maximumBodyBytes) bytes")
    }

    /// What is left of the body is read and dropped, but not for long.
    private func closeSoon(_ context: RESTContext) {
        let channel = context.channel
        channel.eventLoop.scheduleTask(in: .seconds(2)) { channel.close(promise: nil) }
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
        headers[.contentLength] = String(reply.body.count)
        let bytes = request.method == .head ? [] : reply.body
        let release = OnceDone(done)
        let body = ResponseBody(contentLength: reply.body.count) { writer in
            defer { release.call() }
            if !bytes.isEmpty { try await writer.write(ByteBuffer(bytes: bytes)) }
            try await writer.finish(nil)
        }
        return Response(
            status: HTTPResponse.Status(code: reply.status), headers: headers, body: body)
    }
}

/// Hangs up on a peer that does not read.
private struct UnreadAlarm {
    private let channel: any Channel
    private let limit: TimeAmount

    init(_ channel: any Channel, _ limit: TimeAmount) {
        self.channel = channel
        self.limit = limit
    }

    /// To be cancelled when the peer, or what stands between, has taken what was written.
    func set() -> Scheduled<Void> {
        channel.eventLoop.scheduleTask(in: limit) { [channel] in channel.close(promise: nil) }
    }
}

/// A body's way to its peer, part by part: an answer that waits for a peer holds a place.
private struct TimedWriter: ResponseBodyWriter {
    private static let partBytes = 64 << 10

    private var writer: any ResponseBodyWriter
    private let alarm: UnreadAlarm

    init(_ writer: any ResponseBodyWriter, _ alarm: UnreadAlarm) {
        self.writer = writer
        self.alarm = alarm
    }

    mutating func write(_ buffer: ByteBuffer) async throws {
        var rest = buffer
        while let part = rest.readSlice(length: min(rest.readableBytes, Self.partBytes)),
            part.readableBytes > 0
        {
            let set = alarm.set()
            defer { set.cancel() }
            try await writer.write(part)
        }
    }

    consuming func finish(_ trailingHeaders: HTTPFields?) async throws {
        let set = alarm.set()
        defer { set.cancel() }
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

/// Bounds the requests that are worked on at one time, and knows when there are none.
final class Gate: Sendable {
    private struct State {
        var count = 0
        var isDraining = false
        var isGivenUp = false
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let maximum: Int
    private let state = Mutex(State())

    init(maximum: Int) { self.maximum = maximum }

    /// False: there are too many. Otherwise `leave` must follow.
    func enter() -> Bool {
        state.withLock { state in
            guard state.count < maximum else { return false }
            state.count += 1
            return true
        }
    }

    func leave() {
        let waiting = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            state.count -= 1
            guard state.count == 0 else { return [] }
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Whether the service is stopping.
    var isDraining: Bool { state.withLock { $0.isDraining } }

    func drain() { state.withLock { $0.isDraining = true } }

    /// Lets go who waits for an empty gate, or will.
    func giveUp() {
        let waiting = state.withLock { state in
            state.isGivenUp = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Returns when nothing is worked on, or after `giveUp`.
    func empty() async {
        await withCheckedContinuation { continuation in
            let waits = state.withLock { state in
                let waits = state.count > 0 && !state.isGivenUp
                if waits { state.waiting.append(continuation) }
                return waits
            }
            if !waits { continuation.resume() }
        }
    }
}
