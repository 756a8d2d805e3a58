import JSON
package import Journal
import Notation

/// What a restore leaves for the first start after it: since when the service's own records are lost. Ids of reservations
/// that were given out in that time must not be given out again.
package struct RestoreNote: Sendable, Equatable {
    private static let fileName = CompanionFiles.restoreNote
    private static let longest = 4_096

    /// When the backup was taken, Unix milliseconds.
    package var takenAt: Int64

    init(_ manifest: BackupManifest) { takenAt = manifest.takenAt }

    var encoded: [UInt8] {
        let note: JSON = ["taken_at": .string(Instant.text(takenAt))]
        return Array((note.text + "\n").utf8)
    }

    /// The note of a data directory; nil: there is none.
    ///
    /// - Throws: it cannot be read.
    package static func read(_ disk: any Disk) throws(JournalError) -> RestoreNote? {
        guard try disk.list().contains(fileName) else { return nil }
        guard let bytes = try disk.contents(fileName, atMost: longest),
            let json = try? JSONParser.parse(bytes),
            let takenAt = json["taken_at"]?.string.flatMap(Instant.parse)
        else {
            throw JournalError(
                .damaged, file: fileName, reason: "it is not what `tollgate restore` wrote",
                remedy: "restore the backup again")
        }
        return RestoreNote(takenAt: takenAt)
    }

    private init(takenAt: Int64) { self.takenAt = takenAt }

    /// Removes it: what it asks for is done.
    package static func remove(_ disk: any Disk) throws(JournalError) {
        try disk.remove(fileName)
        try disk.syncDirectory()
    }

    /// How many generations of any slot may have been used since, at the most: a reservation's slot is not used again before
    /// its retention is over. What that was in the time that is lost nobody knows: the shortest that there may be counts.
    ///
    /// - Parameter now: Unix milliseconds.
    package func generations(now: Int64) -> UInt64 {
        UInt64(max(0, now - takenAt) / Self.shortestRetention) + Self.spare
    }

    /// Of `--idempotency-retention`, milliseconds.
    private static let shortestRetention: Int64 = 1_000

    /// For a clock that was set back, and for starts: each of them begins above all that is on record.
    private static let spare: UInt64 = 4_096
}
