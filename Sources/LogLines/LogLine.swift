package import JSON
package import Logging
internal import Notation

/// One line of the log, in either format. It stays one line whatever its texts contain, and its length is bounded.
package struct LogLine: Sendable {
    /// Bytes of a line, including its line break. A longer line is cut, and says so in the field `truncated`.
    package static let maximumBytes = 16 << 10
    /// Bytes of the message and of each field's value, escapes included.
    static let longestText = 4 << 10
    /// What the line has besides its message and fields, and what a cut adds.
    private static let frameBytes = 256

    /// Unix milliseconds.
    package var time: Int64
    package var level: Logger.Level
    package var message: String
    /// The module that it comes from; only in the text format.
    package var source: String
    /// In the order in which they are written.
    package var fields: [JSON.Member]

    package init(
        time: Int64, level: Logger.Level, message: String, source: String = "tollgate",
        fields: [JSON.Member] = []
    ) {
        self.time = time
        self.level = level
        self.message = message
        self.source = source
        self.fields = fields
    }

    /// The line, including its line break.
    ///
    /// - Complexity: O(length), for a long text at most O(`maximumBytes`).
    package func encoded(as format: LogFormat) -> String {
        var isCut = false
        func cut(_ text: String, _ limit: Int) -> String {
            let end = Self.end(of: text, limit: limit)
            if end != text.endIndex { isCut = true }
            return String(text[..<end])
        }
        var left = Self.maximumBytes - Self.frameBytes
        let message = cut(message, Self.longestText)
        left -= Self.longestText
        var kept: [String] = []
        for (name, value) in fields {
            let name = cut(Self.reserved.contains(name) ? name + "_" : name, 64)
            var value = value
            if case .string(let text) = value {
                value = .string(cut(text, max(0, min(Self.longestText, left - 80))))
            }
            let field = Self.field(name, value, format)
            guard field.utf8.count < left else {
                isCut = true
                break
            }
            left -= field.utf8.count + 1
            kept.append(field)
        }
        if isCut { kept.append(Self.field("truncated", true, format)) }
        switch format {
        case .json: return json(message, kept)
        case .text: return text(message, kept)
        }
    }

    private func json(_ message: String, _ fields: [String]) -> String {
        let frame: [JSON.Member] = [
            ("time", .string(Instant.text(time))), ("level", .string(level.rawValue)),
            ("message", .string(message)),
        ]
        let members = frame.map { Self.field($0, $1, .json) } + fields
        return "{\(members.joined(separator: ","))}\n"
    }

    private func text(_ message: String, _ fields: [String]) -> String {
        let fields = fields.map { " " + $0 }.joined()
        let level = level.rawValue
        return "\(Instant.text(time)) \(level) tollgate:\(fields) [\(source)] "
            + "\(Self.escaped(message))\n"
    }

    private static func field(_ name: String, _ value: JSON, _ format: LogFormat) -> String {
        switch format {
        case .json: return "\(json(.string(name))):\(json(value))"
        case .text:
            guard case .string(let text) = value else {
                return "\(escaped(name))=\(escaped(value.text))"
            }
            return "\(escaped(name))=\(isPlain(text) ? text : quoted(text))"
        }
    }

    // MARK: Texts

    /// Members of the line itself.
    private static let reserved: Set = ["time", "level", "message", "truncated"]

    /// Also escapes what JSON permits although it ends lines or moves a terminal's cursor.
    private static func json(_ value: JSON) -> String {
        let text = value.text
        // DEL, and the first bytes of C1 and of the two separators.
        guard text.utf8.contains(where: { $0 == 0x7F || $0 == 0xC2 || $0 == 0xE2 }) else {
            return text
        }
        return replacing(text) { isControl($0) ? unicodeEscape($0) : nil }
    }

    /// Whether a value needs no quotes.
    private static func isPlain(_ text: String) -> Bool {
        !text.isEmpty
            && !text.unicodeScalars.contains {
                $0 == " " || $0 == "=" || $0 == "\"" || $0 == "\\" || isControl($0)
            }
    }

    private static func quoted(_ text: String) -> String {
        let inside = replacing(text) { $0 == "\"" || $0 == "\\" ? "\\\($0)" : escape($0) }
        return "\"\(inside)\""
    }

    /// Without anything that ends a line or moves a terminal's cursor.
    private static func escaped(_ text: String) -> String {
        text.unicodeScalars.contains(where: isControl) ? replacing(text, escape) : text
    }

    /// - Parameter escape: the replacement for a scalar; nil: it is kept.
    private static func replacing(
        _ text: String, _ escape: (Unicode.Scalar) -> String?
    ) -> String {
        var replaced = ""
        for scalar in text.unicodeScalars {
            if let escape = escape(scalar) {
                replaced += escape
            } else {
                replaced.unicodeScalars.append(scalar)
            }
        }
        return replaced
    }

    private static func escape(_ scalar: Unicode.Scalar) -> String? {
        switch scalar {
        case "\n": "\\n"
        case "\r": "\\r"
        case "\t": "\\t"
        default: isControl(scalar) ? unicodeEscape(scalar) : nil
        }
    }

    private static func unicodeEscape(_ scalar: Unicode.Scalar) -> String {
        let digits = String(scalar.value, radix: 16)
        return "\\u" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }

    /// C0, DEL, C1, and Unicode's line and paragraph separators.
    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F..<0xA0, 0x2028, 0x2029: true
        default: false
        }
    }

    /// The index up to which a text takes no more than `limit` bytes.
    private static func end(of text: String, limit: Int) -> String.Index {
        // Nothing takes more than six times its length.
        if text.utf8.count <= limit / 6 { return text.endIndex }
        var bytes = 0
        for index in text.unicodeScalars.indices {
            bytes += cost(text.unicodeScalars[index])
            if bytes > limit { return index }
        }
        return text.endIndex
    }

    /// The most bytes that it takes in either format.
    private static func cost(_ scalar: Unicode.Scalar) -> Int {
        switch scalar {
        case "\"", "\\": 2
        default: isControl(scalar) ? 6 : UTF8.width(scalar)
        }
    }
}
