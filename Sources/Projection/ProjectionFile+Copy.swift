import GRDB
package import Journal

extension ProjectionFile {
    /// Copies the file as it is at one moment, while others read and write it. Its log of changes may grow meanwhile.
    ///
    /// - Parameters:
    ///   - target: of the copy, which must not exist.
    ///   - progress: called with the bytes that each step has copied, and those of all; throws to give up.
    /// - Returns: how far in the journal the copy goes; nil: it does not say so.
    /// - Throws: why it cannot be copied, in words (`reason(of:)`), or what `progress` threw.
    /// - Complexity: O(bytes).
    package func copy(
        to target: String, progress: @escaping (_ step: Int, _ all: Int) throws -> Void
    ) throws -> JournalPlace? {
        var reading = Configuration()
        reading.readonly = true
        reading.busyMode = .timeout(5)
        let source = try DatabaseQueue(path: path, configuration: reading)
        defer { try? source.close() }
        let copy = try DatabaseQueue(path: target)
        defer { try? copy.close() }
        try copy.writeWithoutTransaction { db in
            // Nobody has the copy before it is whole and synced.
            try db.execute(sql: "PRAGMA journal_mode = OFF")
            try db.execute(sql: "PRAGMA synchronous = OFF")
        }
        return try source.read { from in
            // The first statement decides which state is seen: all that is copied is as of now.
            let pageBytes = try Int.fetchOne(from, sql: "PRAGMA page_size") ?? 4_096
            _ = try Int.fetchOne(from, sql: "SELECT count(*) FROM sqlite_master")
            let place = try? ProjectionWriter.position(from)?.position.place
            try copy.writeWithoutTransaction { to in
                var done = 0
                try from.backup(to: to, pagesPerStep: Self.pagesPerStep) { state in
                    let step = state.completedPageCount - done
                    done = state.completedPageCount
                    try progress(step * pageBytes, state.totalPageCount * pageBytes)
                }
            }
            return place
        }
    }

    /// A megabyte.
    private static var pagesPerStep: CInt { 256 }
}

extension ProjectionError {
    /// Whether an error of a file says that there is no room for it.
    package static func isFullDisk(_ error: any Error) -> Bool {
        (error as? DatabaseError)?.resultCode == .SQLITE_FULL
    }
}
