internal import Access
internal import Backup
internal import CommandIO
internal import ControlPlane
internal import Engine
internal import Events
internal import Foundation
internal import Journal
internal import Limits
internal import LimitsFile
internal import LogLines
internal import Logging
internal import Notation
internal import Notifications
internal import Projection
internal import TransportSecurity

/// The running service: engine, gRPC server, what stands around them, signals. One per process.
struct Service {
    let settings: ServeSettings
    let logger: Logger
    let engine: Engine
    let authority: TokenAuthority
    let admittance: Admittance
    let tls: PortsTLS
    /// Who tells of calls; nil: nobody.
    let calls: CallTelling?
    let reloads = Reloads()
    let identityReloads = Reloads()
    let supervision: Supervision
    let upgrades: Upgrades
    let settingsReloads = Reloads()
    let settingsTrouble = StateLog(
        begins: "the configuration file has mistakes; a restart would fail",
        ends: "the configuration file has no mistakes any more")

    /// Makes the engine and applies the limits file.
    ///
    /// - Throws: `LimitsFileError` for mistakes in the limits file.
    init(_ settings: ServeSettings, limits: LimitsSource?, _ supervision: Supervision) throws {
        self.settings = settings
        self.supervision = supervision
        let logger = Self.logger(settings)
        self.logger = logger
        calls = CallTelling(settings, logger)
        upgrades = Upgrades(
            supervision.program, supervision.report,
            timeoutMilliseconds: settings.upgradeCheckTimeoutMilliseconds, logger)
        for sentence in settings.overruled {
            logger.warning("a setting has no effect", metadata: ["reason": "\(sentence)"])
        }
        // Until the service is ready.
        supervision.progress.begin()
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
        engine = try Self.openEngine(settings, configuration, logger) {
            supervision.progress.step()
        }
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

    static func logger(_ settings: ServeSettings) -> Logger {
        let format = settings.logFormat
        var logger = Logger(label: "tollgate") { _ in
            LineLogHandler(format) { BackgroundLines.standardError.write($0) }
        }
        logger.logLevel = Logger.Level(rawValue: settings.logLevel.rawValue) ?? .info
        return logger
    }

    /// The engine with what the data directory holds, or an empty one in memory.
    private static func openEngine(
        _ settings: ServeSettings, _ configuration: EngineConfiguration, _ logger: Logger,
        progressed: () -> Void
    ) throws -> Engine {
        guard settings.durability != .memory else {
            return try Engine(configuration: configuration)
        }
        try NewDirectory.make(settings.dataDirectory, mode: 0o700)
        let began = ContinuousClock.now
        let disk = try SystemDisk(path: settings.dataDirectory)
        let restored = try RestoreNote.read(disk)
        var journal = settings.journal
        journal.lostGenerations = restored.map { settings.generationsLost(since: $0) } ?? 0
        let (engine, report) = try Engine.open(
            configuration: configuration, disk: disk, settings: journal, progressed: progressed)
        if let restored, report.keepsLostGenerations {
            try RestoreNote.remove(disk)
            logger.notice(
                "the data directory was restored from a backup",
                metadata: ["taken_at": "\(Instant.text(restored.takenAt))"])
        }
        for reason in report.passedOver {
            logger.error(
                "a checkpoint is damaged; an older one was used", metadata: ["reason": "\(reason)"])
        }
        if report.tornBytes > 0 {
            logger.warning(
                "removed unacknowledged data from the journal's end",
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
                    "wall_clock": "\(Instant.text(clock.wall))",
                    "time_on_record": "\(Instant.text(clock.latest))",
                ])
        }
        engine.onJournalFailure { error in
            // Nobody knows what is on disk now: whatever this process said next might be taken back by the next one.
            StandardError.print("The journal has failed; the service exits: \(error)")
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

    static func parse(_ source: LimitsSource, _ logger: Logger) throws -> LimitsFile {
        logger.info("parsing the limits file", metadata: ["file": "\(source.file)"])
        return try source.parse()
    }

    /// Sets what a limits file says; says what it sets.
    func apply(_ limits: LimitsFile) throws {
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
            try set(
                .profile(id: profile.id, kind: profile.kind, tenantID: profile.tenantID), of: limits
            ) { () throws(EngineError) in
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
        supervision.progress.step()
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
            case (.notFound, .profile):
                reason = "the id belongs to a profile of another tenant or kind"
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
            if reloads.isStopping { throw EngineError(.interrupted, "the service is stopping") }
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
                "usage exceeds a cap that was just set",
                metadata: [
                    "entry": "\(subject)", "limit": "\(limit.row.name)", "over_by": "\(amount)",
                ])
        }
    }
}

extension ServeSettings {
    /// What was acknowledged and may be gone after a crash of the process or the machine.
    fileprivate var mayLose: String {
        switch self.durability {
        case .sync: "nothing acknowledged"
        case .interval:
            """
            what was acknowledged within \(self.journalIntervalMilliseconds)ms and the syncs before and \
            after them
            """
        case .memory: "everything"
        }
    }

    /// Generations of reservation ids that may have been given out since a backup was taken.
    fileprivate func generationsLost(since note: RestoreNote) -> UInt64 {
        note.generations(now: Int64(Date().timeIntervalSince1970 * 1_000))
    }

    /// What the engine must know of the journal.
    fileprivate var journal: DurabilitySettings {
        var result = DurabilitySettings()
        result.journal.segmentBytes = self.journalSegmentBytes & ~4_095
        result.journal.maximumBytes = self.journalMaximumBytes
        result.journal.intervalMilliseconds =
            self.durability == .interval ? self.journalIntervalMilliseconds : 0
        result.answersWait = self.durability == .sync
        result.checkpointBytes = self.checkpointBytes
        result.retention = self.journalRetentionMilliseconds
        result.stallMilliseconds = self.journalStallMilliseconds
        result.acceptsEmptyJournal = self.acceptEmptyJournal
        result.awaitsFollower = true
        result.companions = CompanionFiles.all
        return result
    }
}
