import Limits

/// A JSON value. Objects keep the order of their members, numbers their exact text.
package enum JSON: Sendable, Equatable {
    case null
    case bool(Bool)
    /// As written, in JSON's grammar: nothing is lost on the way.
    case number(String)
    case string(String)
    case array([JSON])
    case object([Member])

    package typealias Member = (name: String, value: JSON)

    /// Whether both are written alike: texts are compared by their bytes, as ids are.
    package static func == (one: JSON, other: JSON) -> Bool {
        switch (one, other) {
        case (.null, .null): true
        case (.bool(let one), .bool(let other)): one == other
        case (.number(let one), .number(let other)): one.hasSameBytes(as: other)
        case (.string(let one), .string(let other)): one.hasSameBytes(as: other)
        case (.array(let one), .array(let other)): one == other
        case (.object(let one), .object(let other)):
            one.elementsEqual(other) { $0.name.hasSameBytes(as: $1.name) && $0.value == $1.value }
        default: false
        }
    }

    // MARK: Making

    package static func integer(_ value: Int64) -> JSON { .number(String(value)) }

    package static func integer(_ value: Int) -> JSON { .number(String(value)) }

    package static func integer(_ value: some BinaryInteger) -> JSON { .number(String(value)) }

    /// The shortest text that is read as this number again; null for what is no number.
    package static func decimal(_ value: Double) -> JSON {
        guard value.isFinite else { return .null }
        let text = "\(value)"
        return .number(text.hasSuffix(".0") ? String(text.dropLast(2)) : text)
    }

    /// null for nil.
    package static func text(_ value: String?) -> JSON { value.map { .string($0) } ?? .null }

    /// null for an empty text.
    package static func nonEmpty(_ value: String) -> JSON {
        value.isEmpty ? .null : .string(value)
    }

    /// An object with the members of both.
    package static func + (left: JSON, right: JSON) -> JSON {
        guard case .object(let first) = left, case .object(let second) = right else { return left }
        return .object(first + second)
    }

    /// The members of each object in the order of their names' bytes.
    package var sorted: JSON {
        switch self {
        case .array(let values): .array(values.map(\.sorted))
        case .object(let members):
            .object(
                members.map { ($0.name, $0.value.sorted) }
                    .sorted { $0.0.utf8.lexicographicallyPrecedes($1.0.utf8) })
        case .null, .bool, .number, .string: self
        }
    }

    // MARK: Taking apart

    /// The member of an object; nil: no such member, or no object.
    package subscript(name: String) -> JSON? {
        members?.first { $0.name.hasSameBytes(as: name) }?.value
    }

    package var members: [Member]? {
        if case .object(let members) = self { members } else { nil }
    }

    package var array: [JSON]? {
        if case .array(let values) = self { values } else { nil }
    }

    package var string: String? {
        if case .string(let text) = self { text } else { nil }
    }

    package var bool: Bool? {
        if case .bool(let flag) = self { flag } else { nil }
    }

    /// A whole number without fraction or exponent; nil: something else, or beyond 64 bits.
    package var integer: Int64? {
        if case .number(let text) = self { Int64(text) } else { nil }
    }

    /// The nearest; infinite beyond the greatest. nil: no number.
    package var double: Double? {
        if case .number(let text) = self { Double(text) } else { nil }
    }

    package var isNull: Bool {
        if case .null = self { true } else { false }
    }
}

// MARK: Literals

extension JSON: ExpressibleByStringLiteral, ExpressibleByStringInterpolation,
    ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral,
    ExpressibleByDictionaryLiteral
{
    package init(stringLiteral value: String) { self = .string(value) }
    package init(integerLiteral value: Int64) { self = .number(String(value)) }
    package init(booleanLiteral value: Bool) { self = .bool(value) }
    package init(arrayLiteral elements: JSON...) { self = .array(elements) }
    package init(dictionaryLiteral elements: (String, JSON)...) {
        self = .object(elements.map { ($0, $1) })
    }
}
