internal import ArgumentParser
internal import CommandIO
internal import Glibc
internal import Limits
internal import LimitsFile
internal import LogLines
internal import Logging
internal import TransportSecurity

/// `tollgate serve`
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Runs the service until SIGTERM or SIGINT.",
        discussion: """
            Settings come from the flag, else from the environment (--grpc-listen is \
            TOLLGATE_GRPC_LISTEN), else from the file given with --config, else from its default.

            Prints one line when it is ready: tollgate ready grpc=HOST:PORT http=HOST:PORT, and \
            ops=HOST:PORT if there is an ops listener. On SIGTERM or SIGINT it finishes running calls and \
            exits 0. On SIGUSR2 it goes over to the program that now lies in its place (tollgate upgrade).

            Example: tollgate serve --limits Tools/examples/limits.yaml --insecure-no-auth
            """)

    // All are texts here: one place parses them, whoever said them. The groups stand in the command itself: a debug build
    // checks each group once for every level above it.
    @Option(
        help: .init(
            "Settings as YAML, with these flags' names as keys (environment TOLLGATE_CONFIG).",
            valueName: "file"))
    var config: String?

    @Flag(
        help: """
            Check settings, limits file, certificates and the data directory's format, and end: \
            nothing is written, and a service may be running.
            """)
    var check = false

    @OptionGroup(title: .init(ServingSettings.title))
    var serving: CatalogueOptions<ServingSettings>
    @OptionGroup(title: .init(LogSettings.title)) var logs: CatalogueOptions<LogSettings>
    @OptionGroup(title: .init(TLSSettings.title)) var tls: CatalogueOptions<TLSSettings>
    @OptionGroup(title: .init(CallerSettings.title)) var callers: CatalogueOptions<CallerSettings>
    @OptionGroup(title: .init(JournalSettings.title))
    var journal: CatalogueOptions<JournalSettings>
    @OptionGroup(title: .init(ReservationSettings.title))
    var reservations: CatalogueOptions<ReservationSettings>
    @OptionGroup(title: .init(GRPCSettings.title)) var grpc: CatalogueOptions<GRPCSettings>
    @OptionGroup(title: .init(HTTPSettings.title)) var http: CatalogueOptions<HTTPSettings>
    @OptionGroup(title: .init(OpsSettings.title)) var ops: CatalogueOptions<OpsSettings>
    @OptionGroup(title: .init(AlertSettings.title)) var alerts: CatalogueOptions<AlertSettings>

    /// What the command line named, by the settings' names.
    var named: [String: String] {
        [
            serving.given, logs.given, tls.given, callers.given, journal.given, reservations.given,
            grpc.given, http.given, ops.given, alerts.given,
        ].reduce(into: [:]) { all, some in all.merge(some) { first, _ in first } }
    }

    /// Has what is wrong with the settings told as the log is.
    private func writeErrors(as format: LogFormat) {
        guard format == .json else { return }
        StandardError.write { severity, text in
            LogLine(
                time: LineLogHandler.now, level: severity == .error ? .error : .warning,
                message: text
            ).encoded(as: format)
        }
    }

    func run() async throws {
        CrashHandlers.remove()
        guard let signals = ProcessSignals.take(isUpgrade: PassedDescriptors.isUpgrade) else {
            StandardError.print("The service cannot start: the system has no thread left")
            throw ExitStatus.unavailable.code
        }
        StandardError.writeInBackground()
        let sources = SettingsSources(
            flags: named, environment: EnvironmentVariables.all, config: config)
        // Once: the file may be a pipe.
        let reader = SettingsReader(sources)
        if !check { writeErrors(as: reader.logFormat) }
        // Whatever is written from here on is nobody else's to read.
        umask(0o077)
        CommandEnvironment.warnOfUnknown()
        let asking = check ? RunningService(EnvironmentVariables.all) : nil
        let supervision: Supervision
        let settings: ServeSettings
        let limits: LimitsSource?
        do {
            supervision = try Supervision.take()
            settings = try ServeSettings(
                sources, reader, listening: asking?.listening ?? supervision.listening)
            limits =
                check
                ? nil
                : try settings.limitsFile.map { path throws(LimitsFileError) in
                    try LimitsSource(path: path)
                }
        } catch {
            StandardError.print("\(error)")
            throw ExitStatus.usage.code
        }
        if let url = settings.publicURL { ErrorPages.serve(at: url) }
        do {
            guard !check else { return try ServeCheck(settings: settings, service: asking).run() }
            let service = try Service(settings, limits: limits, supervision)
            try await service.run(signals)
            guard service.upgrades.isLeaving, signals.leave() else { return }
            StandardError.print(supervision.upgrade())
            throw ExitStatus.failure.code
        } catch let error as ExitCode {
            throw error
        } catch let error as LimitsFileError {
            StandardError.print("\(error)")
            throw ExitStatus.usage.code
        } catch let error as TLSError {
            StandardError.print("\(error)")
            throw ExitStatus.usage.code
        } catch {
            StandardError.print("The service cannot start: \(error)")
            throw ExitStatus.unavailable.code
        }
    }
}
