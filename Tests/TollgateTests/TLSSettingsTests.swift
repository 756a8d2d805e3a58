import Testing
import TransportSecurity

@testable import tollgate

@Suite struct TLSSettingsTests {
    private func resolve(_ flags: [ServeKey: String]) async throws(SettingsError) -> ServeSettings {
        try await ServeSettings.resolve(flags: flags, environment: [:], file: nil, cores: 1)
    }

    private let own: [ServeKey: String] = [.tlsCertificate: "c", .tlsKey: "k"]

    @Test func oneCertificateIsForBothPorts() async throws {
        let none = try await resolve([:])
        #expect(none.grpcTLS == nil && none.httpTLS == nil)
        let settings = try await resolve(own)
        #expect(settings.grpcTLS == TLSFiles(certificate: "c", key: "k"))
        #expect(settings.httpTLS == settings.grpcTLS)
        #expect(settings.tlsBounds.expiryWarnings == [2_592_000, 604_800, 86_400])
    }

    @Test func eitherPortMayHaveItsOwn() async throws {
        let both = own.merging([
            .httpTLSCertificate: "c2", .httpTLSKey: "k2", .tlsClientCA: "ca", .tlsRevoked: "r",
            .httpTLSClientAuth: "optional",
        ]) { $1 }
        let settings = try await resolve(both)
        #expect(
            settings.grpcTLS
                == TLSFiles(
                    certificate: "c", key: "k", clientAuthorities: "ca",
                    clientAuthentication: .required, revoked: "r"))
        #expect(
            settings.httpTLS
                == TLSFiles(
                    certificate: "c2", key: "k2", clientAuthorities: "ca",
                    clientAuthentication: .optional, revoked: "r"))
        #expect(try await resolve(own.merging([.httpTLS: "off"]) { $1 }).httpTLS == nil)
    }

    @Test(arguments: [
        ([ServeKey.tlsCertificate: "c"], "tls-certificate and tls-key are given together"),
        ([.tlsKey: "k"], "tls-certificate and tls-key are given together"),
        ([.tlsClientCA: "ca"], "tls-client-ca needs tls-certificate"),
        ([.tlsRevoked: "r"], "tls-revoked needs tls-certificate"),
        ([.tlsClientAuth: "required"], "tls-client-auth needs tls-certificate"),
        ([.httpTLS: "on"], "http-tls needs tls-certificate"),
        (
            [.httpTLSCertificate: "c", .httpTLSKey: "k"],
            "http-tls-certificate needs tls-certificate"
        ),
        ([.httpTLSClientAuth: "optional"], "http-tls-client-auth needs tls-certificate"),
    ])
    func nothingIsWithoutACertificate(flags: [ServeKey: String], sentence: String) async {
        let error = await #expect(throws: SettingsError.self) { _ = try await resolve(flags) }
        #expect(error?.description.contains(sentence) == true)
    }

    @Test(arguments: [
        ([ServeKey.httpTLSKey: "k"], "http-tls-certificate and http-tls-key are given together"),
        ([.tlsRevoked: "r"], "tls-revoked needs tls-client-ca"),
        ([.tlsClientAuth: "optional"], "tls-client-auth needs tls-client-ca"),
        ([.httpTLSClientAuth: "required"], "http-tls-client-auth needs tls-client-ca"),
        ([.tlsClientAuth: "perhaps"], "--tls-client-auth must be one of off, optional, required"),
        ([.tlsHandshakeTimeout: "1ms"], "--tls-handshake-timeout must be a duration from 100ms"),
        ([.tlsMaxHandshakes: "0"], "--tls-max-handshakes must be a whole number from 1"),
        ([.tlsExpiryWarning: "30d,x"], "--tls-expiry-warning must be up to 16 durations"),
        ([.tlsExpiryWarning: ""], "--tls-expiry-warning must be up to 16 durations"),
    ])
    func whatMakesNoSenseIsNamed(flags: [ServeKey: String], sentence: String) async {
        let error = await #expect(throws: SettingsError.self) {
            _ = try await resolve(own.merging(flags) { $1 })
        }
        #expect(error?.description.contains(sentence) == true, "\(error?.description ?? "taken")")
    }

    @Test func plaintextBeyondLoopbackMustBeSaid() async throws {
        for key in [ServeKey.grpcListen, .httpListen] {
            let error = await #expect(throws: SettingsError.self) {
                _ = try await resolve([key: "0.0.0.0:1"])
            }
            #expect(error?.description.contains("--insecure-allow-plaintext") == true)
            _ = try await resolve([key: "0.0.0.0:1", .insecureAllowPlaintext: "true"])
            _ = try await resolve(own.merging([key: "0.0.0.0:1"]) { $1 })
        }
        let error = await #expect(throws: SettingsError.self) {
            _ = try await resolve(
                own.merging([.httpListen: "0.0.0.0:1", .httpTLS: "off"]) { $1 })
        }
        #expect(error?.description.contains("0.0.0.0:1 is not on loopback") == true)
        // What asks nobody who they are stays on loopback, however it is carried.
        let open = await #expect(throws: SettingsError.self) {
            _ = try await resolve(
                own.merging([
                    .grpcListen: "0.0.0.0:1", .insecureNoAuth: "true",
                    .insecureAllowPlaintext: "true",
                ]) { $1 })
        }
        #expect(open?.description.contains("on loopback only") == true)
    }
}
