/// Files by name within one directory: everything that the journal asks of an operating system.
///
/// The journal's code runs on any of them: `SystemDisk`, or a simulated one with its faults.
/// Every error names the file and the offset.
///
/// **Thread safety.** Several threads may use one disk, each with its own files.
package protocol Disk: Sendable {
    /// All names, in no order.
    func list() throws(JournalError) -> [String]
    /// Makes an empty file that must not exist.
    func create(_ name: String) throws(JournalError) -> DiskFile
    func open(_ name: String, isWritable: Bool) throws(JournalError) -> DiskFile
    func close(_ file: DiskFile)
    /// Bytes.
    func size(of file: DiskFile) throws(JournalError) -> Int
    /// Reads into the front of a buffer.
    ///
    /// - Returns: Bytes read: at least one, perhaps fewer than fit, 0 at the end of the file.
    func read(
        _ file: DiskFile, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(JournalError) -> Int
    /// Writes all pieces, one behind the other.
    func write(
        _ file: DiskFile, at offset: Int, _ pieces: [UnsafeRawBufferPointer]
    ) throws(JournalError)
    /// Returns when everything written to the file, and its size, is on the disk.
    func sync(_ file: DiskFile) throws(JournalError)
    func truncate(_ file: DiskFile, to size: Int) throws(JournalError)
    /// Gives a file a name; whatever had it is gone.
    func rename(_ name: String, to newName: String) throws(JournalError)
    func remove(_ name: String) throws(JournalError)
    /// Returns when the names made, changed and removed are on the disk.
    func syncDirectory() throws(JournalError)
    /// Takes the directory for this process, until `unlock` or the process's end.
    func lock() throws(JournalError)
    func unlock()
    /// Looks whether what is written to an open file can be found again: directory, lock and file are still where their
    /// names say.
    func look(after file: DiskFile) throws(JournalError)
    /// Whether an open file is still found under its name.
    func isNamed(_ file: DiskFile) throws(JournalError) -> Bool
    /// What tells an open file as it is now from every other one, and from itself once it is written to again; nil:
    /// nothing does.
    func stamp(of file: DiskFile) throws(JournalError) -> FileIdentity?
}

/// Which file it is, and when it was written to last.
package struct FileIdentity: Sendable, Equatable {
    package var inode: UInt64
    /// Nanoseconds since 1970.
    package var modified: Int64

    package init(inode: UInt64, modified: Int64) {
        self.inode = inode
        self.modified = modified
    }
}

/// An open file of a `Disk`, to be closed there.
package struct DiskFile: Sendable {
    package let descriptor: Int32
    package let name: String

    package init(descriptor: Int32, name: String) {
        self.descriptor = descriptor
        self.name = name
    }
}

extension Disk {
    /// Nobody takes anything away behind a simulated disk's back.
    package func look(after file: DiskFile) throws(JournalError) {}

    package func isNamed(_ file: DiskFile) throws(JournalError) -> Bool {
        try list().contains(file.name)
    }

    package func stamp(of file: DiskFile) throws(JournalError) -> FileIdentity? { nil }

    /// Reads until the buffer is full or the file ends.
    ///
    /// - Returns: Bytes read.
    package func readFully(
        _ file: DiskFile, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(JournalError) -> Int {
        var done = 0
        while done < buffer.count {
            let count = try read(
                file, at: offset + done,
                into: UnsafeMutableRawBufferPointer(rebasing: buffer[done...]))
            if count == 0 { break }
            done += count
        }
        return done
    }

    func write(_ file: DiskFile, at offset: Int, _ words: [UInt64]) throws(JournalError) {
        // `withUnsafeBytes` rethrows untyped, so the error takes a detour.
        let result: Result<Void, JournalError> = words.withUnsafeBytes { bytes in
            do throws(JournalError) {
                return .success(try write(file, at: offset, [bytes]))
            } catch {
                return .failure(error)
            }
        }
        try result.get()
    }

    /// Overwrites a stretch with zeros, a slice at a time.
    ///
    /// - Parameter afterSlice: called behind each slice.
    package func zero(
        _ file: DiskFile, from start: Int, to end: Int,
        afterSlice: () throws(JournalError) -> Void = {}
    ) throws(JournalError) {
        var offset = start
        while offset < end {
            let count = min(end - offset, Zeros.count)
            try write(file, at: offset, [Zeros.bytes(count)])
            offset += count
            try afterSlice()
        }
    }

    /// Removes files a piece at a time: while a file system gives a large file back at once (with online discard above
    /// all), everybody's syncs wait.
    ///
    /// A file that cannot be opened stays as it is, and those behind it.
    ///
    /// - Parameters:
    ///   - names: no longer needed by anybody.
    ///   - rest: called behind each piece. What it interrupts is never found again, and its space is given back by the
    ///     next sweep of temporary files.
    package func removeGently(
        _ names: [String], _ rest: () throws(JournalError) -> Void
    ) throws(JournalError) {
        for name in names {
            // Opened first: one that were renamed and then not opened would never be found again.
            let file = try open(name, isWritable: true)
            defer { close(file) }
            // A part of a file must never be found under its name.
            let temporary = name + JournalFiles.temporarySuffix
            try rename(name, to: temporary)
            try syncDirectory()
            try shrink(file, rest)
            try remove(temporary)
        }
    }

    private func shrink(
        _ file: DiskFile, _ rest: () throws(JournalError) -> Void
    ) throws(JournalError) {
        var size = try size(of: file)
        while size > JournalFiles.pieceBytes {
            size -= JournalFiles.pieceBytes
            try truncate(file, to: size)
            // So that the file system gives it back now, and not much at once later.
            try sync(file)
            try rest()
        }
    }
}

/// A slice of zeros, made once and never freed.
enum Zeros {
    static let count = 1 << 18

    // SAFETY: never written after it was made.
    nonisolated(unsafe) private static let start: UnsafeRawPointer = {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: count, alignment: 4_096)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: count)
        return UnsafeRawPointer(memory)
    }()

    static func bytes(_ count: Int) -> UnsafeRawBufferPointer {
        precondition(count <= Self.count)
        return UnsafeRawBufferPointer(start: start, count: count)
    }
}

extension Disk {
    /// Numbers of the segments, ascending.
    package func segmentNumbers() throws(JournalError) -> [UInt64] {
        try list().compactMap(JournalFiles.segmentNumber).sorted()
    }

    /// Numbers of the checkpoints, ascending.
    package func checkpointNumbers() throws(JournalError) -> [UInt64] {
        try list().compactMap(JournalFiles.checkpointNumber).sorted()
    }

    /// Removes what a process left half made.
    package func removeTemporaries() throws(JournalError) {
        for name in try list() where name.hasSuffix(JournalFiles.temporarySuffix) {
            try remove(name)
        }
    }
}
