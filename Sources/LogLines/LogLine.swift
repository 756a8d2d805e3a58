package import JSON
package import Logging
internal import Notation

/// One line of the log, whatever it is written as. It stays one line whatever its texts contain, and it has a bound.
package struct LogLine: Sendable {
    /// Bytes of a line, its end included. What is longer is cut, and says so in a field, `truncated`.
    package static let maximumBytes = 16 << 10
    /// Bytes of the message and of each field's value, escapes included.
    static let longestText = 4 << 10
    /// What the line has beside its fields, and what a cut adds.
    private static let frameBytes = 256

    /// Unix milliseconds.
    package var time: Int64
    package var level: Logger.Level
    package var message: String
    /// Where it comes from, for people: a module.
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

    /// The line with its end.
    ///
    /// - Complexity: O(length), of a long text at most O(`maximumBytes`).
    package func encoded(as format: LogFormat) -> String {
        let cost = format == .json ? Self.costInJSON : Self.costAsText
        var isCut = false
        func cut(_ text: String, _ limit: Int) -> String {
            let end = Self.end(of: text, limit: limit, cost)
            if end != text.endIndex { isCut = true }
            return String(text[..<end])
        }
        var left = Self.maximumBytes - Self.frameBytes
        let message = cut(message, Self.longestText)
        left -= Self.longestText
        var kept: [JSON.Member] = []
        for (name, value) in fields {
            let name = cut(Self.reserved.contains(name) ? name + "_" : name, 64)
            var value = value
            if case .string(let text) = value {
                value = .string(cut(text, max(0, min(Self.longestText, left - 80))))
            }
            let bytes = Self.bytes(of: value, format) + name.utf8.count * 6 + 8
            guard bytes <= left else {
                isCut = true
                break
            }
            left -= bytes
            kept.append((name, value))
        }
        if isCut { kept.append(("truncated", true)) }
        switch format {
        case .json: return json(message, kept)
        case .text: return text(message, kept)
        }
    }

    private func json(_ message: String, _ fields: [JSON.Member]) -> String {
        JSON.object(
            [
                ("time", .string(Instant.text(time))), ("level", .string(level.rawValue)),
                ("message", .string(message)),
            ] + fields
        ).text + "\n"
    }

    private func text(_ message: String, _ fields: [JSON.Member]) -> String {
        let fields = fields.map { " \(Self.escaped($0.name))=\(Self.escaped($0.value))" }.joined()
        let level = level.rawValue
        return "\(Instant.text(time)) \(level) tollgate:\(fields) [\(source)] "
            + "\(Self.escaped(message))\n"
    }

    // MARK: Texts

    /// Members that every line has.
    private static let reserved: Set = ["time", "level", "message", "truncated"]

    private static func bytes(of value: JSON, _ format: LogFormat) -> Int {
        guard format == .text, case .string(let text) = value else { return value.encoded.count }
        return escaped(text).utf8.count
    }

    private static func escaped(_ value: JSON) -> String {
        if case .string(let text) = value { return escaped(text) }
        return escaped(value.text)
    }

    /// With nothing in it that ends a line or moves a terminal's cursor.
    private static func escaped(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": escaped += "\\n"
            case "\r": escaped += "\\r"
            case "\t": escaped += "\\t"
            case _ where isControl(scalar):
                let digits = String(scalar.value, radix: 16)
                escaped += "\\u" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }

    /// C0, DEL, C1, and what Unicode ends lines and paragraphs with.
    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F..<0xA0, 0x2028, 0x2029: true
        default: false
        }
    }

    /// How far a text may go so that it takes no more than `limit` bytes.
    private static func end(
        of text: String, limit: Int, _ cost: (Unicode.Scalar) -> Int
    ) -> String.Index {
        // Nothing costs more than six times its length.
        if text.utf8.count <= limit / 6 { return text.endIndex }
        var bytes = 0
        for index in text.unicodeScalars.indices {
            bytes += cost(text.unicodeScalars[index])
            if bytes > limit { return index }
        }
        return text.endIndex
    }

    private static func costInJSON(_ scalar: Unicode.Scalar) -> Int {
        switch scalar.value {
        case 0x22, 0x5C: 2
        case 0..<0x20: 6
        default: UTF8.width(scalar)
        }
    }

    private static func costAsText(_ scalar: Unicode.Scalar) -> Int {
        isControl(scalar) ? 6 : UTF8.width(scalar)
    }
}
