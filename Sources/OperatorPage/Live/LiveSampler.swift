import Engine
import Synchronization
import Telemetry

/// Looks at the service's counters again and again, and knows the last minute from it.
///
/// Memory: a histogram for each of 61 samples, 210 KB.
///
/// Thread safety: any thread.
final class LiveSampler: Sendable {
    /// Each sample but the first ends one.
    static let seconds = 60

    private struct Sample {
        var time: ContinuousClock.Instant
        var decisions: DecisionTotals
        var latency: LatencyHistogram
    }

    private let decisions: @Sendable () -> DecisionTotals
    private let latency: @Sendable () -> LatencyHistogram
    /// Oldest first; never empty.
    private let samples: Mutex<[Sample]>

    /// Takes the first sample.
    ///
    /// - Parameters:
    ///   - decisions: what has been decided since the start.
    ///   - latency: how long requests have taken since the start.
    init(
        decisions: @escaping @Sendable () -> DecisionTotals,
        latency: @escaping @Sendable () -> LatencyHistogram,
        at now: ContinuousClock.Instant = .now
    ) {
        self.decisions = decisions
        self.latency = latency
        samples = Mutex([Sample(time: now, decisions: decisions(), latency: latency())])
    }

    /// To be called every second.
    func take(at now: ContinuousClock.Instant = .now) {
        let sample = Sample(time: now, decisions: decisions(), latency: latency())
        samples.withLock { samples in
            if samples.count > Self.seconds { samples.removeFirst() }
            samples.append(sample)
        }
    }

    /// How many have been taken and kept.
    var count: Int { samples.withLock { $0.count } }

    /// What the samples say.
    var minute: LiveMinute {
        let samples = samples.withLock { $0 }
        var minute = LiveMinute()
        guard let first = samples.first, let last = samples.last else { return minute }
        for (before, after) in zip(samples, samples.dropFirst()) {
            let added = after.decisions.since(before.decisions)
            let seconds = (after.time - before.time) / .seconds(1)
            minute.allowed.append(Self.rate(added.allowed, seconds))
            minute.denied.append(Self.rate(added.deniedCount, seconds))
        }
        let missing = [Int](repeating: 0, count: Self.seconds + 1 - samples.count)
        minute.allowed.insert(contentsOf: missing, at: 0)
        minute.denied.insert(contentsOf: missing, at: 0)
        minute.decisions = last.decisions.since(first.decisions)
        minute.latency = last.latency.since(first.latency)
        return minute
    }

    private static func rate(_ count: UInt64, _ seconds: Double) -> Int {
        seconds > 0 ? Int((Double(count) / seconds).rounded()) : 0
    }
}

/// What the service did in the last minute.
struct LiveMinute: Sendable, Equatable {
    /// Decisions per second in each of 60 seconds, oldest first; 0 where the service did not run yet.
    var allowed: [Int] = []
    var denied: [Int] = []
    var decisions = DecisionTotals()
    var latency = LatencyHistogram()
}
