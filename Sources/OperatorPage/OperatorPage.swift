package import Access
package import ControlPlane
package import Engine
import Foundation
import HTTPTypes
package import Hummingbird
import Limits
import LogLines
package import Logging
import Projection
import Synchronization
package import Telemetry

/// The operator's web page: log-in, pages, files, streams of events. It reads like REST does, and changes nothing
/// itself: its scripts call the REST API.
///
/// Thread safety: any thread.
package final class OperatorPage: PageResponder {
    private let context: PageContext
    private let authority: TokenAuthority
    private let sessions: SessionStore
    private let logIns: LogInGuard
    private let hub: LiveHub
    private let logger: Logger
    /// Why pages failed that should not have.
    private let faults = RepeatLog(rest: "other")
    private let running = Atomic<Int>(0)
    /// Where the page is reached; 0: not known. Browsers send a host's cookies to all of its ports.
    private let port = Atomic<Int>(0)

    private var settings: PageSettings { context.settings }

    /// - Parameters:
    ///   - model: nil: there is no journal, and lists cannot be shown.
    ///   - latency: how long requests have taken since the start; asked once a second, from any thread.
    /// - Throws: what is wrong with a template.
    package init(
        engine: Engine, authority: TokenAuthority, model: (any ReadModel)?,
        settings: PageSettings = PageSettings(), logger: Logger = Logger(label: "tollgate.page"),
        latency: @escaping @Sendable () -> LatencyHistogram = { LatencyHistogram() }
    ) throws {
        context = PageContext(
            engine: engine, model: model, settings: settings, templates: try Templates())
        self.authority = authority
        sessions = SessionStore(
            authority, life: settings.sessionLife, maximum: settings.maximumSessions
        ) { engine.clock.now }
        logIns = LogInGuard(
            maximum: settings.maximumFailedLogIns, maximumAddresses: settings.maximumAddresses)
        hub = LiveHub(
            maximum: settings.maximumStreams,
            sampler: LiveSampler(decisions: { engine.decisionTotals }, latency: latency))
        self.logger = logger
    }

    // MARK: For REST

    /// Who a request's cookie stands for. Of a request that changes something only with the session's CSRF token.
    package func caller(of request: Request) -> Caller? {
        guard let session = session(request.headers) else { return nil }
        if request.method == .get || request.method == .head { return session.caller }
        guard !PageRequest.isFromElsewhere(request.headers),
            let name = HTTPField.Name("x-csrf-token"),
            session.allowsChange(with: request.headers[name])
        else { return nil }
        return session.caller
    }

    /// Ends the streams.
    package func drain() { hub.drain() }

    // ORDERING: relaxed because it is set before the first request, and orders nothing but itself.
    package func listens(on port: Int?) { self.port.store(port ?? 0, ordering: .relaxed) }

    package func respond(to request: Request, from address: String) async -> Response {
        let isHead = request.method == .head
        guard var asked = PageRequest(request, from: address) else {
            return message(422, "Bad request", "The URL is not valid percent-encoded UTF-8.")
                .response(isHead: isHead)
        }
        // What has not come takes nobody's place.
        if asked.bringsForm { await asked.readForm(atMost: settings.maximumFormBytes) }
        guard running.add(1, ordering: .relaxed).newValue <= settings.maximumRequests else {
            running.subtract(1, ordering: .relaxed)
            return later("Busy", "Too many page requests.").response(isHead: isHead)
        }
        let work = Task<PageReply, any Error> { [asked] in
            // It keeps its place for as long as it takes, whatever its reader is told meanwhile.
            defer { running.subtract(1, ordering: .relaxed) }
            return await reply(asked)
        }
        let made = try? await work.value(within: settings.requestTimeLimit)
        return (made ?? later("Timeout", "The page took too long to load."))
            .response(isHead: isHead)
    }

    private func later(_ title: String, _ text: String) -> PageReply {
        var reply = message(503, title, "\(text) Try again in a moment.")
        reply.headers[.retryAfter] = "1"
        return reply
    }

    // MARK: Steps

    private func reply(_ request: PageRequest) async -> PageReply {
        do {
            return try await route(request)
        } catch PageFailure.noJournal {
            return message(
                503, "No journal",
                "Lists and logs need the journal, and this service runs without one (--durability memory)."
            )
        } catch PageFailure.notFound {
            return message(404, "Not found", "This page or tenant does not exist.")
        } catch let error as ProjectionError where error.isPassing {
            return later("Not ready yet", "\(error.reason).")
        } catch {
            tell(error, request)
            return message(
                500, "Something went wrong",
                "The page could not be created. See the service's log.")
        }
    }

    /// A fault of ours. Whoever meets one tries again.
    private func tell(_ error: any Error, _ request: PageRequest) {
        let reason = ProjectionError.reason(of: error)
        guard let count = faults.note(reason) else { return }
        var metadata: Logger.Metadata = [
            "path": "\(request.segments.joined(separator: "/").prefix(256))",
            "error": "\(reason)",
        ]
        if count > 1 { metadata["since_the_last_line"] = "\(count)" }
        logger.error("a page failed", metadata: metadata)
    }

    private func route(_ request: PageRequest) async throws -> PageReply {
        switch (request.method, request.segments) {
        case (.get, let path) where path.count == 2 && path[0] == "assets":
            guard let asset = Asset.all[path[1]] else { throw PageFailure.notFound }
            return .asset(asset, known: request.headers[.ifNoneMatch])
        case (.get, let path) where path.count == 2 && path[0] == "suspended":
            // Whoever it is: nobody learns here who is a tenant.
            return context.alone(
                "suspended",
                [
                    "contact": settings.contact.isEmpty ? nil : settings.contact,
                    "contactLink": Self.link(settings.contact),
                ])
        case (.get, ["login"]): return logInForm(next: request.query["next"])
        case (.post, ["login"]): return await logIn(request)
        case (.post, ["logout"]): return await logOut(request)
        case (.get, _): break
        default: throw PageFailure.notFound
        }
        guard let visitor = visitor(request) else {
            if request.segments.last == "events" {
                return message(401, "Logged out", "Log in again.")
            }
            return .redirect(Links.path("/login", [("next", request.target)]))
        }
        let result: Result<PageReply, any Error>
        do {
            result = .success(try await page(request, visitor))
        } catch {
            result = .failure(error)
        }
        // Whatever a page or a failure shows is on disk before it leaves (semantics §3).
        try await context.engine.durable()
        return try result.get()
    }

    private func page(_ request: PageRequest, _ visitor: Visitor) async throws -> PageReply {
        let path = request.segments
        switch path {
        case [""], ["settings"]: return .redirect("/settings/usage-limits")
        case ["settings", "usage-limits"]:
            return try await UsageLimitsPage(context: context).reply(request, visitor)
        case ["settings", "usage-limits", "events"]: return try tableEvents(request, visitor)
        case ["settings", "tenant-defaults"]:
            let defaults = try context.engine.tenantDefaults
            return context.page(
                "defaults", visitor, current: "/settings/tenant-defaults",
                [
                    "defaults": defaults.formFields(prefix: "default"),
                    "presetsJSON": TenantLimits.presetsJSON,
                ])
        case ["alerts"]: return try await AlertsPage(context: context).reply(request, visitor)
        case ["audit"]: return try await AuditPage(context: context).reply(request, visitor)
        case ["audit.csv"]: return try await AuditPage(context: context).csv(request)
        case ["tokens"]:
            return try TokensPage(context: context, authority: authority).reply(request, visitor)
        case ["live"]:
            return context.page(
                "live", visitor, current: "/live", ["hasJournal": context.model != nil])
        case ["live", "events"]: return liveEvents(visitor)
        default: break
        }
        guard path.count >= 2, path[0] == "tenants", !path[1].isEmpty else {
            throw PageFailure.notFound
        }
        let tenant = TenantPage(context: context)
        return switch path.dropFirst(2) {
        case []: try await tenant.reply(path[1], request, visitor)
        case ["daily.csv"]: try await tenant.dailyCSV(path[1])
        case ["events"]: try await tenantEvents(path[1], visitor)
        default: throw PageFailure.notFound
        }
    }

    private func message(_ status: Int, _ title: String, _ text: String) -> PageReply {
        context.message(status, title, text)
    }

    private static func link(_ contact: String) -> String? {
        if contact.hasPrefix("https://") || contact.hasPrefix("http://") { return contact }
        if contact.contains("@"), !contact.contains(" ") { return "mailto:\(contact)" }
        return nil
    }

    // MARK: Log-in

    private var cookieName: String {
        let port = port.load(ordering: .relaxed)
        return (settings.isCookieSecure ? "__Host-" : "") + "tollgate"
            + (port == 0 ? "" : "-\(port)")
    }

    private func session(_ headers: HTTPFields) -> Session? {
        PageRequest.cookie(cookieName, in: headers).flatMap { sessions.session($0) }
    }

    private func visitor(_ request: PageRequest) -> Visitor? {
        if authority.isOpen { return Visitor(caller: .anyone, session: nil) }
        return session(request.headers).map { Visitor(caller: $0.caller, session: $0) }
    }

    private func logInForm(next: String?, error: String? = nil, status: Int = 200) -> PageReply {
        if authority.isOpen { return .redirect("/settings/usage-limits") }
        return context.alone(
            "login", ["next": Self.local(next), "error": error], status: status)
    }

    /// A path of this service, and of no other.
    private static func local(_ path: String?) -> String {
        guard let path, path.utf8.count <= 1_024, path.hasPrefix("/"), !path.hasPrefix("//"),
            path.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\\") })
        else { return "/settings/usage-limits" }
        return path
    }

    private func logIn(_ request: PageRequest) async -> PageReply {
        guard !request.isFromElsewhere else {
            return message(403, "Not allowed", "Cross-site requests are refused.")
        }
        guard let form = request.form else {
            var reply = message(400, "Bad request", "The form could not be read.")
            // The rest of it may never come.
            reply.headers[.connection] = "close"
            return reply
        }
        if authority.isOpen { return .redirect(Self.local(form["next"])) }
        let token = form["token"]?.trimmingCharacters(in: .whitespacesAndNewlines) ?? ""
        // Nobody guesses 256 random bits: who has the token is let in, whatever others have tried.
        guard let session = sessions.logIn(token: token) else {
            authority.attempts.note(
                .logIn, from: request.address, now: context.engine.clock.now)
            guard logIns.fail(request.address, now: context.engine.clock.now) else {
                var reply = logInForm(
                    next: form["next"], error: "Too many attempts. Try again in a minute.",
                    status: 429)
                reply.headers[.retryAfter] = "60"
                return reply
            }
            return logInForm(
                next: form["next"], error: "Invalid token. Use a token of an operator or viewer.",
                status: 401)
        }
        logger.info(
            "logged in", metadata: ["as": "\(session.caller.name)", "from": "\(request.address)"])
        var reply = PageReply.redirect(Self.local(form["next"]))
        reply.headers[.setCookie] = cookie(session.id, seconds: settings.sessionLife / 1_000)
        return reply
    }

    private func logOut(_ request: PageRequest) async -> PageReply {
        guard let session = session(request.headers) else { return .redirect("/login") }
        guard session.allowsChange(with: request.form?["csrf"]) else {
            return message(
                403, "Not allowed", "The form has expired. Reload the page and try again.")
        }
        sessions.logOut(session.id)
        var reply = PageReply.redirect("/login")
        reply.headers[.setCookie] = cookie("", seconds: 0)
        return reply
    }

    private func cookie(_ value: String, seconds: Int64) -> String {
        "\(cookieName)=\(value); Path=/; Max-Age=\(seconds); HttpOnly; SameSite=Strict"
            + (settings.isCookieSecure ? "; Secure" : "")
    }

    // MARK: Streams

    private func stream(_ visitor: Visitor) -> EventStream {
        let id = visitor.session?.id
        return EventStream(hub: hub, heartbeat: settings.heartbeat) { [sessions] in
            id.map { sessions.session($0) != nil } ?? true
        }
    }

    private var tooMany: PageReply {
        var reply = message(503, "Busy", "Too many pages are open already.")
        reply.headers[.retryAfter] = "5"
        return reply
    }

    private func liveEvents(_ visitor: Visitor) -> PageReply {
        let reply = stream(visitor).reply { [context, sampler = hub.sampler] in
            var query = TenantQuery()
            query.sort = .nearestToLimit
            query.descending = true
            let nearest = try await context.model?.usage(query, Page(number: 1, size: 8)).rows
            let message = LiveMessage(
                sampler.minute, nearest: nearest ?? [], ahead: context.engine.clock.ahead)
            return try EventStream.line(message)
        }
        return reply ?? tooMany
    }

    private func tableEvents(_ request: PageRequest, _ visitor: Visitor) throws -> PageReply {
        let model = try context.readModel()
        guard let ids = request.lines("ids", most: settings.pageSize) else {
            throw PageFailure.notFound
        }
        let reply = stream(visitor).reply { [context] in
            var rows: [TenantRow] = []
            // By id: what this costs does not grow with the tenants that are not shown.
            for id in ids {
                if let row = try await context.tenant(id, model) { rows.append(row) }
            }
            return try EventStream.line(TableMessage(rows))
        }
        return reply ?? tooMany
    }

    private func tenantEvents(_ id: String, _ visitor: Visitor) async throws -> PageReply {
        let model = try context.readModel()
        guard try await context.tenant(id, model) != nil else { throw PageFailure.notFound }
        let reply = stream(visitor).reply { [context] in
            guard let tenant = try await context.tenant(id, model) else { return nil }
            let profiles = try await model.profiles(
                ProfileQuery(tenantID: id), Page(number: 1, size: 50))
            return try EventStream.line(TenantMessage(tenant, profiles.rows))
        }
        return reply ?? tooMany
    }
}
