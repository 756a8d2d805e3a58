internal import ArgumentParser
internal import CommandIO
internal import Glibc
internal import LimitsFile
internal import TransportSecurity

/// `tollgate serve`
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Runs the service until SIGTERM or SIGINT.",
        discussion: """
            Settings come from the flag, else from the environment (--grpc-listen is \
            TOLLGATE_GRPC_LISTEN), else from the file given with --config, else from its default.

            Prints one line when it is ready: tollgate ready grpc=HOST:PORT http=HOST:PORT. \
            On SIGTERM or SIGINT it finishes running calls and exits 0.

            Example: tollgate serve --limits Tools/examples/limits.yaml --insecure-no-auth
            """)

    @OptionGroup var options: ServeOptions

    func run() async throws {
        CrashHandlers.remove()
        let hangups = await ProcessSignals.catchEarly()
        StandardError.writeInBackground()
        // Whatever is written from here on is nobody else's to read.
        umask(0o077)
        CommandEnvironment.warnOfUnknown()
        let settings: ServeSettings
        let limits: LimitsSource?
        do {
            settings = try ServeSettings(
                flags: options.named, environment: EnvironmentVariables.all, file: options.config)
            limits = try settings.limitsFile.map { path throws(LimitsFileError) in
                try LimitsSource(path: path)
            }
        } catch {
            StandardError.print("\(error)")
            throw ExitStatus.usage.code
        }
        do {
            try await Service(settings, limits: limits).run(hangups: hangups)
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
