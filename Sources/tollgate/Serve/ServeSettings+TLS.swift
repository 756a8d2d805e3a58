internal import Logging
internal import TransportSecurity

extension ServeSettings {
    /// TLS of the gRPC port; nil: it is plaintext.
    func grpcFiles() throws(SettingsError) -> TLSFiles? {
        let tls = SettingsCatalogue.tls
        let pair = try pair(tls.tlsCertificate, tls.tlsKey)
        let clients = self.tlsClientAuth
        guard let pair else {
            let unused = [
                (tls.tlsClientCA.row, self.tlsClientCA != nil),
                (tls.tlsRevoked.row, self.tlsRevoked != nil),
                (tls.tlsClientAuth.row, clients.map { $0 != .off } ?? false),
            ]
            if let row = unused.first(where: \.1)?.0 {
                throw Self.needs(row, tls.tlsCertificate.row)
            }
            return nil
        }
        if self.tlsClientCA == nil {
            if self.tlsRevoked != nil { throw Self.needs(tls.tlsRevoked.row, tls.tlsClientCA.row) }
            if let clients, clients != .off {
                throw Self.needs(tls.tlsClientAuth.row, tls.tlsClientCA.row)
            }
        }
        return TLSFiles(
            certificate: pair.certificate, key: pair.key, clientAuthorities: self.tlsClientCA,
            clientAuthentication: clients ?? (self.tlsClientCA == nil ? .off : .required),
            revoked: self.tlsRevoked)
    }

    /// TLS of REST and page; nil: they are plaintext.
    func httpFiles(_ grpc: TLSFiles?) throws(SettingsError) -> TLSFiles? {
        let tls = SettingsCatalogue.tls
        let pair = try pair(tls.httpTLSCertificate, tls.httpTLSKey)
        let clients = self.httpTLSClientAuth
        guard var files = grpc else {
            let unused = [
                (tls.httpUsesTLS.row, self.httpUsesTLS ?? false),
                (tls.httpTLSCertificate.row, pair != nil),
                (tls.httpTLSClientAuth.row, clients.map { $0 != .off } ?? false),
            ]
            if let row = unused.first(where: \.1)?.0 {
                throw Self.needs(row, tls.tlsCertificate.row)
            }
            return nil
        }
        if let clients, clients != .off, files.clientAuthorities == nil {
            throw Self.needs(tls.httpTLSClientAuth.row, tls.tlsClientCA.row)
        }
        guard self.httpUsesTLS ?? true else { return nil }
        if let pair { (files.certificate, files.key) = pair }
        files.clientAuthentication = clients ?? files.clientAuthentication
        return files
    }

    /// A certificate and its key, or neither.
    private func pair(
        _ certificate: Setting<String?>, _ key: Setting<String?>
    ) throws(SettingsError) -> (certificate: String, key: String)? {
        switch (value(certificate), value(key)) {
        case (nil, nil): return nil
        case (let certificate?, let key?): return (certificate, key)
        default:
            throw SettingsError(
                description:
                    "\(certificate.row.name) and \(key.row.name) must be given together")
        }
    }

    private static func needs(_ row: SettingRow, _ other: SettingRow) -> SettingsError {
        SettingsError(description: "\(row.name) needs \(other.name)")
    }

    /// What must not start: tokens and traffic that anybody on the way can read.
    func checkPlaintext() throws(SettingsError) {
        guard !self.insecureAllowPlaintext else { return }
        for (address, files) in [(self.grpcListen, grpcTLS), (self.httpListen, httpTLS)]
        where files == nil && !address.isLoopback {
            throw SettingsError(
                description: """
                    \(address) is not on loopback, and would be served without TLS: give \
                    --tls-certificate and --tls-key, or --insecure-allow-plaintext where a proxy \
                    or the network protects it
                    """)
        }
    }

    var tlsBounds: TLSBounds {
        var bounds = TLSBounds()
        bounds.handshakeTimeoutMilliseconds = self.tlsHandshakeTimeoutMilliseconds
        bounds.maximumHandshakes = self.tlsMaxHandshakes
        bounds.expiryWarnings = self.tlsExpiryWarningsMilliseconds.map { $0 / 1_000 }
        return bounds
    }
}

/// TLS of both ports.
struct PortsTLS: Sendable {
    /// nil: the port is plaintext.
    let grpc: ServerTLS?
    let http: ServerTLS?

    /// Reads the certificates.
    ///
    /// - Throws: `TLSError`: what is wrong with them.
    init(_ settings: ServeSettings, logger: Logger) throws(TLSError) {
        let bounds = settings.tlsBounds
        grpc = try settings.grpcTLS.map { files throws(TLSError) in
            try ServerTLS(files, bounds, speaking: .http2, port: "grpc", logger: logger)
        }
        http = try settings.httpTLS.map { files throws(TLSError) in
            try ServerTLS(files, bounds, speaking: .http1, port: "http", logger: logger)
        }
    }

    private var all: [ServerTLS] { [grpc, http].compactMap(\.self) }

    func startWatching() { for tls in all { tls.startWatching() } }
    func stopWatching() { for tls in all { tls.stopWatching() } }
    func reloaded() async { for tls in all { await tls.reloaded() } }
    func reloadSoon() { for tls in all { tls.reloadSoon() } }
}
