/// How many took how long: counts in buckets that grow with the time, so that the error stays in proportion to it.
///
/// Times are cut into units of 64 ns. Up to 2 048 ns a bucket is one unit wide; from there each octave has 16 buckets
/// of one width (the log-linear layout of HdrHistogram). A time is told as the upper end of its bucket: never too
/// little, and too much by at most a sixteenth of it or 64 ns, whichever is more. The last bucket ends at 2^36 ns
/// (68.7 s) and also has everything that took longer.
///
/// The sum of all times is exact, but for those beyond 2^64 ns together.
///
/// Memory: 433 words.
package struct LatencyHistogram: Sendable, Equatable {
    static let bucketCount = 432
    private static let unitBits: UInt64 = 6
    /// Of the number of buckets in an octave.
    private static let octaveBits = 4

    private var counts: [UInt64]
    /// Of all times.
    package private(set) var sumNanoseconds: UInt64

    /// An empty one.
    package init() {
        counts = [UInt64](repeating: 0, count: Self.bucketCount)
        sumNanoseconds = 0
    }

    init(counts: [UInt64], sumNanoseconds: UInt64) {
        precondition(counts.count == Self.bucketCount, "not the buckets of a histogram")
        self.counts = counts
        self.sumNanoseconds = sumNanoseconds
    }

    /// How many were measured.
    package var count: UInt64 { counts.reduce(0, &+) }

    /// Adds what was measured.
    package mutating func record(nanoseconds: UInt64, count: UInt64 = 1) {
        counts[Self.bucket(of: nanoseconds)] &+= count
        sumNanoseconds &+= nanoseconds &* count
    }

    /// How many took no longer than each of some times, which rise and are shorter than the last bucket; a time counts as
    /// the upper end of its bucket.
    ///
    /// - Complexity: O(buckets)
    package func cumulative(_ bounds: [UInt64]) -> [UInt64] {
        var bucket = 0
        var total: UInt64 = 0
        return bounds.map { bound in
            while bucket < Self.bucketCount - 1, Self.end(of: bucket) <= bound {
                total &+= counts[bucket]
                bucket += 1
            }
            return total
        }
    }

    /// The time that this share of all did not exceed: 50 is the median, 100 the longest; nil: nothing was measured.
    ///
    /// - Parameter percent: 0 ... 100.
    /// - Complexity: O(buckets)
    package func percentile(_ percent: Double) -> Duration? {
        let total = count
        guard total > 0 else { return nil }
        let share = min(max(percent, 0), 100) / 100
        let rank = min(total, max(1, UInt64((Double(total) * share).rounded(.up))))
        var seen: UInt64 = 0
        for (bucket, count) in counts.enumerated() {
            seen &+= count
            if seen >= rank { return .nanoseconds(Int64(Self.end(of: bucket))) }
        }
        return nil
    }

    /// Of two sources together.
    package static func + (one: LatencyHistogram, other: LatencyHistogram) -> LatencyHistogram {
        LatencyHistogram(
            counts: zip(one.counts, other.counts).map { $0 &+ $1 },
            sumNanoseconds: one.sumNanoseconds &+ other.sumNanoseconds)
    }

    /// What was added since an earlier state of the same source.
    package func since(_ earlier: LatencyHistogram) -> LatencyHistogram {
        LatencyHistogram(
            counts: zip(counts, earlier.counts).map { $0 > $1 ? $0 - $1 : 0 },
            sumNanoseconds: sumNanoseconds > earlier.sumNanoseconds
                ? sumNanoseconds - earlier.sumNanoseconds : 0)
    }

    // MARK: Buckets

    /// - Complexity: O(1)
    static func bucket(of nanoseconds: UInt64) -> Int {
        let units = nanoseconds >> unitBits
        let octave = max(octaveBits, UInt64.bitWidth - 1 - units.leadingZeroBitCount)
        let shift = octave - octaveBits
        return min(shift << octaveBits + Int(units >> UInt64(shift)), bucketCount - 1)
    }

    /// Nanoseconds: what is in a bucket is less (but for the last, see above).
    static func end(of bucket: Int) -> UInt64 {
        let shift = max(0, bucket >> octaveBits - 1)
        let units = UInt64(bucket - shift << octaveBits + 1)
        return units << (UInt64(shift) + unitBits)
    }
}

/// A histogram that one thread records in while any other reads it, at the cost of two additions. (hdrhistogram-swift,
/// which the load test uses, has no such reader: its counts are plain memory.)
///
/// Thread safety: `record` on one thread at a time, `histogram` on any.
package final class LatencyRecorder: Sendable {
    /// The buckets, and behind them the sum.
    private let bank = CounterBank(count: LatencyHistogram.bucketCount + 1)

    package init() {}

    /// - Parameters:
    ///   - nanoseconds: how long it took.
    ///   - count: how many took that long.
    /// - Complexity: O(1), without allocation.
    package func record(nanoseconds: UInt64, count: UInt64 = 1) {
        bank.add(count, to: LatencyHistogram.bucket(of: nanoseconds))
        bank.add(nanoseconds &* count, to: LatencyHistogram.bucketCount)
    }

    /// Everything that was recorded so far.
    package var histogram: LatencyHistogram {
        let values = bank.values
        return LatencyHistogram(
            counts: Array(values.dropLast()), sumNanoseconds: values[LatencyHistogram.bucketCount])
    }
}
