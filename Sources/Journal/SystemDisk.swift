import CLinux
import Glibc

/// A directory of the operating system.
package final class SystemDisk: Disk {
    /// The directory's path, for messages.
    package let path: String
    private let directory: Int32
    /// Descriptor of the lock file; -1 without the lock.
    private let lockDescriptor = Lock<Int32>(-1)

    /// Opens a directory that exists.
    package init(path: String) throws(JournalError) {
        self.path = path
        directory = linux_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0)
        if directory < 0 {
            let code = errno
            throw JournalError(
                .system, file: path, errno: code,
                reason: "the directory cannot be opened: \(Self.text(code))",
                remedy: "create it, or use another one")
        }
    }

    deinit {
        unlock()
        _ = Glibc.close(directory)
    }

    package func list() throws(JournalError) -> [String] {
        guard let stream = opendir(path) else { throw failure("list", path) }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw failure("list", path) }
                return names
            }
            let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
    }

    package func create(_ name: String) throws(JournalError) -> DiskFile {
        try openFile(name, flags: O_RDWR | O_CREAT | O_EXCL, verb: "create")
    }

    package func open(_ name: String, isWritable: Bool) throws(JournalError) -> DiskFile {
        try openFile(name, flags: isWritable ? O_RDWR : O_RDONLY, verb: "open")
    }

    private func openFile(
        _ name: String, flags: Int32, verb: String
    ) throws(JournalError) -> DiskFile {
        let descriptor = Self.uninterrupted { linux_openat(directory, name, flags, 0o600) }
        if descriptor < 0 { throw failure(verb, name) }
        return DiskFile(descriptor: descriptor, name: name)
    }

    package func close(_ file: DiskFile) {
        _ = Glibc.close(file.descriptor)
    }

    package func size(of file: DiskFile) throws(JournalError) -> Int {
        let end = lseek(file.descriptor, 0, SEEK_END)
        if end < 0 { throw failure("find the size of", file.name) }
        return end
    }

    package func read(
        _ file: DiskFile, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(JournalError) -> Int {
        let count = Self.uninterrupted {
            pread(file.descriptor, buffer.baseAddress, buffer.count, offset)
        }
        if count < 0 { throw failure("read", file.name, offset) }
        return count
    }

    package func write(
        _ file: DiskFile, at offset: Int, _ pieces: [UnsafeRawBufferPointer]
    ) throws(JournalError) {
        var next = 0
        // Bytes of the next piece that are written.
        var written = 0
        var place = offset
        while true {
            // A short write goes on where it ended.
            while next < pieces.count, written >= pieces[next].count {
                written -= pieces[next].count
                next += 1
            }
            guard next < pieces.count else { return }
            let done = Self.uninterrupted {
                Self.writeSome(file.descriptor, at: place, pieces[next...], from: written)
            }
            if done < 0 { throw failure("write", file.name, place) }
            place += done
            written += done
        }
    }

    /// As `pwritev`.
    private static func writeSome(
        _ descriptor: Int32, at offset: Int, _ pieces: ArraySlice<UnsafeRawBufferPointer>,
        from start: Int
    ) -> Int {
        let count = min(pieces.count, Int(UIO_MAXIOV))
        return withUnsafeTemporaryAllocation(of: iovec.self, capacity: count) { vectors in
            for index in 0..<count {
                var piece = pieces[pieces.startIndex + index]
                if index == 0 { piece = UnsafeRawBufferPointer(rebasing: piece[start...]) }
                vectors.initializeElement(
                    at: index,
                    to: iovec(
                        iov_base: UnsafeMutableRawPointer(mutating: piece.baseAddress),
                        iov_len: piece.count))
            }
            return pwritev(descriptor, vectors.baseAddress, Int32(count), offset)
        }
    }

    package func sync(_ file: DiskFile) throws(JournalError) {
        // Not repeated, not even after EINTR: a second success would not speak for the first.
        if fdatasync(file.descriptor) != 0 { throw failure("sync", file.name) }
    }

    package func truncate(_ file: DiskFile, to size: Int) throws(JournalError) {
        if Self.uninterrupted({ ftruncate(file.descriptor, size) }) != 0 {
            throw failure("truncate", file.name, size)
        }
    }

    package func rename(_ name: String, to newName: String) throws(JournalError) {
        if renameat(directory, name, directory, newName) != 0 {
            throw failure("rename to \(newName)", name)
        }
    }

    package func remove(_ name: String) throws(JournalError) {
        if unlinkat(directory, name, 0) != 0 { throw failure("remove", name) }
    }

    package func syncDirectory() throws(JournalError) {
        if fsync(directory) != 0 { throw failure("sync", path) }
    }

    /// Locks the directory itself, which cannot be taken away from what is in it, and a file in it, which says so to
    /// whoever looks, and to earlier releases.
    package func lock() throws(JournalError) {
        try lock(directory, path)
        do throws(JournalError) {
            let file = try openFile(JournalFiles.lock, flags: O_RDWR | O_CREAT, verb: "open")
            do throws(JournalError) {
                try lock(file.descriptor, JournalFiles.lock)
            } catch {
                close(file)
                throw error
            }
            note(getpid(), in: file.descriptor)
            lockDescriptor.withLock { held in
                if held >= 0 { _ = Glibc.close(held) }
                held = file.descriptor
            }
        } catch {
            _ = linux_unlock(directory)
            throw error
        }
    }

    /// Says in the lock file who has it, for whoever looks for the service. A disk that is full keeps nobody from starting.
    private func note(_ process: pid_t, in descriptor: Int32) {
        var text = "\(process)\n"
        guard ftruncate(descriptor, 0) == 0 else { return }
        text.withUTF8 { _ = pwrite(descriptor, $0.baseAddress, $0.count, 0) }
    }

    /// The process that last locked a directory, as its lock file says; nil: it does not.
    package static func lastOwner(of path: String) -> Int32? {
        let descriptor = linux_openat(AT_FDCWD, "\(path)/\(JournalFiles.lock)", O_RDONLY, 0)
        guard descriptor >= 0 else { return nil }
        defer { _ = Glibc.close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 16)
        let count = Glibc.read(descriptor, &bytes, bytes.count)
        let digits = bytes.prefix(max(0, count)).prefix { $0 != UInt8(ascii: "\n") }
        return Int32(String(decoding: digits, as: UTF8.self))
    }

    private func lock(_ descriptor: Int32, _ name: String) throws(JournalError) {
        guard Self.uninterrupted({ linux_lock_exclusively(descriptor) }) != 0 else { return }
        guard errno == EWOULDBLOCK else { throw failure("lock", name) }
        throw Self.inUse("\(path)/\(JournalFiles.lock)")
    }

    private static func inUse(_ file: String) -> JournalError {
        JournalError(
            .locked, file: file, errno: EWOULDBLOCK,
            reason: "the directory is in use by another process",
            remedy: "stop that process, or use another directory")
    }

    package func unlock() {
        lockDescriptor.withLock { held in
            guard held >= 0 else { return }
            _ = Glibc.close(held)
            _ = linux_unlock(directory)
            held = -1
        }
    }

    package func look(after file: DiskFile) throws(JournalError) {
        let lock = lockDescriptor.withLock { $0 }
        // What cannot be looked at (-1) is not gone.
        if linux_is_named(directory, AT_FDCWD, path) == 0 { throw gone(path) }
        if lock >= 0, linux_is_named(lock, directory, JournalFiles.lock) == 0 {
            throw gone("\(path)/\(JournalFiles.lock)")
        }
        if linux_is_named(file.descriptor, directory, file.name) == 0 {
            throw gone("\(path)/\(file.name)")
        }
    }

    package func isNamed(_ file: DiskFile) throws(JournalError) -> Bool {
        let isNamed = linux_is_named(file.descriptor, directory, file.name)
        if isNamed < 0 { throw failure("look at", file.name) }
        return isNamed == 1
    }

    package func stamp(of file: DiskFile) throws(JournalError) -> FileIdentity? {
        var found = stat()
        if fstat(file.descriptor, &found) != 0 { throw failure("look at", file.name) }
        return FileIdentity(
            inode: UInt64(found.st_ino),
            modified: Int64(found.st_mtim.tv_sec) * 1_000_000_000 + Int64(found.st_mtim.tv_nsec))
    }

    /// Whether a directory is this one, or one above it.
    package func isWithin(_ other: SystemDisk) throws(JournalError) -> Bool {
        var wanted = stat()
        if fstat(other.directory, &wanted) != 0 { throw failure("look at", other.path) }
        var place = fcntl(directory, F_DUPFD_CLOEXEC, 0)
        if place < 0 { throw failure("look at", path) }
        defer { _ = Glibc.close(place) }
        var found = stat()
        var below: (dev_t, ino_t)?
        while true {
            if fstat(place, &found) != 0 { throw failure("look at", path) }
            if found.st_dev == wanted.st_dev, found.st_ino == wanted.st_ino { return true }
            // The root is above itself.
            if let below, below == (found.st_dev, found.st_ino) { return false }
            below = (found.st_dev, found.st_ino)
            let above = linux_openat(place, "..", linux_open_path | O_DIRECTORY, 0)
            if above < 0 { throw failure("look at", path) }
            _ = Glibc.close(place)
            place = above
        }
    }

    /// Has nobody lock the directory until the end of this process; others may read it too. Writes nothing.
    package func lockForReading() throws(JournalError) {
        guard Self.uninterrupted({ linux_lock_shared(directory) }) != 0 else { return }
        guard errno == EWOULDBLOCK else { throw failure("lock", path) }
        throw Self.inUse(path)
    }

    private func gone(_ file: String) -> JournalError {
        JournalError(
            .missing, file: file,
            reason: "it was removed or replaced while in use",
            remedy: "restore the data directory, and start again")
    }

    /// Repeats a call that a signal interrupted.
    private static func uninterrupted<T: SignedInteger>(_ call: () -> T) -> T {
        while true {
            let result = call()
            if result != -1 || errno != EINTR { return result }
        }
    }

    private static func text(_ code: Int32) -> String {
        var buffer = [CChar](repeating: 0, count: 128)
        if strerror_r(code, &buffer, buffer.count) != 0 { return "error \(code)" }
        return buffer.withUnsafeBufferPointer { characters in
            characters.baseAddress.map { String(cString: $0) } ?? "error \(code)"
        }
    }

    /// From `errno`.
    private func failure(_ verb: String, _ file: String, _ offset: Int? = nil) -> JournalError {
        let code = errno
        let isFull = code == ENOSPC || code == EDQUOT
        let remedy =
            switch code {
            case ENOSPC, EDQUOT: "free some disk space"
            case EACCES, EPERM, EROFS: "fix its permissions"
            case EMFILE, ENFILE: "raise the open file limit"
            case ENOENT: "restore the file"
            default: "check the disk and the kernel log"
            }
        return JournalError(
            isFull ? .noSpace : .system, file: file, offset: offset, errno: code,
            reason: "cannot \(verb) it: \(Self.text(code))", remedy: remedy)
    }
}
