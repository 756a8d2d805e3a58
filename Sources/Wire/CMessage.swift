import CTollgate

/// A message struct of protoc-c.
protocol CMessage {
    /// Sets every member to its default and the descriptor.
    static func initialize(_ pointer: UnsafeMutablePointer<Self>)
}

extension CMessage {
    /// The descriptor that protobuf-c decodes this message by.
    static var descriptor: UnsafePointer<ProtobufCMessageDescriptor> {
        withUnsafeTemporaryAllocation(of: Self.self, capacity: 1) { buffer in
            guard let pointer = buffer.baseAddress else { preconditionFailure("capacity is 1") }
            initialize(pointer)
            let base = UnsafeRawPointer(pointer).assumingMemoryBound(to: ProtobufCMessage.self)
            return base.pointee.descriptor
        }
    }
}

extension Arena {
    /// A message with default members; nil when the arena's bound is reached.
    func make<Message: CMessage>(_ type: Message.Type) -> UnsafeMutablePointer<Message>? {
        guard let pointer = allocate(type) else { return nil }
        Message.initialize(pointer)
        return pointer
    }
}

extension ProtobufCBinaryData {
    /// Borrows; protobuf-c only reads what it packs.
    init(_ bytes: UnsafeRawBufferPointer) {
        self.init(
            len: bytes.count,
            data: UnsafeMutablePointer(
                mutating: bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)))
    }

    /// Borrows a text that lives as long as the program.
    init(_ text: StaticString) {
        self.init(len: text.utf8CodeUnitCount, data: UnsafeMutablePointer(mutating: text.utf8Start))
    }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: data, count: len) }
}

// How each message is initialized, as generated.
extension Tollgate__V1__Quantity: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__v1__quantity__init(pointer)
    }
}
extension Tollgate__V1__CheckAndReserveRequest: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__v1__check_and_reserve_request__init(pointer)
    }
}
extension Tollgate__V1__CheckAndReserveResponse: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__v1__check_and_reserve_response__init(pointer)
    }
}
extension Tollgate__V1__Error: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__v1__error__init(pointer)
    }
}
extension Tollgate__V1__ErrorMeta: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__v1__error_meta__init(pointer)
    }
}
extension Tollgate__V1__ErrorSource: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__v1__error_source__init(pointer)
    }
}
extension Tollgate__V1__LimitState: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__v1__limit_state__init(pointer)
    }
}
extension Tollgate__V1__CheckAndReserveBatchRequest: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__v1__check_and_reserve_batch_request__init(pointer)
    }
}
extension Tollgate__V1__CheckAndReserveBatchResponse: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__v1__check_and_reserve_batch_response__init(pointer)
    }
}
extension Tollgate__V1__CheckAndReserveResult: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__v1__check_and_reserve_result__init(pointer)
    }
}
extension Tollgate__V1__CommitRequest: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__v1__commit_request__init(pointer)
    }
}
extension Tollgate__V1__CommitResponse: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__v1__commit_response__init(pointer)
    }
}
extension Tollgate__V1__ReleaseRequest: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__v1__release_request__init(pointer)
    }
}
extension Tollgate__V1__ReleaseResponse: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__v1__release_response__init(pointer)
    }
}
extension Tollgate__V1__ExtendRequest: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__v1__extend_request__init(pointer)
    }
}
extension Tollgate__V1__ExtendResponse: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__v1__extend_response__init(pointer)
    }
}
extension Tollgate__V1__RecordUsageRequest: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__v1__record_usage_request__init(pointer)
    }
}
extension Tollgate__V1__RecordUsageResponse: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__v1__record_usage_response__init(pointer)
    }
}
extension Tollgate__V1__GetUsageRequest: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__v1__get_usage_request__init(pointer)
    }
}
extension Tollgate__V1__GetUsageResponse: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__v1__get_usage_response__init(pointer)
    }
}
extension Tollgate__V1__WatchUsageRequest: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__v1__watch_usage_request__init(pointer)
    }
}
extension Tollgate__V1__WatchUsageResponse: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__v1__watch_usage_response__init(pointer)
    }
}
extension Tollgate__Internal__Status: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__internal__status__init(pointer)
    }
}
extension Tollgate__Internal__Any: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__internal__any__init(pointer)
    }
}
extension Tollgate__Internal__Duration: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__internal__duration__init(pointer)
    }
}
extension Tollgate__Internal__ErrorInfo: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__internal__error_info__init(pointer)
    }
}
extension Tollgate__Internal__MetadataEntry: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__internal__metadata_entry__init(pointer)
    }
}
extension Tollgate__Internal__BadRequest: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__internal__bad_request__init(pointer)
    }
}
extension Tollgate__Internal__FieldViolation: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__internal__field_violation__init(pointer)
    }
}
extension Tollgate__Internal__RetryInfo: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__internal__retry_info__init(pointer)
    }
}
extension Tollgate__Internal__QuotaFailure: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__internal__quota_failure__init(pointer)
    }
}
extension Tollgate__Internal__QuotaViolation: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        tollgate__internal__quota_violation__init(pointer)
    }
}
