import Engine
import Limits
import Synchronization
import Telemetry
import Testing

@testable import OperatorPage

/// The last minute, out of counters that only grow.
struct SamplerTests {
    /// What the service has counted so far.
    private final class Counters: Sendable {
        let decisions = Mutex(DecisionTotals())
        let latency = Mutex(LatencyHistogram())
    }

    private let counters = Counters()
    private let start = ContinuousClock.now

    private func sampler() -> LiveSampler {
        LiveSampler(
            decisions: { [counters] in counters.decisions.withLock { $0 } },
            latency: { [counters] in counters.latency.withLock { $0 } }, at: start)
    }

    private func decide(allowed: UInt64, denied: [ErrorCode: UInt64] = [:]) {
        counters.decisions.withLock { totals in
            totals.allowed += allowed
            totals.denied.merge(denied) { $0 + $1 }
        }
    }

    @Test func beforeTheFirstSecondIsOverThereIsNothing() {
        decide(allowed: 1_000)
        let minute = sampler().minute
        #expect(minute.allowed == [Int](repeating: 0, count: 60))
        #expect(minute.denied == minute.allowed)
        #expect(minute.decisions == DecisionTotals())
        #expect(minute.latency.percentile(50) == nil)
    }

    @Test func whatWasDecidedBeforeIsNotOfThisMinute() {
        decide(allowed: 1_000, denied: [.suspended: 7])
        counters.latency.withLock { $0.record(nanoseconds: 1_000_000_000) }
        let sampler = sampler()
        decide(allowed: 5, denied: [.suspended: 2, .tenantSpendLimit: 1])
        counters.latency.withLock { $0.record(nanoseconds: 1_000) }
        sampler.take(at: start + .seconds(1))
        decide(allowed: 1)
        sampler.take(at: start + .seconds(2))
        let minute = sampler.minute
        #expect(minute.allowed == [Int](repeating: 0, count: 58) + [5, 1])
        #expect(minute.denied == [Int](repeating: 0, count: 58) + [3, 0])
        #expect(
            minute.decisions
                == DecisionTotals(allowed: 6, denied: [.suspended: 2, .tenantSpendLimit: 1]))
        #expect(minute.latency.count == 1)
    }

    @Test func aMinuteIsAllThatIsKept() {
        let sampler = sampler()
        for second in 1...200 {
            decide(allowed: UInt64(second), denied: second == 140 ? [.suspended: 1] : [:])
            counters.latency.withLock { $0.record(nanoseconds: UInt64(second) * 1_000_000_000) }
            sampler.take(at: start + .seconds(second))
        }
        #expect(sampler.count == 61)
        let minute = sampler.minute
        #expect(minute.allowed == Array(141...200))
        #expect(minute.denied == [Int](repeating: 0, count: 60))
        #expect(minute.decisions == DecisionTotals(allowed: UInt64((141...200).reduce(0, +))))
        #expect(minute.latency.count == 60)
    }

    @Test func aSecondThatTookLongerIsStillASecond() {
        let sampler = sampler()
        decide(allowed: 300)
        sampler.take(at: start + .milliseconds(1_500))
        decide(allowed: 100)
        sampler.take(at: start + .seconds(2))
        #expect(sampler.minute.allowed.suffix(2) == [200, 200])
        // A clock that stands divides by nothing.
        decide(allowed: 100)
        sampler.take(at: start + .seconds(2))
        #expect(sampler.minute.allowed.last == 0)
    }

    /// Also while nobody watches; not after the service's end.
    @Test func samplesAreTakenUntilTheEnd() async throws {
        let hub = LiveHub(maximum: 1, sampler: sampler())
        decide(allowed: 9)
        while hub.sampler.count < 3 { await Task.yield() }
        #expect(hub.sampler.minute.decisions.allowed == 9)
        hub.drain()
        #expect(hub.join() == nil)
    }

    @Test func aHubThatNobodyHasIsGone() async throws {
        weak var gone: LiveSampler?
        do {
            let hub = LiveHub(maximum: 1, sampler: sampler())
            gone = hub.sampler
            #expect(gone != nil)
        }
        while gone != nil { await Task.yield() }
    }
}
