internal import Access
internal import ControlPlane
internal import Engine
internal import Events
internal import Foundation
internal import GRPCServer
internal import Logging
internal import NIOCore
internal import Notifications
internal import OperatorPage
internal import Projection
internal import Synchronization

/// What stands around the data plane: the projection, the deliveries of its events, and REST.
struct Surroundings {
    private let projection: Projection?
    private let deliverer: Task<Void, Never>?
    private let rest: RESTServer
    private let watch: Task<Void, Never>?
    /// Where REST listens.
    let address: NetworkAddress

    /// - Parameters:
    ///   - server: the data plane.
    ///   - lanes: the way into it.
    static func start(
        _ settings: ServeSettings, engine: Engine, authority: TokenAuthority, server: GRPCServer,
        lanes: LaneAccess, logger: Logger
    ) async throws -> Surroundings {
        let projection = try makeProjection(settings, engine, logger)
        projection?.start()
        let signer = try makeSigner(settings)
        let mail = try MailSender.make(settings)
        var bounds = RESTSettings()
        bounds.host = settings.httpListen.host
        bounds.port = settings.httpListen.port
        let rest = RESTServer(
            engine: engine, lanes: lanes, authority: authority, projection: projection,
            publicKey: signer.publicKey,
            companion: try makePage(settings, engine, authority, server, projection),
            settings: bounds, logger: logger)
        let bound = try await rest.start()
        let deliverer = projection.map { projection in
            let deliverer = makeDeliverer(
                settings, signer, mail, projection, engine.clock, logger)
            return Task { await deliverer.run() }
        }
        return Surroundings(
            projection: projection, deliverer: deliverer, rest: rest,
            watch: projection.map { watch($0, logger) },
            address: NetworkAddress(host: bound.host, port: bound.port))
    }

    /// Without a journal there is nothing to sign; the key ends with the process then.
    private static func makeSigner(_ settings: ServeSettings) throws -> WebhookSigner {
        guard settings.durability != .memory else { return WebhookSigner() }
        return try WebhookSigner(file: settings.dataDirectory + "/" + WebhookSigner.fileName)
    }

    private static func makePage(
        _ settings: ServeSettings, _ engine: Engine, _ authority: TokenAuthority,
        _ server: GRPCServer, _ projection: Projection?
    ) throws -> OperatorPage {
        var page = PageSettings()
        page.brandName = settings.brandName
        page.logoText = settings.brandLogo
        page.contact = settings.brandContact
        page.isCookieSecure = settings.secureCookie
        return try OperatorPage(
            engine: engine, authority: authority, model: projection, settings: page
        ) { server.latency }
    }

    private static func makeDeliverer(
        _ settings: ServeSettings, _ signer: WebhookSigner, _ mail: MailSender?,
        _ projection: Projection, _ clock: EngineClock, _ logger: Logger
    ) -> Deliverer {
        var webhooks = WebhookSettings()
        webhooks.timeoutMilliseconds = settings.webhookTimeoutMilliseconds
        webhooks.backoffMilliseconds = settings.webhookBackoffMilliseconds
        webhooks.allowedPrivate = settings.webhookAllowPrivate
        var bounds = DeliverySettings()
        bounds.concurrency = settings.webhookConcurrency
        return Deliverer(
            outbox: projection, settings: bounds, webhooks: webhooks,
            sender: WebhookSender(webhooks, signer: signer), mailer: mail?.mailer,
            now: { clock.now }, logger: logger)
    }

    private static func makeProjection(
        _ settings: ServeSettings, _ engine: Engine, _ logger: Logger
    ) throws -> Projection? {
        guard settings.durability != .memory else { return nil }
        var configuration = ProjectionConfiguration()
        configuration.auditRetention = settings.auditRetentionMilliseconds
        configuration.notice = { logger.warning("\($0)") }
        return try Projection.open(
            path: settings.dataDirectory + "/" + Projection.fileName, engine: engine,
            configuration: configuration)
    }

    /// Says in the log when the projection does not go on, and when it goes on again.
    private static func watch(_ projection: Projection, _ logger: Logger) -> Task<Void, Never> {
        Task {
            var told: String?
            while !Task.isCancelled {
                let trouble = projection.status.trouble
                if let trouble, trouble != told {
                    logger.error("lists and logs do not go on", metadata: ["error": "\(trouble)"])
                } else if trouble == nil, told != nil {
                    logger.notice("lists and logs go on again")
                }
                told = trouble
                try? await Task.sleep(for: .seconds(1))
            }
        }
    }

    /// REST finishes what is under way; deliveries that are under way stay due.
    func stopServing(within milliseconds: Int64) async {
        watch?.cancel()
        await rest.shutdown(within: .milliseconds(milliseconds))
        deliverer?.cancel()
        await deliverer?.value
    }

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
