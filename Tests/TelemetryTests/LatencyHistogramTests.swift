import Testing

@testable import Telemetry

@Suite struct LatencyHistogramTests {
    /// Nanoseconds from 0 to 70 s, many of them small.
    private static func times(_ count: Int) -> [UInt64] {
        var random = SystemRandomNumberGenerator()
        return (0..<count).map { _ in
            UInt64.random(in: 0...70_000_000_000, using: &random)
                >> UInt64.random(in: 0..<36, using: &random)
        }
    }

    /// Every bucket ends where the next begins, and none is wider than promised.
    @Test func bucketsLieEndToEnd() {
        for bucket in 0..<LatencyHistogram.bucketCount - 1 {
            let end = LatencyHistogram.end(of: bucket)
            #expect(LatencyHistogram.bucket(of: end - 1) == bucket)
            #expect(LatencyHistogram.bucket(of: end) == bucket + 1)
            let first = bucket == 0 ? 0 : LatencyHistogram.end(of: bucket - 1)
            #expect(end - first <= max(64, first / 16))
        }
        #expect(LatencyHistogram.end(of: LatencyHistogram.bucketCount - 1) == 1 << 36)
    }

    @Test func percentilesAreThoseOfTheSortedTimes() throws {
        let times = Self.times(10_000)
        var histogram = LatencyHistogram()
        for time in times { histogram.record(nanoseconds: time) }
        #expect(histogram.count == 10_000)
        let sorted = times.sorted().map { min($0, (1 << 36) - 1) }
        for percent in [0, 0.01, 1, 10, 50, 90, 99, 99.9, 99.99, 100] {
            let rank = max(1, Int((percent / 100 * 10_000).rounded(.up)))
            let exact = Duration.nanoseconds(Int64(sorted[rank - 1]))
            let told = try #require(histogram.percentile(percent))
            #expect(told > exact, "\(percent): never too little")
            #expect(told - exact <= max(exact / 16, .nanoseconds(64)), "\(percent)")
        }
    }

    @Test func whereNothingWasMeasuredNothingIsTold() {
        #expect(LatencyHistogram().percentile(50) == nil)
    }

    @Test(arguments: [UInt64(1) << 36, 100_000_000_000, .max])
    func whatTakesTooLongIsInTheLastBucket(time: UInt64) {
        var histogram = LatencyHistogram()
        histogram.record(nanoseconds: time)
        #expect(histogram.percentile(50) == .nanoseconds(1 << 36))
    }

    @Test func sumsAndDifferencesAreOfTheCounts() throws {
        var one = LatencyHistogram()
        one.record(nanoseconds: 1_000, count: 3)
        var other = LatencyHistogram()
        other.record(nanoseconds: 5_000_000)
        let both = one + other
        #expect(both.count == 4)
        #expect(both == other + one)
        #expect(both.since(one) == other)
        #expect(both.since(both) == LatencyHistogram())
        #expect(try #require(both.percentile(75)) < .microseconds(2))
        #expect(try #require(both.percentile(76)) >= .milliseconds(5))
    }

    /// What one thread records another reads: never more than there is, never less than before, all in the end.
    @Test func aRecorderIsReadWhileItIsWritten() async {
        let recorder = LatencyRecorder()
        let times = Self.times(100_000)
        var expected = LatencyHistogram()
        for time in times { expected.record(nanoseconds: time) }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { for time in times { recorder.record(nanoseconds: time) } }
            group.addTask {
                var seen: UInt64 = 0
                while seen < 100_000 {
                    let count = recorder.histogram.count
                    #expect(count >= seen && count <= 100_000)
                    seen = count
                    await Task.yield()
                }
            }
        }
        #expect(recorder.histogram == expected)
    }

    @Test func countersStandForThemselves() {
        let bank = CounterBank(count: 17)
        #expect(bank.values == [UInt64](repeating: 0, count: 17))
        bank.add(to: 0)
        bank.add(5, to: 16)
        bank.add(to: 16)
        #expect(bank.values == [1] + [UInt64](repeating: 0, count: 15) + [6])
    }
}
