import CTollgate
import Limits

/// A message that the client sends.
package protocol RequestMessage: Sendable {
    /// The message as bytes, without the gRPC prefix.
    ///
    /// - Complexity: O(size); allocates.
    func encoded() -> [UInt8]
}

/// A message that the client receives.
package protocol ResponseMessage: Sendable {
    /// Reads a message without its gRPC prefix.
    ///
    /// - Complexity: O(size); allocates.
    init(decoding bytes: UnsafeRawBufferPointer) throws(WireDecodingError)
}

/// The bytes are not the message that was expected.
package struct WireDecodingError: Error, Equatable {
    package init() {}
}

/// Memory of one message under construction.
struct ClientWriter: ~Copyable {
    let arena: Arena

    /// - Parameter textBytes: bytes of all texts, `messages`: number of messages and of list
    ///   entries.
    init(textBytes: Int, messages: Int) {
        // 256 bytes hold any message of the contract and its place in a list; a text is padded to
        // 8.
        arena = Arena(capacity: (textBytes + messages * 256 + 7) & ~7)
    }

    func make<Message: CMessage>(_ type: Message.Type) -> UnsafeMutablePointer<Message> {
        guard let pointer = arena.make(type) else { preconditionFailure("counted too little") }
        return pointer
    }

    func text(_ string: String) -> ProtobufCBinaryData {
        var string = string
        return string.withUTF8 { utf8 in
            guard let copy = arena.allocate(UInt8.self, count: utf8.count) else {
                preconditionFailure("counted too little")
            }
            UnsafeMutableRawBufferPointer(start: copy, count: utf8.count)
                .copyMemory(from: UnsafeRawBufferPointer(utf8))
            return ProtobufCBinaryData(len: utf8.count, data: copy)
        }
    }

    func list<Element, Message>(
        _ elements: [Element], _ write: (Element) -> UnsafeMutablePointer<Message>
    ) -> UnsafeMutablePointer<UnsafeMutablePointer<Message>?>? {
        if elements.isEmpty { return nil }
        guard
            let base = arena.allocate(
                UnsafeMutablePointer<Message>?.self, count: elements.count)
        else { preconditionFailure("counted too little") }
        for (index, element) in elements.enumerated() { base[index] = write(element) }
        return base
    }

    func quantities(
        _ quantities: [Quantity]
    ) -> UnsafeMutablePointer<UnsafeMutablePointer<Tollgate__V1__Quantity>?>? {
        list(quantities) { quantity in
            let message = make(Tollgate__V1__Quantity.self)
            message.pointee.resource = Tollgate__V1__Resource(UInt32(quantity.resource.rawValue))
            message.pointee.amount = quantity.amount
            message.pointee.min_amount = quantity.minimum
            return message
        }
    }

    func pack<Message: CMessage>(_ message: UnsafeMutablePointer<Message>) -> [UInt8] {
        let base = UnsafeRawPointer(message).assumingMemoryBound(to: ProtobufCMessage.self)
        return [UInt8](
            unsafeUninitializedCapacity: protobuf_c_message_get_packed_size(base)
        ) { buffer, count in
            count = buffer.baseAddress.map { protobuf_c_message_pack(base, $0) } ?? 0
        }
    }
}

/// Decodes a message and lets `read` make values of it.
///
/// The memory is bounded by the size of the message, as the service is trusted less than this
/// process.
func readMessage<Message: CMessage, Value>(
    _ type: Message.Type, _ bytes: UnsafeRawBufferPointer, _ read: (Message) -> Value
) throws(WireDecodingError) -> Value {
    let arena = Arena(capacity: 8 * 1024 + bytes.count * 64)
    let base = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
    guard
        let message = protobuf_c_message_unpack(
            Message.descriptor, arena.allocator, bytes.count, base)
    else { throw WireDecodingError() }
    return read(UnsafeRawPointer(message).assumingMemoryBound(to: Message.self).pointee)
}

/// Reads a repeated field.
func readList<Message, Value>(
    _ base: UnsafeMutablePointer<UnsafeMutablePointer<Message>?>?, _ count: Int,
    _ read: (Message) -> Value
) -> [Value] {
    UnsafeBufferPointer(start: base, count: base == nil ? 0 : count)
        .compactMap { $0.map { read($0.pointee) } }
}

extension String {
    /// A field of a response; bytes that are not UTF-8 are replaced.
    init(_ field: ProtobufCBinaryData) {
        self.init(decoding: field.bytes, as: UTF8.self)
    }
}
