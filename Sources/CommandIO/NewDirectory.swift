internal import Glibc

/// A directory with those above it, as far as they had to be made.
package struct NewDirectory {
    /// The uppermost first.
    private var made: [String] = []

    /// Makes a directory with those above it, unless it is there already. If it cannot be, none of them is left.
    ///
    /// - Parameter mode: of those that are made, before the process's mask.
    @discardableResult
    package static func make(
        _ path: String, mode: UInt32
    ) throws(FileFailure) -> NewDirectory {
        var new = NewDirectory()
        do throws(FileFailure) {
            try new.add(path, mode)
        } catch {
            new.remove()
            throw error
        }
        return new
    }

    /// Whether the directory was not there before.
    package var isNew: Bool { !made.isEmpty }

    /// Removes what was made, as far as nothing is in it.
    package func remove() {
        // 0, or -1: somebody has put something there, and above it nothing is empty either.
        for path in made.reversed() { _ = rmdir(path) }
    }

    private mutating func add(_ path: String, _ mode: UInt32) throws(FileFailure) {
        if mkdir(path, mode) == 0 { return made.append(path) }
        let code = errno
        if code == ENOENT, let slash = path.dropLast().lastIndex(of: "/"), slash > path.startIndex {
            try add(String(path[..<slash]), mode)
            if mkdir(path, mode) == 0 { return made.append(path) }
            throw FileFailure(path, "made", errno)
        }
        var found = stat()
        guard code == EEXIST, stat(path, &found) == 0 else {
            throw FileFailure(path, "made", code)
        }
        guard found.st_mode & S_IFMT == S_IFDIR else { throw FileFailure(path, "made", ENOTDIR) }
    }
}
