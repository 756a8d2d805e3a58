import JSON

/// What the fuzzer of the parser begins with and looks at; the tests and Tools/Fuzz share it.
enum FuzzedTexts {
    static let seeds: [[UInt8]] = {
        let values: [JSON] = [
            .null, true, -1, "", "a\"b\\c\n\u{1F600}\u{7}", [], [1, [2, [3]]],
            ["monthly_spend_limit": "250.00", "max_extensions": .null, "on_limit": "suspend"],
            ["quantities": [["resource": "spend", "amount": 4_000_000]], "mode": "reserve"],
        ]
        let texts = [
            " { \"a\" : [ true , false , null ] } ", "\"\\u00e9\\ud83d\\ude00\\/\"", "-0.5e+10",
            "{\"a\":1,\"a\":2}", "\"\\ud800\"", "01", "[1,]",
        ]
        return values.map(\.encoded) + texts.map { Array($0.utf8) }
            + [Array(repeating: UInt8(ascii: "["), count: JSONParser.Bounds().depth + 1)]
    }()

    /// Whatever the bytes are, they are refused at a place within them, or they are a value that comes back when it is
    /// written out, the same text each time. nil: so it is.
    static func fault(of bytes: [UInt8]) -> String? {
        let value: JSON
        do throws(JSONSyntaxError) {
            value = try JSONParser.parse(bytes)
        } catch {
            return (0...bytes.count).contains(error.offset) ? nil : "\(error)"
        }
        for written in [value.encoded, Array(value.indentedText.utf8)] {
            guard let again = try? JSONParser.parse(written) else {
                return "what was written is no JSON: \(value.text)"
            }
            guard again == value, again.encoded == value.encoded else {
                return "\(value.text) became \(again.text)"
            }
        }
        return nil
    }
}
