import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import ServerTrust
import Testing
import Wire

@testable import TollgateClient

/// A client over TLS, against a peer of bare frames behind NIOSSL.
@Suite("TLS", .timeLimit(.minutes(5)))
struct TLSTests {
    private typealias TLS = TollgateClient.Configuration.TLS

    private static let usage = UsageRequest(tenantID: "a")

    private static func withFiles(
        _ body: (TestCertificates, TestCertificates.Authority) async throws -> Void
    ) async throws {
        let files = try TestCertificates()
        defer { files.remove() }
        let authority = try files.makeAuthority("good")
        try files.issue(
            "server", by: authority,
            names: [TestCertificates.localhost, TestCertificates.loopback])
        try await body(files, authority)
    }

    private static func context(
        _ files: TestCertificates, _ name: String = "server", clientCA: String? = nil,
        protocols: [String] = ["h2"], maximum: TLSVersion? = nil
    ) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(files.path("\(name).pem")).map {
                .certificate($0)
            },
            privateKey: .privateKey(
                try NIOSSLPrivateKey(file: files.path("\(name)-key.pem"), format: .pem)))
        configuration.applicationProtocols = protocols
        configuration.maximumTLSVersion = maximum
        if let clientCA {
            configuration.certificateVerification = .noHostnameVerification
            configuration.trustRoots = .file(files.path(clientCA))
        }
        return try NIOSSLContext(configuration: configuration)
    }

    private static func client(_ peer: FramePeer, _ tls: TLS?) -> TollgateClient {
        var configuration = TollgateClient.Configuration(
            host: "127.0.0.1", port: peer.port, tls: tls, timeout: .seconds(300),
            connectTimeout: .seconds(300), maximumAttempts: 1)
        configuration.circuitBreaker = nil
        return TollgateClient(configuration)
    }

    /// A call that is answered.
    private static func succeeds(_ peer: FramePeer, _ client: TollgateClient) async throws {
        async let answer = client.usage(usage)
        try await peer.next(.headers).succeed()
        _ = try await answer
    }

    /// The sentence with which a call fails.
    private static func failure(_ client: TollgateClient) async -> String? {
        let error = await #expect(throws: TollgateError.self) { _ = try await client.usage(usage) }
        #expect(error?.code == .unavailable)
        return error?.message
    }

    /// The same where the service refuses. In TLS 1.3 it does so when the client has begun to send, and what it says is
    /// lost where the connection breaks before that is read.
    private static func refusal(_ client: TollgateClient) async -> String? {
        var sentence: String?
        for _ in 0..<100 {
            sentence = await failure(client)
            if sentence != "The connection was lost before an answer arrived" { break }
        }
        return sentence
    }

    @Test(arguments: [TLSVersion.tlsv12, .tlsv13])
    func callsPass(_ version: TLSVersion) async throws {
        try await Self.withFiles { files, _ in
            let peer = try await FramePeer.listen(
                maximumStreams: 100, manner: .polite,
                tls: try Self.context(files, maximum: version))
            let client = Self.client(peer, try TLS(caFile: files.path("good-ca.pem")))
            defer { client.shutdown() }
            for _ in 0..<3 { try await Self.succeeds(peer, client) }
            #expect(client.counters.connectionsMade == 1)
            try await peer.stop()
        }
    }

    /// What is wrong with a certificate, and what is said of it.
    enum Distrust: CaseIterable, Sendable {
        case unknownIssuer, expired, otherAddress, otherName

        var reason: String {
            switch self {
            case .unknownIssuer: "it was not issued by a trusted CA"
            case .expired: "it has expired"
            case .otherAddress: "it is for another host"
            case .otherName: "it is for another host"
            }
        }
    }

    @Test(arguments: Distrust.allCases)
    func whoIsNotTrustedIsNotTalkedTo(_ distrust: Distrust) async throws {
        try await Self.withFiles { files, good in
            let both = [TestCertificates.localhost, TestCertificates.loopback]
            switch distrust {
            case .unknownIssuer:
                try files.issue("bad", by: try files.makeAuthority("other"), names: both)
            case .expired: try files.issue("bad", by: good, names: both, days: -1)
            case .otherAddress:
                try files.issue("bad", by: good, names: [TestCertificates.localhost])
            case .otherName: try files.issue("bad", by: good, names: both)
            }
            let peer = try await FramePeer.listen(
                maximumStreams: 100, manner: .polite, tls: try Self.context(files, "bad"))
            let client = Self.client(
                peer,
                try TLS(
                    caFile: files.path("good-ca.pem"),
                    serverName: distrust == .otherName ? "tollgate.example" : nil))
            defer { client.shutdown() }
            #expect(
                await Self.failure(client)
                    == "The certificate of 127.0.0.1:\(peer.port) is not trusted: \(distrust.reason)"
            )
            try await peer.stop()
        }
    }

    @Test func theNameCanBeAnother() async throws {
        try await Self.withFiles { files, good in
            try files.issue("named", by: good, names: [TestCertificates.named("tollgate.example")])
            let peer = try await FramePeer.listen(
                maximumStreams: 100, manner: .polite, tls: try Self.context(files, "named"))
            let client = Self.client(
                peer,
                try TLS(caFile: files.path("good-ca.pem"), serverName: "tollgate.example"))
            defer { client.shutdown() }
            try await Self.succeeds(peer, client)
            try await peer.stop()
        }
    }

    @Test(arguments: [
        ("tollgate.example", "tollgate.example", true),
        ("Tollgate.Example.", "tollgate.example", true),
        ("*.example.org", "a.example.org", true), ("*.example.org", "a.b.example.org", false),
        ("*.example.org", "example.org", false), ("*", "example", false), ("*.org", "a.org", false),
        ("a*.example.org", "ab.example.org", false), ("", "example", false),
        ("tollgate.example", "tollgate.example.org", false),
    ])
    func names(_ pattern: String, _ name: String, _ isMatch: Bool) {
        #expect(TLSNames.matches(pattern, name) == isMatch)
    }

    // MARK: The client's own certificate

    @Test(arguments: [TLSVersion.tlsv12, .tlsv13])
    func aClientShowsItsCertificate(_ version: TLSVersion) async throws {
        try await Self.withFiles { files, good in
            try files.issue("caller", by: good, names: [TestCertificates.named("caller.example")])
            try files.issue(
                "stranger", by: try files.makeAuthority("other"),
                names: [TestCertificates.named("x.example")])
            let peer = try await FramePeer.listen(
                maximumStreams: 100, manner: .polite,
                tls: try Self.context(files, clientCA: "good-ca.pem", maximum: version))
            func client(_ name: String?) throws -> TollgateClient {
                Self.client(
                    peer,
                    try TLS(
                        caFile: files.path("good-ca.pem"),
                        certificateFile: name.map { files.path("\($0).pem") },
                        keyFile: name.map { files.path("\($0)-key.pem") }))
            }
            let known = try client("caller")
            defer { known.shutdown() }
            try await Self.succeeds(peer, known)
            for name in [nil, "stranger"] {
                let unknown = try client(name)
                defer { unknown.shutdown() }
                let sentence = try #require(await Self.refusal(unknown))
                #expect(sentence.contains("127.0.0.1:\(peer.port)"), "\(sentence)")
                #expect(sentence.contains("certificate"), "\(sentence)")
            }
            try await peer.stop()
        }
    }

    /// Its file is replaced: the next connection shows the new one.
    @Test func aRenewedCertificateIsShown() async throws {
        try await Self.withFiles { files, good in
            try files.issue(
                "caller", by: try files.makeAuthority("other"),
                names: [TestCertificates.named("c.example")])
            let peer = try await FramePeer.listen(
                maximumStreams: 100, manner: .polite,
                tls: try Self.context(files, clientCA: "good-ca.pem"))
            let client = Self.client(
                peer,
                try TLS(
                    caFile: files.path("good-ca.pem"), certificateFile: files.path("caller.pem"),
                    keyFile: files.path("caller-key.pem")))
            defer { client.shutdown() }
            _ = await Self.failure(client)
            try files.write("caller.pem", "half")
            _ = await Self.failure(client)
            try files.issue("caller", by: good, names: [TestCertificates.named("c.example")])
            try await Self.succeeds(peer, client)
            try await peer.stop()
        }
    }

    // MARK: Peers that speak otherwise

    @Test(arguments: [[], ["http/1.1"]])
    func aServiceWithoutHTTP2IsNamed(_ protocols: [String]) async throws {
        try await Self.withFiles { files, _ in
            let peer = try await FramePeer.listen(
                maximumStreams: 100, manner: .mute,
                tls: try Self.context(files, protocols: protocols))
            let client = Self.client(peer, try TLS(caFile: files.path("good-ca.pem")))
            defer { client.shutdown() }
            #expect(
                await Self.failure(client)
                    == "127.0.0.1:\(peer.port) speaks TLS, but not HTTP/2 (ALPN \"h2\"): is this its gRPC address?"
            )
            try await peer.stop()
        }
    }

    @Test func plaintextIsNoTLS() async throws {
        try await Self.withFiles { files, _ in
            let peer = try await FramePeer.listen(maximumStreams: 100, manner: .polite)
            let client = Self.client(peer, try TLS(caFile: files.path("good-ca.pem")))
            defer { client.shutdown() }
            #expect(await Self.failure(client) == "127.0.0.1:\(peer.port) does not speak TLS")
            try await peer.stop()
        }
    }

    @Test func aClientWithoutTLSIsTold() async throws {
        try await Self.withFiles { files, _ in
            let peer = try await FramePeer.listen(
                maximumStreams: 100, manner: .polite, tls: try Self.context(files))
            let client = Self.client(peer, nil)
            defer { client.shutdown() }
            let sentence = await Self.failure(client)
            #expect(
                sentence
                    == "127.0.0.1:\(peer.port) requires TLS, but this client is not configured for it"
            )
            try await peer.stop()
        }
    }

    @Test func aHandshakeThatDoesNotEndIsGivenUp() async throws {
        try await Self.withFiles { files, _ in
            let peer = try await FramePeer.listen(maximumStreams: 100, manner: .mute)
            var configuration = TollgateClient.Configuration(
                host: "127.0.0.1", port: peer.port, tls: try TLS(caFile: files.path("good-ca.pem")),
                timeout: .seconds(300), connectTimeout: .milliseconds(100), maximumAttempts: 1)
            configuration.circuitBreaker = nil
            let client = TollgateClient(configuration)
            defer { client.shutdown() }
            let sentence = try #require(await Self.failure(client))
            #expect(sentence.contains("127.0.0.1:\(peer.port)"), "\(sentence)")
            try await peer.stop()
        }
    }

    /// With another endpoint a connection has an attempt's time.
    @Test func aHandshakeThatDoesNotEndIsLeftForAnotherEndpoint() async throws {
        try await Self.withFiles { files, _ in
            let mute = try await FramePeer.listen(maximumStreams: 100, manner: .mute)
            let there = try await FramePeer.listen(
                maximumStreams: 100, manner: .polite, tls: try Self.context(files))
            var configuration = TollgateClient.Configuration(
                endpoints: [mute, there].map { Endpoint(host: "127.0.0.1", port: $0.port) },
                tls: try TLS(caFile: files.path("good-ca.pem")), timeout: .seconds(60),
                attemptTimeout: .milliseconds(500), connectTimeout: .seconds(300),
                maximumAttempts: 1_000_000)
            configuration.circuitBreaker = nil
            let client = TollgateClient(configuration)
            defer { client.shutdown() }
            let answering = Task {
                while true {
                    let call = try await there.next(.headers)
                    try? await call.succeed()
                }
            }
            defer { answering.cancel() }
            _ = try await client.usage(Self.usage)
            #expect(client.counters.endpointFailures > 0)
            try await mute.stop()
            try await there.stop()
        }
    }

    /// A silent service answers no closing of TLS either: nobody waits for that.
    @Test func aSilentServiceIsGivenUpOverTLSToo() async throws {
        try await Self.withFiles { files, _ in
            let peer = try await FramePeer.listen(
                maximumStreams: 100, manner: .ignoresPings, tls: try Self.context(files))
            let client = TollgateClient(
                .init(
                    host: "127.0.0.1", port: peer.port,
                    tls: try TLS(caFile: files.path("good-ca.pem")), timeout: .seconds(300),
                    connectTimeout: .seconds(300), keepaliveInterval: .milliseconds(10),
                    keepaliveTimeout: .milliseconds(10)))
            defer { client.shutdown() }
            let updates = client.watchUsage().makeAsyncIterator()
            let error = await #expect(throws: TollgateError.self) { try await updates.next() }
            #expect(error?.message == "The service stopped responding")
            try await peer.stop()
        }
    }

    // MARK: Files

    @Test func whatCannotBeUsedIsNamed() async throws {
        try await Self.withFiles { files, good in
            try files.issue("caller", by: good, names: [TestCertificates.named("c.example")])
            let empty = try files.write("empty.pem", "")
            let locked = try files.write(
                "locked.pem",
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n"
            )
            let caller = files.path("caller.pem")
            let key = files.path("caller-key.pem")
            let none = files.path("none.pem")
            let cases: [(sentence: String, make: () throws(TollgateError) -> TLS)] = [
                (
                    "The CA file \(none) cannot be read: no such file",
                    { () throws(TollgateError) in try TLS(caFile: none) }
                ),
                (
                    "The CA file \(empty) contains no PEM certificate",
                    { () throws(TollgateError) in try TLS(caFile: empty) }
                ),
                (
                    "The CA file \(files.directory.path) cannot be read: it is a directory",
                    { () throws(TollgateError) in try TLS(caFile: files.directory.path) }
                ),
                (
                    "The certificate file \(key) contains no PEM certificate",
                    { () throws(TollgateError) in try TLS(certificateFile: key, keyFile: key) }
                ),
                (
                    "The key file \(caller) contains no PEM private key",
                    { () throws(TollgateError) in try TLS(certificateFile: caller, keyFile: caller)
                    }
                ),
                (
                    "The key file \(locked) is encrypted; use an unencrypted key",
                    { () throws(TollgateError) in try TLS(certificateFile: caller, keyFile: locked)
                    }
                ),
                (
                    "The key \(files.path("server-key.pem")) does not belong to the certificate",
                    { () throws(TollgateError) in
                        try TLS(certificateFile: caller, keyFile: files.path("server-key.pem"))
                    }
                ),
                (
                    "A client certificate and its key must be given together",
                    { () throws(TollgateError) in try TLS(certificateFile: caller) }
                ),
                (
                    "The server name must be a DNS name, not \"10.0.0.1\"",
                    { () throws(TollgateError) in try TLS(serverName: "10.0.0.1") }
                ),
            ]
            for (sentence, make) in cases {
                do throws(TollgateError) {
                    _ = try make()
                    Issue.record("used: \(sentence)")
                } catch {
                    #expect(error.message == sentence && error.code == .failedPrecondition)
                }
            }
        }
    }
}
