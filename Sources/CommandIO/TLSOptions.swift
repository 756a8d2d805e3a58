package import ArgumentParser

/// Whose certificates a command trusts, and which it shows: flags before environment variables.
package struct CertificateOptions: ParsableArguments {
    @Option(
        help: .init(
            "PEM file with the CA certificates for verifying the service's certificate (environment TOLLGATE_CA; default: the system's).",
            valueName: "file"))
    package var ca: String?

    @Option(
        help: .init(
            "PEM file with the client certificate and its chain (environment TOLLGATE_CERTIFICATE).",
            valueName: "file"))
    package var certificate: String?

    @Option(
        help: .init(
            "PEM file with the client certificate's private key, not encrypted (environment TOLLGATE_CERTIFICATE_KEY).",
            valueName: "file"))
    package var certificateKey: String?

    @Option(
        help: .init(
            "The name to expect in the service's certificate (environment TOLLGATE_SERVER_NAME; default: the host).",
            valueName: "name"))
    package var serverName: String?

    package init() {}

    /// A flag of these was given.
    package var isGiven: Bool { (ca ?? certificate ?? certificateKey ?? serverName) != nil }

    package func files(_ environment: [String: String]) -> CertificateFiles {
        CertificateFiles(
            ca: ca ?? environment["TOLLGATE_CA"],
            certificate: certificate ?? environment["TOLLGATE_CERTIFICATE"],
            certificateKey: certificateKey ?? environment["TOLLGATE_CERTIFICATE_KEY"],
            serverName: serverName ?? environment["TOLLGATE_SERVER_NAME"])
    }
}

/// What `CertificateOptions` came to.
package struct CertificateFiles: Sendable, Hashable {
    package var ca: String?
    package var certificate: String?
    package var certificateKey: String?
    package var serverName: String?
}

/// TLS for a command that connects to `HOST:PORT`.
package struct TLSOptions: ParsableArguments {
    @Flag(
        help:
            "Use TLS (environment TOLLGATE_TLS=true); --ca, --certificate and --server-name imply it."
    )
    package var tls = false

    @OptionGroup package var certificates: CertificateOptions

    package init() {}

    /// The files; nil: plaintext. Variables without `TOLLGATE_TLS` or a flag stay unused: they may be for other commands.
    package func files(_ environment: [String: String]) throws -> CertificateFiles? {
        switch environment["TOLLGATE_TLS"] {
        case nil, "false", "0":
            return tls || certificates.isGiven ? certificates.files(environment) : nil
        case "true", "1": return certificates.files(environment)
        case let other?:
            throw ValidationError("TOLLGATE_TLS must be true or false, not \"\(other)\".")
        }
    }
}
