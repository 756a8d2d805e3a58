import Testing

@testable import Telemetry

@Suite struct MetricsTextTests {
    private let counter = Metric.counter("t_things", "Things \"so\" far\\\nnow", by: "kind", "from")
    private let gauge = Metric.gauge("t_waiting_bytes", "Bytes that wait")
    private let times = Metric.histogram("t_wait_seconds", "Waits", by: "loop")
    private let build = Metric.info("t_build", "The version", by: "version")

    @Test func prometheusText() {
        var things = MetricFamily(counter)
        things.add(.count(7), "a\\b", "x\"y\nz")
        things.add(.count(.max), "", "é")
        let text = MetricsText.text(
            [
                things, MetricFamily(gauge, 0.25), MetricFamily(build, .count(1), "0.1.0"),
                MetricFamily(Metric.gauge("t_empty", "Nothing", by: "x")),
            ], .prometheus)
        #expect(
            text == #"""
                # HELP t_things_total Things "so" far\\\nnow
                # TYPE t_things_total counter
                t_things_total{kind="a\\b",from="x\"y\nz"} 7
                t_things_total{kind="",from="é"} 18446744073709551615
                # HELP t_waiting_bytes Bytes that wait
                # TYPE t_waiting_bytes gauge
                t_waiting_bytes 0.25
                # HELP t_build_info The version
                # TYPE t_build_info gauge
                t_build_info{version="0.1.0"} 1

                """#)
    }

    @Test func openMetricsText() {
        var things = MetricFamily(counter)
        things.add(.count(7), "a", "b")
        let text = MetricsText.text(
            [things, MetricFamily(gauge, 12), MetricFamily(build, .count(1), "0.1.0")],
            .openMetrics)
        #expect(
            text == #"""
                # HELP t_things Things \"so\" far\\\nnow
                # TYPE t_things counter
                t_things_total{kind="a",from="b"} 7
                # HELP t_waiting_bytes Bytes that wait
                # TYPE t_waiting_bytes gauge
                # UNIT t_waiting_bytes bytes
                t_waiting_bytes 12
                # HELP t_build The version
                # TYPE t_build info
                t_build_info{version="0.1.0"} 1
                # EOF

                """#)
    }

    /// Every bucket has what took no longer than it says, the last one everything, and none is faster than it was.
    @Test func bucketsAreCumulative() throws {
        var histogram = LatencyHistogram()
        histogram.record(nanoseconds: 1_000, count: 3)
        histogram.record(nanoseconds: 9_990)  // told as 10 240 ns
        histogram.record(nanoseconds: 2_000_000)
        histogram.record(nanoseconds: 9_000_000_000)
        histogram.record(nanoseconds: 100_000_000_000, count: 2)
        var family = MetricFamily(times)
        family.add(.times(histogram), "grpc")
        let lines = MetricsText.text([family], .prometheus).split(separator: "\n").dropFirst(2)
        let counts = lines.prefix(20).map { Int($0.split(separator: " ")[1]) ?? -1 }
        #expect(counts == [3, 4, 4, 4, 4, 4, 4, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 6, 8])
        #expect(lines.first == #"t_wait_seconds_bucket{loop="grpc",le="1e-05"} 3"#)
        #expect(lines.dropFirst(15).first == #"t_wait_seconds_bucket{loop="grpc",le="1.0"} 5"#)
        #expect(lines.dropFirst(19).first == #"t_wait_seconds_bucket{loop="grpc",le="+Inf"} 8"#)
        // The sum is exact.
        #expect(lines.dropFirst(20).first == #"t_wait_seconds_sum{loop="grpc"} 209.00201299"#)
        #expect(lines.dropFirst(21).first == #"t_wait_seconds_count{loop="grpc"} 8"#)
        #expect(lines.count == 22)
        let bounds = MetricsText.bounds
        for (bound, next) in zip(bounds, bounds.dropFirst()) {
            #expect(bound.nanoseconds < next.nanoseconds)
        }
        for bound in bounds {
            #expect(try #require(Double(bound.text)) == Double(bound.nanoseconds) / 1e9)
        }
    }

    @Test(arguments: [
        (0.0, "0"), (-3, "-3"), (1e15, "1000000000000000"), (0.1, "0.1"), (1e300, "1e+300"),
        (.infinity, "+Inf"), (-.infinity, "-Inf"), (.nan, "NaN"),
    ])
    func numbers(number: Double, text: String) {
        #expect(MetricsText.text(number) == text)
    }

    @Test(arguments: ["", "1a", "a-b", "a.b", "a:b", "ä", "a b"])
    func namesThatAreNone(name: String) {
        #expect(!Metric.isName(name))
    }

    @Test func sumsAreExactWhereTimesAreNot() {
        let recorder = LatencyRecorder()
        recorder.record(nanoseconds: 12_345_677, count: 3)
        recorder.record(nanoseconds: 1)
        #expect(recorder.histogram.sumNanoseconds == 37_037_032)
        let later = recorder.histogram
        recorder.record(nanoseconds: 5)
        #expect(recorder.histogram.since(later).sumNanoseconds == 5)
        #expect((recorder.histogram + later).sumNanoseconds == 74_074_069)
    }
}
