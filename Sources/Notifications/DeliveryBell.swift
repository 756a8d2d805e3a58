import Synchronization

/// What wakes the deliverer: any number of rings before it looks are one.
///
/// Thread safety: any thread; one task takes the rings.
final class DeliveryBell: Sendable {
    /// The outbox may have more than it had when it was read last.
    private let hasNews = Atomic<Bool>(false)
    let rings: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() {
        (rings, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    func ring() { continuation.yield() }

    func ringForNews() {
        // ORDERING: releasing; pairs with the exchange in takeNews(). Whoever takes the news sees what it is about.
        hasNews.store(true, ordering: .releasing)
        continuation.yield()
    }

    /// Whether there was news since the last call.
    func takeNews() -> Bool { hasNews.exchange(false, ordering: .acquiringAndReleasing) }
}
