import Crypto
import Foundation
import NIOSSL
import SwiftASN1
import X509

/// An authority that nobody else knows, and what it issues.
struct TestAuthority {
    private let key = P256.Signing.PrivateKey()
    private let name: DistinguishedName
    let certificate: NIOSSLCertificate

    static let loopback = GeneralName.ipAddress(ASN1OctetString(contentBytes: [127, 0, 0, 1]))

    init() throws {
        name = try DistinguishedName { CommonName("authority") }
        let made = try Self.make(
            key, subject: name, by: key, issuer: name,
            Certificate.Extensions {
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: nil))
                Critical(KeyUsage(keyCertSign: true))
            })
        certificate = try Self.converted(made)
    }

    /// A server's side of TLS.
    ///
    /// - Parameter common: the subject's common name.
    func server(_ names: [GeneralName], common: String = "receiver") throws -> NIOSSLContext {
        let own = P256.Signing.PrivateKey()
        let made = try Self.make(
            own, subject: try DistinguishedName { CommonName(common) }, by: key, issuer: name,
            Certificate.Extensions {
                Critical(BasicConstraints.notCertificateAuthority)
                if !names.isEmpty { SubjectAlternativeNames(names) }
            })
        let key = try NIOSSLPrivateKey(bytes: Array(own.derRepresentation), format: .der)
        return try NIOSSLContext(
            configuration: .makeServerConfiguration(
                certificateChain: [.certificate(try Self.converted(made))],
                privateKey: .privateKey(key)))
    }

    private static func make(
        _ key: P256.Signing.PrivateKey, subject: DistinguishedName,
        by authority: P256.Signing.PrivateKey, issuer: DistinguishedName,
        _ extensions: Certificate.Extensions
    ) throws -> Certificate {
        try Certificate(
            version: .v3, serialNumber: .init(), publicKey: .init(key.publicKey),
            notValidBefore: Date(timeIntervalSinceNow: -86_400),
            notValidAfter: Date(timeIntervalSinceNow: 86_400), issuer: issuer, subject: subject,
            signatureAlgorithm: .ecdsaWithSHA256, extensions: extensions,
            issuerPrivateKey: .init(authority))
    }

    private static func converted(_ certificate: Certificate) throws -> NIOSSLCertificate {
        var serializer = DER.Serializer()
        try serializer.serialize(certificate)
        return try NIOSSLCertificate(bytes: serializer.serializedBytes, format: .der)
    }
}
