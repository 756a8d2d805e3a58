internal import GRPCServer

/// What gRPC's peers may take. Two hold on both ports.
struct GRPCSettings: SettingsGroup {
    static let title = "gRPC and connections"

    let maxConnections = Setting(
        "max-connections", .count(1...1_000_000), default: "10000",
        SettingText(
            "Maximum gRPC connections", "; fewer if the process may not open enough files"))

    let maxConnectionsPerAddress = Setting(
        "max-connections-per-address", .count(1...1_000_000), default: "1024",
        SettingText("Maximum connections per address, on each port"))

    let maxConcurrentStreams = Setting(
        "max-concurrent-streams", .count(1...65_536), default: "256",
        SettingText("Maximum concurrent calls per connection"))

    let peerMemoryBytes = Setting(
        "peer-memory", .size(16 << 20...1 << 40), default: "256MiB",
        SettingText("Maximum buffered bytes, in and out, over all connections"))

    /// 0: never.
    let keepaliveMilliseconds = Setting(
        "keepalive", .duration(0...86_400_000), default: "60s",
        SettingText(
            """
            Silence after which a gRPC peer is sent a keepalive ping, which it has 20s to \
            answer
            """, "; 0s: never"))

    let connectionIdleMilliseconds = Setting(
        "connection-idle", .duration(1_000...2_592_000_000), default: "30m",
        SettingText("Idle timeout of a gRPC connection"))

    /// 0: connections may become as old as they like.
    let connectionAgeMilliseconds = Setting(
        "connection-age", .duration(0...2_592_000_000), default: "24h",
        SettingText(
            """
            Maximum age of a gRPC connection before its peer is told to reconnect, plus or \
            minus a tenth
            """, "; 0s: unlimited"))

    let compression = Setting(
        "compression",
        SettingType<AnswerCompression>.choice(
            "mode",
            [
                .off: "none", .asked: "of calls that may be compressed themselves",
                .accepted: "of all calls that accept it",
            ]), default: "asked",
        SettingText(
            "Which gRPC answers of 1 KiB and more are compressed", page: "grpc.md#compression"))

    let reflection = Setting(
        "reflection", .truth((yes: "on", no: "off")), default: "on",
        SettingText(
            "gRPC server reflection for clients with an access token",
            page: "grpc.md#reflection"))
}
