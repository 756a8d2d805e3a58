/// What a response's header fields and trailers say, as far as a gRPC client needs it.
package struct ResponseHead {
    /// `:status`; 0: none yet.
    package internal(set) var httpStatus: Int32 = 0
    /// `grpc-status`, from the trailers or from a Trailers-Only head; -1: none yet.
    package internal(set) var grpcStatus: Int32 = -1
    package internal(set) var contentType = ContentType.absent
    package internal(set) var encoding = MessageEncoding.absent
    /// Where `grpc-message`, still percent-encoded, lies in the stream's metadata bytes.
    var message: Range<Int32> = 0..<0
    /// Where `grpc-status-details-bin`, still in base64, lies in the stream's metadata bytes.
    var details: Range<Int32> = 0..<0

    mutating func take(
        name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, metadata: inout ByteQueue
    ) {
        switch name.count {
        case 7:
            if FieldText.equal(name, ":status") { httpStatus = FieldText.decimal(value) ?? 0 }
        case 11:
            // A status that is no number is answered as UNKNOWN.
            if FieldText.equal(name, "grpc-status") { grpcStatus = FieldText.decimal(value) ?? 2 }
        case 12:
            if FieldText.equal(name, "content-type") {
                contentType = FieldText.contentType(value)
            } else if FieldText.equal(name, "grpc-message") {
                message = Self.keep(value, in: &metadata)
            }
        case 13:
            if FieldText.equal(name, "grpc-encoding") { encoding = FieldText.encoding(value) }
        case 23:
            if FieldText.equal(name, "grpc-status-details-bin") {
                details = Self.keep(value, in: &metadata)
            }
        default:
            return
        }
    }

    private static func keep(
        _ value: UnsafeRawBufferPointer, in metadata: inout ByteQueue
    ) -> Range<Int32> {
        let start = Int32(metadata.count)
        metadata.append(value)
        return start..<Int32(metadata.count)
    }
}
