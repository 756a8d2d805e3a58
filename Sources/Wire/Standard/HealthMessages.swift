import CTollgate
package import Limits

/// The status of a service, as grpc.health.v1 numbers it.
package enum ServingStatus: UInt8, Sendable {
    case unknown, serving, notServing
    /// There is no such service; Watch alone says so.
    case serviceUnknown
}

/// The messages of grpc.health.v1.
///
/// Thread safety: none; one object belongs to one event loop.
package final class HealthMessages {
    /// Bytes of a request: room for any name of a service, and for fields that this version does not know.
    package static let requestBytes = 1_024
    /// Upper bound of an answer to Check and of a message of Watch.
    package static let statusBytes = 8

    private let arena = Arena(capacity: 64 * 1_024)
    private let descriptor = Grpc__Health__V1__HealthCheckRequest.descriptor

    package init() {}

    /// The service that a HealthCheckRequest asks about; nil: malformed.
    package func service(_ bytes: BorrowedBytes) -> String? {
        guard
            let request: UnsafePointer<Grpc__Health__V1__HealthCheckRequest> = arena.unpack(
                bytes, descriptor)
        else { return nil }
        return String(validating: request.pointee.service.bytes, as: UTF8.self)
    }

    /// HealthCheckResponse.
    ///
    /// - Parameter buffer: of `statusBytes` or more.
    package func write(_ status: ServingStatus, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        arena.reset(limit: arena.capacity)
        let response = arena.need(Grpc__Health__V1__HealthCheckResponse.self)
        response.pointee.status = Self.number(status)
        return arena.pack(response) { _ in buffer }
    }

    /// HealthListResponse.
    ///
    /// - Parameter buffer: gives room for so many bytes, or more.
    package func write(
        _ statuses: [(service: String, status: ServingStatus)],
        into buffer: (Int) -> UnsafeMutableRawBufferPointer
    ) -> Int {
        typealias Entry = Grpc__Health__V1__HealthListResponse__StatusesEntry
        arena.reset(limit: arena.capacity)
        let response = arena.need(Grpc__Health__V1__HealthListResponse.self)
        let entries = arena.need(UnsafeMutablePointer<Entry>?.self, count: statuses.count)
        for (index, item) in statuses.enumerated() {
            let entry = arena.need(Entry.self)
            let name = arena.copy(item.service.utf8)
            entry.pointee.key = UnsafeMutablePointer(
                mutating: name.assumingMemoryBound(to: CChar.self))
            entry.pointee.value = arena.need(Grpc__Health__V1__HealthCheckResponse.self)
            entry.pointee.value.pointee.status = Self.number(item.status)
            entries[index] = entry
        }
        response.pointee.n_statuses = statuses.count
        response.pointee.statuses = entries
        return arena.pack(response, into: buffer)
    }

    private static func number(
        _ status: ServingStatus
    ) -> Grpc__Health__V1__HealthCheckResponse__ServingStatus {
        Grpc__Health__V1__HealthCheckResponse__ServingStatus(UInt32(status.rawValue))
    }
}

extension Arena {
    /// Forgets what was there and decodes a message; nil: malformed, or more than the arena holds.
    func unpack<Message: CMessage>(
        _ bytes: BorrowedBytes, _ descriptor: UnsafePointer<ProtobufCMessageDescriptor>
    ) -> UnsafePointer<Message>? {
        reset(limit: capacity)
        // NULL: malformed bytes, or the arena is full.
        guard
            let message = protobuf_c_message_unpack(
                descriptor, allocator, bytes.count,
                bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
        else { return nil }
        return UnsafeRawPointer(message).assumingMemoryBound(to: Message.self)
    }

    /// A message with default members, of an arena that is known to hold it.
    func need<Message: CMessage>(_ type: Message.Type) -> UnsafeMutablePointer<Message> {
        guard let pointer = make(type) else { preconditionFailure("the arena is spent") }
        return pointer
    }

    /// Room for plain values or pointers, of an arena that is known to have it.
    func need<Value>(_ type: Value.Type, count: Int) -> UnsafeMutablePointer<Value> {
        guard let pointer = allocate(type, count: count) else {
            preconditionFailure("the arena is spent")
        }
        return pointer
    }

    /// A copy of bytes, with a zero byte behind.
    func copy(_ bytes: some Collection<UInt8>) -> UnsafeRawPointer {
        let count = bytes.count
        let room = need(UInt8.self, count: count + 1)
        for (index, byte) in bytes.enumerated() { room[index] = byte }
        room[count] = 0
        return UnsafeRawPointer(room)
    }

    /// Encodes a message; its length.
    func pack<Message: CMessage>(
        _ message: UnsafeMutablePointer<Message>,
        into buffer: (Int) -> UnsafeMutableRawBufferPointer
    ) -> Int {
        let base = UnsafeRawPointer(message).assumingMemoryBound(to: ProtobufCMessage.self)
        let size = protobuf_c_message_get_packed_size(base)
        let room = buffer(size)
        precondition(room.count >= size, "there is less room than was asked for")
        return protobuf_c_message_pack(
            base, room.baseAddress?.assumingMemoryBound(to: UInt8.self))
    }
}

// How each message is initialized, as generated.
extension Grpc__Health__V1__HealthCheckRequest: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        grpc__health__v1__health_check_request__init(pointer)
    }
}
extension Grpc__Health__V1__HealthCheckResponse: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        grpc__health__v1__health_check_response__init(pointer)
    }
}
extension Grpc__Health__V1__HealthListResponse: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        grpc__health__v1__health_list_response__init(pointer)
    }
}
extension Grpc__Health__V1__HealthListResponse__StatusesEntry: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        grpc__health__v1__health_list_response__statuses_entry__init(pointer)
    }
}
