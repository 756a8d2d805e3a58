internal import ArgumentParser
internal import Backup
internal import CommandIO
internal import Engine
internal import Glibc
internal import JSON
internal import Journal
internal import Notation

/// `tollgate restore`
struct RestoreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Makes a data directory from a backup, and verifies it.",
        discussion: """
            Every file's checksum is compared, and the journal is read and replayed as by `tollgate journal \
            verify`. A directory that could not be restored whole is left empty.

            What was acknowledged after the backup is gone: read docs/operate/backup.md before callers \
            come back.

            Exit status: 0 done, 64 wrong usage, 65 refused or damaged, 69 in use by another process, \
            70 anything else.

            Example: tollgate restore --from /backup/tollgate --to /var/lib/tollgate
            """)

    @Option(help: .init("The backup's directory.", valueName: "dir"))
    var from: String

    @Option(
        help: .init("The data directory to make: new or empty.", valueName: "dir"))
    var to: String

    @Flag(help: "One JSON object.") var json = false

    func run() throws {
        try DirectoryFailure.reporting {
            umask(0o077)
            let backup = try SystemDisk(path: from)
            try backup.lockForReading()
            // Before anything is made.
            _ = try Restorer.manifest(of: backup)
            let new = try NewDirectory.make(to, mode: 0o700)
            do {
                show(try restore(backup, isNew: new.isNew))
            } catch {
                new.remove()
                throw error
            }
        }
    }

    /// - Parameter isNew: the directory was made for this: if nothing comes of it, nothing is left in it.
    private func restore(_ backup: SystemDisk, isNew: Bool) throws -> Restorer.Report {
        let target = try SystemDisk(path: to)
        try Restorer.checkTarget(target, to)
        try target.lock()
        // Another one may have been at work there until now.
        try Restorer.checkTarget(target, to)
        do {
            return try Restorer(
                from: backup, to: target, work: CopyReport.work("restore")
            ).run()
        } catch {
            if isNew { try? target.remove(JournalFiles.lock) }
            guard let refusal = error as? EngineError, refusal.code == .invalid else { throw error }
            StandardError.print("the backup cannot be used: \(refusal)")
            throw ExitStatus.refusedInput.code
        }
    }

    private func show(_ report: Restorer.Report) {
        let manifest = report.manifest
        let bytes = manifest.files.reduce(0) { $0 + $1.bytes }
        let time = Instant.text(manifest.takenAt)
        guard json else {
            StandardOutput.print(
                """
                restored \(manifest.files.count) files with \(CopyReport.bytes(bytes)) to \(to): \
                everything acknowledged up to \(time)
                verified: \(report.verified.records) records and entries, journal to \
                \(manifest.end.text)
                """)
            return
        }
        StandardOutput.print(
            JSON.object([
                ("number", .integer(manifest.number)),
                ("journal", .string(manifest.journal.text)), ("taken_at", .string(time)),
                ("files", .integer(manifest.files.count)), ("bytes", .integer(bytes)),
                ("records", .integer(report.verified.records)),
            ]).text)
    }
}

extension JournalPlace {
    /// As errors name places.
    var text: String { "segment \(segment), offset \(offset)" }
}
