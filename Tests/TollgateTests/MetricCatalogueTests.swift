import Foundation
import Telemetry
import Testing

@testable import tollgate

@Suite struct MetricCatalogueTests {
    private var metrics: [Metric] { MetricCatalogue.groups.flatMap { $0.metrics } }

    @Test func namesFollowTheRules() {
        #expect(Set(metrics.map(\.sampleName)).count == metrics.count)
        for metric in metrics {
            #expect(
                metric.name.hasPrefix("tollgate_") || metric.name.hasPrefix("process_"),
                "\(metric.name)")
            #expect(metric.name == metric.name.lowercased())
            for suffix in ["_total", "_bucket", "_sum", "_count", "_info", "_created"] {
                #expect(!metric.name.hasSuffix(suffix), "\(metric.name)")
            }
            #expect(metric.kind != .histogram || metric.unit == "seconds", "\(metric.name)")
            #expect(!metric.help.isEmpty && !metric.help.hasSuffix("."), "\(metric.name)")
            #expect(!metric.help.contains("\n"), "\(metric.name)")
            #expect(Set(metric.labels).count == metric.labels.count)
            #expect(!metric.labels.contains("le"))
        }
    }

    /// Nothing that has as many values as there are tenants or callers.
    @Test func labelsAreBounded() {
        let known: Set = [
            "operation", "mode", "answer", "code", "how", "what", "method", "route", "status",
            "port", "direction", "defence", "reason", "loops", "outcome", "channel", "version",
        ]
        #expect(Set(metrics.flatMap(\.labels)) == known)
    }

    @Test func linesOfTheSystem() throws {
        let line =
            "42 (toll) gate) S 1 42 42 0 -1 4194560 100 0 5 0 150 50 0 0 20 0 17 0 12345 8192000 250 1 2"
        let status = try #require(ProcessStatus(line, bootSeconds: 1_000, ticks: 100))
        #expect(status.processorSeconds == 2)
        #expect(status.threads == 17)
        #expect(status.startSeconds == 1_123.45)
        #expect(status.virtualBytes == 8_192_000)
        #expect(status.residentBytes == 250 * Int(getpagesize()))
        for bad in ["", "42", "42 (x", "42 (x) S 1 2 3", line.replacing("150", with: "x")] {
            #expect(ProcessStatus(bad, bootSeconds: 0, ticks: 100) == nil, "\(bad)")
        }
        let real = try #require(ProcessStatus.read())
        #expect(real.threads >= 1 && real.residentBytes > 1 << 20)
        #expect(abs(real.startSeconds - Date().timeIntervalSince1970) < 86_400)
        #expect(try #require(ProcessStatus.openDescriptors) >= 3)
    }

    @Test func spaceOfAFileSystem() async throws {
        let space = try await DiskSpace.read(NSTemporaryDirectory())
        #expect(space.size > 0 && space.free <= space.size)
        await #expect(throws: (any Error).self) { try await DiskSpace.read("/nowhere/at/all") }
    }
}
