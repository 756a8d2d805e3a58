internal import LogLines

/// What the service says of itself and of its calls.
struct LogSettings: SettingsGroup {
    static let title = "Logs and traces"

    let logLevel = Setting(
        "log-level", SettingType<ServeSettings.LogLevel>.choice("level"), default: "info",
        SettingText(
            "Lowest level that is logged", "; logs go to standard error",
            page: "operate/logs.md"))

    let logFormat = Setting(
        "log-format",
        SettingType<LogFormat>.choice(
            "format", [.text: "for people", .json: "one JSON object per line"]), default: "text",
        SettingText("Format of the log", page: "operate/logs.md#as-json"))

    let accessLog = Setting(
        "access-log",
        SettingType<ServeSettings.AccessLogMode>.choice(
            "mode",
            [
                .off: "none", .sampled: "the share --access-log-share of all calls",
                .all: "every call",
            ]), default: "off",
        SettingText(
            "Log a line for each gRPC and REST call", page: "operate/logs.md#the-access-log"))

    let accessLogShare = Setting(
        "access-log-share", .share, default: "0.01",
        SettingText("Share of calls logged by --access-log sampled"))

    let accessLogRate = Setting(
        "access-log-rate", .count(1...1_000_000), default: "100",
        SettingText(
            "Maximum lines per second of --access-log sampled",
            "; calls beyond it are counted, not logged"))

    let accessLogQueue = Setting(
        "access-log-queue", .count(100...1_000_000), default: "10000",
        SettingText(
            "Maximum access log lines waiting to be written",
            "; calls beyond it are counted, not logged"))

    /// nil: no traces are exported.
    let otlpEndpoint = Setting<CollectorURL?>(
        "otlp-endpoint", .collector, without: "none, no traces",
        SettingText(
            "OpenTelemetry collector that traces are sent to (OTLP over HTTP, JSON)",
            "; /v1/traces is appended", page: "operate/traces.md"))

    let otlpTimeoutMilliseconds = Setting(
        "otlp-timeout", .duration(100...60_000), default: "10s",
        SettingText("Timeout of a request to the collector"))

    let traceShare = Setting(
        "trace-share", .share, default: "0.01",
        SettingText(
            "Share of calls that are traced where the caller does not say it",
            "; with a traceparent, its sampled flag decides",
            page: "operate/traces.md#which-calls-are-traced"))

    let traceQueue = Setting(
        "trace-queue", .count(100...1_000_000), default: "10000",
        SettingText(
            "Maximum spans waiting to be sent to the collector", "; spans beyond it are dropped"))
}

extension ServeSettings {
    enum LogLevel: String, CaseIterable, Sendable {
        case trace, debug, info, notice, warning, error
    }

    enum AccessLogMode: String, CaseIterable, Sendable { case off, sampled, all }
}
