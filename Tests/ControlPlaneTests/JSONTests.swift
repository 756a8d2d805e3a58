import Testing

@testable import ControlPlane

@Suite struct JSONTests {
    private func parse(_ text: String) throws -> JSON { try JSONParser.parse(Array(text.utf8)) }

    @Test(arguments: [
        "null", "true", "false", "0", "-0", "12.50", "1e400", "9223372036854775808",
        #""""#, #""a/b""#, "[]", "{}", #"{"b":1,"a":[{"c":null}]}"#, #""ä€😀""#,
    ])
    func whatIsReadIsWrittenAsItWas(_ text: String) throws {
        #expect(try parse(text).text == text)
    }

    @Test func spaceIsDroppedAndEscapesAreResolved() throws {
        #expect(try parse(" { \"a\" :\t[ 1 ,\r\n2 ] } ").text == #"{"a":[1,2]}"#)
        #expect(
            try parse(#""\u0041\n\t\"\\\/\u00e4\ud83d\ude00\b\f""#)
                == .string("A\n\t\"\\/ä😀\u{8}\u{c}"))
        #expect(JSON.string("\u{1}\u{7f}/").text == "\"\\u0001\u{7f}/\"")
    }

    @Test(arguments: [
        "", " ", "nul", "tru", "+1", "01", "1.", ".5", "1e", "- 1", "NaN", "'a'", "[1,]", "[1 2]",
        #"{"a":1,}"#, #"{"a" 1}"#, #"{a:1}"#, #"{"a":1,"a":2}"#, #"{"a":1,"\u0061":2}"#,
        #""a"#, "\"\n\"", #""\x""#, #""\u12g4""#, #""\ud800""#, #""\ude00\ud83d""#,
        #""\ud83d\u0041""#,
        "[1]]", "{}{}", "\u{FEFF}{}", "/**/1", "[",
    ])
    func whatIsNoJSONIsRefused(_ text: String) {
        #expect(throws: JSONSyntaxError.self) { try parse(text) }
    }

    @Test(arguments: [
        [0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xC3],
    ])
    func invalidUTF8IsRefused(_ bytes: [UInt8]) {
        #expect(throws: JSONSyntaxError.self) { try JSONParser.parse([0x22] + bytes + [0x22]) }
    }

    /// Two spellings of a letter are two names, and two values.
    @Test func namesAreBytes() throws {
        let (composed, decomposed) = ("caf\u{E9}", "cafe\u{301}")
        let object = try parse("{\"\(composed)\":1,\"\(decomposed)\":2}")
        #expect(object[composed] == 1 && object[decomposed] == 2)
        #expect(JSON.string(composed) != .string(decomposed))
        let body = BodyReader(object, ValidationErrors())
        #expect(body.raw(composed) == 1)
        #expect(body.unasked.map { Array($0.utf8) } == [Array(decomposed.utf8)])
        let query = QueryReader("caf%C3%A9=1&cafe%CC%81=2", ValidationErrors())
        #expect(query.text(composed) == "1" && query.text(decomposed) == "2")
        #expect(query.findings.entries.isEmpty)
    }

    @Test func depthIsBounded() throws {
        let deepest = JSONParser.maximumDepth
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        #expect(throws: Never.self) { try parse(nested(deepest)) }
        #expect(throws: JSONSyntaxError.self) { try parse(nested(deepest + 1)) }
        #expect(throws: JSONSyntaxError.self) { try parse(nested(500_000)) }
    }

    @Test func errorsSayWhere() {
        #expect { try parse(#"{"a":1,"a":2}"#) } throws: {
            ($0 as? JSONSyntaxError)?.offset == 7
        }
    }

    @Test func whereThereIsNoInstantThereIsNull() {
        #expect(Instant.json(0) == .null)
        #expect(Instant.json(1_795_255_200_001) == "2026-11-21T10:00:00.001Z")
    }
}
