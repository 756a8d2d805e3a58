internal import ArgumentParser
internal import CommandIO
internal import Foundation
internal import TollgateClient

/// The flags of the load test.
struct LoadTestOptions: ParsableArguments {
    @Option(
        help: .init(
            "The service (environment TOLLGATE_ENDPOINT; default 127.0.0.1:50051).",
            valueName: "host:port"))
    var endpoint: String?

    @Option(help: .init("Access token (environment TOLLGATE_TOKEN).", valueName: "token"))
    var token: String?

    @OptionGroup var security: TLSOptions

    @Option(
        help: .init(
            "Actions started a second. An action is one to several gRPC calls; the report counts both.",
            valueName: "number"))
    var rate = 1_000.0

    @Option(
        help: .init("How long the schedule runs, like 500ms, 30s or 5m.", valueName: "duration"))
    var duration = "10s"

    @Option(
        help: .init(
            """
            messaging (spend with a profile), provisioning (an extension or a DID) or calls (60-second slices: \
            reserve, extend, commit), or several with weights: messaging=8,provisioning=1,calls=1.
            """, valueName: "kinds"))
    var mix = "messaging"

    @Option(
        help: .init(
            "Share of messages that are charged at once (MODE_COMMIT); the others are reserved, then committed.",
            valueName: "0...1"))
    var direct = 0.5

    @Option(help: .init("Tenants, 1 to 1000000.", valueName: "n"))
    var tenants = 1_000

    @Option(help: .init("Messaging profiles of each tenant, 1 to 100.", valueName: "n"))
    var profilesPerTenant = 2

    @Option(
        help: .init(
            "Zipf exponent of the tenants' shares; 0: all the same.", valueName: "0...10"))
    var skew = 1.0

    @Flag(help: "A fresh idempotency key on every check and extension.")
    var keys = false

    @Option(help: .init("Connections, 1 to 64.", valueName: "n"))
    var connections = 4

    @Option(
        help: .init(
            "Calls under way at most; what is due beyond that waits, and its latency runs.",
            valueName: "n"))
    var maxInFlight = 1_024

    @Option(
        help: .init(
            "Time between an answer and the action's next call.", valueName: "duration"))
    var pause = "100ms"

    @Option(help: .init("Time-out of a call, from its sending.", valueName: "duration"))
    var timeout = "10s"

    @Option(
        help: .init(
            "Time to live of a hold, 1s to 24h; an extension renews it.", valueName: "duration"))
    var holdTTL = "10m"

    @Option(help: .init("The same seed draws the same actions.", valueName: "n"))
    var seed: UInt64 = 1

    @Option(
        help: .init(
            "The service's process on this machine: its processor time is reported too.",
            valueName: "pid"))
    var serverPid: Int32?

    @Flag(help: "Report one JSON object instead of text.")
    var json = false

    @Option(
        help: .init(
            "Write the limits file that the service needs for this run, and end.",
            valueName: "file"))
    var writeLimits: String?

    var endpointText: String {
        endpoint ?? EnvironmentVariables.all["TOLLGATE_ENDPOINT"] ?? "127.0.0.1:50051"
    }

    private static let mostActions = 10_000_000_000.0

    func settings() throws -> Settings {
        func parse(_ name: String, _ text: String, from least: UInt64) throws -> UInt64 {
            guard let value = LoadTestDuration.nanoseconds(text), value >= least else {
                throw ValidationError(
                    "--\(name) must be a duration like 500ms, 30s or 5m, not \"\(text)\".")
            }
            return value
        }
        func check(_ isGood: Bool, _ sentence: String) throws {
            if isGood == false { throw ValidationError(sentence) }
        }
        try check((0.001...10_000_000).contains(rate), "--rate must be 0.001 to 10000000.")
        try check((0...1).contains(direct), "--direct must be 0 to 1.")
        try check((1...1_000_000).contains(tenants), "--tenants must be 1 to 1000000.")
        try check((1...100).contains(profilesPerTenant), "--profiles-per-tenant must be 1 to 100.")
        try check((0...10).contains(skew), "--skew must be 0 to 10.")
        try check((1...64).contains(connections), "--connections must be 1 to 64.")
        try check((1...1_000_000).contains(maxInFlight), "--max-in-flight must be 1 to 1000000.")
        guard let mix = Mix(mix) else {
            throw ValidationError(
                "--mix must name messaging, provisioning or calls, each once, with weights above zero, "
                    + "like messaging=8,calls=2.")
        }
        let length = try parse("duration", duration, from: 1)
        try check(
            rate * Double(length) / 1e9 <= Self.mostActions,
            "--rate times --duration must be at most 10000000000 actions.")
        let timeToLive = try parse("hold-ttl", holdTTL, from: 1_000_000_000)
        let rest = try parse("pause", pause, from: 0)
        try check(rest < timeToLive, "--hold-ttl must be longer than --pause.")
        if let serverPid {
            try check(
                Processor.nanoseconds(of: serverPid) != nil,
                "--server-pid \(serverPid): there is no such process.")
        }
        return Settings(
            rate: rate, durationNanoseconds: length,
            traffic: Traffic(mix: mix, directShare: direct), maximumInFlight: maxInFlight,
            timeoutNanoseconds: try parse("timeout", timeout, from: 1),
            pauseNanoseconds: rest,
            holdMilliseconds: UInt32(timeToLive / 1_000_000), usesKeys: keys, seed: seed)
    }

    func client() throws -> TollgateClient.Configuration {
        guard let address = EndpointText.parse(endpointText) else {
            throw ValidationError(
                "The endpoint must be HOST:PORT, like 127.0.0.1:50051, not \"\(endpointText)\".")
        }
        let token = token ?? EnvironmentVariables.all["TOLLGATE_TOKEN"]
        if let token, token.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) == false {
            throw ValidationError("The token must be printable ASCII without spaces.")
        }
        // Of what it reads of its own accord: the tally at the end must not fail for a short --timeout.
        let least = Duration.seconds(10)
        let given = Duration.nanoseconds(
            Int64(clamping: LoadTestDuration.nanoseconds(timeout) ?? 0))
        var tls: TollgateClient.Configuration.TLS?
        if let files = try security.files(EnvironmentVariables.all) {
            do throws(TollgateError) {
                tls = try .init(
                    caFile: files.ca, certificateFile: files.certificate,
                    keyFile: files.certificateKey, serverName: files.serverName)
            } catch {
                throw ValidationError("\(error.message).")
            }
        }
        var configuration = TollgateClient.Configuration(
            host: address.host, port: address.port, tls: tls, token: token,
            timeout: max(least, given),
            connections: connections)
        // It measures a service that fails, too.
        configuration.circuitBreaker = nil
        // It measures decisions, not zlib.
        configuration.acceptsCompression = false
        return configuration
    }
}
