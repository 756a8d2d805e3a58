import Limits

/// Why bytes are no JSON.
package struct JSONSyntaxError: Error, Equatable {
    /// Where, in bytes from 0.
    package var offset: Int
    /// What is wrong there, as a sentence without its end.
    package var reason: String

    package init(offset: Int, reason: String) {
        self.offset = offset
        self.reason = reason
    }
}

/// A strict parser of RFC 8259: UTF-8 only, every name of an object once, bounded depth. Numbers stay as they are
/// written. Recursive descent.
///
/// - Complexity: O(length)
package struct JSONParser {
    /// What a text may hold: reading it costs no more than this, whoever wrote it. Its length is for the caller to bound.
    package struct Bounds: Sendable {
        /// Arrays and objects within each other.
        package var depth: Int
        /// Values in all, the arrays and objects among them.
        package var values: Int

        package init(depth: Int = 32, values: Int = .max) {
            self.depth = depth
            self.values = values
        }
    }

    private let bytes: [UInt8]
    private let bounds: Bounds
    private var position = 0
    private var values = 0

    /// The value that all of the bytes are.
    package static func parse(
        _ bytes: [UInt8], within bounds: Bounds = Bounds()
    ) throws(JSONSyntaxError) -> JSON {
        var parser = JSONParser(bytes, bounds)
        let value = try parser.value(depth: 0)
        parser.skipSpace()
        guard parser.position == bytes.count else {
            throw parser.error("Unexpected data after the JSON value")
        }
        return value
    }

    package static func parse(_ text: String) throws(JSONSyntaxError) -> JSON {
        try parse(Array(text.utf8))
    }

    private init(_ bytes: [UInt8], _ bounds: Bounds) {
        self.bytes = bytes
        self.bounds = bounds
    }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private func error(_ reason: String, at offset: Int? = nil) -> JSONSyntaxError {
        JSONSyntaxError(offset: offset ?? position, reason: reason)
    }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
            position += 1
        }
    }

    private mutating func take(_ byte: Character) -> Bool {
        guard let wanted = byte.asciiValue, next == wanted else { return false }
        position += 1
        return true
    }

    private mutating func value(depth: Int) throws(JSONSyntaxError) -> JSON {
        skipSpace()
        guard let byte = next else { throw error("Unexpected end of input: expected a value") }
        guard values < bounds.values else { throw error("More than \(bounds.values) values") }
        values += 1
        switch byte {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            return .number(try number())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: throw error("Unexpected character: expected a value")
        }
    }

    private mutating func word(_ word: String, _ value: JSON) throws(JSONSyntaxError) -> JSON {
        guard bytes[position...].starts(with: word.utf8) else {
            throw error("Unexpected character: expected a value")
        }
        position += word.utf8.count
        return value
    }

    private mutating func enter(_ depth: Int) throws(JSONSyntaxError) {
        guard depth < bounds.depth else {
            throw error("Nested more than \(bounds.depth) levels deep")
        }
        position += 1
        skipSpace()
    }

    private mutating func array(depth: Int) throws(JSONSyntaxError) -> JSON {
        try enter(depth)
        var values: [JSON] = []
        if take("]") { return .array(values) }
        while true {
            values.append(try value(depth: depth + 1))
            skipSpace()
            if take("]") { return .array(values) }
            guard take(",") else { throw error("Expected a comma or ]") }
        }
    }

    private mutating func object(depth: Int) throws(JSONSyntaxError) -> JSON {
        try enter(depth)
        var members: [JSON.Member] = []
        var names: Set<Identifier> = []
        if take("}") { return .object(members) }
        while true {
            let start = position
            guard next == UInt8(ascii: "\"") else { throw error("Expected a key in double quotes") }
            let name = try string()
            guard names.insert(Identifier(name)).inserted else {
                throw error("Duplicate key \"\(name.prefix(64))\"", at: start)
            }
            skipSpace()
            guard take(":") else { throw error("Expected a colon") }
            members.append((name, try value(depth: depth + 1)))
            skipSpace()
            if take("}") { return .object(members) }
            guard take(",") else { throw error("Expected a comma or }") }
            skipSpace()
        }
    }

    /// `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`
    private mutating func number() throws(JSONSyntaxError) -> String {
        let start = position
        _ = take("-")
        if !take("0") { try digits() }
        if take(".") { try digits() }
        if take("e") || take("E") {
            if !take("+") { _ = take("-") }
            try digits()
        }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    private mutating func digits() throws(JSONSyntaxError) {
        let start = position
        while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
            position += 1
        }
        if position == start { throw error("Expected a digit") }
    }

    private mutating func string() throws(JSONSyntaxError) -> String {
        let start = position
        position += 1
        var text: [UInt8] = []
        while let byte = next {
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let string = String(validating: text, as: UTF8.self) else {
                    throw error("The string is not valid UTF-8", at: start)
                }
                return string
            case UInt8(ascii: "\\"): try escape(into: &text)
            case 0..<0x20:
                throw error("A control character must be escaped", at: position - 1)
            default: text.append(byte)
            }
        }
        throw error("Unterminated string", at: start)
    }

    private mutating func escape(into text: inout [UInt8]) throws(JSONSyntaxError) {
        guard let byte = next else { throw error("Unterminated string") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            let start = position - 2
            let first = try hexadecimal()
            var code = UInt32(first)
            if (0xD800...0xDBFF).contains(first), take("\\"), take("u") {
                let second = try hexadecimal()
                if (0xDC00...0xDFFF).contains(second) {
                    code = 0x1_0000 + (UInt32(first) - 0xD800) << 10 + UInt32(second) - 0xDC00
                }
            }
            guard let scalar = Unicode.Scalar(code) else {
                throw error("Unpaired surrogate escape", at: start)
            }
            text += UTF8.encode(scalar).map { Array($0) } ?? []
        default: throw error("Invalid escape sequence", at: position - 2)
        }
    }

    private mutating func hexadecimal() throws(JSONSyntaxError) -> UInt16 {
        guard position + 4 <= bytes.count,
            bytes[position..<position + 4].allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
            let value = UInt16(
                String(decoding: bytes[position..<position + 4], as: UTF8.self), radix: 16)
        else { throw error("Expected four hexadecimal digits") }
        position += 4
        return value
    }
}
