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
            throw TLSError(.malformed, "\(path) is not a PEM file: it is not text")
        }
        // Of an encrypted key in the older form not even the frame is what RFC 7468 knows.
        let marks = ["-----BEGIN ENCRYPTED PRIVATE KEY-----", "Proc-Type: 4,ENCRYPTED"]
        if marks.contains(where: text.contains) {
            throw TLSError(
                .encrypted,
                "\(path) contains an encrypted private key; use an unencrypted one"
            )
        }
        self.path = path
        do {
            documents = try PEMDocument.parseMultiple(pemString: text)
        } catch {
            throw TLSError(.malformed, "\(path) is not a PEM file: \(Self.reason(error))")
        }
    }

    var certificates: [PEMDocument] { documents.filter { $0.discriminator == Self.certificate } }
    var keys: [PEMDocument] { documents.filter { Self.keys.contains($0.discriminator) } }

    /// What a parser said, without its name for the error and the place in its source: "ASN1Error.code: reason file:line".
    static func reason(_ error: any Error) -> String {
        var text = "\(error)"[...]
        if let name = text.firstRange(of: ": "), !text[..<name.lowerBound].contains(" ") {
            text = text[name.upperBound...]
        }
        if let place = text.lastIndex(of: " "), text[place...].contains(".swift:") {
            text = text[..<place]
        }
        let isName = !text.contains(" ")
        return isName ? "it is malformed" : String(text.prefix(200))
    }
}
