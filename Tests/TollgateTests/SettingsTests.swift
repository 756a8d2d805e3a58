import Foundation
import Testing

@testable import tollgate

@Suite("Settings of serve")
struct SettingsTests {
    private func resolve(
        _ flags: [ServeKey: String] = [:], environment: [String: String] = [:],
        file: String? = nil, cores: Int = 2
    ) async throws -> ServeSettings {
        var flags = flags
        flags[.insecureNoAuth] = flags[.insecureNoAuth] ?? "true"
        return try await ServeSettings.resolve(
            flags: flags, environment: environment, file: file, cores: cores)
    }

    private func withFile<Result>(
        _ text: String, _ body: (String) async throws -> Result
    ) async throws -> Result {
        let url = FileManager.default.temporaryDirectory
            .appendingPathComponent("tollgate-settings-\(UUID().uuidString).yaml")
        try text.write(to: url, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(at: url) }
        return try await body(url.path)
    }

    @Test func defaults() async throws {
        let settings = try await resolve()
        #expect(settings.grpcListen.description == "127.0.0.1:50051")
        #expect(settings.httpListen.description == "127.0.0.1:8080")
        #expect(settings.threads == 2)
        #expect(settings.durability == .sync)
        #expect(settings.limitsFile == nil)
        #expect(settings.drainTimeoutMilliseconds == 10_000)
        #expect(settings.maxRemembered == 10_000_000)
    }

    /// A segment has room for what all event loops may bring.
    @Test func segmentsFitTheThreads() async throws {
        let small: [ServeKey: String] = [.journalSegment: "1MiB", .threads: "10"]
        #expect(try await resolve(small).journalSegmentBytes == 1 << 20)
        let error = await #expect(throws: SettingsError.self) {
            try await resolve(small.merging([.threads: "11"]) { $1 })
        }
        #expect(error?.description.contains("at least 2MiB with 11 threads") == true)
        // As many as there may be.
        #expect(try await resolve([.journalSegment: "8MiB", .threads: "62"]).lanes == 64)
        // There is no journal.
        let inMemory = small.merging([.threads: "62", .durability: "memory"]) { $1 }
        #expect(try await resolve(inMemory).threads == 62)
    }

    @Test func flagBeatsEnvironmentBeatsFile() async throws {
        try await withFile("threads: 5\nmax-tenants: 55\ndrain-timeout: 5s\n") { file in
            let environment = ["TOLLGATE_THREADS": "4", "TOLLGATE_MAX_TENANTS": "44"]
            let settings = try await resolve(
                [.threads: "3"], environment: environment, file: file)
            #expect(settings.threads == 3)
            #expect(settings.maxTenants == 44)
            #expect(settings.drainTimeoutMilliseconds == 5_000)
        }
    }

    @Test func theEnvironmentCanNameTheFile() async throws {
        try await withFile("threads: 7\n") { file in
            let settings = try await resolve(environment: ["TOLLGATE_CONFIG": file])
            #expect(settings.threads == 7)
        }
    }

    @Test(arguments: ServeKey.allCases)
    func everySettingIsReadFromEverySource(_ key: ServeKey) async throws {
        let bad = "\u{1}no value"
        // Texts that are taken as they stand have no wrong value.
        let texts: Set<ServeKey> = [
            .dataDirectory, .limitsFile, .smtpHost, .smtpUser, .smtpPasswordFile, .smtpFrom,
            .smtpCAFile, .brandName, .brandLogo, .brandContact, .identitiesFile, .tlsCertificate,
            .tlsKey, .tlsClientCA, .tlsRevoked, .httpTLSCertificate, .httpTLSKey,
        ]
        if texts.contains(key) { return }
        for source in 0..<3 {
            let error = await #expect(throws: SettingsError.self) {
                switch source {
                case 0: _ = try await resolve([key: bad])
                case 1:
                    _ = try await ServeSettings.resolve(
                        flags: [:], environment: [key.environmentName: bad], file: nil, cores: 1)
                default:
                    try await withFile("\(key.rawValue): \"\\x01no value\"\n") { file in
                        _ = try await ServeSettings.resolve(
                            flags: [:], environment: [:], file: file, cores: 1)
                    }
                }
            }
            let name = ["--\(key.rawValue) must", "\(key.environmentName) must", ".yaml must"]
            #expect(error?.description.contains(name[source]) == true)
        }
    }

    @Test func textSettingsAreRead() async throws {
        let settings = try await resolve(
            [.dataDirectory: "d"], environment: ["TOLLGATE_LIMITS": "l.yaml"])
        #expect(settings.dataDirectory == "d")
        #expect(settings.limitsFile == "l.yaml")
    }

    @Test(arguments: [
        ("thread: 1\n", "1:1: \"thread\" is no setting"),
        ("threads: 1\nthreads-max: 2\n", "2:1: \"threads-max\" is no setting"),
        ("threads: [1]\n", "\"threads\" must be a single value"),
        ("threads: [1\n", "This is not YAML"),
        ("- threads\n", "1:1: each line must be \"setting: value\""),
        ("&a [x]: 1\n", "\"\" is no setting"),
    ])
    func aBadFileIsNamed(_ text: String, _ sentence: String) async throws {
        try await withFile(text) { file in
            let error = await #expect(throws: SettingsError.self) {
                _ = try await resolve(file: file)
            }
            #expect(error?.description.contains(sentence) == true, "\(error?.description ?? "")")
            #expect(error?.description.contains(file) == true)
        }
    }

    /// As editors of another system begin a text, and as a setting is left out.
    @Test func aMarkAndEmptyValuesSayNothing() async throws {
        try await withFile("\u{feff}threads: 3\nsmtp-host:\nsmtp-from: ~\nbrand-logo: \"\"\n") {
            file in
            let settings = try await resolve(file: file)
            #expect(settings.threads == 3 && settings.smtpHost == nil && settings.brandLogo == "")
        }
        try await withFile("# nothing\n") { file in
            let settings = try await resolve(file: file)
            #expect(settings.threads == 2)
        }
    }

    @Test func emptyVariablesAreNotSet() async throws {
        let settings = try await resolve(environment: [
            "TOLLGATE_THREADS": "", "TOLLGATE_CONFIG": "", "TOLLGATE_BRAND_NAME": "",
        ])
        #expect(settings.threads == 2 && settings.brandName == "Tollgate")
    }

    @Test func unknownVariablesAreTold() {
        let unknown = CommandEnvironment.unknown(in: [
            "TOLLGATE_THREADS": "1", "TOLLGATE_TOKEN": "x", "TOLLGATE_PORT_50051_TCP": "tcp://x",
            "TOLLGATE_SERVICE_HOST": "x", "TOLLGATE_THREAD": "1", "TOLLGATE_TOKN": "x",
            "TOLLGATED": "x", "PATH": "x",
        ])
        #expect(unknown == ["TOLLGATE_THREAD", "TOLLGATE_TOKN"])
    }

    @Test func aMissingFileIsNamed() async throws {
        let error = await #expect(throws: SettingsError.self) {
            _ = try await resolve(file: "/nowhere/tollgate.yaml")
        }
        #expect(error?.description.hasPrefix("/nowhere/tollgate.yaml cannot be read") == true)
    }

    @Test func noDoorStandsOpen() async throws {
        let guarded = try await ServeSettings.resolve(
            flags: [.grpcListen: "0.0.0.0:1", .insecureAllowPlaintext: "true"], environment: [:],
            file: nil, cores: 1)
        #expect(!guarded.insecureNoAuth)
        for address in ["0.0.0.0:1", "192.0.2.1:1", "[::]:1", "example.com:1", "[::ffff:7f00:1]:1"]
        {
            for key in [ServeKey.grpcListen, .httpListen] {
                let error = await #expect(throws: SettingsError.self) {
                    _ = try await resolve([key: address])
                }
                #expect(error?.description.contains("on loopback only") == true)
            }
        }
        for address in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1"] {
            #expect(try await resolve([.grpcListen: address]).grpcListen.isLoopback)
        }
    }

    @Test func theJournalHasItsBounds() async throws {
        let settings = try await resolve([
            .durability: "interval", .journalInterval: "50ms", .journalSegment: "4MiB",
            .journalMaximum: "1GiB", .checkpointEvery: "16MiB",
        ])
        #expect(settings.durability == .interval)
        #expect(settings.journalIntervalMilliseconds == 50)
        #expect(settings.journalSegmentBytes == 4 << 20)
        #expect(settings.journalMaximumBytes == 1 << 30)
        #expect(settings.checkpointBytes == 16 << 20)
    }

    @Test(arguments: [
        (ServeKey.journalSegment, "512KiB"), (.journalSegment, "64 MB"), (.journalSegment, "MiB"),
        (.journalMaximum, "128MiB"), (.checkpointEvery, "0"), (.journalInterval, "0s"),
    ])
    func badJournalSettingsAreNamed(_ key: ServeKey, _ text: String) async throws {
        let error = await #expect(throws: SettingsError.self) { _ = try await resolve([key: text]) }
        #expect(error?.description.contains(key.rawValue) == true)
    }
}
