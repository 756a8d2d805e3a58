import Foundation
import Mustache

/// What a template is filled with: names and values. A value is a text, a flag, fields, or a list of these.
///
/// Every text is escaped by the template; `Fields` sees to it that nothing escapes the escaping.
struct Fields: Sendable, MustacheParent, ExpressibleByDictionaryLiteral {
    private var values: [String: any Sendable] = [:]

    init(dictionaryLiteral elements: (String, (any Sendable)?)...) {
        for (name, value) in elements { self[name] = value }
    }

    /// nil is a value too: a template that asks for it does not find that of the fields around these.
    subscript(name: String) -> (any Sendable)? {
        get { values[name] }
        set { values[name] = Self.kept(newValue) }
    }

    func child(named name: String) -> Any? { values[name] }

    /// Those of both; of `other` where both have one.
    func merging(_ other: Fields) -> Fields {
        var result = self
        result.values.merge(other.values) { $1 }
        return result
    }

    private static func kept(_ value: (any Sendable)?) -> any Sendable {
        switch value {
        case nil: Nothing()
        case let text as String: separated(text)
        case let texts as [String]: texts.map(separated)
        case .some(let value): value
        }
    }

    /// The template escapes characters, and a quotation mark with an accent on it is another character. A space without
    /// width makes them two.
    private static func separated(_ text: String) -> String {
        if text.utf8.allSatisfy({ $0 < 0x80 }) { return text }
        var result = ""
        for character in text {
            let scalars = character.unicodeScalars
            let isHidden =
                scalars.count > 1 && scalars.contains { "<>&\"'".unicodeScalars.contains($0) }
            result +=
                isHidden
                ? scalars.map { String($0) }.joined(separator: "\u{200B}") : String(character)
        }
        return result
    }

    /// Renders as nothing, and as a section that is not there.
    struct Nothing: Sendable, MustacheCustomRenderable {
        var renderText: String { "" }
        var isNull: Bool { true }
    }
}
