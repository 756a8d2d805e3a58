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
