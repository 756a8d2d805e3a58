internal import CommandIO
internal import Engine
internal import GRPCServer

extension ServeSettings {
    /// The settings that hold: flag before environment before file before default.
    ///
    /// - Parameters:
    ///   - flags: What the command line says; only what it names.
    ///   - environment: The process's environment; an empty variable is not set.
    ///   - file: `--config`; nil: `TOLLGATE_CONFIG`, if that is set.
    ///   - cores: The default of `threads`.
    /// - Throws: `SettingsError` with a sentence for the operator.
    static func resolve(
        flags: [ServeKey: String], environment: [String: String], file: String?, cores: Int
    ) async throws(SettingsError) -> ServeSettings {
        let environment = EnvironmentVariables.set(in: environment)
        let reader = try SettingsReader(
            flags: flags, environment: environment,
            file: file ?? environment["TOLLGATE_CONFIG"])
        var settings = ServeSettings()
        settings.threads = min(max(cores, 1), 62)
        try settings.readPlaces(reader)
        try settings.readTimes(reader)
        try settings.readJournal(reader)
        try settings.readBounds(reader)
        try settings.readHTTP(reader)
        try settings.readNotifications(reader)
        try settings.readTLS(reader)
        try settings.readAccess(reader)
        try settings.checkSafety()
        try settings.checkPlaintext()
        return settings
    }

    private mutating func readPlaces(_ reader: SettingsReader) throws(SettingsError) {
        grpcListen = try reader.address(.grpcListen) ?? grpcListen
        httpListen = try reader.address(.httpListen) ?? httpListen
        dataDirectory = reader.text(.dataDirectory) ?? dataDirectory
        threads = try reader.count(.threads, 1...62) ?? threads
        durability = try reader.choice(.durability, Durability.self) ?? durability
        limitsFile = reader.text(.limitsFile) ?? limitsFile
        insecureNoAuth = try reader.flag(.insecureNoAuth) ?? insecureNoAuth
        logLevel = try reader.choice(.logLevel, LogLevel.self) ?? logLevel
    }

    private mutating func readTimes(_ reader: SettingsReader) throws(SettingsError) {
        drainTimeoutMilliseconds =
            try reader.duration(.drainTimeout, 0...3_600_000) ?? drainTimeoutMilliseconds
        idempotencyRetentionMilliseconds =
            try reader.duration(.idempotencyRetention, 1_000...86_400_000)
            ?? idempotencyRetentionMilliseconds
        maxReservationLifeMilliseconds =
            try reader.duration(.maxReservationLife, 1_000...2_592_000_000)
            ?? maxReservationLifeMilliseconds
    }

    private mutating func readJournal(_ reader: SettingsReader) throws(SettingsError) {
        journalIntervalMilliseconds =
            try reader.duration(.journalInterval, 1...10_000) ?? journalIntervalMilliseconds
        journalSegmentBytes =
            try reader.size(.journalSegment, 1 << 20...4 << 30) ?? journalSegmentBytes
        journalMaximumBytes =
            try reader.size(.journalMaximum, 8 << 20...64 << 40) ?? journalMaximumBytes
        journalRetentionMilliseconds =
            try reader.duration(.journalRetention, 0...31_536_000_000)
            ?? journalRetentionMilliseconds
        journalStallMilliseconds =
            try reader.duration(.journalStall, 0...3_600_000) ?? journalStallMilliseconds
        checkpointBytes = try reader.size(.checkpointEvery, 1 << 20...1 << 40) ?? checkpointBytes
        maxClockAdvanceMilliseconds =
            try reader.duration(.maxClockAdvance, 60_000...315_360_000_000)
            ?? maxClockAdvanceMilliseconds
        acceptedClock = try reader.instant(.acceptClock)
        acceptEmptyJournal = try reader.flag(.acceptEmptyJournal) ?? acceptEmptyJournal
        guard journalMaximumBytes >= 4 * journalSegmentBytes else {
            throw SettingsError(
                description: """
                    journal-maximum must be at least four segments: one that is written, one made \
                    ready, and two that wait for a checkpoint
                    """)
        }
        let least = Engine.leastSegmentBytes(lanes: lanes)
        guard durability == .memory || journalSegmentBytes >= least else {
            throw SettingsError(
                description: """
                    journal-segment must be at least \((least + (1 << 20) - 1) >> 20)MiB with \
                    \(threads) threads: each may bring 80 KiB before a segment is full
                    """)
        }
    }

    private mutating func readBounds(_ reader: SettingsReader) throws(SettingsError) {
        maxTenants = try reader.count(.maxTenants, 1...16_000_000) ?? maxTenants
        maxProfiles = try reader.count(.maxProfiles, 1...16_000_000) ?? maxProfiles
        maxReservations =
            try reader.count(.maxReservations, 1...4_000_000_000) ?? maxReservations
        maxRemembered = try reader.count(.maxRemembered, 1...4_000_000_000) ?? maxRemembered
        maxAmended = try reader.count(.maxAmended, 1...4_194_303) ?? maxAmended
        maxCharged = try reader.count(.maxCharged, 0...4_000_000_000) ?? maxCharged
        tenantShare = try reader.count(.tenantShare, 1...100) ?? tenantShare
        allTenantsShare = try reader.count(.allTenantsShare, 1...100) ?? allTenantsShare
        maxConnections = try reader.count(.maxConnections, 1...1_000_000) ?? maxConnections
        maxConnectionsPerAddress =
            try reader.count(.maxConnectionsPerAddress, 1...1_000_000) ?? maxConnectionsPerAddress
        maxConcurrentStreams =
            try reader.count(.maxConcurrentStreams, 1...65_536) ?? maxConcurrentStreams
        peerMemoryBytes = try reader.size(.peerMemory, 16 << 20...1 << 40) ?? peerMemoryBytes
        keepaliveMilliseconds =
            try reader.duration(.keepalive, 0...86_400_000) ?? keepaliveMilliseconds
        connectionIdleMilliseconds =
            try reader.duration(.connectionIdle, 1_000...2_592_000_000)
            ?? connectionIdleMilliseconds
        connectionAgeMilliseconds =
            try reader.duration(.connectionAge, 0...2_592_000_000) ?? connectionAgeMilliseconds
        compression = try reader.choice(.compression, AnswerCompression.self) ?? compression
        reflection = try reader.flag(.reflection) ?? reflection
    }

    private mutating func readHTTP(_ reader: SettingsReader) throws(SettingsError) {
        secureCookie = try reader.flag(.secureCookie) ?? secureCookie
        trustedProxy = try reader.networks(.trustedProxy) ?? trustedProxy
        let times: ClosedRange<Int64> = 100...3_600_000
        httpHeadTimeoutMilliseconds =
            try reader.duration(.httpHeadTimeout, times) ?? httpHeadTimeoutMilliseconds
        httpBodyTimeoutMilliseconds =
            try reader.duration(.httpBodyTimeout, times) ?? httpBodyTimeoutMilliseconds
        httpAnswerTimeoutMilliseconds =
            try reader.duration(.httpAnswerTimeout, times) ?? httpAnswerTimeoutMilliseconds
        httpRequestTimeoutMilliseconds =
            try reader.duration(.httpRequestTimeout, times) ?? httpRequestTimeoutMilliseconds
        maxAnswers = try reader.count(.maxAnswers, 1...1_000_000) ?? maxAnswers
        httpIdleTimeoutMilliseconds =
            try reader.duration(.httpIdleTimeout, times) ?? httpIdleTimeoutMilliseconds
        httpMaxConnections =
            try reader.count(.httpMaxConnections, 1...1_000_000) ?? httpMaxConnections
        httpMaxConnectionsPerAddress =
            try reader.count(.httpMaxConnectionsPerAddress, 1...1_000_000)
        httpMaxRequests = try reader.count(.httpMaxRequests, 1...65_536) ?? httpMaxRequests
    }

    private mutating func readNotifications(_ reader: SettingsReader) throws(SettingsError) {
        auditRetentionMilliseconds =
            try reader.duration(.auditRetention, 86_400_000...315_360_000_000)
            ?? auditRetentionMilliseconds
        webhookTimeoutMilliseconds =
            try reader.duration(.webhookTimeout, 100...60_000) ?? webhookTimeoutMilliseconds
        webhookBackoffMilliseconds =
            try reader.duration(.webhookBackoff, 10...3_600_000) ?? webhookBackoffMilliseconds
        webhookConcurrency = try reader.count(.webhookConcurrency, 1...1_024) ?? webhookConcurrency
        webhookAllowPrivate = try reader.networks(.webhookAllowPrivate) ?? webhookAllowPrivate
        smtpHost = reader.text(.smtpHost)
        smtpPort = try reader.count(.smtpPort, 1...65_535) ?? smtpPort
        smtpSecurity = try reader.choice(.smtpSecurity, SMTPSecurity.self) ?? smtpSecurity
        smtpUser = reader.text(.smtpUser)
        smtpPasswordFile = reader.text(.smtpPasswordFile)
        smtpFrom = reader.text(.smtpFrom)
        smtpCAFile = reader.text(.smtpCAFile)
        brandName = reader.text(.brandName) ?? brandName
        brandLogo = reader.text(.brandLogo) ?? brandLogo
        brandContact = reader.text(.brandContact) ?? brandContact
        if smtpHost != nil && smtpFrom == nil {
            throw SettingsError(
                description: "smtp-host needs smtp-from: the address that mails come from")
        }
        if (smtpUser == nil) != (smtpPasswordFile == nil) {
            throw SettingsError(
                description: "smtp-user and smtp-password-file are given together or not at all")
        }
    }

    /// What must not start: an open door.
    private func checkSafety() throws(SettingsError) {
        guard insecureNoAuth else { return }
        for address in [grpcListen, httpListen] where address.isLoopback == false {
            throw SettingsError(
                description: """
                    --insecure-no-auth is accepted on loopback only, and \(address) is not: \
                    listen on 127.0.0.1 or [::1]
                    """)
        }
    }
}
