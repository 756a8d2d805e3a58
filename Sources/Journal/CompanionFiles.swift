/// Files of the data directory beside the journal. They say that there was one, and a backup takes them along.
package enum CompanionFiles {
    /// The projection's, an SQLite file.
    package static let lists = "projection.sqlite"
    package static let webhookKey = "webhook-key"
    package static let operatorToken = "operator-token"
    /// What a restore leaves for the first start after it.
    package static let restoreNote = "restored-from-backup"

    package static let all = [lists, webhookKey, operatorToken, restoreNote]

    /// What SQLite puts behind a file's name for the files that it keeps beside it.
    package static let besideSQLite = ["-journal", "-wal", "-shm"]
}
