import Testing

@testable import Notation

@Suite("Parts of URLs")
struct PercentEncodingTests {
    @Test(arguments: [
        ("a/b?c#d%e ä", "a%2Fb%3Fc%23d%25e%20%C3%A4"), ("..", "%2E%2E"), (".", "%2E"),
        ("...", "%2E%2E%2E"), ("a.b", "a.b"), ("A-z_0.9~", "A-z_0.9~"), ("", ""),
        ("\u{0}\u{7F}+&=", "%00%7F%2B%26%3D"), ("😀", "%F0%9F%98%80"),
    ])
    func aSegmentIsOne(text: String, escaped: String) {
        #expect(PercentEncoding.segment(text) == escaped)
        #expect(PercentEncoding.decoded(escaped) == text)
    }

    @Test(arguments: ["%", "%4", "%4g", "%+1", "a%FF", "%C3", "%ED%A0%80"])
    func whatIsNotProperlyEncodedIsRefused(text: String) {
        #expect(PercentEncoding.decoded(text) == nil)
        #expect(PercentEncoding.formDecoded(text) == nil)
    }

    @Test func aPlusIsASpaceInFormsAlone() {
        #expect(PercentEncoding.formDecoded("a+b%2Bc") == "a b+c")
        #expect(PercentEncoding.decoded("a+b%2bc") == "a+b+c")
    }

    @Test(arguments: [("..", ".."), ("a b&c=d+ä", "a%20b%26c%3Dd%2B%C3%A4"), ("", "")])
    func aComponentIsOne(text: String, escaped: String) {
        #expect(PercentEncoding.component(text) == escaped)
    }
}
