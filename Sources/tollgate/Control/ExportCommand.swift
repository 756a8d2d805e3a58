internal import ArgumentParser
internal import CommandIO
internal import Limits
internal import LimitsFile

/// `tollgate export`
struct ExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Writes what a running service has as a limits file.",
        discussion: """
            Applying the file to the same service changes nothing. Usage, status, tokens and \
            webhook addresses are not part of it.

            Example: tollgate export -o limits.yaml
            """)

    @Option(
        name: .shortAndLong,
        help: .init(
            """
            Where to (default, and "-": standard output). A regular file is replaced as a whole, and \
            keeps its mode and owner; through symbolic links it is what they lead to.
            """,
            valueName: "file"))
    var output: String?

    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws {
        try await control.run { client in
            let file = try await read(client)
            let text = file.text
            try check(text, file)
            let destination = OutputFile(output ?? OutputFile.standardOutput)
            guard let output, !destination.isStandardOutput else {
                return StandardOutput.write(text)
            }
            do {
                try destination.write(text)
            } catch {
                throw ControlFailure(.failure, "\(error)")
            }
            let counts = "\(file.tenants.count) tenants, \(file.profiles.count) messaging profiles"
            control.print(
                done: "Wrote \(output): \(counts).",
                .object([
                    ("record_type", .string("export")), ("file", .string(output)),
                    ("tenants", .integer(Int64(file.tenants.count))),
                    ("messaging_profiles", .integer(Int64(file.profiles.count))),
                ]))
        }
    }

    private func read(_ client: ControlClient) async throws -> LimitsFile {
        let defaults = try TenantLimits(try await client.send(.get, Paths.defaults).data)
        let tenants = try await client.list(Paths.tenants, limit: nil).rows
            .map { try TenantSettings($0) }
        let profiles = Dictionary(
            grouping: try await client.list(Paths.profiles, limit: nil).rows
                .map { try ProfileSettings($0) },
            by: { Identifier($0.tenantID) })
        return LimitsFile(
            defaults: defaults, tenants: tenants,
            profiles: tenants.flatMap { profiles[Identifier($0.id)] ?? [] })
    }

    /// A file that would not say the same when it is read must not be kept as a backup.
    private func check(_ text: String, _ file: LimitsFile) throws {
        do {
            let again = try LimitsFile.parse(text, file: output ?? "the export")
            if again.saysTheSame(as: file) { return }
            throw ControlFailure(.failure, "The export does not read back as it was written")
        } catch let error as LimitsFileError {
            throw ControlFailure(.failure, "The export does not read back: \(error)")
        }
    }
}
