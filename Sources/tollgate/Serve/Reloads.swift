internal import Admission
internal import Dispatch
internal import Glibc
internal import Synchronization

/// Reloads of the limits file: one at a time, on threads of their own, for they wait for the disk.
///
/// A reload has two parts. The first reads and parses, as soon as a file can be opened; nothing can interrupt it, and it
/// changes nothing: a stop leaves it behind. The second changes limits one by one, and asks `isStopping` before each.
///
/// Thread safety: any thread.
final class Reloads: Sendable {
    private let queue = DispatchQueue(label: "tollgate.reload")
    private let reading = DispatchQueue(label: "tollgate.reload.read")
    /// Something was read, or reloads are to end.
    private let news = DispatchSemaphore(value: 0)
    /// One has been asked for and has not begun.
    private let isWaiting = Atomic<Bool>(false)
    private let stopping = Atomic<Bool>(false)

    /// Whether reloads are to end as soon as they can.
    // ORDERING: relaxed because it goes with no other data; it is seen in time.
    var isStopping: Bool { stopping.load(ordering: .relaxed) }

    /// Between two looks for a free descriptor, microseconds.
    private static let pause: UInt32 = 200_000

    /// Has a reload begin after this call, unless one that has not begun yet will do.
    ///
    /// - Parameters:
    ///   - read: what there is to apply; nil: nothing.
    ///   - apply: not called any more once reloads are to end.
    func ask<Content: Sendable>(
        _ read: @escaping @Sendable () -> Content?, apply: @escaping @Sendable (Content) -> Void
    ) {
        // ORDERING: sequentially consistent; what was changed before the call is read by the reload that it counts on.
        guard !isWaiting.exchange(true, ordering: .sequentiallyConsistent) else { return }
        queue.async { [self] in
            isWaiting.store(false, ordering: .sequentiallyConsistent)
            guard !isStopping else { return }
            let found = Found<Content>()
            reading.async { [self] in
                while Descriptors.shortage != nil, !isStopping { usleep(Self.pause) }
                let content = isStopping ? nil : read()
                found.content.withLock { $0 = content }
                news.signal()
            }
            news.wait()
            // A signal that was not the reader's was the stop's.
            guard !isStopping, let content = found.content.withLock({ $0 }) else { return }
            apply(content)
        }
    }

    private final class Found<Content: Sendable>: Sendable {
        let content = Mutex<Content?>(nil)
    }

    /// Returns when the reloads that were asked for are done.
    func settle() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            queue.async { continuation.resume() }
        }
    }

    /// Returns when no reload changes anything any more, and none will.
    func stop() async {
        stopping.store(true, ordering: .relaxed)
        news.signal()
        await settle()
    }
}
