private import Glibc

/// What went wrong with a file of the journal, where, and what to do about it.
package struct JournalError: Error, Sendable, Equatable {
    package enum Code: Sendable {
        /// The operating system refused; `errno` says why.
        case system
        /// No room on the disk, or `maximumBytes` is reached.
        case noSpace
        /// Bytes are not what was written.
        case damaged
        /// A file that must be there is not.
        case missing
        /// A file went while it was read, as files go that the service needs no more: another look helps.
        case removed
        /// The file belongs to another journal.
        case foreign
        /// Written by a later release.
        case newerFormat
        /// Written by an earlier release, in a format that is no longer read.
        case olderFormat
        /// Another process uses the directory.
        case locked
        /// Settings, or a place to repair, that make no sense.
        case invalid
        /// The work was given up half-way, as was asked: nothing of it is found.
        case interrupted
    }

    package var code: Code
    /// A name within the journal's directory, or the directory's path.
    package var file: String
    /// Bytes from the file's start; nil where no place is to blame.
    package var offset: Int?
    /// Of the failed call; 0 where none failed.
    package var errno: Int32 = 0
    package var reason: String
    /// What the operator can do.
    package var remedy: String

    package init(
        _ code: Code, file: String, offset: Int? = nil, errno: Int32 = 0, reason: String,
        remedy: String
    ) {
        self.code = code
        self.file = file
        self.offset = offset
        self.errno = errno
        self.reason = reason
        self.remedy = remedy
    }

    /// All file descriptors of the process or of the machine are in use: the file is as it was, and later it can be opened.
    package var isOfDescriptors: Bool { errno == EMFILE || errno == ENFILE }

    /// What to do about a directory in which something is missing.
    package static let restoreDirectory = "restore the data directory from a backup"
    /// What to do about files or records that are written in a later format.
    package static let runLaterRelease = "run the release of tollgate that wrote it, or a later one"
    /// What to do about those in an earlier one.
    package static let carryOver = """
        run `tollgate export` with the release that wrote it, and give the file to \
        `tollgate serve --limits` with an empty directory
        """
}

extension JournalError: CustomStringConvertible {
    package var description: String {
        let place = offset.map { "\(file), offset \($0)" } ?? file
        return "\(place): \(reason); \(remedy)"
    }
}
