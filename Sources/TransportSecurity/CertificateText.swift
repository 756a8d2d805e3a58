internal import Foundation
internal import Notation
internal import SwiftASN1
internal import X509

/// What is asked of certificates in files.
enum CertificateText {
    /// All certificates of a file, at least one.
    ///
    /// - Parameter what: what is expected, for errors.
    static func certificates(
        _ pem: PEM, atMost limit: Int, what: String
    ) throws(TLSError) -> [Certificate] {
        let documents = pem.certificates
        guard !documents.isEmpty else {
            throw TLSError(
                .malformed,
                pem.keys.isEmpty
                    ? "\(pem.path) contains no PEM certificate: expected \(what)"
                    : "\(pem.path) contains a private key and no certificate: are the two files swapped?"
            )
        }
        guard documents.count <= limit else {
            throw TLSError(.tooLarge, "\(pem.path) contains more than \(limit) certificates")
        }
        var certificates: [Certificate] = []
        for (index, document) in documents.enumerated() {
            do {
                certificates.append(try Certificate(derEncoded: document.derBytes))
            } catch {
                throw TLSError(
                    .malformed,
                    """
                    certificate \(index + 1) in \(pem.path) cannot be read: \(PEM.reason(error))
                    """)
            }
        }
        return certificates
    }

    /// - Throws: `.notValidNow`
    static func checkTime(
        _ certificate: Certificate, of path: String, now: Int64
    ) throws(TLSError) {
        if seconds(certificate.notValidAfter) < now {
            throw TLSError(
                .notValidNow,
                """
                \(path) contains a certificate (\(line(certificate.subject))) that expired on \
                \(text(certificate.notValidAfter))
                """)
        }
        if seconds(certificate.notValidBefore) > now {
            throw TLSError(
                .notValidNow,
                """
                \(path) contains a certificate (\(line(certificate.subject))) that is not valid before \
                \(text(certificate.notValidBefore))
                """)
        }
    }

    static func bytes(of certificate: Certificate) throws -> [UInt8] {
        var serializer = DER.Serializer()
        try serializer.serialize(certificate)
        return serializer.serializedBytes
    }

    /// A name for one line of a log or of an error.
    static func line(_ name: DistinguishedName) -> String {
        let text = "\(name)".unicodeScalars.map { scalar in
            scalar.properties.generalCategory == .control ? "?" : scalar
        }
        return String(String.UnicodeScalarView(text)).prefix(200).description
    }

    static func seconds(_ date: Date) -> Int64 { Int64(date.timeIntervalSince1970) }

    /// Like 2026-11-29T12:00:00Z.
    static func text(_ date: Date) -> String { Instant.wholeSeconds(seconds(date) * 1_000) }
}
