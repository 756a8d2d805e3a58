/// What clients of REST and page may take, and whom they are believed to be.
struct HTTPSettings: SettingsGroup {
    static let title = "REST and page"

    /// nil: errors lead to the pages of the documentation.
    let publicURL = Setting<String?>(
        "public-url", .url, without: "none",
        SettingText(
            "The URL at which callers reach REST and page, for links in errors",
            "; without it errors link to the documentation", page: "rest.md#what-holds-everywhere"))

    private static let timeout = SettingType<Int64>.duration(100...3_600_000)

    let httpHeadTimeoutMilliseconds = Setting(
        "http-head-timeout", timeout, default: "10s",
        SettingText("Timeout for receiving the header of an HTTP request"))

    let httpBodyTimeoutMilliseconds = Setting(
        "http-body-timeout", timeout, default: "20s",
        SettingText("Timeout for receiving the body of an HTTP request"))

    let httpRequestTimeoutMilliseconds = Setting(
        "http-request-timeout", timeout, default: "30s",
        SettingText(
            """
            Timeout of a REST request, waiting for the disk included, before it is answered \
            with 503
            """))

    let httpAnswerTimeoutMilliseconds = Setting(
        "http-answer-timeout", timeout, default: "30s",
        SettingText("How long an HTTP client may take to read 64 KiB of an answer"))

    let httpIdleTimeoutMilliseconds = Setting(
        "http-idle-timeout", timeout, default: "60s",
        SettingText("Idle timeout of an HTTP connection"))

    let httpMaxConnections = Setting(
        "http-max-connections", .count(1...1_000_000), default: "1024",
        SettingText(
            "Maximum HTTP connections", "; fewer if the process may not open enough files"))

    let httpMaxConnectionsPerAddress = Setting<Int?>(
        "http-max-connections-per-address", .count(1...1_000_000),
        without: "a quarter of all, and no more than --max-connections-per-address",
        SettingText("Maximum HTTP connections per address"))

    let httpMaxRequests = Setting(
        "http-max-requests", .count(1...65_536), default: "256",
        SettingText("Maximum concurrent HTTP requests"))

    let reportMaxRows = Setting(
        "report-max-rows", .count(1...10_000_000), default: "250000",
        SettingText("Maximum rows of a report as CSV", page: "operate/reports.md"))

    let trustedProxy = Setting(
        "trusted-proxy", .networks("networks"), default: "", shown: "none",
        SettingText(
            "Proxies whose X-Forwarded-For is trusted, as networks separated by commas"))

    /// Browsers send the cookie of a log-in over TLS only: the service stands behind a proxy that speaks TLS.
    let secureCookie = Setting(
        "secure-cookie", .truth((yes: "true", no: "false")), default: "false",
        SettingText(
            "Send log-in cookies over TLS only",
            "; set it behind a TLS proxy; always so where REST uses TLS"))
}
