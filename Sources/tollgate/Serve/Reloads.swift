internal import Dispatch
internal import Synchronization

/// Reloads of the limits file: one at a time, on a thread of their own, for they wait for the disk.
///
/// Thread safety: any thread.
final class Reloads: Sendable {
    private let queue = DispatchQueue(label: "tollgate.reload")
    /// One has been asked for and has not begun.
    private let isWaiting = Atomic<Bool>(false)
    private let stopping = Atomic<Bool>(false)

    /// Whether reloads are to end as soon as they can.
    // ORDERING: relaxed because it goes with no other data; it is seen in time.
    var isStopping: Bool { stopping.load(ordering: .relaxed) }

    /// Has a reload begin after this call, unless one that has not begun yet will do.
    func ask(_ reload: @escaping @Sendable () -> Void) {
        // ORDERING: sequentially consistent; what was changed before the call is read by the reload that it counts on.
        guard !isWaiting.exchange(true, ordering: .sequentiallyConsistent) else { return }
        queue.async { [self] in
            isWaiting.store(false, ordering: .sequentiallyConsistent)
            if !isStopping { reload() }
        }
    }

    /// Returns when no reload runs any more, and none will.
    func stop() async {
        stopping.store(true, ordering: .relaxed)
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            queue.async { continuation.resume() }
        }
    }
}
