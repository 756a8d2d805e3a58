import Synchronization
import Testing

@testable import Projection

@Suite("Waiting for what the projection takes up")
struct WaitersTests {
    /// Longer than any test may take.
    private static let long = Duration.seconds(600)

    private final class Place: Sendable {
        let value = Mutex(0)
    }

    private func untilSomebodyWaits(_ waiters: Waiters, _ count: Int = 1) async {
        while waiters.count < count { await Task.yield() }
    }

    @Test func whatIsSoIsNotWaitedFor() async {
        let waiters = Waiters()
        #expect(await waiters.wait(atMost: .zero) { true })
        #expect(waiters.count == 0)
    }

    @Test func whoeverMakesItSoResumes() async {
        let waiters = Waiters()
        let place = Place()
        async let first = waiters.wait(atMost: Self.long) { place.value.withLock { $0 } >= 1 }
        async let second = waiters.wait(atMost: Self.long) { place.value.withLock { $0 } >= 2 }
        await untilSomebodyWaits(waiters, 2)
        waiters.look()
        #expect(waiters.count == 2, "nothing has come yet")
        place.value.withLock { $0 = 1 }
        waiters.look()
        #expect(await first)
        while waiters.count > 1 { await Task.yield() }
        place.value.withLock { $0 = 2 }
        waiters.look()
        #expect(await second)
        #expect(waiters.count == 0)
    }

    @Test func theTimeEnds() async {
        let waiters = Waiters()
        #expect(await !waiters.wait(atMost: .milliseconds(1)) { false })
        #expect(waiters.count == 0)
    }

    @Test func aCancelledTaskDoesNotWait() async {
        let waiters = Waiters()
        let task = Task { await waiters.wait(atMost: Self.long) { false } }
        await untilSomebodyWaits(waiters)
        task.cancel()
        #expect(await !task.value)
        let late = Task {
            while !Task.isCancelled { await Task.yield() }
            return await waiters.wait(atMost: Self.long) { false }
        }
        late.cancel()
        #expect(await !late.value)
        #expect(waiters.count == 0)
    }

    /// A change and its look that come at any moment of the waiting are not missed.
    @Test func noChangeIsMissed() async {
        let waiters = Waiters()
        for _ in 0..<2_000 {
            let flag = Shared()
            let change = Task {
                flag.value.store(true, ordering: .releasing)
                waiters.look()
            }
            #expect(
                await waiters.wait(atMost: Self.long) { flag.value.load(ordering: .acquiring) })
            await change.value
        }
        #expect(waiters.count == 0)
    }

    private final class Shared: Sendable {
        let value = Atomic<Bool>(false)
    }
}
