import Foundation
import Limits
import Notation
import Projection

/// Reads the query parameters of a request and notes everything that is wrong with them.
final class QueryReader {
    private var values: [Identifier: String] = [:]
    private var names: [String] = []
    private var asked: Set<Identifier> = []
    let findings: ValidationErrors

    /// - Parameter query: what stands after the `?`.
    init(_ query: String, _ findings: ValidationErrors) {
        self.findings = findings
        for pair in query.split(separator: "&", maxSplits: 255) {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = PercentEncoding.formDecoded(parts[0]), !name.isEmpty,
                let value = PercentEncoding.formDecoded(parts.count == 2 ? parts[1] : "")
            else {
                findings.note(
                    .badField, .parameter(String(parts[0].prefix(64))),
                    "The parameter is not valid percent-encoded UTF-8")
                continue
            }
            if values[Identifier(name)] != nil {
                note(.badField, name, "The parameter appears more than once")
            } else {
                names.append(name)
            }
            values[Identifier(name)] = value
        }
    }

    func note(_ kind: ErrorKind, _ name: String, _ detail: String) {
        findings.note(kind, .parameter(String(name.prefix(64))), detail)
    }

    /// Notes the parameters that nobody asked for, and throws all findings. To be called last.
    func finish() throws(APIError) {
        for name in names where !asked.contains(Identifier(name)) {
            note(.badField, name, "Unknown parameter")
        }
        try findings.check()
    }

    func text(_ name: String, bytes: ClosedRange<Int> = 1...256) -> String? {
        asked.insert(Identifier(name))
        guard let text = values[Identifier(name)] else { return nil }
        guard let fault = BodyReader.fault(of: text, bytes: bytes) else { return text }
        note(.badField, name, fault)
        return nil
    }

    /// The profile that parameters name, each for one kind; nil: none.
    ///
    /// - Parameter isFilter: `filter[messaging_profile_id]`.
    func profile(isFilter: Bool = false) -> ProfileReference? {
        var named: ProfileReference?
        for kind in ProfileKind.allCases {
            let name = isFilter ? "filter[\(kind.idField)]" : kind.idField
            guard let id = text(name, bytes: Identifier.lengths) else { continue }
            if named != nil { note(.badField, name, "A request can name at most one profile") }
            named = ProfileReference(id: id, kind: kind)
        }
        return named
    }

    func integer(_ name: String, _ range: ClosedRange<Int64>) -> Int64? {
        guard let text = text(name) else { return nil }
        guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            note(.wrongType, name, "Must be a whole number")
            return nil
        }
        guard let value = Int64(text), range.contains(value) else {
            note(.outOfRange, name, "Must be \(range.lowerBound) to \(range.upperBound)")
            return nil
        }
        return value
    }

    func choice<Value>(_ name: String, _ convert: (String) -> Value?, _ known: [String]) -> Value? {
        guard let text = text(name) else { return nil }
        if let value = convert(text) { return value }
        let names = known.map { "\"\($0)\"" }.joined(separator: ", ")
        note(.badField, name, "Must be one of \(names)")
        return nil
    }

    /// An instant of RFC 3339, in Unix milliseconds.
    func instant(_ name: String) -> Int64? {
        guard let text = text(name) else { return nil }
        // A plus that was not encoded reads as a space.
        if let value = Instant.parse(text.replacingOccurrences(of: " ", with: "+")) { return value }
        note(.badField, name, "Must be an RFC 3339 time like \"2026-11-21T10:00:00Z\"")
        return nil
    }

    /// A date, as the first Unix millisecond of the UTC day.
    func day(_ name: String) -> Int64? {
        guard let text = text(name) else { return nil }
        if let value = Instant.parseDay(text) { return value }
        note(.badField, name, "Must be a date like \"2026-11-21\"")
        return nil
    }

    /// `filter[name]`, `filter[name][eq]` or `filter[name][contains]`; one of them.
    func filter(_ field: String) -> TextFilter? {
        let equals = ["filter[\(field)]", "filter[\(field)][eq]"]
        let contains = "filter[\(field)][contains]"
        var found: [TextFilter] = []
        for name in equals { if let text = text(name) { found.append(.equals(text)) } }
        if let text = text(contains) { found.append(.contains(text)) }
        if found.count > 1 {
            note(.badField, contains, "Only one filter on \(field) is allowed")
        }
        return found.first
    }

    /// `page[number]` and `page[size]`.
    func page() -> Page {
        Page(
            number: Int(integer("page[number]", 1...1_000_000_000) ?? 1),
            size: Int(integer("page[size]", 1...250) ?? 20))
    }
}
