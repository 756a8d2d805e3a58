internal import Foundation

/// What is wrong with a JSON text.
struct JSONReaderError: Error, Equatable {
    /// Bytes from the start.
    var offset: Int
}

/// Reads JSON (RFC 8259) and keeps the order of members and the digits of numbers, which Foundation's reader does not.
struct JSONReader {
    private let bytes: [UInt8]
    private var position = 0
    /// A text that nests deeper is refused.
    static let maximumDepth = 64

    private init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// The value of a whole text.
    ///
    /// - Complexity: O(*n*) in its length.
    static func parse(_ bytes: some Sequence<UInt8>) throws(JSONReaderError) -> JSONValue {
        var reader = JSONReader(Array(bytes))
        let value = try reader.value(depth: 0)
        reader.skipSpace()
        guard reader.position == reader.bytes.count else { throw reader.error }
        return value
    }

    private var error: JSONReaderError { JSONReaderError(offset: position) }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipSpace() {
        while let byte = next, [0x20, 0x0a, 0x0d, 0x09].contains(byte) { position += 1 }
    }

    /// Skips white space, then one byte if it is that one.
    private mutating func take(_ byte: Unicode.Scalar) -> Bool {
        skipSpace()
        guard next == UInt8(ascii: byte) else { return false }
        position += 1
        return true
    }

    private mutating func expect(_ word: StaticString, _ value: JSONValue) throws(JSONReaderError)
        -> JSONValue
    {
        let length = word.utf8CodeUnitCount
        guard position + length <= bytes.count,
            bytes[position..<position + length].elementsEqual("\(word)".utf8)
        else { throw error }
        position += length
        return value
    }

    private mutating func value(depth: Int) throws(JSONReaderError) -> JSONValue {
        guard depth < Self.maximumDepth else { throw error }
        skipSpace()
        switch next {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try expect("true", .bool(true))
        case UInt8(ascii: "f"): return try expect("false", .bool(false))
        case UInt8(ascii: "n"): return try expect("null", .null)
        default: return try number()
        }
    }

    private mutating func object(depth: Int) throws(JSONReaderError) -> JSONValue {
        position += 1
        var members: [(String, JSONValue)] = []
        if take("}") { return .object([]) }
        repeat {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw error }
            let name = try string()
            guard take(":") else { throw error }
            members.append((name, try value(depth: depth + 1)))
        } while take(",")
        guard take("}") else { throw error }
        return .object(members)
    }

    private mutating func array(depth: Int) throws(JSONReaderError) -> JSONValue {
        position += 1
        var values: [JSONValue] = []
        if take("]") { return .array([]) }
        repeat { values.append(try value(depth: depth + 1)) } while take(",")
        guard take("]") else { throw error }
        return .array(values)
    }

    /// The text between two quotes. Its escapes are left to Foundation, which also checks the UTF-8.
    private mutating func string() throws(JSONReaderError) -> String {
        let start = position
        position += 1
        while let byte = next, byte != UInt8(ascii: "\"") {
            position += byte == UInt8(ascii: "\\") ? 2 : 1
        }
        guard position < bytes.count else { throw error }
        position += 1
        let literal = bytes[start..<position]
        guard
            let text = try? JSONSerialization.jsonObject(
                with: Data(literal), options: .fragmentsAllowed) as? String
        else { throw JSONReaderError(offset: start) }
        return text
    }

    private mutating func number() throws(JSONReaderError) -> JSONValue {
        let start = position
        while let byte = next, "+-.0123456789eE".utf8.contains(byte) { position += 1 }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if let integer = Int64(text), "\(integer)" == text { return .integer(integer) }
        guard text.first != "+", text.first != ".", Double(text) != nil else {
            throw JSONReaderError(offset: start)
        }
        return .number(text)
    }
}

extension JSONValue {
    /// A member of an object; nil: no object, or no such member.
    subscript(name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.0 == name }?.1
    }

    var string: String? {
        if case .string(let text) = self { text } else { nil }
    }

    var integer: Int64? {
        if case .integer(let number) = self { number } else { nil }
    }

    var bool: Bool? {
        if case .bool(let flag) = self { flag } else { nil }
    }

    var array: [JSONValue]? {
        if case .array(let values) = self { values } else { nil }
    }

    var isNull: Bool {
        if case .null = self { true } else { false }
    }
}
