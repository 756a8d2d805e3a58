internal import Glibc

package enum NewDirectory {
    /// Makes a directory with those above it, unless it is there already.
    ///
    /// - Parameter mode: of those that are made, before the process's mask.
    package static func make(_ path: String, mode: UInt32) throws(FileFailure) {
        if mkdir(path, mode) == 0 { return }
        let code = errno
        if code == ENOENT, let slash = path.dropLast().lastIndex(of: "/"), slash > path.startIndex {
            try make(String(path[..<slash]), mode: mode)
            if mkdir(path, mode) == 0 { return }
            throw FileFailure(path, "made", errno)
        }
        var found = stat()
        guard code == EEXIST, stat(path, &found) == 0 else {
            throw FileFailure(path, "made", code)
        }
        guard found.st_mode & S_IFMT == S_IFDIR else { throw FileFailure(path, "made", ENOTDIR) }
    }
}
