internal import Dispatch
internal import Glibc

/// The file system of a directory.
struct DiskSpace: Sendable {
    /// Bytes in all, and that a process without privileges may still use.
    var size: UInt64
    var free: UInt64

    private struct Failure: Error {}

    /// - Throws: the system does not say.
    static func read(_ path: String) async throws -> DiskSpace {
        // On a thread that may be held up: a network's file system that is gone answers nobody.
        let found = await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                var status = statvfs()
                let isRead = statvfs(path, &status) == 0
                continuation.resume(
                    returning: isRead
                        ? DiskSpace(
                            size: UInt64(status.f_blocks) &* UInt64(status.f_frsize),
                            free: UInt64(status.f_bavail) &* UInt64(status.f_frsize)) : nil)
            }
        }
        guard let found else { throw Failure() }
        return found
    }
}
