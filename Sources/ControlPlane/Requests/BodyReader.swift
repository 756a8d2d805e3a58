import Foundation
import JSON
import Limits

/// A member of a body that may be absent, or null.
enum Field<Value> {
    case absent
    case null
    case value(Value)

    /// nil where it is absent or null.
    var value: Value? {
        if case .value(let value) = self { return value }
        return nil
    }

    /// The value; nil for null; what it is now for an absent one.
    func or(_ present: Value?) -> Value? {
        switch self {
        case .absent: present
        case .null: nil
        case .value(let value): value
        }
    }
}

/// Reads the members of a JSON object and notes everything that is wrong with them. What is wrong reads as absent.
final class BodyReader {
    private let members: [Identifier: JSON]
    private let names: [String]
    /// RFC 6901 of the object itself; empty: the whole body.
    private let pointer: String
    let findings: ValidationErrors
    /// What a number outside of its range is called: the data plane has one code for all bad fields.
    let outOfRange: ErrorKind
    let wrongType: ErrorKind
    private var asked: Set<Identifier> = []

    init(
        _ object: JSON, at pointer: String = "", _ findings: ValidationErrors,
        outOfRange: ErrorKind = .outOfRange, wrongType: ErrorKind = .wrongType
    ) {
        self.pointer = pointer
        self.findings = findings
        self.outOfRange = outOfRange
        self.wrongType = wrongType
        if case .object(let list) = object {
            names = list.map(\.name)
            members = Dictionary(list.map { (Identifier($0.name), $0.value) }) { first, _ in first }
        } else {
            names = []
            members = [:]
            findings.note(wrongType, .pointer(pointer), "Must be an object")
        }
    }

    /// Notes what is wrong with a member.
    func note(_ kind: ErrorKind, _ name: String, _ detail: String) {
        findings.note(kind, .pointer(path(name)), detail)
    }

    func path(_ name: String) -> String { Self.pointer(pointer, name) }

    /// RFC 6901.
    static func pointer(_ parent: String, _ name: String) -> String {
        let escaped = name.prefix(128).replacingOccurrences(of: "~", with: "~0")
            .replacingOccurrences(of: "/", with: "~1")
        return "\(parent)/\(escaped)"
    }

    /// Whether a member is there, null included. Counts as asked for.
    func has(_ name: String) -> Bool {
        raw(name) != nil
    }

    /// A member as it stands.
    func raw(_ name: String) -> JSON? {
        let name = Identifier(name)
        asked.insert(name)
        return members[name]
    }

    /// The members that nobody asked for so far, in their order.
    var unasked: [String] { names.filter { !asked.contains(Identifier($0)) } }

    /// Notes the members that nobody asked for. To be called last.
    func finish() {
        for name in names where !asked.contains(Identifier(name)) {
            note(.badField, name, "Unknown field")
        }
    }

    /// Notes that a member is required, if it is absent or null.
    func require(_ name: String) {
        switch raw(name) {
        case nil, .null: note(.missingField, name, "The \(name) is required")
        default: break
        }
    }

    private func read<Value>(
        _ name: String, nullable: Bool, _ what: String, _ convert: (JSON) -> Value?
    ) -> Field<Value> {
        guard let value = raw(name) else { return .absent }
        if value == .null {
            if nullable { return .null }
            note(wrongType, name, "Must be \(what)")
            return .absent
        }
        guard let converted = convert(value) else {
            note(wrongType, name, "Must be \(what)")
            return .absent
        }
        return .value(converted)
    }

    /// A text without control characters.
    ///
    /// - Parameter bytes: how many bytes of UTF-8 it may have.
    func text(
        _ name: String, bytes: ClosedRange<Int>, nullable: Bool = false
    ) -> Field<String> {
        let field: Field<String> = read(name, nullable: nullable, "a string") {
            if case .string(let text) = $0 { text } else { nil }
        }
        guard let text = field.value else { return field }
        guard let fault = Self.fault(of: text, bytes: bytes) else { return field }
        note(.badField, name, fault)
        return .absent
    }

    /// What is wrong with a text; nil: nothing.
    static func fault(of text: String, bytes: ClosedRange<Int>) -> String? {
        guard bytes.contains(text.utf8.count) else {
            return bytes.lowerBound == 0
                ? "Must be at most \(bytes.upperBound) bytes"
                : "Must be \(bytes.lowerBound) to \(bytes.upperBound) bytes"
        }
        if text.hasControlCharacters {
            return "The string must not contain control characters"
        }
        return nil
    }

    func flag(_ name: String) -> Field<Bool> {
        read(name, nullable: false, "true or false") {
            if case .bool(let value) = $0 { value } else { nil }
        }
    }

    /// A whole number.
    func integer(
        _ name: String, _ range: ClosedRange<Int64>, nullable: Bool = false
    ) -> Field<Int64> {
        let field: Field<Int64?> = read(name, nullable: nullable, "a whole number", Self.whole)
        switch field {
        case .absent: return .absent
        case .null: return .null
        case .value(let number):
            guard let number, range.contains(number) else {
                note(outOfRange, name, "Must be \(range.lowerBound) to \(range.upperBound)")
                return .absent
            }
            return .value(number)
        }
    }

    /// Outer nil: it is not whole; inner: no Int64.
    private static func whole(_ value: JSON) -> Int64?? {
        guard case .number(let text) = value, let digits = wholeDigits(text) else { return nil }
        return .some(Int64(digits))
    }

    /// A list of whole numbers, each of which is in the range.
    func integers(
        _ name: String, _ range: ClosedRange<Int64>, atMost most: Int
    ) -> Field<[Int64]> {
        let field: Field<[JSON]> = read(name, nullable: false, "a list of whole numbers") {
            if case .array(let values) = $0 { values } else { nil }
        }
        guard let values = field.value else { return .absent }
        guard (1...most).contains(values.count) else {
            note(outOfRange, name, "Must have 1 to \(most) numbers")
            return .absent
        }
        let numbers = values.enumerated().compactMap { index, value -> Int64? in
            let position = APIErrorEntry.Source.pointer("\(path(name))/\(index)")
            guard let whole = Self.whole(value) else {
                findings.note(wrongType, position, "Must be a whole number")
                return nil
            }
            guard let number = whole, range.contains(number) else {
                findings.note(
                    outOfRange, position, "Must be \(range.lowerBound) to \(range.upperBound)")
                return nil
            }
            return number
        }
        return numbers.count == values.count ? .value(numbers) : .absent
    }

    /// "50" of "50" and "50.0"; nil: not whole, or with an exponent.
    private static func wholeDigits(_ text: String) -> Substring? {
        let parts = text.split(separator: ".", maxSplits: 1)
        guard let whole = parts.first, !whole.contains(where: { $0 == "e" || $0 == "E" }) else {
            return nil
        }
        if parts.count == 2 && !parts[1].allSatisfy({ $0 == "0" }) { return nil }
        return whole
    }

    /// Money as a decimal text, in nano-USD.
    func money(
        _ name: String, nullable: Bool = false, allowsNegative: Bool = false
    ) -> Field<Int64> {
        let field: Field<String> = read(
            name, nullable: nullable, "a decimal number of USD in quotes, like \"12.50\""
        ) {
            if case .string(let text) = $0 { text } else { nil }
        }
        switch field {
        case .absent: return .absent
        case .null: return .null
        case .value(let text):
            do {
                return .value(try Money.parse(text, allowsNegative: allowsNegative))
            } catch {
                note(error == .overflow ? outOfRange : .badField, name, "\(error.sentence)")
                return .absent
            }
        }
    }

    /// One of a few words.
    func choice<Value>(
        _ name: String, _ values: KeyValuePairs<String, Value>
    ) -> Field<Value> {
        guard let text = choice(name, values.map(\.key)).value,
            let found = values.first(where: { $0.key == text })
        else { return .absent }
        return .value(found.value)
    }

    func choice(_ name: String, _ words: [String]) -> Field<String> {
        let names = words.map { "\"\($0)\"" }.joined(separator: ", ")
        let field: Field<String> = read(name, nullable: false, "one of \(names)") {
            if case .string(let text) = $0 { text } else { nil }
        }
        guard let text = field.value, !words.contains(text) else { return field }
        note(.badField, name, "Must be one of \(names)")
        return .absent
    }

    /// A list of texts, each of which `convert` understands.
    func list<Value>(
        _ name: String, atMost maximum: Int, _ what: String, _ convert: (String) -> Value?
    ) -> Field<[Value]> {
        let field: Field<[JSON]> = read(name, nullable: false, "a list") {
            if case .array(let values) = $0 { values } else { nil }
        }
        guard let values = field.value else { return .absent }
        guard values.count <= maximum else {
            note(outOfRange, name, "At most \(maximum) entries are allowed")
            return .absent
        }
        var result: [Value] = []
        var seen: Set<Identifier> = []
        for (index, value) in values.enumerated() {
            let position = APIErrorEntry.Source.pointer("\(path(name))/\(index)")
            guard case .string(let text) = value else {
                findings.note(wrongType, position, "Must be \(what)")
                continue
            }
            guard let converted = convert(text) else {
                findings.note(.badField, position, "Must be \(what)")
                continue
            }
            if !seen.insert(Identifier(text)).inserted {
                findings.note(.badField, position, "Duplicate entry")
            }
            result.append(converted)
        }
        return .value(result)
    }

    /// An object within this one; nil: absent or null.
    func object(_ name: String) -> BodyReader? {
        switch raw(name) {
        case nil, .null: nil
        case .some(let value):
            BodyReader(
                value, at: path(name), findings, outOfRange: outOfRange, wrongType: wrongType)
        }
    }
}
