internal import Access
internal import ControlPlane
internal import Dispatch
internal import Engine
internal import Events
internal import Foundation
internal import GRPCServer
internal import HTTP2
internal import Journal
internal import Limits
internal import LimitsFile
internal import Logging
internal import NIOCore
internal import Reservations

/// The running service: engine, gRPC server, what stands around them, signals. One per process.
struct Service {
    private let settings: ServeSettings
    private let logger: Logger
    private let engine: Engine
    private let authority: TokenAuthority
    private let reloads = Reloads()

    /// Makes the engine and applies the limits file.
    init(_ settings: ServeSettings, limits: LimitsFile?) throws {
        self.settings = settings
        var logger = Logger(label: "tollgate") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = Logger.Level(rawValue: settings.logLevel.rawValue) ?? .info
        self.logger = logger
        let capacity = TableCapacity(
            tenants: settings.maxTenants, profiles: settings.maxProfiles,
            reservations: settings.maxReservations, bodies: settings.maxAmended,
            keys: settings.maxRemembered,
            // One for each event loop, one for configuration, one to spare.
            lanes: settings.threads + 2,
            retention: settings.idempotencyRetentionMilliseconds,
            maxLife: settings.maxReservationLifeMilliseconds)
        engine = try Self.openEngine(
            settings, EngineConfiguration(capacity: capacity), logger)
        authority = try TokenAuthority(engine, isOpen: settings.insecureNoAuth)
        try OperatorToken(
            authority: authority, engine: engine, directory: settings.dataDirectory, logger: logger
        ).makeIfMissing()
        if let limits { try applyIfNew(limits) }
        logger.info(
            "durability",
            metadata: [
                "mode": "\(settings.durability.rawValue)", "may_lose": "\(settings.mayLose)",
            ])
        let seconds = settings.idempotencyRetentionMilliseconds / 1_000
        logger.info(
            "remembering keys",
            metadata: [
                "keys": "\(settings.maxRemembered)", "bytes": "\(settings.maxRemembered * 96)",
                "retention": "\(seconds)s",
                "sustained": "\(Int64(settings.maxRemembered) / max(1, seconds)) keys/s",
            ])
    }

    /// The engine with what the data directory holds, or an empty one in memory.
    private static func openEngine(
        _ settings: ServeSettings, _ configuration: EngineConfiguration, _ logger: Logger
    ) throws -> Engine {
        guard settings.durability != .memory else {
            return try Engine(configuration: configuration)
        }
        try FileManager.default.createDirectory(
            atPath: settings.dataDirectory, withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700])
        let began = ContinuousClock.now
        let (engine, report) = try Engine.open(
            configuration: configuration, disk: SystemDisk(path: settings.dataDirectory),
            settings: settings.journal)
        for reason in report.passedOver {
            logger.error(
                "a checkpoint is damaged; used an older one", metadata: ["reason": "\(reason)"])
        }
        if report.tornBytes > 0 {
            logger.warning(
                "cut what was never acknowledged off the journal's end",
                metadata: ["at": "\(report.tornAt)", "bytes": "\(report.tornBytes)"])
        }
        logger.info(
            "recovered",
            metadata: [
                "directory": "\(settings.dataDirectory)", "records": "\(report.records)",
                "checkpoint": "\(report.checkpoint.map(String.init) ?? "none")",
                "never_acknowledged": "\(report.dropped)", "took": "\(ContinuousClock.now - began)",
            ])
        engine.onJournalFailure { error in
            // Nobody knows what is on disk now: whatever this process said next might be taken back by the next one.
            StandardError.print("The journal has failed, and the service ends: \(error)")
            exit(ExitStatus.failure.rawValue)
        }
        return engine
    }

    private static let appliedLimits = "limits_file_hash"

    /// Applies a limits file unless it is the one that was applied last: what operators changed since stays.
    private func applyIfNew(_ limits: LimitsFile) throws {
        guard engine.setting(Self.appliedLimits) != limits.contentHash else {
            logger.info(
                "the limits file has not changed", metadata: ["hash": "\(limits.contentHash)"])
            return
        }
        try apply(limits)
    }

    /// Sets what a limits file says; says what it sets.
    private func apply(_ limits: LimitsFile) throws {
        for tenant in limits.tenants {
            if let present = engine.tenant(tenant.id), !present.isConfigured(as: tenant) {
                logger.notice(
                    "the limits file overrides a tenant", metadata: ["id": "\(tenant.id)"])
            }
            let change = try whenThereIsRoom { () throws(EngineError) in
                try engine.setTenant(tenant)
            }
            report(tenant.id, change)
        }
        for var profile in limits.profiles {
            // The file says nothing of these.
            if let present = engine.profile(profile.id) {
                profile.webhookURL = present.webhookURL
                profile.webhookFailoverURL = present.webhookFailoverURL
                profile.vendorFields = present.vendorFields
            }
            if let present = engine.profile(profile.id), !present.isConfigured(as: profile) {
                logger.notice(
                    "the limits file overrides a messaging profile",
                    metadata: ["id": "\(profile.id)"])
            }
            let settings = profile
            let change = try whenThereIsRoom { () throws(EngineError) in
                try engine.setProfile(settings)
            }
            report(profile.id, change)
        }
        if limits.hasDefaults {
            try set(DefaultLimits.setting, SettingValue.encode(DefaultLimits(limits.defaults)))
        }
        try set(Self.appliedLimits, limits.contentHash)
        try engine.awaitDurable()
        logger.info(
            "limits applied",
            metadata: [
                "tenants": "\(limits.tenants.count)", "profiles": "\(limits.profiles.count)",
                "hash": "\(limits.contentHash)",
            ])
    }

    private func set(_ name: String, _ value: String) throws {
        try whenThereIsRoom { () throws(EngineError) in try engine.setSetting(name, value) }
    }

    /// Makes one change of a limits file, unless the service stops.
    @discardableResult
    private func whenThereIsRoom<T>(
        _ change: () throws(EngineError) -> T
    ) throws(EngineError) -> T {
        try engine.waitingForRoom { () throws(EngineError) in
            if reloads.isStopping { throw EngineError(.interrupted, "the service stops") }
            return try change()
        }
    }

    private func report(_ id: String, _ change: ChangeResult) {
        for (limit, amount) in change.overBy {
            logger.warning(
                "usage is over the cap that was just set",
                metadata: ["id": "\(id)", "limit": "\(limit.row.name)", "over_by": "\(amount)"])
        }
    }

    /// Serves until SIGTERM or SIGINT; returns when running calls are finished or the drain time is over.
    func run() async throws {
        // Lanes are made before the first event loop starts, so that want of memory is told at once.
        let lanes = try engine.makeLanes(settings.threads).map { LaneHandover($0) }
        let authority = authority
        let server = try await GRPCServer.start(
            serverConfiguration, methods: LimitService.methods
        ) { loop in
            LimitService(lane: lanes[loop.index].lane, loop: loop, authority: authority)
        }
        let surroundings = try await Surroundings.start(
            settings, engine: engine, authority: authority, server: server,
            lanes: LaneAccess(server, lanes), logger: logger)
        let clock = watchClock()
        // Before anybody learns that the service is there: from here on SIGTERM drains.
        let signals = await ProcessSignals()
        let grpc = NetworkAddress(host: server.host, port: server.port)
        // Unbuffered: whoever started the service waits for this line.
        FileHandle.standardOutput.write(
            Data("tollgate ready grpc=\(grpc) http=\(surroundings.address)\n".utf8))
        for await signal in signals.received {
            if signal == SIGHUP { reloads.ask { reload() } } else { break }
        }
        signals.cancel()
        clock.cancel()
        logger.info("draining")
        async let reloaded: Void = reloads.stop()
        async let served: Void = server.drain(
            within: .milliseconds(settings.drainTimeoutMilliseconds))
        await surroundings.stopServing(within: settings.drainTimeoutMilliseconds)
        await served
        // Only now: REST works on the data plane's event loops.
        await server.stop()
        surroundings.stop()
        await reloaded
        engine.close()
        logger.info("stopped")
    }

    private var serverConfiguration: ServerConfiguration {
        var configuration = ServerConfiguration()
        configuration.host = settings.grpcListen.host
        configuration.port = settings.grpcListen.port
        configuration.threads = settings.threads
        configuration.maximumConnections = settings.maxConnections
        configuration.maximumConnectionsPerAddress = settings.maxConnectionsPerAddress
        configuration.session.maximumConcurrentStreams = settings.maxConcurrentStreams
        return configuration
    }

    /// Follows the wall clock and reports leaps.
    private func watchClock() -> any DispatchSourceTimer {
        let timer = DispatchSource.makeTimerSource(queue: .global())
        timer.schedule(deadline: .now() + 1, repeating: 1)
        timer.setEventHandler { [engine, logger] in
            switch engine.clock.follow() {
            case .steady: break
            case .doubted(let lead):
                logger.warning(
                    "the wall clock leapt ahead; believed if it stands for 60 s",
                    metadata: ["lead_ms": "\(lead)"])
            case .believed(let lead):
                logger.warning("following the wall clock", metadata: ["lead_ms": "\(lead)"])
            }
        }
        timer.resume()
        return timer
    }

    private func reload() {
        guard let path = settings.limitsFile else { return }
        logger.info("reading the limits file again", metadata: ["file": "\(path)"])
        do {
            try apply(LimitsFile.load(path: path))
        } catch {
            logger.error("the limits file was not applied", metadata: ["error": "\(error)"])
        }
    }
}

extension ServeSettings {
    /// What was acknowledged and may be gone after a crash of the process or the machine.
    fileprivate var mayLose: String {
        switch durability {
        case .sync: "nothing that was acknowledged"
        case .interval:
            """
            what was acknowledged within \(journalIntervalMilliseconds)ms and the syncs before and \
            after them
            """
        case .memory: "everything"
        }
    }

    /// What the engine must know of the journal.
    fileprivate var journal: DurabilitySettings {
        var result = DurabilitySettings()
        result.journal.segmentBytes = journalSegmentBytes & ~4_095
        result.journal.maximumBytes = journalMaximumBytes
        result.journal.intervalMilliseconds =
            durability == .interval ? journalIntervalMilliseconds : 0
        result.answersWait = durability == .sync
        result.checkpointBytes = checkpointBytes
        result.retention = journalRetentionMilliseconds
        return result
    }
}

/// Hands a lane to the event loop that will use it, and to no other.
// SAFETY: made on one thread, taken over by one event loop; never used by both.
struct LaneHandover: @unchecked Sendable {
    let lane: EngineLane
    init(_ lane: EngineLane) { self.lane = lane }
}
