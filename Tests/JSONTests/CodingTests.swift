import Foundation
import JSON
import Testing

/// `Codable` values: what Foundation's coders make of them is what ours make.
@Suite struct CodingTests {
    private enum Kind: String, Codable { case one, two }

    private struct Part: Codable, Equatable {
        var kind = Kind.two
        var counts: [String: Int] = ["b": 1, "a": 2]
    }

    private struct Whole: Codable, Equatable {
        var name = "a/\"\\\n\u{1}é😀"
        var small = UInt8.max
        var large = UInt64.max
        var low = Int64.min
        var share = 0.25
        var flag = true
        var none: Int?
        var some: Int? = 3
        var parts = [Part(), Part(kind: .one, counts: [:])]
        var nothing: [Int] = []
        var holes: [Int?] = [1, nil]
    }

    private func foundation(_ value: some Encodable, _ more: JSONEncoder.OutputFormatting = [])
        throws
        -> String
    {
        let encoder = JSONEncoder()
        encoder.outputFormatting = more.union([.sortedKeys, .withoutEscapingSlashes])
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    @Test func whatIsWrittenIsWhatFoundationWrites() throws {
        let json = try JSON(encoding: Whole()).sorted
        #expect(json.text == (try foundation(Whole())))
        #expect(json.indentedText == (try foundation(Whole(), .prettyPrinted)))
        #expect(try JSON(encoding: [[1], []]).text == "[[1],[]]")
        #expect(try JSON(encoding: "x").text == #""x""#)
        #expect(try JSON(encoding: Int?.none) == .null)
    }

    @Test func whatIsReadIsWhatFoundationReads() throws {
        let text = try foundation(Whole())
        #expect(try JSONParser.parse(text).decoded(as: Whole.self) == Whole())
        #expect(try JSON(encoding: Whole()).decoded(as: Whole.self) == Whole())
    }

    @Test(arguments: [
        #"{}"#, #"[]"#, "null", #"{"kind":"three","counts":{}}"#, #"{"kind":null,"counts":{}}"#,
        #"{"kind":"one","counts":{"a":"1"}}"#, #"{"kind":"one","counts":{"a":1.5}}"#,
        #"{"kind":"one","counts":[]}"#,
    ])
    func whatIsAnotherKindIsRefused(_ text: String) throws {
        let json = try JSONParser.parse(text)
        #expect(throws: DecodingError.self) { try json.decoded(as: Part.self) }
    }

    @Test func numbersFit() throws {
        #expect(throws: DecodingError.self) { try JSON.integer(256).decoded(as: UInt8.self) }
        #expect(throws: DecodingError.self) { try JSON.integer(-1).decoded(as: UInt64.self) }
        #expect(try JSON.integer(1).decoded(as: Double.self) == 1)
        // The standard library encodes a Float as itself: an endless call if it is not known.
        #expect(try JSON(encoding: [Float(0.5)]) == .array([.decimal(0.5)]))
        #expect(try JSON.decimal(0.5).decoded(as: Float.self) == 0.5)
    }
}
