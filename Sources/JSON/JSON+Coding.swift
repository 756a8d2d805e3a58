// `Codable` values as JSON and back. Numbers, texts, flags, and what is made of them; members stand in the
// order in which they are coded. nil where a member is optional: the member is absent; an absent one and null read as nil.

extension JSON {
    package init(encoding value: some Encodable) throws {
        let node = Node()
        try node.encode(value)
        self = node.json
    }

    /// - Throws: `DecodingError`
    package func decoded<Value: Decodable>(as type: Value.Type) throws -> Value {
        try TreeDecoder(json: self, codingPath: []).decode(type)
    }
}

// MARK: Encoding

/// A place in the tree that is made.
private final class Node {
    private enum Content {
        case leaf(JSON)
        case members([(String, Node)])
        case elements([Node])
    }

    private var content = Content.leaf(.null)

    var json: JSON {
        switch content {
        case .leaf(let json): json
        case .members(let members): .object(members.map { ($0.0, $0.1.json) })
        case .elements(let elements): .array(elements.map(\.json))
        }
    }

    var count: Int { if case .elements(let elements) = content { elements.count } else { 0 } }

    func becomeObject() { if case .members = content {} else { content = .members([]) } }

    func becomeArray() { if case .elements = content {} else { content = .elements([]) } }

    func member(_ name: String) -> Node {
        let node = Node()
        if case .members(var members) = content {
            content = .leaf(.null)
            members.append((name, node))
            content = .members(members)
        }
        return node
    }

    func element() -> Node {
        let node = Node()
        if case .elements(var elements) = content {
            content = .leaf(.null)
            elements.append(node)
            content = .elements(elements)
        }
        return node
    }

    func encode(_ value: some Encodable) throws {
        switch value {
        case let text as String: content = .leaf(.string(text))
        case let flag as Bool: content = .leaf(.bool(flag))
        case let number as Double: content = .leaf(.decimal(number))
        case let number as Float: content = .leaf(.decimal(Double(number)))
        case let number as any FixedWidthInteger: content = .leaf(.number("\(number)"))
        default: try value.encode(to: TreeEncoder(node: self))
        }
    }
}

private struct TreeEncoder: Encoder, SingleValueEncodingContainer {
    let node: Node
    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        node.becomeObject()
        return KeyedEncodingContainer(MembersEncoder<Key>(node: node))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        node.becomeArray()
        return ElementsEncoder(node: node)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer { self }

    func encodeNil() {}

    func encode(_ value: some Encodable) throws { try node.encode(value) }
}

private struct MembersEncoder<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let node: Node
    var codingPath: [any CodingKey] { [] }

    private func member(_ key: some CodingKey) -> TreeEncoder {
        TreeEncoder(node: node.member(key.stringValue))
    }

    func encodeNil(forKey key: Key) { _ = member(key) }

    func encode(_ value: some Encodable, forKey key: Key) throws { try member(key).encode(value) }

    func nestedContainer<Nested>(
        keyedBy type: Nested.Type, forKey key: Key
    ) -> KeyedEncodingContainer<Nested> { member(key).container(keyedBy: type) }

    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        member(key).unkeyedContainer()
    }

    func superEncoder() -> any Encoder { TreeEncoder(node: node.member("super")) }

    func superEncoder(forKey key: Key) -> any Encoder { member(key) }
}

private struct ElementsEncoder: UnkeyedEncodingContainer {
    let node: Node
    var codingPath: [any CodingKey] { [] }
    var count: Int { node.count }

    private func element() -> TreeEncoder { TreeEncoder(node: node.element()) }

    func encodeNil() { _ = element() }

    func encode(_ value: some Encodable) throws { try element().encode(value) }

    func nestedContainer<Nested>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
        element().container(keyedBy: type)
    }

    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { element().unkeyedContainer() }

    func superEncoder() -> any Encoder { element() }
}

// MARK: Decoding

private struct TreeDecoder: Decoder, SingleValueDecodingContainer {
    let json: JSON
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    private func mismatch(_ type: Any.Type) -> DecodingError {
        .typeMismatch(
            type, DecodingError.Context(codingPath: codingPath, debugDescription: "not a \(type)"))
    }

    func container<Key>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        guard let members = json.members else { throw mismatch([String: JSON].self) }
        return KeyedDecodingContainer(MembersDecoder(members: members, codingPath: codingPath))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        guard let elements = json.array else { throw mismatch([JSON].self) }
        return ElementsDecoder(elements: elements, codingPath: codingPath)
    }

    func singleValueContainer() -> any SingleValueDecodingContainer { self }

    func decodeNil() -> Bool { json.isNull }

    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        let plain: Any?
        switch type {
        case is String.Type: plain = json.string
        case is Bool.Type: plain = json.bool
        case is Double.Type: plain = json.double
        case is Float.Type: plain = json.double.map { Float($0) }
        case let integer as any FixedWidthInteger.Type:
            if case .number(let text) = json { plain = integer.init(text) } else { plain = nil }
        default: return try Value(from: self)
        }
        guard let value = plain as? Value else { throw mismatch(type) }
        return value
    }
}

private struct MembersDecoder<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let members: [JSON.Member]
    let codingPath: [any CodingKey]
    var allKeys: [Key] { members.compactMap { Key(stringValue: $0.name) } }

    func contains(_ key: Key) -> Bool { JSON.object(members)[key.stringValue] != nil }

    private func member(_ key: some CodingKey) throws -> TreeDecoder {
        guard let json = JSON.object(members)[key.stringValue] else {
            let context = DecodingError.Context(
                codingPath: codingPath, debugDescription: "no \"\(key.stringValue)\"")
            throw DecodingError.keyNotFound(key, context)
        }
        return TreeDecoder(json: json, codingPath: codingPath + [key])
    }

    func decodeNil(forKey key: Key) throws -> Bool { try member(key).decodeNil() }

    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
        try member(key).decode(type)
    }

    func nestedContainer<Nested>(
        keyedBy type: Nested.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<Nested> { try member(key).container(keyedBy: type) }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try member(key).unkeyedContainer()
    }

    func superDecoder() throws -> any Decoder {
        TreeDecoder(json: JSON.object(members)["super"] ?? .null, codingPath: codingPath)
    }

    func superDecoder(forKey key: Key) throws -> any Decoder { try member(key) }
}

private struct ElementsDecoder: UnkeyedDecodingContainer {
    let elements: [JSON]
    let codingPath: [any CodingKey]
    var currentIndex = 0

    init(elements: [JSON], codingPath: [any CodingKey]) {
        self.elements = elements
        self.codingPath = codingPath
    }

    var count: Int? { elements.count }
    var isAtEnd: Bool { currentIndex == elements.count }

    private func current() throws -> TreeDecoder {
        guard !isAtEnd else {
            throw DecodingError.valueNotFound(
                JSON.self,
                DecodingError.Context(codingPath: codingPath, debugDescription: "no more elements"))
        }
        return TreeDecoder(json: elements[currentIndex], codingPath: codingPath)
    }

    /// What was read is passed over; what could not be is not.
    private mutating func next<Value>(_ read: (TreeDecoder) throws -> Value) throws -> Value {
        let value = try read(try current())
        currentIndex += 1
        return value
    }

    mutating func decodeNil() throws -> Bool {
        guard try current().decodeNil() else { return false }
        currentIndex += 1
        return true
    }

    mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        try next { try $0.decode(type) }
    }

    mutating func nestedContainer<Nested>(
        keyedBy type: Nested.Type
    ) throws -> KeyedDecodingContainer<Nested> { try next { try $0.container(keyedBy: type) } }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
        try next { try $0.unkeyedContainer() }
    }

    mutating func superDecoder() throws -> any Decoder { try next { $0 } }
}
