internal import NIOSSL
internal import X509

/// The CAs whose word about clients counts.
struct TrustedAuthorities {
    /// Bytes of a bundle, and certificates in it.
    static let longestFile = 4 << 20
    static let mostCertificates = 1_000
    /// Names of CAs that a handshake tells the client; more are told none, since each handshake would carry them.
    static let mostNames = 32

    let certificates: [NIOSSLCertificate]
    /// Their subjects, to be compared with the issuers of clients.
    let names: Set<CertificateName>
    /// Each of them, to be compared with those that are revoked.
    let identities: [PeerIdentity]
    /// Subjects of those that are not valid now.
    let invalid: [String]
    /// When the first of those that are valid ends, Unix seconds.
    let notAfter: Int64

    /// - Parameters:
    ///   - now: Unix seconds.
    ///   - toleratesTime: they need not be valid now.
    /// - Throws: what is wrong with the bundle.
    init(
        _ bytes: [UInt8], of path: String, now: Int64, toleratesTime: Bool = false
    ) throws(TLSError) {
        let pem = try PEM(bytes, of: path)
        let found = try CertificateText.certificates(
            pem, atMost: Self.mostCertificates, what: "CA certificates")
        var (valid, invalid): ([Certificate], [String]) = ([], [])
        for certificate in found {
            do throws(TLSError) {
                try CertificateText.checkTime(certificate, of: path, now: now)
                valid.append(certificate)
            } catch {
                guard toleratesTime else { throw error }
                invalid.append(CertificateText.line(certificate.subject))
            }
            guard try Self.isAuthority(certificate, path) else {
                throw TLSError(
                    .mismatched,
                    "\(path) contains a certificate (\(CertificateText.line(certificate.subject))) that is not a CA's"
                )
            }
        }
        guard found.contains(where: { $0.subject == $0.issuer }) else {
            throw TLSError(
                .mismatched,
                "\(path) contains no root CA: each chain's self-signed certificate is needed"
            )
        }
        do {
            let encoded = try found.map { try CertificateText.bytes(of: $0) }
            certificates = try encoded.map { try NIOSSLCertificate(bytes: $0, format: .der) }
            // One with names that cannot be read is a CA all the same.
            identities = encoded.compactMap { try? PeerIdentity(certificate: $0) }
        } catch {
            throw TLSError(.malformed, "\(path) contains an unusable certificate")
        }
        names = Set(found.map { CertificateName($0.subject) })
        self.invalid = invalid
        notAfter =
            (valid.isEmpty ? found : valid).map { CertificateText.seconds($0.notValidAfter) }.min()
            ?? now
    }

    private static func isAuthority(
        _ certificate: Certificate, _ path: String
    ) throws(TLSError) -> Bool {
        do {
            switch try certificate.extensions.basicConstraints {
            case .isCertificateAuthority: return true
            case .notCertificateAuthority: return false
            // Roots of the first version of X.509 have no extensions.
            case nil: return certificate.version == .v1 && certificate.subject == certificate.issuer
            }
        } catch {
            throw TLSError(
                .malformed,
                "\(path) contains a certificate (\(CertificateText.line(certificate.subject))) that cannot be read"
            )
        }
    }
}
