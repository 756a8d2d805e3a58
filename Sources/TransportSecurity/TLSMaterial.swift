internal import NIOCore
internal import NIOSSL

/// What a port speaks inside TLS.
package enum ApplicationProtocol: String, Sendable {
    /// A peer that does not name it (ALPN) is not served.
    case http2 = "h2"
    /// A peer that names nothing means it.
    case http1 = "http/1.1"
}

/// One set of certificates, checked as a whole, and who is revoked: what new connections are made with.
struct TLSMaterial: Sendable {
    private(set) var context: NIOSSLContext
    private(set) var revocations: Revocations
    let fingerprint: Fingerprint
    /// When the first certificate of the server's chain ends, and the first of the clients' CAs; Unix seconds.
    let notAfter: Int64
    let authoritiesNotAfter: Int64?
    /// Subjects of the clients' CAs that are not valid now.
    let invalidAuthorities: [String]
    private let authorities: [PeerIdentity]
    private let authorityNames: Set<CertificateName>
    private let configuration: TLSConfiguration

    /// - Parameters:
    ///   - now: Unix seconds.
    ///   - toleratesTime: CAs of clients may be past their time, or before it: their clients are refused.
    /// - Throws: what is wrong with the files.
    init(
        _ content: TLSFiles.Content, _ revocations: Revocations, _ files: TLSFiles,
        _ applicationProtocol: ApplicationProtocol, now: Int64, toleratesTime: Bool = false
    ) throws(TLSError) {
        let credentials = try ServerCredentials(
            certificate: content.certificate, key: content.key, files, now: now)
        var authorities: TrustedAuthorities?
        if let path = files.clientAuthorities, let bytes = content.clientAuthorities {
            authorities = try TrustedAuthorities(
                bytes, of: path, now: now, toleratesTime: toleratesTime)
        }
        self.revocations = revocations
        fingerprint = credentials.fingerprint
        notAfter = credentials.notAfter
        authoritiesNotAfter = authorities?.notAfter
        invalidAuthorities = authorities?.invalid ?? []
        self.authorities = authorities?.identities ?? []
        authorityNames = authorities?.names ?? []
        configuration = Self.configuration(
            credentials, authorities, files.clientAuthentication, applicationProtocol)
        do {
            context = try NIOSSLContext(configuration: configuration)
        } catch {
            throw TLSError(
                .mismatched,
                "\(files.certificate) and \(files.key) cannot be used: \(HandshakeText.reason(error))"
            )
        }
    }

    /// Takes another list of the revoked.
    mutating func revoke(_ next: Revocations) {
        revocations = next
        // Sessions that may be resumed end with the context. It could be made of this before.
        if let fresh = try? NIOSSLContext(configuration: configuration) { context = fresh }
    }

    /// Issuers of revoked serial numbers that are none of the clients' CAs.
    var strangeIssuers: Int { revocations.issuers.subtracting(authorityNames).count }

    /// CAs of the clients that are revoked themselves, which has no effect.
    var revokedAuthorities: Int { authorities.count { revocations.contain($0) } }

    private static func configuration(
        _ credentials: ServerCredentials, _ authorities: TrustedAuthorities?,
        _ clients: ClientAuthentication, _ applicationProtocol: ApplicationProtocol
    ) -> TLSConfiguration {
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: credentials.chain.map { .certificate($0) },
            privateKey: .privateKey(credentials.key))
        configuration.minimumTLSVersion = .tlsv12
        configuration.maximumTLSVersion = .tlsv13
        // Of TLS 1.2: forward secrecy and authenticated encryption only (RFC 9113 §9.2.2). TLS 1.3 has no other.
        configuration.cipherSuiteValues = [
            .TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, .TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            .TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, .TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            .TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            .TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ]
        configuration.curves = [.x25519_MLKEM768, .x25519, .secp256r1, .secp384r1]
        configuration.verifySignatureAlgorithms = [
            .ecdsaSecp256R1Sha256, .ecdsaSecp384R1Sha384, .ecdsaSecp521R1Sha512, .ed25519,
            .rsaPssRsaeSha256, .rsaPssRsaeSha384, .rsaPssRsaeSha512,
            .rsaPkcs1Sha256, .rsaPkcs1Sha384, .rsaPkcs1Sha512,
        ]
        configuration.applicationProtocols = [applicationProtocol.rawValue]
        // Whoever closes has waited for the peer before: the last alert is sent, and its answer not waited for.
        configuration.shutdownTimeout = .zero
        if let authorities, clients != .off {
            configuration.certificateVerification =
                clients == .required ? .noHostnameVerification : .optionalVerification
            configuration.trustRoots = .certificates(authorities.certificates)
            configuration.sendCANameList =
                authorities.certificates.count <= TrustedAuthorities.mostNames
        }
        return configuration
    }
}
