import CTollgate

/// What a client asks server reflection.
package enum ReflectionQuestion: Equatable, Sendable {
    /// A file, as it is named where it is imported.
    case file(String)
    /// The file that declares a full name.
    case symbol(String)
    /// The file that declares an extension of a message.
    case fileExtending(String, number: Int32)
    /// The extensions of a message.
    case extensionNumbers(of: String)
    case services
    /// Nothing that this version knows.
    case none
}

/// What server reflection answers.
package enum ReflectionAnswer: Equatable, Sendable {
    /// Serialized files: the one that was asked for first, and behind it those that it needs, each once.
    case files([[UInt8]])
    case extensionNumbers(of: String, [Int32])
    case services([String])
    case unknown(String)
    case notUnderstood(String)
}

/// Who declares which name, of a set of descriptors: what server reflection answers from.
///
/// Answers depend on the set alone, and are no longer than it.
package struct DescriptorIndex: Sendable {
    private struct File {
        var bytes: [UInt8]
        var dependencies: [String]
    }

    private struct Extension: Hashable {
        var type: String
        var number: Int32
    }

    private var files: [String: File] = [:]
    /// File by full name.
    private var symbols: [String: String] = [:]
    private var messages: Set<String> = []
    private var extensions: [Extension: String] = [:]
    /// Full names of all services, in order.
    package private(set) var services: [String] = []
    /// Bytes of all files.
    package private(set) var byteCount = 0

    /// nil: malformed.
    ///
    /// - Parameter set: a serialized google.protobuf.FileDescriptorSet.
    package init?(_ set: UnsafeRawBufferPointer) {
        let contents = Self.unpack(set, Tollgate__Internal__FileSet.descriptor) {
            (set: UnsafePointer<Tollgate__Internal__FileSet>) in
            (0..<Int(set.pointee.n_file)).map { Array(set.pointee.file[$0].bytes) }
        }
        guard let contents else { return nil }
        for bytes in contents {
            let isRead = bytes.withUnsafeBytes { raw in
                Self.unpack(raw, Tollgate__Internal__FileDeclaration.descriptor) {
                    (file: UnsafePointer<Tollgate__Internal__FileDeclaration>) in add(file, bytes)
                } != nil
            }
            guard isRead else { return nil }
        }
        services.sort()
    }

    package func answer(_ question: ReflectionQuestion) -> ReflectionAnswer {
        switch question {
        case .file(let name):
            files[name] == nil ? .unknown("no such file") : .files(closure(of: name))
        case .symbol(let name):
            symbols[name].map { .files(closure(of: $0)) } ?? .unknown("no such symbol")
        case .fileExtending(let type, let number):
            extensions[Extension(type: type, number: number)]
                .map { .files(closure(of: $0)) } ?? .unknown("no such extension")
        case .extensionNumbers(let type):
            messages.contains(type)
                ? .extensionNumbers(
                    of: type, extensions.keys.filter { $0.type == type }.map(\.number).sorted())
                : .unknown("no such message")
        case .services:
            .services(services)
        case .none:
            .notUnderstood("unsupported reflection request")
        }
    }

    /// A file, and behind it those that it needs.
    private func closure(of name: String) -> [[UInt8]] {
        var names = [name]
        var next = 0
        while next < names.count {
            let needed = files[names[next]]?.dependencies ?? []
            names += needed.filter { !names.contains($0) && files[$0] != nil }
            next += 1
        }
        return names.compactMap { files[$0]?.bytes }
    }
}

// MARK: - Reading

extension DescriptorIndex {
    private static func unpack<Message: CMessage, R>(
        _ bytes: UnsafeRawBufferPointer, _ descriptor: UnsafePointer<ProtobufCMessageDescriptor>,
        _ body: (UnsafePointer<Message>) -> R
    ) -> R? {
        // NULL: malformed, or no memory.
        guard
            let message = protobuf_c_message_unpack(
                descriptor, nil, bytes.count,
                bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
        else { return nil }
        defer { protobuf_c_message_free_unpacked(message, nil) }
        return body(UnsafeRawPointer(message).assumingMemoryBound(to: Message.self))
    }

    private mutating func add(
        _ file: UnsafePointer<Tollgate__Internal__FileDeclaration>, _ bytes: [UInt8]
    ) {
        let name = Self.text(file.pointee.name)
        let dependencies = (0..<Int(file.pointee.n_dependency)).map {
            Self.text(file.pointee.dependency[$0])
        }
        files[name] = File(bytes: bytes, dependencies: dependencies)
        byteCount += bytes.count
        let scope = Self.text(file.pointee.package)
        each(file.pointee.message_type, file.pointee.n_message_type) { $0.add($1, scope, name) }
        each(file.pointee.enum_type, file.pointee.n_enum_type) { $0.add($1, scope, name) }
        each(file.pointee.service, file.pointee.n_service) { index, service in
            let service = service.pointee
            let full = index.note(service.name, scope, name)
            index.services.append(full)
            index.each(service.method, service.n_method) {
                _ = $0.note($1.pointee.name, full, name)
            }
        }
        each(file.pointee.extension, file.pointee.n_extension) { $0.addExtension($1, scope, name) }
    }

    private mutating func add(
        _ message: UnsafeMutablePointer<Tollgate__Internal__MessageDeclaration>, _ scope: String,
        _ file: String
    ) {
        let message = message.pointee
        let full = note(message.name, scope, file)
        messages.insert(full)
        each(message.field, message.n_field) { _ = $0.note($1.pointee.name, full, file) }
        each(message.oneof_decl, message.n_oneof_decl) { _ = $0.note($1.pointee.name, full, file) }
        each(message.enum_type, message.n_enum_type) { $0.add($1, full, file) }
        each(message.nested_type, message.n_nested_type) { $0.add($1, full, file) }
        each(message.extension, message.n_extension) { $0.addExtension($1, full, file) }
    }

    /// The values of an enumeration stand beside it, not in it.
    private mutating func add(
        _ enumeration: UnsafeMutablePointer<Tollgate__Internal__EnumDeclaration>, _ scope: String,
        _ file: String
    ) {
        _ = note(enumeration.pointee.name, scope, file)
        each(enumeration.pointee.value, enumeration.pointee.n_value) {
            _ = $0.note($1.pointee.name, scope, file)
        }
    }

    private mutating func addExtension(
        _ field: UnsafeMutablePointer<Tollgate__Internal__FieldDeclaration>, _ scope: String,
        _ file: String
    ) {
        _ = note(field.pointee.name, scope, file)
        let type = Self.text(field.pointee.extendee).drop { $0 == "." }
        extensions[Extension(type: String(type), number: field.pointee.number)] = file
    }

    /// - Returns: the full name.
    private mutating func note(
        _ name: ProtobufCBinaryData, _ scope: String, _ file: String
    ) -> String {
        let full = scope.isEmpty ? Self.text(name) : "\(scope).\(Self.text(name))"
        symbols[full] = file
        return full
    }

    private mutating func each<Element>(
        _ list: UnsafeMutablePointer<UnsafeMutablePointer<Element>?>?, _ count: Int,
        _ body: (inout DescriptorIndex, UnsafeMutablePointer<Element>) -> Void
    ) {
        guard let list else { return }
        for index in 0..<count {
            if let element = list[index] { body(&self, element) }
        }
    }

    private static func text(_ data: ProtobufCBinaryData) -> String {
        String(decoding: data.bytes, as: UTF8.self)
    }
}

extension Tollgate__Internal__FileSet: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__internal__file_set__init(pointer)
    }
}
extension Tollgate__Internal__FileDeclaration: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__internal__file_declaration__init(pointer)
    }
}
