internal import ArgumentParser
internal import CommandIO
internal import JSON
internal import Limits
internal import LimitsFile

/// `tollgate export`
struct ExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Exports the settings of a running service as a limits file.",
        discussion: """
            Applying the file to the same service changes nothing. Usage, status, tokens and \
            webhook addresses are not part of it.

            Example: tollgate export -o limits.yaml
            """)

    @Option(
        name: .shortAndLong,
        help: .init(
            """
            Output file (default, and "-": standard output). A regular file is replaced atomically and \
            keeps its mode and owner; symbolic links are followed.
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
            let counts = ProfileKind.allCases.map { kind in
                (kind, file.profiles.count { $0.kind == kind })
            }
            let listed =
                ["\(file.tenants.count) tenants"] + counts.map { "\($0.1) \($0.0.noun)s" }
            control.print(
                done: "Wrote \(output): \(listed.joined(separator: ", ")).",
                .object(
                    [
                        ("record_type", .string("export")), ("file", .string(output)),
                        ("tenants", .integer(Int64(file.tenants.count))),
                    ] + counts.map { ($0.0.collection, .integer(Int64($0.1))) }))
        }
    }

    private func read(_ client: ControlClient) async throws -> LimitsFile {
        let defaults = try TenantLimits(try await client.send(.get, Paths.defaults).data)
        let tenants = try await client.list(Paths.tenants, limit: nil).rows
            .map { try TenantSettings($0) }
        let profiles = Dictionary(
            grouping: try await client.profiles(), by: { Identifier($0.tenantID) })
        return LimitsFile(
            defaults: defaults, tenants: tenants,
            profiles: tenants.flatMap { profiles[Identifier($0.id)] ?? [] })
    }

    /// A file that would not say the same when it is read must not be kept as a backup.
    private func check(_ text: String, _ file: LimitsFile) throws {
        do {
            let again = try LimitsFile.parse(text, file: output ?? "the export")
            if again.saysTheSame(as: file) { return }
            throw ControlFailure(
                .failure,
                "The exported text does not match the settings when it is read back; nothing was written"
            )
        } catch let error as LimitsFileError {
            throw ControlFailure(
                .failure, "The exported text cannot be read back; nothing was written: \(error)")
        }
    }
}
