internal import Access
internal import Foundation

/// Addresses, directories and the process itself.
struct ServingSettings: SettingsGroup {
    static let title = "The service"

    let grpcListen = Setting(
        "grpc-listen", .address, default: "127.0.0.1:50051",
        SettingText("gRPC listen address", "; port 0: any free port"))

    let httpListen = Setting(
        "http-listen", .address, default: "127.0.0.1:8080",
        SettingText("HTTP listen address: REST and page", "; port 0: any free port"))

    let dataDirectory = Setting(
        "data-dir", .text("dir"), default: "tollgate-data",
        SettingText("Data directory", page: "journal-format.md#the-directory"))

    let threads = Setting(
        "threads", .count(1...62),
        default: "\(min(max(ProcessInfo.processInfo.activeProcessorCount, 1), 62))",
        shown: "the number of cores", SettingText("Event loops"))

    /// nil: no limits file.
    let limitsFile = Setting<String?>(
        "limits", .file,
        SettingText(
            "Tenants, profiles and defaults as YAML", reload: .onSignal,
            page: "limits-file.md"))

    let drainTimeoutMilliseconds = Setting(
        "drain-timeout", .duration(0...3_600_000), default: "10s",
        SettingText("How long running calls may take to finish after SIGTERM"))

    let drainDelayMilliseconds = Setting(
        "drain-delay", .duration(0...3_600_000), default: "0s",
        SettingText(
            """
            How long the service says after SIGTERM that it is not ready, and still takes calls, before \
            it stops taking them
            """, page: "operate/running.md#lifecycle"))

    let upgradeCheckTimeoutMilliseconds = Setting(
        "upgrade-check-timeout", .duration(1_000...3_600_000), default: "30s",
        SettingText(
            "How long the check of the new program may take in an upgrade",
            page: "operate/upgrade.md"))

    let hangTimeoutMilliseconds = Setting(
        "hang-timeout", .duration(15_000...3_600_000), default: "30s",
        SettingText(
            "How long an event loop or the journal's thread may not respond before /healthz fails",
            page: "operate/running.md#health-checks"))
}

/// Who callers are, and how fast they may call.
struct CallerSettings: SettingsGroup {
    static let title = "Callers"

    let insecureNoAuth = Setting(
        "insecure-no-auth", .toggle, default: "false",
        SettingText("Serve without access tokens; allowed on loopback only"))

    /// nil: nobody's word counts but our own.
    let identitiesFile = Setting<String?>(
        "identities", .file,
        SettingText(
            "Trusted JWT issuers and certificate names, as YAML",
            reload: .onSignal, page: "authorization.md#the-identities-file"))

    /// nil: no bound.
    let callerRate = Setting<Int?>(
        "caller-rate", .count(CallRate.range), without: "unlimited",
        SettingText(
            "Calls per second for one caller, unless its token has its own rate",
            page: "authorization.md#rates"))
}
