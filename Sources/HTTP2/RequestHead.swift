/// What a request's header fields say, as far as a gRPC server needs it. Fixed size: the few values
/// that are kept as bytes lie in the stream's own storage.
package struct RequestHead {
    /// The route's index in the `RouteTable`; -1: the path is unknown.
    package internal(set) var route: Int16 = -1
    package internal(set) var contentType = ContentType.absent
    package internal(set) var encoding = MessageEncoding.absent
    package internal(set) var isPost = false
    /// `te: trailers` was sent.
    package internal(set) var acceptsTrailers = false
    /// `grpc-accept-encoding` names gzip.
    package internal(set) var acceptsGzip = false
    /// `tollgate-deny: status`: denials are to be sent as a gRPC status.
    package internal(set) var denyAsStatus = false
    /// A field that must be unique came twice, or `grpc-timeout` could not be read.
    package internal(set) var isMalformed = false
    /// There were more fields than a request may have, or larger ones: it was not read to its end.
    package internal(set) var isTooLarge = false
    /// `grpc-timeout` in nanoseconds; -1: none.
    package internal(set) var timeoutNanoseconds: Int64 = -1
    /// When the read came that brought the request's first bytes.
    package internal(set) var receivedNanoseconds: UInt64 = 0
    /// Length of `authorization` in the stream's metadata bytes; -1: none.
    var authorizationLength: Int32 = -1

    /// A longer value of `authorization` is nobody's, and only its first byte is kept.
    package static let longestAuthorization = 4_096

    /// A gRPC call of a known method, in a form that can be read.
    package var isReadable: Bool {
        guard route >= 0, isPost, !isMalformed, !isTooLarge, case .grpc = contentType else {
            return false
        }
        switch encoding {
        case .absent, .identity, .gzip: return true
        case .unknown: return false
        }
    }

    /// Takes one field. Others than the known ones are passed over.
    ///
    /// - Parameter metadata: where bytes that must be kept go.
    mutating func take(
        name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, routes: RouteTable.View?,
        metadata: inout ByteQueue
    ) {
        switch name.count {
        case 2:
            if FieldText.equal(name, "te") { acceptsTrailers = FieldText.equal(value, "trailers") }
        case 5:
            if FieldText.equal(name, ":path") { route = Int16(routes?.find(value) ?? -1) }
        case 7:
            if FieldText.equal(name, ":method") { isPost = FieldText.equal(value, "POST") }
        case 12:
            if FieldText.equal(name, "content-type") {
                isMalformed = isMalformed || contentType != .absent
                contentType = FieldText.contentType(value)
            } else if FieldText.equal(name, "grpc-timeout") {
                isMalformed = isMalformed || timeoutNanoseconds >= 0
                if let timeout = FieldText.timeout(value) {
                    timeoutNanoseconds = timeout
                } else {
                    isMalformed = true
                }
            }
        case 13:
            takeThirteen(name: name, value: value, metadata: &metadata)
        case 20:
            if FieldText.equal(name, "grpc-accept-encoding") {
                acceptsGzip = Self.lists("gzip", in: value)
            }
        default:
            return
        }
    }

    /// The names of thirteen bytes, apart because there are three of them.
    private mutating func takeThirteen(
        name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, metadata: inout ByteQueue
    ) {
        if FieldText.equal(name, "authorization") {
            isMalformed = isMalformed || authorizationLength >= 0
            guard authorizationLength < 0 else { return }
            // Of a longer one a byte is kept, which is nobody's: a request with none may be a certificate's.
            let isKept = value.count <= Self.longestAuthorization
            let kept = isKept ? value : UnsafeRawBufferPointer(rebasing: value.prefix(1))
            metadata.append(kept)
            authorizationLength = Int32(kept.count)
        } else if FieldText.equal(name, "grpc-encoding") {
            isMalformed = isMalformed || encoding != .absent
            encoding = FieldText.encoding(value)
        } else if FieldText.equal(name, "tollgate-deny") {
            denyAsStatus = FieldText.equal(value, "status")
        }
    }

    /// Whether the comma-separated list `value` holds `item`.
    private static func lists(_ item: StaticString, in value: UnsafeRawBufferPointer) -> Bool {
        var start = 0
        for index in 0...value.count where index == value.count || value[index] == 0x2c {
            var low = start
            var high = index
            while low < high, value[low] == 0x20 { low += 1 }
            while high > low, value[high - 1] == 0x20 { high -= 1 }
            if FieldText.equal(UnsafeRawBufferPointer(rebasing: value[low..<high]), item) {
                return true
            }
            start = index + 1
        }
        return false
    }
}
