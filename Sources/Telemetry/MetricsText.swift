/// Metrics as text: what Prometheus and other collectors read.
///
/// Times are told in seconds, in the buckets of `bounds`. A recorded time counts as the upper end of the recorder's own
/// bucket (`LatencyHistogram`), which is at most a sixteenth more than it was: no request is told as faster than it was.
package enum MetricsText {
    package enum Format: Sendable, Equatable {
        /// Prometheus' text format 0.0.4.
        case prometheus
        /// OpenMetrics 1.0.
        case openMetrics

        /// The value of `Content-Type`.
        package var contentType: String {
            switch self {
            case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
            case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
            }
        }
    }

    /// The upper bounds of buckets: nanoseconds, and as they are written, in seconds.
    static let bounds: [(nanoseconds: UInt64, text: String)] = [
        (10_000, "1e-05"), (25_000, "2.5e-05"), (50_000, "5e-05"),
        (100_000, "0.0001"), (250_000, "0.00025"), (500_000, "0.0005"),
        (1_000_000, "0.001"), (2_500_000, "0.0025"), (5_000_000, "0.005"),
        (10_000_000, "0.01"), (25_000_000, "0.025"), (50_000_000, "0.05"),
        (100_000_000, "0.1"), (250_000_000, "0.25"), (500_000_000, "0.5"),
        (1_000_000_000, "1.0"), (2_500_000_000, "2.5"), (5_000_000_000, "5.0"),
        (10_000_000_000, "10.0"),
    ]

    /// The exposition of families, each with its samples; families without any are left out.
    ///
    /// - Parameter families: of different metrics.
    package static func text(_ families: [MetricFamily], _ format: Format) -> String {
        var text = ""
        text.reserveCapacity(64 << 10)
        for family in families where !family.samples.isEmpty {
            head(family.metric, format, to: &text)
            for sample in family.samples { write(sample, of: family.metric, to: &text) }
        }
        if format == .openMetrics { text += "# EOF\n" }
        return text
    }

    private static func head(_ metric: Metric, _ format: Format, to text: inout String) {
        let name: String
        let kind: String
        switch format {
        case .openMetrics: (name, kind) = (metric.name, metric.kind.rawValue)
        case .prometheus:
            // Prometheus' own format knows no info.
            name = metric.sampleName
            kind = metric.kind == .info ? "gauge" : metric.kind.rawValue
        }
        text += "# HELP \(name) \(escaped(metric.help, quotes: format == .openMetrics))\n"
        text += "# TYPE \(name) \(kind)\n"
        if format == .openMetrics, let unit = metric.unit { text += "# UNIT \(name) \(unit)\n" }
    }

    private static func write(
        _ sample: MetricFamily.Sample, of metric: Metric, to text: inout String
    ) {
        let labels = zip(metric.labels, sample.labels).map { name, value in
            "\(name)=\"\(escaped(value, quotes: true))\""
        }
        switch sample.value {
        case .count(let count): line(metric.sampleName, labels, "\(count)", to: &text)
        case .number(let number): line(metric.sampleName, labels, Self.text(number), to: &text)
        case .times(let times):
            let counts = times.cumulative(bounds.map(\.nanoseconds))
            for (bound, count) in zip(bounds, counts) {
                line(
                    metric.name + "_bucket", labels + ["le=\"\(bound.text)\""], "\(count)",
                    to: &text)
            }
            let all = times.count
            line(metric.name + "_bucket", labels + ["le=\"+Inf\""], "\(all)", to: &text)
            let sum = Double(times.sumNanoseconds) / 1e9
            line(metric.name + "_sum", labels, Self.text(sum), to: &text)
            line(metric.name + "_count", labels, "\(all)", to: &text)
        }
    }

    private static func line(
        _ name: String, _ labels: [String], _ value: String, to text: inout String
    ) {
        text += name
        if !labels.isEmpty { text += "{\(labels.joined(separator: ","))}" }
        text += " \(value)\n"
    }

    static func text(_ number: Double) -> String {
        if number.isNaN { return "NaN" }
        if number.isInfinite { return number > 0 ? "+Inf" : "-Inf" }
        if let whole = Int64(exactly: number) { return "\(whole)" }
        return "\(number)"
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        guard text.utf8.contains(where: { $0 == 0x5C || $0 == 0x0A || $0 == 0x22 }) else {
            return text
        }
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\"" where quotes: result += "\\\""
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
