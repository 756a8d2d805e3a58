import Foundation
import Testing

@testable import tollgate

@Suite("Settings of serve")
struct SettingsTests {
    private func resolve(
        _ flags: [String: String] = [:], environment: [String: String] = [:],
        file: String? = nil
    ) throws -> ServeSettings {
        try ServeSettings(
            flags: flags.merging(["insecure-no-auth": "true"]) { given, _ in given },
            environment: environment, file: file)
    }

    private func withFile<Result>(
        _ text: String, _ body: (String) throws -> Result
    ) throws -> Result {
        let url = FileManager.default.temporaryDirectory
            .appendingPathComponent("tollgate-settings-\(UUID().uuidString).yaml")
        try text.write(to: url, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(at: url) }
        return try body(url.path)
    }

    @Test func defaults() throws {
        let settings = try resolve()
        let cores = ProcessInfo.processInfo.activeProcessorCount
        #expect(settings.grpcListen.description == "127.0.0.1:50051")
        #expect(settings.httpListen.description == "127.0.0.1:8080")
        #expect(settings.threads == min(max(cores, 1), 62))
        #expect(settings.durability == .sync)
        #expect(settings.limitsFile == nil)
        #expect(settings.drainTimeoutMilliseconds == 10_000)
        #expect(settings.maxRemembered == 10_000_000)
    }

    /// A segment has room for what all event loops may bring.
    @Test func segmentsFitTheThreads() throws {
        let small: [String: String] = ["journal-segment": "1MiB", "threads": "10"]
        #expect(try resolve(small).journalSegmentBytes == 1 << 20)
        let error = #expect(throws: SettingsError.self) {
            try resolve(small.merging(["threads": "11"]) { $1 })
        }
        #expect(error?.description.contains("at least 2MiB with 11 threads") == true)
        // As many as there may be.
        #expect(try resolve(["journal-segment": "8MiB", "threads": "62"]).lanes == 64)
        // There is no journal.
        let inMemory = small.merging(["threads": "62", "durability": "memory"]) { $1 }
        #expect(try resolve(inMemory).threads == 62)
    }

    @Test func flagBeatsEnvironmentBeatsFile() throws {
        try withFile("threads: 5\nmax-tenants: 55\ndrain-timeout: 5s\n") { file in
            let environment = ["TOLLGATE_THREADS": "4", "TOLLGATE_MAX_TENANTS": "44"]
            let settings = try resolve(
                ["threads": "3"], environment: environment, file: file)
            #expect(settings.threads == 3)
            #expect(settings.maxTenants == 44)
            #expect(settings.drainTimeoutMilliseconds == 5_000)
        }
    }

    /// One start is enough to learn of all of them.
    @Test func everyMistakeIsTold() throws {
        try withFile("thread: 5\nmax-tenants: none\ndrain-timeout: 5s\n") { file in
            let error = #expect(throws: SettingsError.self) {
                try resolve(["threads": "0"], environment: ["TOLLGATE_KEEPALIVE": "1"], file: file)
            }
            let lines = error?.description.split(separator: "\n") ?? []
            #expect(lines.count == 4)
            #expect(lines.first?.contains("\"thread\" is not a setting") == true)
            for name in ["--threads", "TOLLGATE_KEEPALIVE", "max-tenants in"] {
                #expect(lines.contains { $0.hasPrefix(name) }, "\(name)")
            }
        }
        let together = #expect(throws: SettingsError.self) {
            try resolve(["smtp-host": "mail", "journal-maximum": "8MiB", "tls-key": "key.pem"])
        }
        #expect(together?.description.split(separator: "\n").count == 3)
    }

    @Test func whereAValueComesFromIsKnown() throws {
        try withFile("threads: 5\nmax-tenants: 55\n") { file in
            let settings = try resolve(
                ["threads": "3"], environment: ["TOLLGATE_KEEPALIVE": "10s"], file: file)
            #expect(
                settings.given["threads"]
                    == GivenSetting(text: "3", source: .flag, place: "--threads"))
            #expect(
                settings.given["keepalive"]
                    == GivenSetting(text: "10s", source: .environment, place: "TOLLGATE_KEEPALIVE"))
            #expect(
                settings.given["max-tenants"]
                    == GivenSetting(text: "55", source: .file, place: file))
            #expect(settings.given["durability"] == nil)
        }
    }

    /// Texts of one value are equal.
    @Test func settingsThatDifferAreNamed() throws {
        let one = try resolve(["drain-timeout": "5s", "threads": "3"])
        let other = try resolve(["drain-timeout": "5000ms", "threads": "4", "keepalive": "60s"])
        #expect(other.differing(from: one).map(\.name) == ["threads"])
        #expect(one.differing(from: one).isEmpty)
    }

    @Test func theEnvironmentCanNameTheFile() throws {
        try withFile("threads: 7\n") { file in
            let settings = try resolve(environment: ["TOLLGATE_CONFIG": file])
            #expect(settings.threads == 7)
        }
    }

    @Test func textSettingsAreRead() throws {
        let settings = try resolve(
            ["data-dir": "d"], environment: ["TOLLGATE_LIMITS": "l.yaml"])
        #expect(settings.dataDirectory == "d")
        #expect(settings.limitsFile == "l.yaml")
    }

    @Test(arguments: [
        ("thread: 1\n", "1:1: \"thread\" is not a setting"),
        ("threads: 1\nthreads-max: 2\n", "2:1: \"threads-max\" is not a setting"),
        ("threads: [1]\n", "\"threads\" must be a single value"),
        ("threads: [1\n", "Invalid YAML"),
        ("- threads\n", "1:1: each line must be \"setting: value\""),
        ("&a [x]: 1\n", "\"\" is not a setting"),
    ])
    func aBadFileIsNamed(_ text: String, _ sentence: String) throws {
        try withFile(text) { file in
            let error = #expect(throws: SettingsError.self) {
                _ = try resolve(file: file)
            }
            #expect(error?.description.contains(sentence) == true, "\(error?.description ?? "")")
            #expect(error?.description.contains(file) == true)
        }
    }

    /// As editors of another system begin a text, and as a setting is left out.
    @Test func aMarkAndEmptyValuesSayNothing() throws {
        try withFile("\u{feff}threads: 3\nsmtp-host:\nsmtp-from: ~\nbrand-logo: \"\"\n") {
            file in
            let settings = try resolve(file: file)
            #expect(settings.threads == 3 && settings.smtpHost == nil && settings.brandLogo == "")
        }
        try withFile("# nothing\n") { file in
            let settings = try resolve(file: file)
            #expect(settings.threads == SettingsCatalogue.serving.threads.standard)
        }
    }

    @Test func emptyVariablesAreNotSet() throws {
        let settings = try resolve(environment: [
            "TOLLGATE_THREADS": "", "TOLLGATE_CONFIG": "", "TOLLGATE_BRAND_NAME": "",
        ])
        #expect(settings.threads == SettingsCatalogue.serving.threads.standard)
        #expect(settings.brandName == "Tollgate")
    }

    @Test func unknownVariablesAreTold() {
        let unknown = CommandEnvironment.unknown(in: [
            "TOLLGATE_THREADS": "1", "TOLLGATE_TOKEN": "x", "TOLLGATE_PORT_50051_TCP": "tcp://x",
            "TOLLGATE_SERVICE_HOST": "x", "TOLLGATE_THREAD": "1", "TOLLGATE_TOKN": "x",
            "TOLLGATED": "x", "PATH": "x",
        ])
        #expect(unknown == ["TOLLGATE_THREAD", "TOLLGATE_TOKN"])
    }

    @Test func aMissingFileIsNamed() throws {
        let error = #expect(throws: SettingsError.self) {
            _ = try resolve(file: "/nowhere/tollgate.yaml")
        }
        #expect(error?.description.hasPrefix("/nowhere/tollgate.yaml cannot be read") == true)
    }

    @Test func noDoorStandsOpen() throws {
        let guarded = try ServeSettings(
            flags: ["grpc-listen": "0.0.0.0:1", "insecure-allow-plaintext": "true"],
            environment: [:],
            file: nil)
        #expect(!guarded.insecureNoAuth)
        for address in ["0.0.0.0:1", "192.0.2.1:1", "[::]:1", "example.com:1", "[::ffff:7f00:1]:1"]
        {
            for key in ["grpc-listen", "http-listen"] {
                let error = #expect(throws: SettingsError.self) {
                    _ = try resolve([key: address])
                }
                #expect(error?.description.contains("on loopback only") == true)
            }
        }
        for address in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1"] {
            #expect(try resolve(["grpc-listen": address]).grpcListen.isLoopback)
        }
    }

    @Test func theJournalHasItsBounds() throws {
        let settings = try resolve([
            "durability": "interval", "journal-interval": "50ms", "journal-segment": "4MiB",
            "journal-maximum": "1GiB", "checkpoint-every": "16MiB",
        ])
        #expect(settings.durability == .interval)
        #expect(settings.journalIntervalMilliseconds == 50)
        #expect(settings.journalSegmentBytes == 4 << 20)
        #expect(settings.journalMaximumBytes == 1 << 30)
        #expect(settings.checkpointBytes == 16 << 20)
    }

    @Test(arguments: [
        ("journal-segment", "512KiB"), ("journal-segment", "64 MB"), ("journal-segment", "MiB"),
        ("journal-maximum", "128MiB"), ("checkpoint-every", "0"), ("journal-interval", "0s"),
    ])
    func badJournalSettingsAreNamed(_ key: String, _ text: String) throws {
        let error = #expect(throws: SettingsError.self) { _ = try resolve([key: text]) }
        #expect(error?.description.contains(key) == true)
    }
}
