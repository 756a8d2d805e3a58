internal import Backup
internal import Journal
internal import Projection

/// The copy of the lists' file within a backup.
struct ListsCopy {
    let dataDirectory: String
    let target: String
    let work: CopyWork

    /// - Parameter name: of the copy.
    /// - Returns: the first segment that it needs; nil: it does not say so, and begins anew.
    func make(_ name: String) throws(JournalError) -> UInt64? {
        let path = dataDirectory + "/" + Projection.fileName
        do {
            var isFirst = true
            return try ProjectionFile(path: path).copy(to: target + "/" + name) { step, all in
                if isFirst { work.expect(all) }
                isFirst = false
                try work.spend(step)
            }?.segment
        } catch let error as JournalError {
            throw error
        } catch {
            throw JournalError(
                ProjectionError.isFullDisk(error) ? .noSpace : .system, file: Projection.fileName,
                reason: "it cannot be copied: \(ProjectionError.reason(of: error))",
                remedy: ProjectionError.isFullDisk(error)
                    ? "free some disk space"
                    : "see that it can be read; if it is damaged, a start of the service rebuilds it"
            )
        }
    }
}
