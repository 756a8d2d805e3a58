internal import ControlPlane
internal import Dispatch
internal import Glibc
internal import Synchronization

/// A look at something that may hold whoever looks up: one at a time, for all who ask meanwhile.
///
/// Thread safety: any thread.
final class SharedLook<Value: Sendable>: Sendable {
    private struct Look {
        let task: Task<Value, any Error>
        let began: ContinuousClock.Instant
    }

    private let patience: Duration
    private let look: @Sendable () async throws -> Value
    private let underWay = Mutex<Look?>(nil)

    /// - Parameter patience: how long whoever asks waits.
    init(_ patience: Duration, _ look: @escaping @Sendable () async throws -> Value) {
        self.patience = patience
        self.look = look
    }

    /// What a look finds that ends after the call; nil: it fails, or takes too long.
    func value() async -> Value? {
        let now = ContinuousClock.now
        let task = underWay.withLock { underWay -> Task<Value, any Error>? in
            if let underWay {
                // Nobody else waits for one that has taken too long already.
                return now - underWay.began < patience ? underWay.task : nil
            }
            let task = Task {
                defer { self.underWay.withLock { $0 = nil } }
                return try await look()
            }
            underWay = Look(task: task, began: now)
            return task
        }
        return try? await task?.value(within: patience)
    }
}

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
