/// What is counted or measured: a name, a kind, what is said of it to people, and the labels that tell its samples
/// apart. The rules are those of Prometheus and OpenMetrics 1.0.
package struct Metric: Sendable, Hashable {
    package enum Kind: String, Sendable {
        /// Only grows while the process lives.
        case counter
        case gauge
        case histogram
        /// Of the value 1: what it has to say is in its labels.
        case info
    }

    /// Of the family; without the suffixes of samples (`_total`, `_bucket` and so on).
    package let name: String
    package let kind: Kind
    package let help: String
    /// Names of labels. Their values are of bounded sets: methods, codes, reasons; never of tenants or callers.
    package let labels: [String]

    package init(
        _ kind: Kind, _ name: String, _ help: String, labels: [String] = []
    ) {
        precondition(Self.isName(name), "\(name) is no metric's name")
        precondition(labels.allSatisfy(Self.isLabel), "\(name) has a label that is no name")
        self.name = name
        self.kind = kind
        self.help = help
        self.labels = labels
    }

    package static func counter(_ name: String, _ help: String, by labels: String...) -> Metric {
        Metric(.counter, name, help, labels: labels)
    }

    package static func gauge(_ name: String, _ help: String, by labels: String...) -> Metric {
        Metric(.gauge, name, help, labels: labels)
    }

    /// Seconds, in the buckets of `MetricsText.bounds`.
    package static func histogram(_ name: String, _ help: String, by labels: String...) -> Metric {
        Metric(.histogram, name, help, labels: labels)
    }

    package static func info(_ name: String, _ help: String, by labels: String...) -> Metric {
        Metric(.info, name, help, labels: labels)
    }

    /// What samples are called in queries: of a histogram without its suffixes.
    package var sampleName: String {
        switch kind {
        case .counter: name + "_total"
        case .info: name + "_info"
        case .gauge, .histogram: name
        }
    }

    /// The unit that the name ends with; nil: it has none.
    package var unit: String? {
        ["seconds", "bytes"].first { name.hasSuffix("_" + $0) }
    }

    /// [a-zA-Z_:][a-zA-Z0-9_:]*; the colon is for recording rules, and no metric of ours has one.
    static func isName(_ text: String) -> Bool { isLabel(text) }

    static func isLabel(_ text: String) -> Bool {
        guard let first = text.utf8.first, !(0x30...0x39).contains(first) else { return false }
        return text.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x5F, 0x61...0x7A: true
            default: false
            }
        }
    }
}

/// A metric's samples as they are at one moment.
package struct MetricFamily: Sendable {
    package enum Value: Sendable, Equatable {
        case count(UInt64)
        case number(Double)
        case times(LatencyHistogram)
    }

    package struct Sample: Sendable, Equatable {
        /// In the order of the metric's labels.
        package let labels: [String]
        package let value: Value
    }

    package let metric: Metric
    package private(set) var samples: [Sample] = []

    package init(_ metric: Metric) { self.metric = metric }

    /// A family of one sample.
    package init(_ metric: Metric, _ value: Value, _ labels: String...) {
        self.metric = metric
        add(value, labels)
    }

    package init(_ metric: Metric, _ count: UInt64) { self.init(metric, .count(count)) }

    package init(_ metric: Metric, _ number: Double) { self.init(metric, .number(number)) }

    package init(_ metric: Metric, _ number: Int) { self.init(metric, .number(Double(number))) }

    package init(_ metric: Metric, _ isTrue: Bool) { self.init(metric, .count(isTrue ? 1 : 0)) }

    package init(_ metric: Metric, _ times: LatencyHistogram) { self.init(metric, .times(times)) }

    package mutating func add(_ value: Value, _ labels: String...) { add(value, labels) }

    /// - Parameter labels: values, as many as the metric has labels, and not those of a sample that is there.
    package mutating func add(_ value: Value, _ labels: [String]) {
        precondition(labels.count == metric.labels.count, "\(metric.name): other labels")
        samples.append(Sample(labels: labels, value: value))
    }
}
