internal import ArgumentParser
internal import Backup
internal import CommandIO
internal import Foundation
internal import JSON
internal import Journal
internal import Notation
internal import Projection

/// `tollgate backup`
struct BackupCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Copies the data directory, also while the service runs.",
        discussion: """
            The backup holds everything that was acknowledged before it began (with --durability sync). Run again with the same \
            directory, it copies only what is new. It stays what it was until the new one is complete: an \
            interrupted backup loses nothing, and the next one goes on from there.

            It contains secrets (webhook-key, operator-token). Limits file, identities file, certificates \
            and settings are not part of the data directory: keep copies of them too.

            Exit status: 0 done, 64 wrong usage, 65 refused or damaged, 69 in use by another backup, \
            70 anything else.

            Example: tollgate backup --data-dir /var/lib/tollgate --to /backup/tollgate
            """)

    @Option(help: .init("The data directory.", valueName: "dir"))
    var dataDir = "tollgate-data"

    @Option(
        help: .init(
            "The backup's directory: new, empty, or made by an earlier backup.", valueName: "dir"))
    var to: String

    @Option(
        help: .init(
            "Maximum bytes per second, like 64MiB; 0: unlimited.", valueName: "size"))
    var rate = "64MiB"

    @Flag(help: "One JSON object.") var json = false

    func run() throws {
        guard let rate = SizeText.bytes(rate), rate == 0 || rate >= Self.leastRate else {
            throw ValidationError("--rate must be 0, or a size of at least 64KiB, like 64MiB")
        }
        try DirectoryFailure.reporting {
            umask(0o077)
            let began = ContinuousClock.now
            let source = try SystemDisk(path: dataDir)
            // Before anything is made.
            _ = try BackupWriter.journal(of: source)
            let target = try openTarget(source)
            let work = CopyReport.work("backup", rate: rate)
            let lists = ListsCopy(dataDirectory: dataDir, target: to, work: work)
            let report = try BackupWriter(from: source, to: target, work: work) {
                (name) throws(JournalError) in try lists.make(name)
            }.run(now: Self.now)
            for name in report.leftOut {
                StandardError.print("\(dataDir)/\(name) is not part of the backup")
            }
            show(report, took: ContinuousClock.now - began)
        }
    }

    private static let leastRate = 64 << 10

    private static var now: Int64 { Int64(Date().timeIntervalSince1970 * 1_000) }

    /// The directory, made if it was not there, and locked. One that is refused is not left behind.
    private func openTarget(_ source: SystemDisk) throws -> SystemDisk {
        let new = try NewDirectory.make(to, mode: 0o700)
        do {
            return try lockTarget(source)
        } catch {
            new.remove()
            throw error
        }
    }

    private func lockTarget(_ source: SystemDisk) throws -> SystemDisk {
        let target = try SystemDisk(path: to)
        guard try !target.isWithin(source) else {
            throw JournalError(
                .invalid, file: to, reason: "it is inside the data directory",
                remedy: "give a directory elsewhere, best on another disk")
        }
        try BackupWriter.checkTarget(target, to)
        try target.lock()
        // Another command may have been at work there until now.
        try BackupWriter.checkTarget(target, to)
        return target
    }

    private func show(_ report: BackupWriter.Report, took: Duration) {
        let manifest = report.manifest
        let all = manifest.files.reduce(0) { $0 + $1.bytes }
        guard json else {
            StandardOutput.print(
                """
                backup \(manifest.number) complete: everything up to \
                \(Instant.text(manifest.takenAt)), journal to \(manifest.end.text)
                \(manifest.files.count) files with \(CopyReport.bytes(all)); \
                \(report.copiedFiles) files with \(CopyReport.bytes(report.copiedBytes)) copied, the \
                others were there
                """)
            return
        }
        StandardOutput.print(
            JSON.object([
                ("number", .integer(manifest.number)),
                ("journal", .string(manifest.journal.text)),
                ("taken_at", .string(Instant.text(manifest.takenAt))),
                ("end_segment", .number("\(manifest.end.segment)")),
                ("end_offset", .integer(manifest.end.offset)),
                ("files", .integer(manifest.files.count)), ("bytes", .integer(all)),
                ("copied_files", .integer(report.copiedFiles)),
                ("copied_bytes", .integer(report.copiedBytes)),
                ("took_ms", .integer(Int64(took / .milliseconds(1)))),
            ]).text)
    }
}
