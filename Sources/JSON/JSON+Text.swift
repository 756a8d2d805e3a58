extension JSON {
    /// Compact UTF-8: no spaces, `/` unescaped, nothing escaped that need not be.
    ///
    /// - Complexity: O(length)
    package var encoded: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(512)
        write(to: &bytes)
        return bytes
    }

    /// `encoded` as a text, which has one line.
    package var text: String { String(decoding: encoded, as: UTF8.self) }

    /// For people: a line for each member and element, two spaces deeper at each level.
    package var indentedText: String {
        var bytes: [UInt8] = []
        write(to: &bytes, indent: 0)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// - Parameter indent: the spaces before the line that the value begins on; nil: all on one line.
    private func write(to bytes: inout [UInt8], indent: Int? = nil) {
        switch self {
        case .null: bytes += "null".utf8
        case .bool(let value): bytes += (value ? "true" : "false").utf8
        case .number(let text): bytes += text.utf8
        case .string(let text): Self.write(text, to: &bytes)
        case .array(let values):
            bytes.append(UInt8(ascii: "["))
            for (index, value) in values.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                Self.breakLine(&bytes, indent, deeper: 2)
                value.write(to: &bytes, indent: indent.map { $0 + 2 })
            }
            Self.close(UInt8(ascii: "]"), after: values.count, indent, &bytes)
        case .object(let members):
            bytes.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                Self.breakLine(&bytes, indent, deeper: 2)
                Self.write(member.name, to: &bytes)
                if indent != nil { bytes.append(UInt8(ascii: " ")) }
                bytes.append(UInt8(ascii: ":"))
                if indent != nil { bytes.append(UInt8(ascii: " ")) }
                member.value.write(to: &bytes, indent: indent.map { $0 + 2 })
            }
            Self.close(UInt8(ascii: "}"), after: members.count, indent, &bytes)
        }
    }

    /// Ends an array or object. One without contents has an empty line within, as Foundation writes it.
    private static func close(
        _ bracket: UInt8, after count: Int, _ indent: Int?, _ bytes: inout [UInt8]
    ) {
        if count == 0, indent != nil { breakLine(&bytes, 0) }
        breakLine(&bytes, indent)
        bytes.append(bracket)
    }

    private static func breakLine(_ bytes: inout [UInt8], _ indent: Int?, deeper: Int = 0) {
        guard let indent else { return }
        bytes.append(UInt8(ascii: "\n"))
        bytes += repeatElement(UInt8(ascii: " "), count: indent + deeper)
    }

    private static func write(_ text: String, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        var text = text
        text.withUTF8 { utf8 in
            // What needs no escape is copied in one piece.
            var start = 0
            for (index, byte) in utf8.enumerated()
            where byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
                bytes.append(contentsOf: utf8[start..<index])
                escape(byte, to: &bytes)
                start = index + 1
            }
            bytes.append(contentsOf: utf8[start...])
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private static func escape(_ byte: UInt8, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\\"))
        switch byte {
        case UInt8(ascii: "\n"): bytes.append(UInt8(ascii: "n"))
        case UInt8(ascii: "\r"): bytes.append(UInt8(ascii: "r"))
        case UInt8(ascii: "\t"): bytes.append(UInt8(ascii: "t"))
        case 0..<0x20:
            let digits = String(byte, radix: 16)
            bytes += (byte < 0x10 ? "u000\(digits)" : "u00\(digits)").utf8
        default: bytes.append(byte)
        }
    }
}
