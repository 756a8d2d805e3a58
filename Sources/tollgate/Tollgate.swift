internal import ArgumentParser
internal import CommandIO
internal import JSON

@main
enum Main {
    static func main() {
        if CommandLine.arguments.dropFirst().first == "serve" {
            ProcessSignals.block()
            StandardStreams.prepare(program: "tollgate")
            ProgramImage.reserveDescriptors()
        }
        Tollgate.process(named: "tollgate")
    }
}

/// The one command: the service and its client.
struct Tollgate: AsyncParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "tollgate",
        abstract: "Checks and enforces tenants' usage limits.",
        discussion: """
            `tollgate serve` runs the service. The other commands call a running one, or look after \
            its data and its program.

            Exit status: 0 allowed or done, 3 denied, 64 wrong usage, 65 input that the service \
            refused, 69 service unavailable or deadline passed, 77 not permitted, 70 anything else.
            """,
        version: version,
        subcommands: [
            ServeCommand.self, SendCheckCommand.self, SendCommitCommand.self,
            SendReleaseCommand.self,
            SendExtendCommand.self, SendRecordCommand.self, UsageCommand.self, ReportCommand.self,
            TenantsCommand.self,
            ProfilesCommand.self, DefaultsCommand.self, ApplyCommand.self, ExportCommand.self,
            AuditCommand.self, EventsCommand.self, WebhooksCommand.self, EmailsCommand.self,
            EmailCommand.self, TokensCommand.self, BackupCommand.self, RestoreCommand.self,
            JournalCommand.self, ConfigCommand.self, UpgradeCommand.self, VersionCommand.self,
            SettingsReferenceCommand.self, MetricsReferenceCommand.self,
        ])
}

/// `tollgate version`
struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Prints the version.")

    @Flag(help: "Print one JSON object: {\"version\":\"…\"}.")
    var json = false

    func run() {
        let text = Tollgate.version
        StandardOutput.print(
            json ? JSON.object([("version", .string(text))]).text : "tollgate \(text)")
    }
}
