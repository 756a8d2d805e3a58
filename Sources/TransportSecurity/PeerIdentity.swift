internal import Crypto
internal import SwiftASN1
internal import X509

/// SHA-256 of a certificate's DER bytes.
package struct Fingerprint: Hashable, Sendable, CustomStringConvertible {
    package let bytes: [UInt8]

    init(of certificate: [UInt8]) { bytes = Array(SHA256.hash(data: certificate)) }

    /// nil: these are not 32 bytes.
    package init?(bytes: [UInt8]) {
        guard bytes.count == 32 else { return nil }
        self.bytes = bytes
    }

    /// 64 hexadecimal digits.
    package var description: String { HexText.text(bytes) }
}

/// Who a peer is by its certificate, which a trusted CA has issued and which is not revoked.
package struct PeerIdentity: Sendable, Hashable {
    /// Names of one certificate that count; further ones are passed over.
    package static let mostNames = 64

    /// The alternative names: host names in lower case, and URIs, like `spiffe://example.org/billing`, as they stand
    /// there.
    package let dnsNames: [String]
    package let uris: [String]
    package let fingerprint: Fingerprint
    package let issuer: CertificateName
    /// Without leading zeros.
    package let serial: [UInt8]
    /// When the certificate ends, Unix seconds.
    package let notAfter: Int64
    /// The subject as RFC 4514 writes it, for logs: 200 characters at most, without those that control terminals.
    package let subject: String

    package init(
        dnsNames: [String], uris: [String], fingerprint: Fingerprint, issuer: CertificateName,
        serial: [UInt8], notAfter: Int64, subject: String
    ) {
        self.dnsNames = dnsNames
        self.uris = uris
        self.fingerprint = fingerprint
        self.issuer = issuer
        self.serial = serial
        self.notAfter = notAfter
        self.subject = subject
    }

    /// - Parameter bytes: DER.
    /// - Throws: why the certificate cannot be read.
    init(certificate bytes: [UInt8]) throws {
        let certificate = try Certificate(derEncoded: bytes)
        var dnsNames: [String] = []
        var uris: [String] = []
        for name in try certificate.extensions.subjectAlternativeNames ?? .init()
        where dnsNames.count + uris.count < Self.mostNames {
            switch name {
            case .dnsName(let name): dnsNames.append(name.lowercased())
            case .uniformResourceIdentifier(let uri): uris.append(uri)
            default: break
            }
        }
        self.init(
            dnsNames: dnsNames, uris: uris, fingerprint: Fingerprint(of: bytes),
            issuer: CertificateName(certificate.issuer),
            serial: Array(certificate.serialNumber.bytes.drop { $0 == 0 }),
            notAfter: CertificateText.seconds(certificate.notValidAfter),
            subject: CertificateText.line(certificate.subject))
    }
}
