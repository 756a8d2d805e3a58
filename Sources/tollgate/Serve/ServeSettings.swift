internal import CommandIO
internal import Engine
internal import LogLines
internal import TransportSecurity

/// Everything that `tollgate serve` was told, complete and checked: `settings.threads` is the value of the setting that a
/// group of the catalogue calls `threads`.
@dynamicMemberLookup
struct ServeSettings: Sendable {
    /// How soon an answer is safe on disk.
    enum Durability: String, CaseIterable, Sendable {
        /// Every answer waits until its record is on disk.
        case sync
        /// Records are written at short intervals; answers do not wait.
        case interval
        /// Nothing is written: the state ends with the process.
        case memory
    }

    enum SMTPSecurity: String, CaseIterable, Sendable { case none, starttls, tls }

    /// Of the settings that somebody set, by name.
    private var values: [String: any Sendable] = [:]
    /// TLS of either port; nil: it is plaintext.
    private(set) var grpcTLS: TLSFiles?
    private(set) var httpTLS: TLSFiles?

    /// One for each event loop, one for configuration, one to spare.
    var lanes: Int { self.threads + 2 }

    /// The settings that hold: flag before environment before file before default.
    ///
    /// - Parameters:
    ///   - flags: What the command line says; only what it names, by the settings' names.
    ///   - environment: The process's environment; an empty variable is not set.
    ///   - file: `--config`; nil: `TOLLGATE_CONFIG`, if that is set.
    /// - Throws: `SettingsError` with a sentence for the operator.
    init(
        flags: [String: String], environment: [String: String], file: String?
    ) throws(SettingsError) {
        let environment = EnvironmentVariables.set(in: environment)
        let reader = try SettingsReader(
            flags: flags, environment: environment,
            file: file ?? environment["TOLLGATE_CONFIG"])
        for row in SettingsCatalogue.rows {
            if let value = try reader.value(row) { values[row.name] = value }
        }
        try checkJournal()
        try checkMail()
        try checkAccess()
        grpcTLS = try grpcFiles()
        httpTLS = try httpFiles(grpcTLS)
        try checkPlaintext()
    }

    /// How the log is to be written, as far as it can be told of settings that may have mistakes: what is wrong with them
    /// is said in that form too.
    static func logFormat(
        flags: [String: String], environment: [String: String], file: String?
    ) -> LogFormat {
        let environment = EnvironmentVariables.set(in: environment)
        let row = SettingsCatalogue.logs.logFormat.row
        for file in [file ?? environment["TOLLGATE_CONFIG"], nil] {
            guard
                let reader = try? SettingsReader(
                    flags: flags, environment: environment, file: file)
            else { continue }
            return (try? reader.value(row)) as? LogFormat ?? .text
        }
        return .text
    }

    /// What was set, else the default.
    func value<Value>(_ setting: Setting<Value>) -> Value {
        values[setting.row.name] as? Value ?? setting.standard
    }
}

// MARK: Values

extension ServeSettings {
    subscript<Value>(dynamicMember path: KeyPath<ServingSettings, Setting<Value>>) -> Value {
        value(SettingsCatalogue.serving[keyPath: path])
    }

    subscript<Value>(dynamicMember path: KeyPath<LogSettings, Setting<Value>>) -> Value {
        value(SettingsCatalogue.logs[keyPath: path])
    }

    subscript<Value>(dynamicMember path: KeyPath<TLSSettings, Setting<Value>>) -> Value {
        value(SettingsCatalogue.tls[keyPath: path])
    }

    subscript<Value>(dynamicMember path: KeyPath<CallerSettings, Setting<Value>>) -> Value {
        value(SettingsCatalogue.callers[keyPath: path])
    }

    subscript<Value>(dynamicMember path: KeyPath<JournalSettings, Setting<Value>>) -> Value {
        value(SettingsCatalogue.journal[keyPath: path])
    }

    subscript<Value>(dynamicMember path: KeyPath<ReservationSettings, Setting<Value>>) -> Value {
        value(SettingsCatalogue.reservations[keyPath: path])
    }

    subscript<Value>(dynamicMember path: KeyPath<GRPCSettings, Setting<Value>>) -> Value {
        value(SettingsCatalogue.grpc[keyPath: path])
    }

    subscript<Value>(dynamicMember path: KeyPath<HTTPSettings, Setting<Value>>) -> Value {
        value(SettingsCatalogue.http[keyPath: path])
    }

    subscript<Value>(dynamicMember path: KeyPath<AlertSettings, Setting<Value>>) -> Value {
        value(SettingsCatalogue.alerts[keyPath: path])
    }
}

// MARK: Settings that must go together

extension ServeSettings {
    private func checkJournal() throws(SettingsError) {
        guard self.journalMaximumBytes >= 4 * self.journalSegmentBytes else {
            throw SettingsError(
                description: """
                    journal-maximum must be at least four segments: one being written, one \
                    prepared, and two waiting for a checkpoint
                    """)
        }
        let least = Engine.leastSegmentBytes(lanes: lanes)
        guard self.durability == .memory || self.journalSegmentBytes >= least else {
            throw SettingsError(
                description: """
                    journal-segment must be at least \((least + (1 << 20) - 1) >> 20)MiB with \
                    \(self.threads) threads: each may write 80 KiB before a segment is full
                    """)
        }
    }

    private func checkMail() throws(SettingsError) {
        if self.smtpHost != nil && self.smtpFrom == nil {
            throw SettingsError(
                description: "smtp-host needs smtp-from, the sender address")
        }
        if (self.smtpUser == nil) != (self.smtpPasswordFile == nil) {
            throw SettingsError(
                description: "smtp-user and smtp-password-file must be given together")
        }
    }

    /// What must not start: an open door.
    private func checkAccess() throws(SettingsError) {
        guard self.insecureNoAuth else { return }
        if self.identitiesFile != nil {
            throw SettingsError(
                description:
                    "identities cannot be combined with --insecure-no-auth"
            )
        }
        for address in [self.grpcListen, self.httpListen] where address.isLoopback == false {
            throw SettingsError(
                description: """
                    --insecure-no-auth is allowed on loopback only, and \(address) is not: \
                    listen on 127.0.0.1 or [::1]
                    """)
        }
    }
}
