import Testing
import TollgateClient

@testable import tollgate_loadtest

@Suite("Measurements of a load test")
struct MeasurementsTests {
    @Test("A latency counts from when the call was due, and belongs to that second")
    func fromTheSchedule() {
        var measurements = Measurements()
        let start: UInt64 = 5_000_000_000
        measurements.record(
            .check, due: start + 1_500_000_000, sent: start + 2_400_000_000,
            ended: start + 2_500_000_000, start: start, isInTime: true, .allowed)
        #expect(measurements.seconds.map(\.calls) == [0, 1])
        #expect(measurements.seconds[1].maxNanoseconds == 1_000_000_000)
        let all = Report.Percentiles(measurements.all)
        #expect(all.count == 1 && abs(all.max - 1_000) <= 1)
        #expect(abs(Report.Percentiles(measurements.fromSending).max - 100) <= 0.1)
        #expect(abs(Report.Percentiles(measurements.lateness).max - 900) <= 1)
    }

    @Test("What was never sent counts with the time that it waited")
    func unsent() {
        var measurements = Measurements()
        measurements.recordUnsent(due: 1_000_000_000, now: 4_000_000_000, start: 0)
        #expect(abs(Report.Percentiles(measurements.all).max - 3_000) <= 3)
        #expect(measurements.callCount == 1 && measurements.failedCount == 1)
    }

    @Test("Calls are counted by how they ended")
    func endings() {
        var measurements = Measurements()
        let endings: [Ending] = [
            .allowed, .denied(["40333"]), .denied(["49001", "40333"]), .done, .failed(.unavailable),
        ]
        for ending in endings {
            measurements.record(
                .check, due: 0, sent: 0, ended: 1_000, start: 0, isInTime: true, ending)
        }
        #expect(measurements.callCount == 5)
        #expect(measurements.deniedCount == 2)
        #expect(measurements.failedCount == 1)
    }

    @Test("Percentiles of a known distribution")
    func percentiles() {
        var latencies = Latencies()
        for value in 1...1_000 as ClosedRange<UInt64> {
            latencies.record(nanoseconds: value * 1_000_000)
        }
        let percentiles = Report.Percentiles(latencies)
        #expect(abs(percentiles.p50 - 500) <= 1)
        #expect(abs(percentiles.p90 - 900) <= 1)
        #expect(abs(percentiles.p99 - 990) <= 1)
        #expect(abs(percentiles.p999 - 999) <= 1)
        #expect(abs(percentiles.max - 1_000) <= 1)
    }
}
