internal import CommandIO
internal import Engine
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
    /// As it was set, by name.
    private(set) var given: [String: GivenSetting] = [:]
    let sources: SettingsSources
    /// TLS of either port; nil: it is plaintext.
    private(set) var grpcTLS: TLSFiles?
    private(set) var httpTLS: TLSFiles?
    /// Addresses that were set and do not count, since sockets were passed: a sentence each.
    private(set) var overruled: [String] = []

    /// One for each event loop, one for configuration, one to spare.
    var lanes: Int { self.threads + 2 }

    /// The settings that hold: flag before environment before file before default.
    ///
    /// - Parameters:
    ///   - flags: What the command line says; only what it names, by the settings' names.
    ///   - environment: The process's environment; an empty variable is not set.
    ///   - file: `--config`; nil: `TOLLGATE_CONFIG`, if that is set.
    ///   - listening: addresses of sockets that were passed: they hold, whatever is set.
    /// - Throws: `SettingsError` with a sentence for each mistake.
    init(
        flags: [String: String], environment: [String: String], file: String?,
        listening: [PassedDescriptors.Port: NetworkAddress] = [:]
    ) throws(SettingsError) {
        try self.init(
            SettingsSources(flags: flags, environment: environment, config: file),
            listening: listening)
    }

    /// - Parameter reader: of the sources; nil: one that reads them now.
    init(
        _ sources: SettingsSources, _ reader: SettingsReader? = nil,
        listening: [PassedDescriptors.Port: NetworkAddress] = [:]
    ) throws(SettingsError) {
        self.sources = sources
        let reader = reader ?? SettingsReader(sources)
        var mistakes = reader.mistakes
        for row in SettingsCatalogue.rows {
            guard let given = reader.given(row) else { continue }
            self.given[row.name] = given
            do throws(SettingsError) {
                values[row.name] = try SettingsReader.value(row, given)
            } catch {
                mistakes.append(error)
            }
        }
        // What must go together is judged when each is right by itself.
        try SettingsError.check(mistakes)
        for (port, address) in listening { overrule(port.setting, with: address) }
        do throws(SettingsError) { try checkJournal() } catch { mistakes.append(error) }
        do throws(SettingsError) { try checkMail() } catch { mistakes.append(error) }
        do throws(SettingsError) { try checkAccess() } catch { mistakes.append(error) }
        do throws(SettingsError) {
            grpcTLS = try grpcFiles()
            httpTLS = try httpFiles(grpcTLS)
            try checkPlaintext()
        } catch {
            mistakes.append(error)
        }
        try SettingsError.check(mistakes)
    }

    /// The text that holds: as set, else the default; nil: neither.
    func text(_ row: SettingRow) -> String? { given[row.name]?.text ?? row.standard }

    /// The settings whose values are others there.
    func differing(from other: ServeSettings) -> [SettingRow] {
        SettingsCatalogue.rows.filter { row in
            "\(String(describing: text(row).flatMap(row.value)))"
                != "\(String(describing: other.text(row).flatMap(row.value)))"
        }
    }

    /// A socket that was passed has its address already.
    private mutating func overrule(_ setting: SettingRow, with address: NetworkAddress) {
        let name = setting.name
        if let set = values[name] as? NetworkAddress, !set.mayBe(address) {
            overruled.append(
                "\(name) is \(set), but the socket that was passed listens on \(address)")
        }
        values[name] = address
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

    subscript<Value>(dynamicMember path: KeyPath<OpsSettings, Setting<Value>>) -> Value {
        value(SettingsCatalogue.ops[keyPath: path])
    }

    subscript<Value>(dynamicMember path: KeyPath<AlertSettings, Setting<Value>>) -> Value {
        value(SettingsCatalogue.alerts[keyPath: path])
    }
}

extension ServeSettings {
    /// Whole days, a part of one counting as one.
    var usageDays: Int { Self.days(self.usageRetentionMilliseconds) }
    var hourlyUsageDays: Int { Self.days(self.hourlyRetentionMilliseconds) }

    private static func days(_ milliseconds: Int64) -> Int {
        Int((milliseconds + 86_399_999) / 86_400_000)
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
