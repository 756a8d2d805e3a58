internal import ArgumentParser
internal import CommandIO
internal import Telemetry

/// `tollgate metrics-reference`: docs/reference/metrics.md, from the catalogue. For those who change metrics; not listed.
struct MetricsReferenceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "metrics-reference", abstract: "Prints docs/reference/metrics.md.",
        shouldDisplay: false)

    func run() { StandardOutput.print(MetricsReference.page) }
}

/// The reference page of all metrics, in Markdown.
enum MetricsReference {
    /// Without the last line's end.
    static var page: String {
        ([introduction] + MetricCatalogue.groups.map(section)).joined(separator: "\n\n")
    }

    private static let introduction = """
        <!-- Generated: tollgate metrics-reference >docs/reference/metrics.md -->
        # Metrics

        Every metric of `/metrics`, by its name in queries. How to scrape them, and what to do when an alert fires:
        [metrics and alerts](../operate/metrics.md).

        Counters count since the process was started. A histogram has the series `_bucket` (with the label `le`), `_sum` and
        `_count`; its buckets are 10 µs, 25 µs, 50 µs and so on to 10 s, and a time counts as up to a sixteenth longer than
        it was. No label has a tenant, a profile or a caller.
        """

    private static func section(_ group: any MetricGroup.Type) -> String {
        let lines = group.metrics.map(line).joined(separator: "\n")
        return """
            ## \(group.title)

            | metric | kind | labels | meaning |
            |---|---|---|---|
            \(lines)
            """
    }

    private static func line(_ metric: Metric) -> String {
        let labels = metric.labels.map { "`\($0)`" }.joined(separator: ", ")
        let cells = ["`\(metric.sampleName)`", metric.kind.rawValue, labels, metric.help + "."]
        return "| " + cells.map { $0.replacing("|", with: "\\|") }.joined(separator: " | ") + " |"
    }
}
