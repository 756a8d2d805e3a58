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
    }

    @Test(arguments: [("..", ".."), ("a b&c=d+ä", "a%20b%26c%3Dd%2B%C3%A4"), ("", "")])
    func aComponentIsOne(text: String, escaped: String) {
        #expect(PercentEncoding.component(text) == escaped)
    }
}
