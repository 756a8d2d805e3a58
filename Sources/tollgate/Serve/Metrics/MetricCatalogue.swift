internal import Telemetry

/// Metrics that belong together: a section of the reference page. Each stored property is a metric; a further metric is a
/// further property, and what `ServiceMetrics` reads for it.
protocol MetricGroup: Sendable {
    init()
    static var title: String { get }
}

extension MetricGroup {
    /// In the order of the properties.
    static var metrics: [Metric] {
        Mirror(reflecting: Self()).children.compactMap { $0.value as? Metric }
    }
}

/// All metrics of `tollgate serve`.
enum MetricCatalogue {
    static let decisions = DecisionMetrics()
    static let table = TableMetrics()
    static let grpc = GRPCMetrics()
    static let http = HTTPMetrics()
    static let connections = ConnectionMetrics()
    static let journal = JournalMetrics()
    static let sides = SideMetrics()
    static let calls = CallMetrics()
    static let process = ProcessMetrics()

    static let groups: [any MetricGroup.Type] = [
        DecisionMetrics.self, TableMetrics.self, GRPCMetrics.self, HTTPMetrics.self,
        ConnectionMetrics.self, JournalMetrics.self, SideMetrics.self, CallMetrics.self,
        ProcessMetrics.self,
    ]
}
