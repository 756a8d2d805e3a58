internal import Access
internal import CommandIO
internal import ControlPlane
internal import Engine
internal import Events
internal import Foundation
internal import GRPCServer
internal import GRPCStandard
internal import HTTP2
internal import Journal
internal import Limits
internal import LimitsFile
internal import Logging
internal import NIOCore
internal import Notifications
internal import Projection
internal import TransportSecurity

/// The running service: engine, gRPC server, what stands around them, signals. One per process.
struct Service {
    private let settings: ServeSettings
    private let logger: Logger
    private let engine: Engine
    private let authority: TokenAuthority
    private let admittance: Admittance
    private let tls: PortsTLS
    private let reloads = Reloads()
    private let identityReloads = Reloads()

    /// Makes the engine and applies the limits file.
    ///
    /// - Throws: `LimitsFileError` for mistakes in the limits file.
    init(_ settings: ServeSettings, limits: LimitsSource?) throws {
        self.settings = settings
        var logger = Logger(label: "tollgate") {
            StreamLogHandler(label: $0, stream: BackgroundLines.standardError)
        }
        logger.logLevel = Logger.Level(rawValue: settings.logLevel.rawValue) ?? .info
        self.logger = logger
        // Before anything is opened that counts.
        tls = try PortsTLS(settings, logger: logger)
        let identities = try settings.identitiesFile.map { try IdentitiesFile.read($0) }
        admittance = try Admittance(settings, logger: logger)
        var capacity = TableCapacity(
            tenants: settings.maxTenants, profiles: settings.maxProfiles,
            reservations: settings.maxReservations, bodies: settings.maxAmended,
            keys: settings.maxRemembered,
            lanes: settings.lanes,
            retention: settings.idempotencyRetentionMilliseconds,
            maxLife: settings.maxReservationLifeMilliseconds)
        capacity.charged = settings.maxCharged
        capacity.tenantShare = settings.tenantShare
        capacity.unboundShare = settings.allTenantsShare
        // Where nothing was ever applied, mistakes are found before anything is made.
        let isFirst =
            settings.durability == .memory
            || !FileManager.default.fileExists(atPath: settings.dataDirectory)
        let parsed = try isFirst ? limits.map { try Self.parse($0, logger) } : nil
        var configuration = EngineConfiguration(capacity: capacity)
        configuration.maximumClockAdvance = settings.maxClockAdvanceMilliseconds
        configuration.acceptedClock = settings.acceptedClock
        engine = try Self.openEngine(settings, configuration, logger)
        Secrecy(logger: logger).check(settings)
        authority = try TokenAuthority(
            engine, isOpen: settings.insecureNoAuth, rate: settings.callerRate)
        if let identities { authority.set(identities) }
        try OperatorToken(
            authority: authority, engine: engine, directory: settings.dataDirectory, logger: logger
        ).makeIfMissing()
        if let limits { try applyIfNew(limits, parsed) }
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
        try NewDirectory.make(settings.dataDirectory, mode: 0o700)
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
        if let clock = report.acceptedClock {
            logger.notice(
                "the wall clock is accepted",
                metadata: [
                    "wall_clock": "\(RecordJSON.instant(clock.wall))",
                    "time_on_record": "\(RecordJSON.instant(clock.latest))",
                ])
        }
        engine.onJournalFailure { error in
            // Nobody knows what is on disk now: whatever this process said next might be taken back by the next one.
            StandardError.print("The journal has failed, and the service ends: \(error)")
            StandardError.finish()
            exit(ExitStatus.failure.rawValue)
        }
        return engine
    }

    private static let appliedLimits = "limits_file_hash"

    /// Applies a limits file unless it is the one that was applied last: what operators changed since stays. That file is
    /// not even parsed.
    private func applyIfNew(_ source: LimitsSource, _ parsed: LimitsFile?) throws {
        guard engine.setting(Self.appliedLimits) != source.contentHash else {
            logger.info(
                "the limits file has not changed", metadata: ["hash": "\(source.contentHash)"])
            return
        }
        try apply(parsed ?? Self.parse(source, logger))
    }

    private static func parse(_ source: LimitsSource, _ logger: Logger) throws -> LimitsFile {
        logger.info("parsing the limits file", metadata: ["file": "\(source.file)"])
        return try source.parse()
    }

    /// Sets what a limits file says; says what it sets.
    private func apply(_ limits: LimitsFile) throws {
        // Until all of it is in force no file is: whichever comes next is applied, the one before this too.
        if engine.setting(Self.appliedLimits) ?? "" != "" { try set(Self.appliedLimits, "") }
        for tenant in limits.tenants {
            try set(.tenant(id: tenant.id), of: limits) { () throws(EngineError) in
                let present = engine.tenant(tenant.id)
                if let present, present.isConfigured(as: tenant) { return nil }
                let result = try engine.setTenant(tenant, from: present?.revision.number ?? 0)
                report(present.flatMap { SettingChange(tenant: tenant, present: $0) })
                return result
            }
        }
        for profile in limits.profiles {
            try set(.profile(id: profile.id, tenantID: profile.tenantID), of: limits) {
                () throws(EngineError) in
                let present = engine.profile(profile.id)
                var profile = profile
                if let present {
                    // The file says nothing of these.
                    profile.webhookURL = present.webhookURL
                    profile.webhookFailoverURL = present.webhookFailoverURL
                    profile.vendorFields = present.vendorFields
                    if present.isConfigured(as: profile) { return nil }
                }
                let result = try engine.setProfile(profile, from: present?.revision.number ?? 0)
                report(present.flatMap { SettingChange(profile: profile, present: $0) })
                return result
            }
        }
        if limits.hasDefaults {
            if engine.setting(DefaultLimits.setting) != nil {
                report(
                    SettingChange(defaults: limits.defaults, present: try engine.tenantDefaults))
            }
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

    /// Sets one entry of a limits file. One that cannot exist any more is passed over and told: what was deleted since the
    /// file was written must not keep the service from starting.
    ///
    /// - Parameter change: what it is set from, and to; nil: it is so already. Asked again while there is no room, and when
    ///   somebody else was first: what operators set meanwhile and the file says nothing of stays.
    private func set(
        _ subject: SettingChange.Subject, of limits: LimitsFile,
        _ change: () throws(EngineError) -> ChangeResult?
    ) throws {
        do throws(EngineError) {
            let result = try whenThereIsRoom { () throws(EngineError) -> ChangeResult? in
                while true {
                    do throws(EngineError) {
                        return try change()
                    } catch {
                        guard error.code == .conflict else { throw error }
                    }
                }
            }
            if let result { report(subject, result) }
        } catch {
            let reason: String
            switch (error.code, subject) {
            case (.closed, _): reason = error.message
            case (.notFound, .profile): reason = "the id is a messaging profile of another tenant"
            default: throw error
            }
            logger.error(
                "an entry of the limits file was skipped",
                metadata: [
                    "place": "\(limits.places.place(of: subject))", "entry": "\(subject)",
                    "reason": "\(reason)",
                ])
        }
    }

    private func set(_ name: String, _ value: String) throws {
        try whenThereIsRoom { () throws(EngineError) in try engine.setSetting(name, value) }
    }

    /// Makes one change of a limits file, unless the service stops.
    @discardableResult
    private func whenThereIsRoom<T>(
        _ change: () throws(EngineError) -> T
    ) throws(EngineError) -> T {
        try engine.waitingForRoom(atMost: 60_000) { () throws(EngineError) in
            if reloads.isStopping { throw EngineError(.interrupted, "the service stops") }
            return try change()
        }
    }

    /// What a limits file overrides, field by field.
    private func report(_ change: SettingChange?) {
        guard let change else { return }
        for field in change.fields {
            logger.notice(
                "the limits file overrides a setting",
                metadata: [
                    "entry": "\(change.subject)", "field": "\(field.name)",
                    "was": "\(field.before?.text ?? "")", "is": "\(field.after.text)",
                ])
        }
    }

    private func report(_ subject: SettingChange.Subject, _ change: ChangeResult) {
        for (limit, amount) in change.overBy {
            logger.warning(
                "usage is over the cap that was just set",
                metadata: [
                    "entry": "\(subject)", "limit": "\(limit.row.name)", "over_by": "\(amount)",
                ])
        }
    }

    /// Has the runtime open the descriptors of its timers, one for each clock: it does so when a clock is first waited for,
    /// and where there is none then, that wait never ends.
    private static func openTimers() async {
        try? await Task.sleep(for: .milliseconds(1), clock: .continuous)
        try? await Task.sleep(for: .milliseconds(1), clock: .suspending)
    }

    /// Serves until SIGTERM or SIGINT; returns when running calls are finished or the drain time is over.
    func run() async throws {
        // Lanes are made before the first event loop starts, so that want of memory is told at once.
        let lanes = try engine.makeLanes(settings.threads).map { LaneHandover($0) }
        await Self.openTimers()
        let authority = authority
        var bounds = WatchBounds()
        bounds.tenantShare = settings.tenantShare
        let watchBounds = bounds
        let logger = logger
        let standard = StandardServices(
            main: LimitService.name, methods: LimitService.methods,
            reflection: settings.reflection)
        let server: GRPCServer
        do {
            server = try await GRPCServer.start(
                serverConfiguration, methods: standard.methods
            ) { loop in
                let limits = LimitService(
                    lane: lanes[loop.index].lane, loop: loop, authority: authority,
                    watchBounds: watchBounds
                ) { count in
                    logger.error(
                        "no room in the journal to take back what callers without an answer asked",
                        metadata: ["count": "\(count)"])
                }
                return standard.set(limits, loop: loop)
            }
        } catch {
            throw ListenError(settings.grpcListen, .grpcListen, error)
        }
        admittance.giveMemoryBack(server.loops[0].eventLoop)
        let surroundings = try await SideServices.start(
            settings, engine: engine, authority: authority, admittance: admittance, tls: tls.http,
            server: server, lanes: LaneAccess(server, lanes), logger: logger)
        let keeping = Task { await AccessKeeping(authority, logger).run() }
        let watch = Watch(engine, surroundings.projection, bounds.scarcity, logger)
        let readiness = ReadinessLook(standard.health, logger) { await surroundings.trouble() }
        // Who is told that the service is there finds it so.
        await readiness.look()
        let watching = Task {
            async let ready: Void = readiness.run()
            await watch.run()
            await ready
        }
        // Before anybody learns that the service is there: from here on SIGTERM drains.
        let signals = ProcessSignals.received()
        let grpc = NetworkAddress(host: server.host, port: server.port)
        tls.startWatching()
        // If it cannot be written, the service serves all the same.
        StandardOutput.announce("tollgate ready grpc=\(grpc) http=\(surroundings.address)")
        for await signal in signals {
            if signal == SIGHUP { reload() } else { break }
        }
        watching.cancel()
        keeping.cancel()
        tls.stopWatching()
        logger.info("draining")
        // Whoever watches is told before its connection ends.
        await standard.health.stop()
        async let reloaded: Void = reloads.stop()
        async let identified: Void = identityReloads.stop()
        async let served: Void = server.drain(
            within: .milliseconds(settings.drainTimeoutMilliseconds))
        await surroundings.stopServing(within: settings.drainTimeoutMilliseconds)
        await served
        // Only now: REST works on the data plane's event loops.
        await server.stop()
        surroundings.stop()
        await reloaded
        await identified
        await keeping.value
        engine.close()
        logger.info("stopped")
    }

    private var serverConfiguration: ServerConfiguration {
        var configuration = ServerConfiguration()
        configuration.host = settings.grpcListen.host
        configuration.port = settings.grpcListen.port
        configuration.threads = settings.threads
        configuration.places = admittance.grpc
        configuration.peerMemory = admittance.memory
        configuration.keepaliveInterval = .milliseconds(settings.keepaliveMilliseconds)
        configuration.idleTimeout = .milliseconds(settings.connectionIdleMilliseconds)
        configuration.maximumAge = .milliseconds(settings.connectionAgeMilliseconds)
        configuration.session.maximumConcurrentStreams = settings.maxConcurrentStreams
        configuration.tls = tls.grpc
        let misdirected = HandshakeLog(logger)
        configuration.onTLS = { misdirected.tellTLS(peer: $0) }
        configuration.compression = settings.compression
        return configuration
    }

    private func reload() {
        tls.reloadSoon()
        reloadIdentities()
        guard let path = settings.limitsFile else { return }
        reloads.ask {
            logger.info("reading the limits file again", metadata: ["file": "\(path)"])
            return attempt { try Self.parse(LimitsSource(path: path), logger) }
        } apply: { limits in
            attempt { try apply(limits) }
        }
    }

    private func reloadIdentities() {
        guard let path = settings.identitiesFile else { return }
        identityReloads.ask {
            logger.info("reading the identities file again", metadata: ["file": "\(path)"])
            return attempt("the identities file was not taken over") {
                try IdentitiesFile.read(path)
            }
        } apply: { identities in
            authority.set(identities)
            logger.info(
                "identities taken over",
                metadata: [
                    "issuers": "\(identities.issuers.count)",
                    "certificates": "\(identities.certificates.count)",
                ])
        }
    }

    /// nil: it failed, and that is told.
    @discardableResult
    private func attempt<T>(
        _ what: Logger.Message = "the limits file was not applied", _ step: () throws -> T
    ) -> T? {
        do {
            return try step()
        } catch {
            logger.error(what, metadata: ["error": "\(error)"])
            return nil
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
        result.stallMilliseconds = journalStallMilliseconds
        result.acceptsEmptyJournal = acceptEmptyJournal
        result.awaitsFollower = true
        result.companions = [Projection.fileName, WebhookSigner.fileName, OperatorToken.fileName]
        return result
    }
}

/// Hands a lane to the event loop that will use it, and to no other.
// SAFETY: made on one thread, taken over by one event loop; never used by both.
struct LaneHandover: @unchecked Sendable {
    let lane: EngineLane
    init(_ lane: EngineLane) { self.lane = lane }
}
