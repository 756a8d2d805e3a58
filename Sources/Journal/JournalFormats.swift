/// Whether this release can read what a directory holds, before it is asked to.
package enum JournalFormats {
    /// Looks at the front of every segment and checkpoint; changes nothing and takes no lock. A service may be writing in
    /// the directory meanwhile: a file that goes is passed over, and damage is not looked for.
    ///
    /// - Returns: files that were looked at.
    /// - Throws: the first file in a format that this release does not know, or that cannot be read at all.
    /// - Complexity: O(files).
    package static func check(_ disk: any Disk) throws(JournalError) -> Int {
        var files = 0
        for number in try disk.segmentNumbers() {
            files += try check(disk, JournalFiles.segment(number), .segment, number) ? 1 : 0
        }
        for number in try disk.checkpointNumbers() {
            files += try check(disk, JournalFiles.checkpoint(number), .checkpoint, number) ? 1 : 0
        }
        return files
    }

    /// False: it is gone.
    private static func check(
        _ disk: any Disk, _ name: String, _ kind: FileHeader.Kind, _ number: UInt64
    ) throws(JournalError) -> Bool {
        do throws(JournalError) {
            let file = try disk.open(name, isWritable: false)
            defer { disk.close(file) }
            _ = try FileHeader.read(disk, file, kind: kind, number: number, id: nil)
        } catch {
            // A start finds damage that matters, and tells it from an end that was cut off.
            if error.code == .damaged { return true }
            if error.code == .system, try !disk.list().contains(name) { return false }
            throw error
        }
        return true
    }
}
