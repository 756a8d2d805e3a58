import Testing
import TransportSecurity

@testable import tollgate

@Suite struct TLSSettingsTests {
    private func resolve(_ flags: [String: String]) throws(SettingsError) -> ServeSettings {
        try ServeSettings(flags: flags, environment: [:], file: nil)
    }

    private let own: [String: String] = ["tls-certificate": "c", "tls-key": "k"]

    @Test func oneCertificateIsForBothPorts() throws {
        let none = try resolve([:])
        #expect(none.grpcTLS == nil && none.httpTLS == nil)
        let settings = try resolve(own)
        #expect(settings.grpcTLS == TLSFiles(certificate: "c", key: "k"))
        #expect(settings.httpTLS == settings.grpcTLS)
        #expect(settings.tlsBounds.expiryWarnings == [2_592_000, 604_800, 86_400])
    }

    @Test func eitherPortMayHaveItsOwn() throws {
        let both = own.merging([
            "http-tls-certificate": "c2", "http-tls-key": "k2", "tls-client-ca": "ca",
            "tls-revoked": "r",
            "http-tls-client-auth": "optional",
        ]) { $1 }
        let settings = try resolve(both)
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
        #expect(try resolve(own.merging(["http-tls": "off"]) { $1 }).httpTLS == nil)
    }

    @Test(arguments: [
        (["tls-certificate": "c"], "tls-certificate and tls-key must be given together"),
        (["tls-key": "k"], "tls-certificate and tls-key must be given together"),
        (["tls-client-ca": "ca"], "tls-client-ca needs tls-certificate"),
        (["tls-revoked": "r"], "tls-revoked needs tls-certificate"),
        (["tls-client-auth": "required"], "tls-client-auth needs tls-certificate"),
        (["http-tls": "on"], "http-tls needs tls-certificate"),
        (
            ["http-tls-certificate": "c", "http-tls-key": "k"],
            "http-tls-certificate needs tls-certificate"
        ),
        (["http-tls-client-auth": "optional"], "http-tls-client-auth needs tls-certificate"),
    ])
    func nothingIsWithoutACertificate(flags: [String: String], sentence: String) {
        let error = #expect(throws: SettingsError.self) { _ = try resolve(flags) }
        #expect(error?.description.contains(sentence) == true)
    }

    @Test(arguments: [
        (["http-tls-key": "k"], "http-tls-certificate and http-tls-key must be given together"),
        (["tls-revoked": "r"], "tls-revoked needs tls-client-ca"),
        (["tls-client-auth": "optional"], "tls-client-auth needs tls-client-ca"),
        (["http-tls-client-auth": "required"], "http-tls-client-auth needs tls-client-ca"),
        (
            ["tls-client-auth": "perhaps"],
            "--tls-client-auth must be one of off, optional, required"
        ),
        (["tls-handshake-timeout": "1ms"], "--tls-handshake-timeout must be a duration from 100ms"),
        (["tls-max-handshakes": "0"], "--tls-max-handshakes must be a whole number from 1"),
        (["tls-expiry-warning": "30d,x"], "--tls-expiry-warning must be up to 16 durations"),
        (["tls-expiry-warning": ""], "--tls-expiry-warning must be up to 16 durations"),
    ])
    func whatMakesNoSenseIsNamed(flags: [String: String], sentence: String) {
        let error = #expect(throws: SettingsError.self) {
            _ = try resolve(own.merging(flags) { $1 })
        }
        #expect(error?.description.contains(sentence) == true, "\(error?.description ?? "taken")")
    }

    @Test func plaintextBeyondLoopbackMustBeSaid() throws {
        for key in ["grpc-listen", "http-listen"] {
            let error = #expect(throws: SettingsError.self) {
                _ = try resolve([key: "0.0.0.0:1"])
            }
            #expect(error?.description.contains("--insecure-allow-plaintext") == true)
            _ = try resolve([key: "0.0.0.0:1", "insecure-allow-plaintext": "true"])
            _ = try resolve(own.merging([key: "0.0.0.0:1"]) { $1 })
        }
        let error = #expect(throws: SettingsError.self) {
            _ = try resolve(
                own.merging(["http-listen": "0.0.0.0:1", "http-tls": "off"]) { $1 })
        }
        #expect(error?.description.contains("0.0.0.0:1 is not on loopback") == true)
        // What asks nobody who they are stays on loopback, however it is carried.
        let open = #expect(throws: SettingsError.self) {
            _ = try resolve(
                own.merging([
                    "grpc-listen": "0.0.0.0:1", "insecure-no-auth": "true",
                    "insecure-allow-plaintext": "true",
                ]) { $1 })
        }
        #expect(open?.description.contains("on loopback only") == true)
    }
}
