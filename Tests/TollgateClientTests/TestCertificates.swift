import Crypto
import Foundation
import SwiftASN1
import X509

/// Certificates for tests, in PEM files in a directory of their own.
struct TestCertificates {
    let directory: URL

    /// A certificate authority and what it has issued.
    struct Authority {
        let key = P256.Signing.PrivateKey()
        let name: DistinguishedName

        init(_ name: String) throws {
            self.name = try DistinguishedName { CommonName(name) }
        }
    }

    init() throws {
        directory = FileManager.default.temporaryDirectory
            .appendingPathComponent("tollgate-tls-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    }

    func remove() { try? FileManager.default.removeItem(at: directory) }

    func path(_ name: String) -> String { directory.appendingPathComponent(name).path }

    @discardableResult
    func write(_ name: String, _ text: String) throws -> String {
        try Data(text.utf8).write(to: URL(fileURLWithPath: path(name)), options: .atomic)
        return path(name)
    }

    /// Writes `NAME-ca.pem`.
    func makeAuthority(_ name: String) throws -> Authority {
        let authority = try Authority(name)
        let certificate = try Certificate(
            version: .v3, serialNumber: .init(), publicKey: .init(authority.key.publicKey),
            notValidBefore: Date(timeIntervalSinceNow: -86_400),
            notValidAfter: Date(timeIntervalSinceNow: 86_400), issuer: authority.name,
            subject: authority.name, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: nil))
                Critical(KeyUsage(keyCertSign: true))
            }, issuerPrivateKey: .init(authority.key))
        try write("\(name)-ca.pem", try certificate.serializeAsPEM().pemString)
        return authority
    }

    /// Writes `NAME.pem` and `NAME-key.pem`.
    ///
    /// - Parameter days: How long it is still valid; negative: since when it is not.
    func issue(
        _ name: String, by authority: Authority, names: [GeneralName], days: Double = 1
    ) throws {
        let key = P256.Signing.PrivateKey()
        let certificate = try Certificate(
            version: .v3, serialNumber: .init(), publicKey: .init(key.publicKey),
            notValidBefore: Date(timeIntervalSinceNow: -10 * 86_400),
            notValidAfter: Date(timeIntervalSinceNow: days * 86_400), issuer: authority.name,
            subject: try DistinguishedName { CommonName(name) },
            signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.notCertificateAuthority)
                SubjectAlternativeNames(names)
            }, issuerPrivateKey: .init(authority.key))
        try write("\(name).pem", try certificate.serializeAsPEM().pemString)
        try write("\(name)-key.pem", key.pemRepresentation)
    }

    static func named(_ name: String) -> GeneralName { .dnsName(name) }

    static let localhost = named("localhost")
    static let loopback = GeneralName.ipAddress(ASN1OctetString(contentBytes: [127, 0, 0, 1]))
}
