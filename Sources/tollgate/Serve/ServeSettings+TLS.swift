internal import Logging
internal import TransportSecurity

extension ServeSettings {
    mutating func readTLS(_ reader: SettingsReader) throws(SettingsError) {
        tlsHandshakeTimeoutMilliseconds =
            try reader.duration(.tlsHandshakeTimeout, 100...600_000)
            ?? tlsHandshakeTimeoutMilliseconds
        tlsMaxHandshakes =
            try reader.count(.tlsMaxHandshakes, 1...1_000_000) ?? tlsMaxHandshakes
        tlsExpiryWarningsMilliseconds =
            try reader.durations(.tlsExpiryWarning, 3_600_000...315_360_000_000, atMost: 16)
            ?? tlsExpiryWarningsMilliseconds
        insecureAllowPlaintext = try reader.flag(.insecureAllowPlaintext) ?? insecureAllowPlaintext
        grpcTLS = try Self.files(reader)
        httpTLS = try Self.httpFiles(reader, grpcTLS)
    }

    private static func files(_ reader: SettingsReader) throws(SettingsError) -> TLSFiles? {
        let pair = try pair(reader, .tlsCertificate, .tlsKey)
        let authorities = reader.text(.tlsClientCA)
        let clients = try reader.choice(.tlsClientAuth, ClientAuthentication.self)
        let revoked = reader.text(.tlsRevoked)
        guard let pair else {
            let unused: [(ServeKey, Bool)] = [
                (.tlsClientCA, authorities != nil), (.tlsRevoked, revoked != nil),
                (.tlsClientAuth, clients.map { $0 != .off } ?? false),
            ]
            if let key = unused.first(where: \.1)?.0 { throw needs(key, .tlsCertificate) }
            return nil
        }
        if revoked != nil, authorities == nil { throw needs(.tlsRevoked, .tlsClientCA) }
        if let clients, clients != .off, authorities == nil {
            throw needs(.tlsClientAuth, .tlsClientCA)
        }
        return TLSFiles(
            certificate: pair.certificate, key: pair.key, clientAuthorities: authorities,
            clientAuthentication: clients ?? (authorities == nil ? .off : .required),
            revoked: revoked)
    }

    private static func httpFiles(
        _ reader: SettingsReader, _ grpc: TLSFiles?
    ) throws(SettingsError) -> TLSFiles? {
        let isOn = try reader.flag(.httpTLS)
        let pair = try pair(reader, .httpTLSCertificate, .httpTLSKey)
        let clients = try reader.choice(.httpTLSClientAuth, ClientAuthentication.self)
        guard var files = grpc else {
            let unused: [(ServeKey, Bool)] = [
                (.httpTLS, isOn ?? false), (.httpTLSCertificate, pair != nil),
                (.httpTLSClientAuth, clients.map { $0 != .off } ?? false),
            ]
            if let key = unused.first(where: \.1)?.0 { throw needs(key, .tlsCertificate) }
            return nil
        }
        if let clients, clients != .off, files.clientAuthorities == nil {
            throw needs(.httpTLSClientAuth, .tlsClientCA)
        }
        guard isOn ?? true else { return nil }
        if let pair { (files.certificate, files.key) = pair }
        files.clientAuthentication = clients ?? files.clientAuthentication
        return files
    }

    /// A certificate and its key, or neither.
    private static func pair(
        _ reader: SettingsReader, _ certificate: ServeKey, _ key: ServeKey
    ) throws(SettingsError) -> (certificate: String, key: String)? {
        switch (reader.text(certificate), reader.text(key)) {
        case (nil, nil): return nil
        case (let certificate?, let key?): return (certificate, key)
        default:
            throw SettingsError(
                description:
                    "\(certificate.rawValue) and \(key.rawValue) are given together or not at all")
        }
    }

    private static func needs(_ key: ServeKey, _ other: ServeKey) -> SettingsError {
        SettingsError(description: "\(key.rawValue) needs \(other.rawValue)")
    }

    /// What must not start: tokens and traffic that anybody on the way can read.
    func checkPlaintext() throws(SettingsError) {
        guard !insecureAllowPlaintext else { return }
        for (address, files) in [(grpcListen, grpcTLS), (httpListen, httpTLS)]
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
        bounds.handshakeTimeoutMilliseconds = tlsHandshakeTimeoutMilliseconds
        bounds.maximumHandshakes = tlsMaxHandshakes
        bounds.expiryWarnings = tlsExpiryWarningsMilliseconds.map { $0 / 1_000 }
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
    func reloadSoon() { for tls in all { tls.reloadSoon() } }
}
