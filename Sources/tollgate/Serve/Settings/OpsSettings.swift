/// The listener for probes and scrapers.
struct OpsSettings: SettingsGroup {
    static let title = "Ops listener"

    /// nil: there is none.
    let opsListen = Setting<NetworkAddress?>(
        "ops-listen", .address,
        SettingText(
            "Listen address of /metrics, /healthz and /readyz, without TLS and tokens",
            "; port 0: any free port", page: "operate/metrics.md#the-ops-listener"))

    let opsMaxConnections = Setting(
        "ops-max-connections", .count(1...1_024), default: "64",
        SettingText("Maximum connections of the ops listener"))
}
