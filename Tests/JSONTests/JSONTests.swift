import JSON
import Limits
import Notation
import Testing

@Suite struct JSONTests {
    private func parse(_ text: String) throws -> JSON { try JSONParser.parse(text) }

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
        #expect(object.sorted.members?.map(\.value) == [2, 1])
    }

    @Test func depthIsBounded() throws {
        let deepest = JSONParser.Bounds().depth
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        #expect(throws: Never.self) { try parse(nested(deepest)) }
        #expect(throws: JSONSyntaxError.self) { try parse(nested(deepest + 1)) }
        #expect(throws: JSONSyntaxError.self) { try parse(nested(500_000)) }
    }

    @Test func valuesAreBounded() throws {
        let bytes = Array(#"{"a":[1,{}],"b":2}"#.utf8)
        #expect(throws: Never.self) {
            try JSONParser.parse(bytes, within: JSONParser.Bounds(values: 5))
        }
        #expect(throws: JSONSyntaxError(offset: 16, reason: "More than 4 values")) {
            try JSONParser.parse(bytes, within: JSONParser.Bounds(values: 4))
        }
    }

    @Test func errorsSayWhere() {
        #expect { try parse(#"{"a":1,"a":2}"#) } throws: {
            ($0 as? JSONSyntaxError)?.offset == 7
        }
    }

    @Test func valuesAreTakenApartByTheirKind() throws {
        let value = try parse(#"{"n":-7,"d":1.5e3,"s":"x","f":false,"l":[1],"z":null}"#)
        #expect(value["n"]?.integer == -7 && value["d"]?.integer == nil)
        #expect(value["d"]?.double == 1_500 && value["s"]?.double == nil)
        #expect(value["s"]?.string == "x" && value["f"]?.bool == false)
        #expect(value["l"]?.array == [1] && value["z"]?.isNull == true)
        #expect(value["none"] == nil && value["s"]?["n"] == nil)
        #expect(JSON.number("9223372036854775808").integer == nil)
    }

    @Test(arguments: [
        (5.0, "5"), (0.1, "0.1"), (1e-5, "1e-05"), (.nan, "null"), (-.infinity, "null"),
    ])
    func decimals(_ value: Double, _ text: String) { #expect(JSON.decimal(value).text == text) }

    @Test func amountsAreOfTheirUnit() {
        #expect(Resource.spend.json(20_000_000).text == #""0.02""#)
        #expect(Resource.callSeconds.json(60).text == "60")
    }

    @Test func whereThereIsNoInstantThereIsNull() {
        #expect(Instant.json(0) == .null)
        #expect(Instant.json(1_795_255_200_001) == "2026-11-21T10:00:00.001Z")
    }
}
