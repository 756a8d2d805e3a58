/// An id of a tenant or a messaging profile, as ids are compared: by its bytes.
///
/// To `String` two spellings of a letter are equal (Unicode canonical equivalence), and they are two tenants: wherever
/// an id is the key of a table or meets another one it does so as an `Identifier`.
public struct Identifier: Hashable, Comparable, Sendable, CustomStringConvertible,
    ExpressibleByStringLiteral
{
    public let text: String

    public init(_ text: String) { self.text = text }

    public init(stringLiteral text: String) { self.text = text }

    public static func == (one: Identifier, other: Identifier) -> Bool {
        one.text.hasSameBytes(as: other.text)
    }

    public static func < (one: Identifier, other: Identifier) -> Bool {
        one.text.utf8.lexicographicallyPrecedes(other.text.utf8)
    }

    public func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }

    public var description: String { text }

    /// The most bytes that an id has.
    public static let longest = 64
    /// Bytes that an id may have.
    public static var lengths: ClosedRange<Int> { 1...longest }

    /// Why nothing new may have this id, as words behind "the id"; nil: it may.
    ///
    /// "." and ".." are no parts of a URL's path; spaces at an end and characters that turn the direction of writing make
    /// two ids look like one.
    public static func fault(of text: String) -> String? {
        let scalars = text.unicodeScalars
        guard let first = scalars.first, let last = scalars.last, text.utf8.count <= longest else {
            return "must be 1 to \(longest) bytes"
        }
        if text.hasControlCharacters {
            return "must not contain control characters"
        }
        if scalars.contains(where: \.properties.isBidiControl) {
            return "must not contain characters that change the text direction"
        }
        if first.properties.isWhitespace || last.properties.isWhitespace {
            return "must not begin or end with a space"
        }
        if text == "." || text == ".." { return "must not be \".\" or \"..\"" }
        return nil
    }
}

extension Dictionary where Key == Identifier {
    /// The value of an id.
    package subscript(id: String) -> Value? {
        get { self[Identifier(id)] }
        _modify { yield &self[Identifier(id)] }
    }
}

extension String {
    /// Whether a character of it would not be seen, and might move what is.
    public var hasControlCharacters: Bool {
        unicodeScalars.contains { $0.properties.generalCategory == .control }
    }

    /// Whether both are the same bytes of UTF-8, which `==` does not ask.
    public func hasSameBytes(as other: String) -> Bool { utf8.elementsEqual(other.utf8) }
}
