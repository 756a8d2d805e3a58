/// Certificates that do not count any more, by a file with one of them a line:
///
///     # what begins with a hash sign is a remark
///     sha256 9F:86:D0:81:…                 SHA-256 of the certificate; 64 digits, colons or not
///     serial 0A1B issuer CN=Test CA,O=Example
///
/// Also the line that `openssl x509 -noout -fingerprint -sha256` prints: `sha256 Fingerprint=9F:86:…`. The issuer is
/// written as RFC 4514 does (`openssl x509 -noout -issuer -nameopt RFC2253`).
package struct Revocations: Sendable, Equatable {
    /// Bytes of the file, and lines of it that name a certificate.
    package static let longestFile = 16 << 20
    package static let mostEntries = 100_000

    private struct Serial: Hashable, Sendable {
        let issuer: CertificateName
        let bytes: [UInt8]
    }

    private var fingerprints: Set<Fingerprint> = []
    private var serials: Set<Serial> = []

    /// None.
    init() {}

    package var count: Int { fingerprints.count + serials.count }

    /// Issuers that serial numbers are of.
    var issuers: Set<CertificateName> { Set(serials.map(\.issuer)) }

    /// - Throws: `.malformed`, with the number of the line; `.tooLarge`.
    init(_ bytes: [UInt8], of path: String) throws(TLSError) {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw TLSError(.malformed, "\(path) is not valid UTF-8")
        }
        var number = 0
        for line in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
            number += 1
            let words = line.split(maxSplits: 1, whereSeparator: \.isWhitespace)
            guard let first = words.first, !first.hasPrefix("#") else { continue }
            let isKnown =
                switch first.lowercased() {
                case "sha256": addFingerprint(words.dropFirst().first ?? "")
                case "serial": addSerial(words.dropFirst().first ?? "")
                default: false
                }
            guard isKnown else {
                throw TLSError(
                    .malformed,
                    """
                    \(path):\(number): expected "sha256" with 64 hexadecimal digits, or "serial" \
                    with hexadecimal digits and "issuer" with a name like CN=Test CA,O=Example
                    """)
            }
            guard count <= Self.mostEntries else {
                throw TLSError(
                    .tooLarge, "\(path) lists more than \(Self.mostEntries) certificates")
            }
        }
    }

    private mutating func addFingerprint(_ text: Substring) -> Bool {
        let digits = text.split(separator: "=", maxSplits: 1).last ?? ""
        guard !text.contains("=") || text.lowercased().hasPrefix("fingerprint="),
            let bytes = HexText.bytes(Self.trimmed(digits).utf8),
            let fingerprint = Fingerprint(bytes: bytes)
        else { return false }
        fingerprints.insert(fingerprint)
        return true
    }

    private mutating func addSerial(_ text: Substring) -> Bool {
        let words = text.split(maxSplits: 2, whereSeparator: \.isWhitespace)
        guard words.count == 3, words[1].lowercased() == "issuer",
            let issuer = CertificateName(Self.trimmed(words[2]))
        else { return false }
        let digits = words[0].filter { $0 != ":" }
        guard let bytes = HexText.bytes(((digits.count % 2 == 0 ? "" : "0") + digits).utf8),
            bytes.count <= 64
        else { return false }
        serials.insert(Serial(issuer: issuer, bytes: Array(bytes.drop { $0 == 0 })))
        return true
    }

    private static func trimmed(_ text: Substring) -> String {
        var text = text
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text.drop(while: \.isWhitespace))
    }

    /// Whether a certificate is one of them. O(1).
    package func contain(_ peer: PeerIdentity) -> Bool {
        fingerprints.contains(peer.fingerprint)
            || !serials.isEmpty && serials.contains(Serial(issuer: peer.issuer, bytes: peer.serial))
    }
}
