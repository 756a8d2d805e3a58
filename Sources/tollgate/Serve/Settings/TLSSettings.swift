internal import TransportSecurity

/// Certificates of both ports, and of clients.
struct TLSSettings: SettingsGroup {
    static let title = "TLS"

    let tlsCertificate = Setting<String?>(
        "tls-certificate", .file, without: "none, plaintext",
        SettingText(
            "The server's certificate and its chain, PEM: enables TLS on both ports",
            reload: .onSignalAndChange, page: "tls.md"))

    let tlsKey = Setting<String?>(
        "tls-key", .file,
        SettingText("The certificate's private key, PEM, not encrypted", reload: .onSignalAndChange)
    )

    let tlsClientCA = Setting<String?>(
        "tls-client-ca", .file,
        SettingText(
            "The CAs that issue client certificates, PEM", reload: .onSignalAndChange,
            page: "tls.md#clients-with-certificates"))

    let tlsClientAuth = Setting<ClientAuthentication?>(
        "tls-client-auth", .choice(), without: "required with --tls-client-ca, else off",
        SettingText("Whether clients must present certificates"))

    let tlsRevoked = Setting<String?>(
        "tls-revoked", .file,
        SettingText(
            """
            Revoked client certificates, one per line: "sha256 HEX" or "serial \
            HEX issuer NAME"
            """, reload: .onSignalAndChange, page: "tls.md#revoked-certificates"))

    let tlsHandshakeTimeoutMilliseconds = Setting(
        "tls-handshake-timeout", .duration(100...600_000), default: "10s",
        SettingText("Timeout of a TLS handshake"))

    /// On each port.
    let tlsMaxHandshakes = Setting(
        "tls-max-handshakes", .count(1...1_000_000), default: "1024",
        SettingText(
            "Maximum concurrent TLS handshakes, on each port",
            "; a quarter of them per address"))

    let tlsExpiryWarningsMilliseconds = Setting(
        "tls-expiry-warning", .durations(3_600_000...315_360_000_000, atMost: 16),
        default: "30d,7d,1d",
        SettingText("How long before a certificate expires a warning is logged, each once"))

    let httpUsesTLS = Setting<Bool?>(
        "http-tls", .truth((yes: "on", no: "off")), without: "on with --tls-certificate",
        SettingText("TLS for REST and page"))

    let httpTLSCertificate = Setting<String?>(
        "http-tls-certificate", .file, without: "that of --tls-certificate",
        SettingText("Separate certificate for REST and page", reload: .onSignalAndChange))

    let httpTLSKey = Setting<String?>(
        "http-tls-key", .file,
        SettingText("Private key of that certificate", reload: .onSignalAndChange))

    let httpTLSClientAuth = Setting<ClientAuthentication?>(
        "http-tls-client-auth", .choice(), without: "the same",
        SettingText("--tls-client-auth for REST and page"))

    let insecureAllowPlaintext = Setting(
        "insecure-allow-plaintext", .toggle, default: "false",
        SettingText(
            "Allow plaintext beyond loopback: anyone on the network path can read tokens and traffic",
            page: "tls.md"))
}
