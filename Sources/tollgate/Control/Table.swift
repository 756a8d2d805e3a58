internal import JSON
internal import Limits

/// Rows as aligned columns. A cell without a value is "-".
struct Table: Sendable {
    struct Column: Sendable {
        var title: String
        var isNumber: Bool
        var cell: @Sendable (JSON) -> JSON?
        /// Whether the column is of use for these rows.
        var isShown: @Sendable ([JSON]) -> Bool = { _ in true }

        /// - Parameter name: the member of a row, or a path of members: "limit.name".
        init(_ title: String, _ name: String, isNumber: Bool = false) {
            self.title = title
            self.isNumber = isNumber
            let path = name.split(separator: ".").map(String.init)
            cell = { row in
                path.reduce(Optional(row)) { value, name in value.flatMap { $0[name] } }
            }
        }

        init(
            _ title: String, isNumber: Bool = false,
            cell: @escaping @Sendable (JSON) -> JSON?
        ) {
            self.title = title
            self.isNumber = isNumber
            self.cell = cell
        }

        /// Shown only for rows of which one has that cap, unless the cap is a common one.
        func onlyIfCapped(_ cap: CapSetting?, has: @escaping @Sendable (JSON) -> JSON?) -> Column {
            guard let cap, !cap.isCommon else { return self }
            var column = self
            column.isShown = { rows in rows.contains { has($0).map { !$0.isNull } ?? false } }
            return column
        }
    }

    var columns: [Column]
    /// What stands there instead of an empty table.
    var none: String

    /// - Complexity: O(rows × columns).
    func text(_ rows: [JSON]) -> String {
        if rows.isEmpty { return none }
        let columns = columns.filter { $0.isShown(rows) }
        var lines = [columns.map(\.title)]
        lines += rows.map { row in
            columns.map { CellText.text($0.cell(row) ?? .null) }
        }
        let widths = columns.indices.map { index in lines.map { $0[index].count }.max() ?? 0 }
        return lines.map { cells in
            var line = columns.indices.map { index in
                let padding = String(repeating: " ", count: widths[index] - cells[index].count)
                return columns[index].isNumber ? padding + cells[index] : cells[index] + padding
            }.joined(separator: "  ")
            while line.last == " " { line.removeLast() }
            return line
        }.joined(separator: "\n")
    }
}

/// One value for people, on one line.
enum CellText {
    static func text(_ value: JSON) -> String {
        switch value {
        case .null: "-"
        case .bool(let flag): flag ? "yes" : "no"
        case .number(let text): text
        case .string(let text): printable(text)
        case .array(let values):
            values.isEmpty ? "-" : values.map(Self.text).joined(separator: ", ")
        case .object(let members):
            members.map { "\(printable($0.0)) \(Self.text($0.1))" }.joined(separator: ", ")
        }
    }

    /// Control characters would let a name write anywhere on the terminal.
    static func printable(_ text: String) -> String {
        if text.isEmpty { return "-" }
        guard text.unicodeScalars.contains(where: isUnsafe) else { return text }
        return text.unicodeScalars.map { scalar in
            isUnsafe(scalar) ? "\\u{\(String(scalar.value, radix: 16))}" : String(scalar)
        }.joined()
    }

    private static func isUnsafe(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: true
        default: false
        }
    }
}

/// A resource as lines: name, value; lists of objects are indented below their name.
enum RecordText {
    static func text(_ resource: JSON) -> String {
        lines(resource, indent: "").joined(separator: "\n")
    }

    private static func lines(_ value: JSON, indent: String) -> [String] {
        guard case .object(let members) = value else { return [indent + CellText.text(value)] }
        let shown = members.filter { $0.0 != "record_type" }
        let width = shown.map(\.0.count).max() ?? 0
        var lines: [String] = []
        for (name, value) in shown {
            let isShort = if case .object = value { false } else { objects(value).isEmpty }
            if isShort {
                let padding = String(repeating: " ", count: width - name.count)
                lines.append("\(indent)\(name)\(padding)  \(CellText.text(value))")
                continue
            }
            lines.append("\(indent)\(name)")
            if case .object = value { lines += Self.lines(value, indent: indent + "  ") }
            for object in objects(value) {
                var part = Self.lines(object, indent: indent + "    ")
                if let first = part.first {
                    part[0] = "\(indent)  - " + first.dropFirst(indent.count + 4)
                }
                lines += part
            }
        }
        return lines
    }

    private static func objects(_ value: JSON) -> [JSON] {
        (value.array ?? []).filter { if case .object = $0 { true } else { false } }
    }

    /// What an answer to a change says about limits that are below present usage.
    static func overBy(_ meta: JSON) -> [String] {
        guard case .object(let limits) = meta["over_by"] ?? .null else { return [] }
        return limits.map { name, amount in
            let text =
                switch LimitKind.row(named: name)?.resource.unit {
                case .amount: "\(CellText.text(amount)) USD"
                case .seconds: "\(CellText.text(amount)) s"
                case .count, nil: CellText.text(amount)
                }
            return "  over \(name) by \(text): its next charge or creation triggers the limit"
        }
    }
}
