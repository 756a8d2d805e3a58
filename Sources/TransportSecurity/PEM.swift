internal import SwiftASN1

/// The parts of a PEM file (RFC 7468).
struct PEM {
    let path: String
    let documents: [PEMDocument]

    private static let certificate = "CERTIFICATE"
    private static let keys = ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"]

    /// - Throws: `.malformed`; `.encrypted`: a key in it is.
    init(_ bytes: [UInt8], of path: String) throws(TLSError) {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw TLSError(.malformed, "\(path) is no PEM file: it is no text")
        }
        // Of an encrypted key in the older form not even the frame is what RFC 7468 knows.
        let marks = ["-----BEGIN ENCRYPTED PRIVATE KEY-----", "Proc-Type: 4,ENCRYPTED"]
        if marks.contains(where: text.contains) {
            throw TLSError(
                .encrypted,
                "\(path) holds an encrypted private key: only one that is not encrypted can be used"
            )
        }
        self.path = path
        do {
            documents = try PEMDocument.parseMultiple(pemString: text)
        } catch {
            throw TLSError(.malformed, "\(path) is no PEM file: \(Self.reason(error))")
        }
    }

    var certificates: [PEMDocument] { documents.filter { $0.discriminator == Self.certificate } }
    var keys: [PEMDocument] { documents.filter { Self.keys.contains($0.discriminator) } }

    /// What a parser said, without the place in its source.
    static func reason(_ error: any Error) -> String {
        let text = "\(error)"
        return String(
            (text.range(of: " @ ").map { text[..<$0.lowerBound] } ?? text[...]).prefix(200))
    }
}

extension String {
    fileprivate func range(of part: String) -> Range<Index>? { firstRange(of: part) }
}
