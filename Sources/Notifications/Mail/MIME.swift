import Foundation
import Notation

/// A message of RFC 5322 and MIME, as it is handed to a mail server. The same event to the same address gives the same
/// bytes at every attempt.
package enum MIME {
    /// - Parameters:
    ///   - from: the sender's address.
    ///   - address: the recipient's.
    ///   - id: goes into Message-ID and the boundary; letters, digits and `-._` only.
    /// - Throws: `MailError` (`unusable`) for whatever would break out of a header field.
    /// - Complexity: O(*n*) in the length of the texts.
    static func message(
        _ message: MailMessage, from: String, to address: String, id: String
    ) throws(MailError) -> [UInt8] {
        try requireAddress(from, "the sender's address")
        try requireAddress(address, "the recipient's address")
        let domain = from.split(separator: "@").last.map(String.init) ?? ""
        guard (1...128).contains(id.utf8.count), id.utf8.allSatisfy(isIdentifierByte) else {
            throw MailError(.unusable, "The mail's id must be letters, digits, '-', '.' and '_'.")
        }
        try requireLine(message.subject, "The subject", 2_000)
        try requireLine(message.brandName, "The sender's name", 500)

        // "=_" cannot occur in quoted-printable text.
        let boundary = "=_\(id)"
        let lines = [
            "Date: \(Instant.mail(message.date))",
            "From: \(displayName(message.brandName))<\(from)>",
            "To: <\(address)>",
            "Subject: \(unstructured(message.subject, indent: 9))",
            "Message-ID: <\(id)@\(domain)>",
            "MIME-Version: 1.0",
            "Auto-Submitted: auto-generated",
            "Content-Type: multipart/alternative;",
            " boundary=\"\(boundary)\"",
            "",
            "--\(boundary)",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Transfer-Encoding: quoted-printable",
            "",
            quotedPrintable(message.text),
            "--\(boundary)",
            "Content-Type: text/html; charset=utf-8",
            "Content-Transfer-Encoding: quoted-printable",
            "",
            quotedPrintable(message.html),
            "--\(boundary)--",
            "",
        ]
        return Array(lines.joined(separator: "\r\n").utf8)
    }

    // MARK: What is refused

    /// An address in the plain form of RFC 5321: ASCII, at most 254 bytes, nothing that ends it early.
    static func requireAddress(_ address: String, _ what: String) throws(MailError) {
        let parts = address.split(separator: "@", omittingEmptySubsequences: false)
        let unfit = Set("\"(),:;<>[\\]".utf8)
        guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty, address.utf8.count <= 254,
            address.utf8.allSatisfy({ (0x21...0x7E).contains($0) && !unfit.contains($0) })
        else {
            throw MailError(.unusable, "No mail can be sent: \(what) is not an e-mail address.")
        }
    }

    private static func requireLine(
        _ text: String, _ what: String, _ bytes: Int
    ) throws(MailError) {
        guard text.utf8.count <= bytes else {
            throw MailError(.unusable, "\(what) is longer than \(bytes) bytes.")
        }
        guard !text.unicodeScalars.contains(where: MailText.isUnfit) else {
            throw MailError(.unusable, "\(what) contains a control character.")
        }
    }

    private static func isIdentifierByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "_"):
            true
        default: false
        }
    }

    // MARK: Header fields

    /// A name before an address with the space between them, or nothing.
    static func displayName(_ name: String) -> String {
        guard !name.isEmpty else { return "" }
        guard isPlain(name) else { return encodedWords(name, indent: 6) + " " }
        let escaped = name.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
        return "\"\(escaped)\" "
    }

    /// Text of a header field, as it is if that can be.
    ///
    /// - Parameter indent: what stands before it in its line.
    static func unstructured(_ text: String, indent: Int) -> String {
        isPlain(text) ? text : encodedWords(text, indent: indent)
    }

    /// Printable ASCII that fits a line and that nobody takes for encoded.
    private static func isPlain(_ text: String) -> Bool {
        text.utf8.count <= 900 && text.utf8.allSatisfy { (0x20...0x7E).contains($0) }
            && !text.contains("=?") && !text.hasPrefix(" ") && !text.hasSuffix(" ")
    }

    /// Encoded words of RFC 2047, base64 of UTF-8, each of whole characters, in lines of at most 76 bytes.
    static func encodedWords(_ text: String, indent: Int) -> String {
        let frame = "=?utf-8?B??=".utf8.count
        var words: [String] = []
        var bytes: [UInt8] = []
        for scalar in text.unicodeScalars {
            let next = Array(String(scalar).utf8)
            let room = 75 - frame - (words.isEmpty ? indent : 0)
            if !bytes.isEmpty && (bytes.count + next.count + 2) / 3 * 4 > room {
                words.append("=?utf-8?B?\(Data(bytes).base64EncodedString())?=")
                bytes = []
            }
            bytes += next
        }
        words.append("=?utf-8?B?\(Data(bytes).base64EncodedString())?=")
        return words.joined(separator: "\r\n ")
    }

    // MARK: The body

    /// Quoted-printable of RFC 2045: lines of at most 76 bytes that end with CR LF, spaces at their ends encoded.
    ///
    /// - Parameter text: its lines end with a line feed, CR LF or CR.
    static func quotedPrintable(_ text: String) -> String {
        let unified = text.replacing("\r\n", with: "\n").replacing("\r", with: "\n")
        return unified.split(separator: "\n", omittingEmptySubsequences: false)
            .map { quotedPrintableLine(Array($0.utf8)) }
            .joined(separator: "\r\n")
    }

    private static func quotedPrintableLine(_ line: [UInt8]) -> String {
        var encoded = ""
        var width = 0
        for (index, byte) in line.enumerated() {
            let isLast = index == line.count - 1
            var token: String
            switch byte {
            case UInt8(ascii: " ") where !isLast, UInt8(ascii: "\t") where !isLast:
                token = String(UnicodeScalar(byte))
            case UInt8(ascii: "="): token = hexadecimal(byte)
            case 0x21...0x7E: token = String(UnicodeScalar(byte))
            default: token = hexadecimal(byte)
            }
            // Room for the "=" of a soft break.
            if width + token.utf8.count > (isLast ? 76 : 75) {
                encoded += "=\r\n"
                width = 0
            }
            // A full stop that begins a line may end a mail, and "From " is changed by some mailboxes.
            if width == 0 && (byte == UInt8(ascii: ".") || byte == UInt8(ascii: "F")) {
                token = hexadecimal(byte)
            }
            encoded += token
            width += token.utf8.count
        }
        return encoded
    }

    private static func hexadecimal(_ byte: UInt8) -> String {
        let digits = String(byte, radix: 16, uppercase: true)
        return byte < 16 ? "=0\(digits)" : "=\(digits)"
    }
}
