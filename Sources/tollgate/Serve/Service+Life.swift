internal import Access
internal import CommandIO
internal import ControlPlane
internal import Engine
internal import GRPCServer
internal import GRPCStandard
internal import HTTP2
internal import LimitsFile
internal import LogLines
internal import Logging
internal import NIOCore
internal import ServiceLifecycle
internal import Synchronization
internal import Threads
internal import TransportSecurity

// From the ready line to the end.
extension Service {
    /// Has the runtime open the descriptors of its timers, one for each clock: it does so when a clock is first waited for,
    /// and where there is none then, that wait never ends.
    private static func openTimers() async {
        try? await Task.sleep(for: .milliseconds(1), clock: .continuous)
        try? await Task.sleep(for: .milliseconds(1), clock: .suspending)
    }

    /// Serves until SIGTERM, SIGINT or an upgrade; returns when running calls are finished or the drain time is over.
    ///
    /// - Parameter signals: SIGHUP and SIGUSR2 since the process began.
    func run(_ signals: ProcessSignals) async throws {
        // Lanes are made before the first event loop starts, so that want of memory is told at once.
        let lanes = try engine.makeLanes(settings.threads).map { LaneHandover($0) }
        await Self.openTimers()
        let standard = StandardServices(
            main: LimitService.name, methods: LimitService.methods,
            reflection: settings.reflection)
        var bounds = WatchBounds()
        bounds.tenantShare = settings.tenantShare
        let server = try await startServer(lanes, bounds, standard)
        admittance.giveMemoryBack(server.loops[0].eventLoop)
        let liveness = Liveness(engine, server)
        let sides = try await SideServices.start(
            settings, engine: engine, authority: authority, admittance: admittance, tls: tls,
            server: server, lanes: LaneAccess(server, lanes), calls: calls, liveness: liveness,
            supervision: supervision, logger: logger)
        let keeping = AccessKeeping(authority, logger)
        let watch = Watch(engine, sides.projection, bounds.scarcity, logger)
        let readiness = ReadinessLook(standard.health, logger) { await sides.trouble() }
        // Who is told that the service is there finds it so.
        await readiness.look()
        tls.startWatching()
        let grpc = NetworkAddress(host: server.host, port: server.port)
        let addresses = "grpc=\(grpc) \(sides.addresses)"
        let (serving, serves) = AsyncStream.makeStream(of: Void.self)
        // They end one by one, the last one first; each when the one before it has ended.
        let services = [
            // A journal that is long in closing is waited for.
            Self.running { await lookAfter(liveness) },
            Self.ending { await Self.onThread { engine.close() } },
            // Who looks after the service sees it to its end.
            Self.ending { await sides.stopOps() },
            // What the drain brings is put on record too, and told of.
            Self.running { await calls?.run() },
            Self.running { await keeping.run() },
            Self.ending { await Self.onThread { sides.stop() } },
            // Only when REST is through: it works on the data plane's event loops.
            Self.ending { await server.stop() },
            Self.running { await sides.deliver() },
            Self.ending { await drain(server, sides, standard.health) },
            Self.ending { tls.stopWatching() },
            Self.running { await watch.run() },
            Self.running { await readiness.run() },
            Self.running {
                announce(addresses)
                serves.finish()
            },
        ]
        var quiet = logger
        quiet.logLevel = .critical
        let group = ServiceGroup(services: services, logger: quiet)
        // Before the services run, so before anybody learns that the service is there.
        signals.serve()
        let listening = [
            Task { for await _ in signals.stops { await stop(group) } },
            Task {
                // What was asked for before is done when the start has been told, and told after it.
                for await _ in serving {}
                async let reloads: Void = {
                    for await _ in signals.reloads { reload(addresses) }
                }()
                for await _ in signals.upgrades { upgrade(group, sides) }
                await reloads
            },
        ]
        try await group.run()
        for task in listening { task.cancel() }
        logger.info(upgrades.isLeaving ? "running the new program" : "stopped")
    }

    private func announce(_ addresses: String) {
        // If it cannot be written, the service serves all the same.
        StandardOutput.announce("tollgate ready \(addresses)")
        supervision.progress.end()
        supervision.report.set(.ready)
        supervision.notices.ready("Serving \(addresses)")
    }

    /// Has the service end for good. Told again, it changes nothing.
    private func stop(_ group: ServiceGroup) async {
        if upgrades.stop() {
            // Who waits for the new program is refused now, not when the last call has ended.
            supervision.notices.stopping("Stopping")
            supervision.sockets.close()
        }
        await group.triggerGracefulShutdown()
    }

    /// Has the service end, so that the program in its place runs, if that could start.
    private func upgrade(_ group: ServiceGroup, _ sides: SideServices) {
        upgrades.begin(asRunning) {
            guard settings.durability != .memory else {
                return "everything is kept in memory, and would be lost: restart the service"
            }
            if let reason = settings.readOnce { return reason }
            // A disk that stalls would hold the end up, and shows only where something is written. The first look may be
            // one that has begun before.
            engine.recordTime()
            if let trouble = await sides.recordingTrouble() { return trouble }
            return await sides.recordingTrouble()
        } leave: {
            await group.triggerGracefulShutdown()
        }
    }

    /// What a new program finds when it runs.
    private var asRunning: RunningService {
        let rows = SettingsCatalogue.reservations
        let (occupancy, places) = (engine.occupancy, engine.placesInUse)
        let inUse = [
            (rows.maxTenants.row, places.tenants, settings.maxTenants),
            (rows.maxProfiles.row, places.profiles, settings.maxProfiles),
            (rows.maxReservations.row, occupancy.reservations, settings.maxReservations),
            (rows.maxRemembered.row, occupancy.keys, settings.maxRemembered),
            (rows.maxAmended.row, occupancy.amended, settings.maxAmended),
        ].map { row, used, capacity in (row.name, min(used, capacity)) }
        return RunningService(
            dataDirectory: settings.dataDirectory, listening: supervision.sockets.addresses,
            inUse: Dictionary(uniqueKeysWithValues: inUse))
    }

    /// Does what waits for threads and for the disk, while those that run tasks go on.
    private static func onThread(_ work: @escaping @Sendable () -> Void) async {
        if await NamedThread.run(.closing, work) == nil { work() }
    }

    /// Looks after hung threads, and tells a supervisor that wants to know that there are none.
    private func lookAfter(_ liveness: Liveness) async {
        let patience = supervision.notices.watchdog.map { Duration.microseconds($0) / 2 }
        let told = Mutex(ContinuousClock.now)
        let hang = Duration.milliseconds(settings.hangTimeoutMilliseconds)
        let state = StateLog(
            begins: "a thread hangs: /healthz fails", ends: "all threads respond again")
        await liveness.run(every: min(Liveness.interval, patience ?? Liveness.interval)) {
            state.look(liveness.hang(for: hang), logger)
            guard let patience, liveness.hang(for: max(patience, .seconds(3))) == nil else {
                return
            }
            let isDue = told.withLock { told in
                guard ContinuousClock.now - told >= patience / 2 else { return false }
                told = .now
                return true
            }
            if isDue { supervision.notices.alive() }
        }
    }

    /// Works until the service is to end.
    private static func running(
        _ work: @escaping @Sendable () async -> Void
    ) -> any ServiceLifecycle.Service {
        ClosureService {
            await cancelWhenGracefulShutdown(work)
            // A service that ends before its time ends all.
            try? await gracefulShutdown()
        }
    }

    /// Does something when the service is to end.
    private static func ending(
        _ work: @escaping @Sendable () async -> Void
    ) -> any ServiceLifecycle.Service {
        ClosureService {
            try? await gracefulShutdown()
            await work()
        }
    }

    /// Lets what is under way on both ports finish, and has reloads end.
    private func drain(_ server: GRPCServer, _ sides: SideServices, _ health: HealthBoard) async {
        logger.info("draining")
        let isLeaving = upgrades.isLeaving
        if isLeaving {
            supervision.notices.reloading("Upgrading")
        } else {
            supervision.notices.stopping("Stopping")
        }
        // Whoever watches is told before its connection ends.
        sides.announceStop()
        await health.stop()
        if !isLeaving {
            try? await Task.sleep(for: .milliseconds(settings.drainDelayMilliseconds))
            supervision.sockets.close()
        }
        async let reloaded: Void = reloads.stop()
        async let identified: Void = identityReloads.stop()
        async let compared: Void = settingsReloads.stop()
        async let served: Void = server.drain(
            within: .milliseconds(settings.drainTimeoutMilliseconds))
        await sides.stopServing(within: settings.drainTimeoutMilliseconds)
        await served
        await reloaded
        await identified
        await compared
    }

    private func startServer(
        _ lanes: [LaneHandover], _ bounds: WatchBounds, _ standard: StandardServices
    ) async throws -> GRPCServer {
        var configuration = serverConfiguration
        configuration.listener = try supervision.sockets.open(.grpc, at: settings.grpcListen)
        do {
            return try await GRPCServer.start(
                configuration, methods: standard.methods
            ) { loop in
                let limits = LimitService(
                    lane: lanes[loop.index].lane, loop: loop, authority: authority,
                    watchBounds: bounds
                ) { count in
                    logger.error(
                        "the journal is full: unanswered requests could not be undone",
                        metadata: ["count": "\(count)"])
                }
                return standard.set(limits, loop: loop)
            }
        } catch {
            throw ListenError(
                settings.grpcListen, SettingsCatalogue.serving.grpcListen.row, error)
        }
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
        configuration.observer = calls?.observer
        return configuration
    }

    private func reload(_ addresses: String) {
        supervision.notices.reloading("Reloading")
        tls.reloadSoon()
        reloadIdentities()
        compareSettings()
        reloadLimits()
        Task {
            await tls.reloaded()
            await identityReloads.settle()
            await settingsReloads.settle()
            await reloads.settle()
            if supervision.report.stage.isServing {
                supervision.notices.ready("Serving \(addresses)")
            }
        }
    }

    private func reloadLimits() {
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
            return attempt("the identities file was not applied") {
                try IdentitiesFile.read(path)
            }
        } apply: { identities in
            authority.set(identities)
            logger.info(
                "identities applied",
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

/// Hands a lane to the event loop that will use it, and to no other.
// SAFETY: made on one thread, taken over by one event loop; never used by both.
struct LaneHandover: @unchecked Sendable {
    let lane: EngineLane
    init(_ lane: EngineLane) { self.lane = lane }
}
