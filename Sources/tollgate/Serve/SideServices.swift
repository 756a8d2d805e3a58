internal import Access
internal import Admission
internal import ControlPlane
internal import Engine
internal import Events
internal import Foundation
internal import GRPCServer
internal import Journal
internal import Logging
internal import NIOCore
internal import Notifications
internal import Observation
internal import OperatorPage
internal import Projection
internal import Synchronization
internal import TransportSecurity

/// What stands around the data plane: the projection, the deliveries of its events, and REST.
struct SideServices {
    let projection: Projection?
    private let deliverer: Deliverer?
    private let rest: RESTServer
    /// nil: there is no ops listener.
    private let ops: OpsServer?
    /// Where they listen, for the ready line.
    let addresses: String

    /// - Parameters:
    ///   - server: the data plane.
    ///   - lanes: the way into it.
    ///   - calls: who is told of calls; nil: nobody.
    ///   - liveness: what `/healthz` goes by.
    ///   - sockets: where the listeners get theirs from.
    static func start(
        _ settings: ServeSettings, engine: Engine, authority: TokenAuthority,
        admittance: Admittance, tls: PortsTLS, server: GRPCServer, lanes: LaneAccess,
        calls: CallTelling?, liveness: Liveness, supervision: Supervision, logger: Logger
    ) async throws -> SideServices {
        let sockets = supervision.sockets
        let projection = try supervision.progress.unmeasured {
            try makeProjection(settings, engine, logger)
        }
        projection?.start()
        let signer = try makeSigner(settings, engine, logger)
        let mail = try MailSender.make(settings)
        let deliverer = projection.map {
            makeDeliverer(settings, signer, mail, $0, engine, logger)
        }
        let metrics = ServiceMetrics(
            engine: engine, server: server, authority: authority, admittance: admittance, tls: tls,
            projection: projection, deliveries: deliverer?.counts, calls: calls,
            dataDirectory: projection == nil ? nil : settings.dataDirectory)
        var bounds = bounds(settings, admittance)
        bounds.observer = calls?.observer
        bounds.hasMailServer = mail != nil
        bounds.tls = tls.http
        let hang = Duration.milliseconds(settings.hangTimeoutMilliseconds)
        bounds.hang = { liveness.hang(for: hang) }
        bounds.listener = try sockets.open(.http, at: settings.httpListen)
        let misdirected = HandshakeLog(logger)
        bounds.onTLS = { misdirected.tellTLS(peer: $0) }
        let rest = RESTServer(
            engine: engine, lanes: lanes, authority: authority, projection: projection,
            publicKey: signer.publicKey, answerKey: signer.secret(for: "stored answers"),
            page: try makePage(settings, engine, authority, server, projection, logger),
            metrics: { await metrics.families($0) }, settings: bounds, logger: logger)
        var addresses = try await listening(
            on: settings.httpListen, SettingsCatalogue.serving.httpListen.row, "http"
        ) { try await rest.start() }
        var ops: OpsServer?
        if let listen = settings.opsListen, let places = admittance.ops {
            let socket = try sockets.open(.ops, at: listen)
            let server = OpsServer(
                rest, settings: opsBounds(places, socket, bounds), logger: logger)
            addresses += try await listening(
                on: listen, SettingsCatalogue.ops.opsListen.row, " ops"
            ) { try await server.start() }
            ops = server
        }
        return SideServices(
            projection: projection, deliverer: deliverer, rest: rest, ops: ops,
            addresses: addresses)
    }

    /// Has a server listen, and says where it does.
    ///
    /// - Throws: `ListenError`
    private static func listening(
        on address: NetworkAddress, _ setting: SettingRow, _ name: String,
        _ start: () async throws -> (host: String, port: Int)
    ) async throws -> String {
        do {
            let bound = try await start()
            return "\(name)=\(NetworkAddress(host: bound.host, port: bound.port))"
        } catch {
            throw ListenError(address, setting, error)
        }
    }

    /// As REST's, but for its socket and its places.
    private static func opsBounds(
        _ places: ConnectionPlaces, _ socket: ListeningSocket, _ rest: RESTSettings
    ) -> RESTSettings {
        var bounds = rest
        bounds.listener = socket
        bounds.trustedProxies = TrustedProxies([])
        bounds.places = places
        bounds.maximumBodyBytes = 0
        return bounds
    }

    private static func bounds(
        _ settings: ServeSettings, _ admittance: Admittance
    ) -> RESTSettings {
        var bounds = RESTSettings()
        bounds.places = admittance.http
        bounds.memory = admittance.memory
        bounds.host = settings.httpListen.host
        bounds.port = settings.httpListen.port
        bounds.trustedProxies = TrustedProxies(settings.trustedProxy)
        bounds.headTimeLimit = .milliseconds(settings.httpHeadTimeoutMilliseconds)
        bounds.bodyTimeLimit = .milliseconds(settings.httpBodyTimeoutMilliseconds)
        bounds.answerTimeLimit = .milliseconds(settings.httpAnswerTimeoutMilliseconds)
        bounds.idleTimeLimit = .milliseconds(settings.httpIdleTimeoutMilliseconds)
        bounds.maximumRequests = settings.httpMaxRequests
        bounds.requestTimeLimit = .milliseconds(settings.httpRequestTimeoutMilliseconds)
        bounds.maximumAnswers = settings.maxAnswers
        bounds.maximumReportDays = settings.usageDays
        bounds.maximumHourlyDays = settings.hourlyUsageDays
        bounds.maximumReportRows = settings.reportMaxRows
        bounds.answerRetention = settings.idempotencyRetentionMilliseconds
        return bounds
    }

    /// Without a journal there is nothing to sign; the key ends with the process then.
    private static func makeSigner(
        _ settings: ServeSettings, _ engine: Engine, _ logger: Logger
    ) throws -> WebhookSigner {
        guard settings.durability != .memory else { return WebhookSigner() }
        let path = settings.dataDirectory + "/" + CompanionFiles.webhookKey
        let signer = try WebhookSigner(file: path)
        if signer.isNew {
            let endpoints = engine.settings(prefix: WebhookEndpoint.settingPrefix).count
            let key: Logger.Metadata = ["file": "\(path)", "public_key": "\(signer.publicKey)"]
            if endpoints == 0 {
                logger.notice("created a new key for signing webhooks", metadata: key)
            } else {
                logger.error(
                    """
                    the webhook signing key is missing; created a new one. Give receivers \
                    the new public key, or they will reject webhooks
                    """, metadata: key.merging(["endpoints": "\(endpoints)"]) { $1 })
            }
        }
        return signer
    }

    private static func makePage(
        _ settings: ServeSettings, _ engine: Engine, _ authority: TokenAuthority,
        _ server: GRPCServer, _ projection: Projection?, _ logger: Logger
    ) throws -> OperatorPage {
        var page = PageSettings()
        page.brandName = settings.brandName
        page.logoText = settings.brandLogo
        page.contact = settings.brandContact
        page.isCookieSecure = settings.secureCookie || settings.httpTLS != nil
        page.requestTimeLimit = .milliseconds(settings.httpRequestTimeoutMilliseconds)
        return try OperatorPage(
            engine: engine, authority: authority, model: projection, settings: page,
            logger: logger
        ) { server.latency }
    }

    private static func makeDeliverer(
        _ settings: ServeSettings, _ signer: WebhookSigner, _ mail: MailSender?,
        _ projection: Projection, _ engine: Engine, _ logger: Logger
    ) -> Deliverer {
        let clock = engine.clock
        let sender = WebhookSender(
            webhooks(settings), signer: signer,
            secrets: { setting in
                let endpoint = engine.setting(setting).flatMap {
                    try? SettingValue.decode(WebhookEndpoint.self, $0)
                }
                return endpoint?.secrets(at: clock.now) ?? []
            })
        var bounds = DeliverySettings()
        bounds.concurrency = settings.webhookConcurrency
        return Deliverer(
            outbox: projection, settings: bounds, webhooks: webhooks(settings), sender: sender,
            mailer: mail?.mailer, now: { clock.now }, logger: logger)
    }

    private static func webhooks(_ settings: ServeSettings) -> WebhookSettings {
        var webhooks = WebhookSettings()
        webhooks.timeoutMilliseconds = settings.webhookTimeoutMilliseconds
        webhooks.backoffMilliseconds = settings.webhookBackoffMilliseconds
        webhooks.allowedPrivate = settings.webhookAllowPrivate
        return webhooks
    }

    private static func makeProjection(
        _ settings: ServeSettings, _ engine: Engine, _ logger: Logger
    ) throws -> Projection? {
        guard settings.durability != .memory else { return nil }
        var configuration = ProjectionConfiguration()
        configuration.auditRetention = settings.auditRetentionMilliseconds
        configuration.usageDays = settings.usageDays
        configuration.hourlyDays = settings.hourlyUsageDays
        configuration.notice = { logger.warning("\($0)") }
        let path = settings.dataDirectory + "/" + Projection.fileName
        do {
            return try Projection.open(path: path, engine: engine, configuration: configuration)
        } catch {
            throw SettingsError(
                description: "\(path) cannot be used: \(ProjectionError.reason(of: error))")
        }
    }

    /// Why the service cannot do its work, as `/readyz` says it; nil: it can.
    func trouble() async -> String? { await rest.trouble() }

    /// Why nothing can be recorded at the moment; nil: it can.
    func recordingTrouble() async -> String? { await rest.recordingTrouble() }

    /// Says from now on that the service is not ready since it stops.
    func announceStop() { rest.announceStop() }

    /// Delivers until the task is cancelled; deliveries that are under way then stay due.
    func deliver() async { await deliverer?.run() }

    /// REST finishes what is under way.
    func stopServing(within milliseconds: Int64) async {
        await rest.shutdown(within: .milliseconds(milliseconds))
    }

    /// The ops listener, if there is one, closes.
    func stopOps() async { await ops?.stop() }

    /// To be called when nobody calls the engine any more, before its end.
    func stop() { projection?.stop() }
}

extension LaneAccess {
    /// The lanes of a server's event loops, in turn.
    init(_ server: GRPCServer, _ lanes: [LaneHandover]) {
        let turn = Atomic<Int>(0)
        self.init { work in
            let index = turn.wrappingAdd(1, ordering: .relaxed).oldValue
            let loop = server.loops[index % lanes.count]
            let lane = lanes[loop.index]
            loop.eventLoop.execute { work(lane.lane) }
        }
    }
}
