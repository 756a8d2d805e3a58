internal import ArgumentParser

/// The flags of TLS.
struct ServeTLSOptions: ParsableArguments {
    @Option(
        help: .init(
            """
            The server's certificate and its chain, PEM: both ports speak TLS with it (default: \
            none, plaintext). Read again on SIGHUP and when it changes.
            """, valueName: "file"))
    var tlsCertificate: String?

    @Option(
        help: .init("Its private key, PEM, not encrypted.", valueName: "file"))
    var tlsKey: String?

    @Option(
        help: .init("The CAs that clients' certificates must come from, PEM.", valueName: "file"))
    var tlsClientCA: String?

    @Option(
        help: .init(
            """
            Whether clients show certificates: off, optional or required (default: required with \
            --tls-client-ca, else off).
            """, valueName: "mode"))
    var tlsClientAuth: String?

    @Option(
        help: .init(
            """
            Clients' certificates that do not count any more, one a line: "sha256 HEX" or "serial \
            HEX issuer NAME" (docs/tls.md).
            """, valueName: "file"))
    var tlsRevoked: String?

    @Option(
        help: .init(
            "How long a TLS handshake may take, 100ms to 10m (default 10s).", valueName: "duration")
    )
    var tlsHandshakeTimeout: String?

    @Option(
        help: .init(
            """
            TLS handshakes under way at one time at most, on each port, 1 to 1000000 (default \
            1024); of one address a quarter of them.
            """, valueName: "n"))
    var tlsMaxHandshakes: String?

    @Option(
        help: .init(
            """
            How long before a certificate ends the log says so, each once (default 30d,7d,1d).
            """, valueName: "duration,..."))
    var tlsExpiryWarning: String?

    @Option(
        help: .init(
            "Whether REST and page speak TLS too, on or off (default on with --tls-certificate).",
            valueName: "flag"))
    var httpTLS: String?

    @Option(
        help: .init(
            "Another certificate for REST and page (default: that of --tls-certificate).",
            valueName: "file"))
    var httpTLSCertificate: String?

    @Option(help: .init("Its private key.", valueName: "file"))
    var httpTLSKey: String?

    @Option(
        help: .init(
            "The same as --tls-client-auth for REST and page (default: the same).",
            valueName: "mode"))
    var httpTLSClientAuth: String?

    @Flag(
        help: "Listen beyond loopback without TLS: whoever is on the way reads tokens and traffic."
    )
    var insecureAllowPlaintext = false

    var named: [(ServeKey, String?)] {
        [
            (.tlsCertificate, tlsCertificate), (.tlsKey, tlsKey), (.tlsClientCA, tlsClientCA),
            (.tlsClientAuth, tlsClientAuth), (.tlsRevoked, tlsRevoked),
            (.tlsHandshakeTimeout, tlsHandshakeTimeout), (.tlsMaxHandshakes, tlsMaxHandshakes),
            (.tlsExpiryWarning, tlsExpiryWarning), (.httpTLS, httpTLS),
            (.httpTLSCertificate, httpTLSCertificate), (.httpTLSKey, httpTLSKey),
            (.httpTLSClientAuth, httpTLSClientAuth),
            (.insecureAllowPlaintext, insecureAllowPlaintext ? "true" : nil),
        ]
    }
}
