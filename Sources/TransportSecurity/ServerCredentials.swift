internal import Foundation
internal import NIOSSL
internal import SwiftASN1
internal import X509

/// A server's certificate with its chain and its key, checked.
struct ServerCredentials {
    /// Bytes of a certificate file and of a key file, and certificates of a chain.
    static let longestFile = 1 << 20
    static let longestChain = 16

    /// The server's own first.
    let chain: [NIOSSLCertificate]
    let key: NIOSSLPrivateKey
    /// When the first of the chain ends, Unix seconds.
    let notAfter: Int64
    /// SHA-256 of the server's own.
    let fingerprint: Fingerprint

    /// - Parameter now: Unix seconds.
    /// - Throws: what is wrong with the files, or with the two together.
    init(certificate: [UInt8], key: [UInt8], _ files: TLSFiles, now: Int64) throws(TLSError) {
        let path = files.certificate
        let certificates = try Self.chain(PEM(certificate, of: path), now: now)
        let (own, privateKey) = try Self.key(PEM(key, of: files.key))
        guard own == certificates[0].publicKey else {
            let isOfAnother = certificates.dropFirst().contains { $0.publicKey == own }
            throw TLSError(
                .mismatched,
                isOfAnother
                    ? "\(path) must begin with the certificate of the key in \(files.key)"
                    : "the key in \(files.key) is not the key of the certificate in \(path)")
        }
        self.key = privateKey
        do {
            let encoded = try certificates.map { try CertificateText.bytes(of: $0) }
            chain = try encoded.map { try NIOSSLCertificate(bytes: $0, format: .der) }
            fingerprint = Fingerprint(of: encoded[0])
        } catch {
            throw TLSError(.malformed, "\(path) contains an unusable certificate")
        }
        notAfter = certificates.map { CertificateText.seconds($0.notValidAfter) }.min() ?? now
    }

    private static func chain(_ pem: PEM, now: Int64) throws(TLSError) -> [Certificate] {
        let certificates = try CertificateText.certificates(
            pem, atMost: longestChain,
            what: "the server's certificate followed by its chain")
        for (index, certificate) in certificates.enumerated() {
            try CertificateText.checkTime(certificate, of: pem.path, now: now)
            guard index > 0 else { continue }
            let issued = certificates[index - 1]
            guard issued.issuer == certificate.subject,
                certificate.publicKey.isValidSignature(issued.signature, for: issued)
            else {
                let (one, other) = (
                    CertificateText.line(certificate.subject), CertificateText.line(issued.subject)
                )
                throw TLSError(
                    .mismatched,
                    """
                    \(pem.path) is not a chain: its certificate \(index + 1) (\(one)) did not issue \
                    certificate \(index) (\(other))
                    """)
            }
        }
        if let usage = try? certificates[0].extensions.extendedKeyUsage,
            !usage.contains(.serverAuth), !usage.contains(.any)
        {
            throw TLSError(
                .mismatched, "the first certificate in \(pem.path) is not for use by a server")
        }
        return certificates
    }

    private static func key(
        _ pem: PEM
    ) throws(TLSError) -> (Certificate.PublicKey, NIOSSLPrivateKey) {
        guard let document = pem.keys.first else {
            throw TLSError(
                .malformed,
                pem.certificates.isEmpty
                    ? "\(pem.path) contains no PEM private key"
                    : "\(pem.path) contains a certificate and no private key: are the two files swapped?"
            )
        }
        guard pem.keys.count == 1 else {
            throw TLSError(.malformed, "\(pem.path) contains more than one private key")
        }
        do {
            let key = try Certificate.PrivateKey(pemDocument: document)
            let bytes = Array((document.pemString + "\n").utf8)
            return (key.publicKey, try NIOSSLPrivateKey(bytes: bytes, format: .pem))
        } catch {
            throw TLSError(
                .malformed,
                "\(pem.path) contains an unusable private key: \(PEM.reason(error))")
        }
    }
}
