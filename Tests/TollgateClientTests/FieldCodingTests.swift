import Testing

@testable import TollgateClient

@Suite("Header field coding")
struct FieldCodingTests {
    private func percentDecoded(_ text: String) -> String {
        Array(text.utf8).withUnsafeBytes { FieldCoding.percentDecoded($0) }
    }
    private func base64Decoded(_ text: String) -> [UInt8]? {
        Array(text.utf8).withUnsafeBytes { FieldCoding.base64Decoded($0) }
    }

    @Test(arguments: [
        ("", ""), ("plain", "plain"), ("a%20b", "a b"), ("%C3%A9%e2%82%ac", "é€"),
        ("100%", "100%"), ("%zz%4", "%zz%4"), ("%2525", "%25"), ("%ff", "\u{FFFD}"),
    ])
    func messages(_ encoded: String, _ decoded: String) {
        #expect(percentDecoded(encoded) == decoded)
    }

    @Test(arguments: [
        ("", ""), ("Zg==", "f"), ("Zg", "f"), ("Zm8=", "fo"), ("Zm8", "fo"), ("Zm9v", "foo"),
        ("Zm9vYg==", "foob"), ("Zm9vYmFy", "foobar"),
    ])
    func base64(_ text: String, _ decoded: String) {
        #expect(base64Decoded(text) == Array(decoded.utf8))
    }

    @Test func base64KnowsAllDigits() {
        #expect(base64Decoded("+/+/") == [0xfb, 0xff, 0xbf])
    }

    @Test(arguments: ["Z", "Zm9vY", "Zm 8", "Zm9v!", "Zg=g", "-_-_"])
    func noBase64(_ text: String) {
        #expect(base64Decoded(text) == nil)
    }

    @Test(arguments: [
        (Int64(1), "1n"), (0, "1n"), (-5, "1n"), (99_999_999, "99999999n"),
        (100_000_000, "100000u"),
        (100_000_001, "100001u"), (1_000_000_000, "1000000u"), (99_999_999_000, "99999999u"),
        (99_999_999_001, "100000m"), (86_400_000_000_000, "86400000m"),
        (Int64.max, "2562048H"),
    ])
    func timeouts(_ nanoseconds: Int64, _ text: String) {
        // Eight digits at most, in the finest unit that they suffice for, rounded up.
        #expect(FieldCoding.timeout(nanoseconds: nanoseconds) == text)
    }
}
