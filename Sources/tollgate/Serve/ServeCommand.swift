internal import ArgumentParser
internal import CommandIO
internal import Foundation
internal import Glibc
internal import LimitsFile
internal import TransportSecurity

/// `tollgate serve`
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Runs the service until SIGTERM or SIGINT.",
        discussion: """
            Each setting comes from its flag, else from the environment (--grpc-listen is \
            TOLLGATE_GRPC_LISTEN), else from the file given with --config, else from its default.

            Prints one line when it is ready: tollgate ready grpc=HOST:PORT http=HOST:PORT. \
            SIGTERM and SIGINT finish running calls and exit 0.

            Example: tollgate serve --limits Tools/examples/limits.yaml --insecure-no-auth
            """)

    @OptionGroup var options: ServeOptions

    func run() async throws {
        CrashHandlers.remove()
        ProcessSignals.catchAll()
        StandardError.writeInBackground()
        // Whatever is written from here on is nobody else's to read.
        umask(0o077)
        CommandEnvironment.warnOfUnknown()
        let settings: ServeSettings
        let limits: LimitsSource?
        do {
            settings = try await ServeSettings.resolve(
                flags: options.named, environment: EnvironmentVariables.all,
                file: options.config, cores: ProcessInfo.processInfo.activeProcessorCount)
            limits = try settings.limitsFile.map { path throws(LimitsFileError) in
                try LimitsSource(path: path)
            }
        } catch {
            StandardError.print("\(error)")
            throw ExitStatus.usage.code
        }
        do {
            try await Service(settings, limits: limits).run()
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
