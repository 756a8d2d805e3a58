import Foundation

/// Lines of comma-separated values (RFC 4180).
package struct CSVTable: Sendable {
    package private(set) var text: String

    package init(_ columns: [String]) {
        text = ""
        append(columns)
    }

    /// - Parameter cells: texts that begin like a formula are kept from being one.
    package mutating func append(_ cells: [String]) {
        text += cells.map(Self.cell).joined(separator: ",") + "\r\n"
    }

    private static func cell(_ text: String) -> String {
        var text = text
        if let first = text.unicodeScalars.first, "=+-@\t\r".unicodeScalars.contains(first),
            Double(text) == nil
        {
            text = "'" + text
        }
        let needsQuotes = text.unicodeScalars.contains { ",;\"\r\n".unicodeScalars.contains($0) }
        return needsQuotes ? "\"" + text.replacingOccurrences(of: "\"", with: "\"\"") + "\"" : text
    }
}
