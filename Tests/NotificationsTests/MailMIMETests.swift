import Foundation
import Testing

@testable import Notifications

@Suite struct MailMIMETests {
    private let id = "d21a2887-8007-4bb6-bd7d-f2874829918e"

    private func message(
        subject: String = "Hello", text: String = "Text\n", brandName: String = "Tollgate"
    ) -> MailMessage {
        MailMessage(
            subject: subject, text: text, html: "<p>Text</p>\n", brandName: brandName,
            date: 1_795_255_200_000)
    }

    private func rendered(
        _ message: MailMessage, from: String = "alerts@example.com",
        to address: String = "ops@example.org"
    ) throws -> String {
        String(
            decoding: try MIME.message(message, from: from, to: address, id: id), as: UTF8.self)
    }

    @Test func theWholeOfAMail() throws {
        let expected = """
            Date: Sat, 21 Nov 2026 10:00:00 +0000
            From: "Tollgate" <alerts@example.com>
            To: <ops@example.org>
            Subject: Hello
            Message-ID: <\(id)@example.com>
            MIME-Version: 1.0
            Auto-Submitted: auto-generated
            Content-Type: multipart/alternative;
             boundary="=_\(id)"

            --=_\(id)
            Content-Type: text/plain; charset=utf-8
            Content-Transfer-Encoding: quoted-printable

            Text

            --=_\(id)
            Content-Type: text/html; charset=utf-8
            Content-Transfer-Encoding: quoted-printable

            <p>Text</p>

            --=_\(id)--

            """
        let lines = expected.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(try rendered(message()) == lines.joined(separator: "\r\n"))
    }

    @Test func theSameAtEveryAttempt() throws {
        #expect(try rendered(message()) == rendered(message()))
    }

    // MARK: Header fields

    @Test func foreignLettersInHeadersAreEncodedWords() throws {
        let subject = "Tenant Bäckerei \u{1F950} Müller & Söhne has hit 80% of their monthly cap."
        let mail = try rendered(message(subject: subject, brandName: "Ö-Telecom"))
        let head = try #require(mail.components(separatedBy: "\r\n\r\n").first)
        #expect(head.utf8.allSatisfy { $0 < 0x80 })
        #expect(head.contains("From: =?utf-8?B?w5YtVGVsZWNvbQ==?= <alerts@example.com>"))
        for line in head.components(separatedBy: "\r\n") { #expect(line.utf8.count <= 76) }

        let unfolded = head.replacingOccurrences(of: "\r\n ", with: " ")
        let field = try #require(
            unfolded.components(separatedBy: "\r\n").first { $0.hasPrefix("Subject: ") })
        let words = field.dropFirst(9).split(separator: " ")
        #expect(words.count > 1)
        var decoded = ""
        for word in words {
            #expect(word.hasPrefix("=?utf-8?B?") && word.hasSuffix("?="))
            // Each word is whole characters by itself.
            let data = try #require(Data(base64Encoded: String(word.dropFirst(10).dropLast(2))))
            decoded += try #require(String(data: data, encoding: .utf8))
        }
        #expect(decoded == subject)
    }

    @Test func whatLooksEncodedIsEncoded() {
        #expect(MIME.unstructured("=?utf-8?Q?x?=", indent: 9).hasPrefix("=?utf-8?B?"))
        #expect(MIME.unstructured("plain, \"80%\"", indent: 9) == "plain, \"80%\"")
        #expect(MIME.unstructured(String(repeating: "x", count: 901), indent: 9).hasPrefix("=?"))
    }

    @Test func namesBeforeAddresses() {
        #expect(MIME.displayName("A \"B\" \\ C") == "\"A \\\"B\\\" \\\\ C\" ")
        #expect(MIME.displayName("") == "")
    }

    // MARK: Injection

    @Test(arguments: [
        "\r\nBcc: x@example.com", "\n", "\r", "\u{0}", "\u{85}", "\u{7F}", "\u{2028}",
    ])
    func controlCharactersAreRefused(_ evil: String) {
        let mails = [
            message(subject: "a\(evil)b"), message(brandName: "a\(evil)b"),
        ]
        for mail in mails { expectUnusable { try rendered(mail) } }
        expectUnusable { try rendered(message(), from: "a\(evil)@example.com") }
        expectUnusable { try rendered(message(), to: "a@example.com\(evil)") }
        expectUnusable { try MIME.message(message(), from: "a@b.c", to: "a@b.c", id: "1\(evil)") }
    }

    @Test(arguments: [
        "", "a", "@", "a@", "@b", "a@b@c", "a b@c", "<a@b>", "a@b>,<c@d", "a@b, c@d", "\"a\"@b",
        "ä@b.c", "a@[127.0.0.1]", String(repeating: "a", count: 250) + "@b.cd",
    ])
    func whatIsNoAddressIsRefused(_ address: String) {
        expectUnusable { try rendered(message(), to: address) }
        expectUnusable { try rendered(message(), from: address) }
    }

    @Test func whatIsTooLongIsRefused() {
        expectUnusable { try rendered(message(subject: String(repeating: "x", count: 2_001))) }
    }

    private func expectUnusable(
        _ body: () throws -> some Any, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let error = #expect(throws: MailError.self, sourceLocation: sourceLocation) {
            _ = try body()
        }
        #expect(error?.code == .unusable, sourceLocation: sourceLocation)
        #expect(error?.isWorthRetrying == false, sourceLocation: sourceLocation)
    }

    // MARK: Quoted-printable

    @Test(arguments: [
        ("", ""), ("abc", "abc"), ("a=b", "a=3Db"), ("é", "=C3=A9"), ("a \nb\t", "a=20\r\nb=09"),
        (".\n..\na.", "=2E\r\n=2E.\r\na."), ("From me", "=46rom me"), ("a\r\nb\rc", "a\r\nb\r\nc"),
        ("\u{1}\u{7F}", "=01=7F"),
    ])
    func quotedPrintable(_ text: String, _ expected: String) {
        #expect(MIME.quotedPrintable(text) == expected)
    }

    @Test(arguments: ["x", "=", "é", "\u{1F600}", "x ", " ."])
    func longLinesAreBrokenSoftly(_ unit: String) {
        for count in [1, 24, 25, 26, 37, 38, 74, 75, 76, 77, 78, 150, 151, 152, 1_000] {
            let text = String(repeating: unit, count: count)
            let encoded = MIME.quotedPrintable(text)
            for line in encoded.components(separatedBy: "\r\n") {
                #expect(line.utf8.count <= 76)
                #expect(!line.hasSuffix(" ") && !line.hasPrefix("."))
            }
            #expect(decode(encoded) == text)
        }
    }

    /// Quoted-printable back to text, by the book.
    private func decode(_ encoded: String) -> String {
        var bytes: [UInt8] = []
        var rest = Array(encoded.replacingOccurrences(of: "=\r\n", with: "").utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "=") {
                let digits = String(decoding: rest.prefix(2), as: UTF8.self)
                bytes.append(UInt8(digits, radix: 16) ?? UInt8(ascii: "?"))
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
