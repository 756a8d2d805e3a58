internal import Kit

// Bodies of REST requests: whatever the bytes are, they are refused at a place within them, or they are a value that comes
// back when it is written out, the same text each time.

@_cdecl("LLVMFuzzerInitialize")
public func initialize(_ count: UnsafeRawPointer, _ arguments: UnsafeRawPointer) -> Int32 {
    Seeds.writeIfAsked {
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
            + [Array(repeating: UInt8(ascii: "["), count: JSONParser.maximumDepth + 1)]
    }
    return 0
}

@_cdecl("LLVMFuzzerTestOneInput")
public func run(_ start: UnsafeRawPointer?, _ count: Int) -> Int32 {
    let bytes = Array(UnsafeRawBufferPointer(start: start, count: count))
    let value: JSON
    do throws(JSONSyntaxError) {
        value = try JSONParser.parse(bytes)
    } catch {
        precondition((0...count).contains(error.offset), "\(error)")
        return 0
    }
    let written = value.encoded
    guard let again = try? JSONParser.parse(written) else {
        preconditionFailure("what was written is no JSON: \(value.text)")
    }
    precondition(again == value && again.encoded == written, "\(value.text) became \(again.text)")
    return 0
}
