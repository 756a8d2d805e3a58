import Glibc

/// Comparisons and parsers on the bytes of header fields.
enum FieldText {
    /// Whether `bytes` are exactly `text`.
    @inline(__always)
    static func equal(_ bytes: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
        guard bytes.count == text.utf8CodeUnitCount, let base = bytes.baseAddress else {
            return false
        }
        return memcmp(base, text.utf8Start, bytes.count) == 0
    }

    /// `application/grpc`, alone or as `application/grpc+proto`, with or without parameters, in any case; or something
    /// else, such as another encoding of the messages.
    static func contentType(_ value: UnsafeRawBufferPointer) -> ContentType {
        // As nearly everybody writes it.
        if equal(value, "application/grpc") { return .grpc }
        guard let rest = withoutPrefix(value, "application/grpc") else { return .other }
        let parameters = withoutPrefix(rest, "+proto") ?? rest
        guard let first = parameters.first else { return .grpc }
        return first == UInt8(ascii: ";") || first == UInt8(ascii: " ") ? .grpc : .other
    }

    /// What follows a prefix, which is compared without case; nil: it is not there.
    ///
    /// - Parameter prefix: without upper-case letters.
    private static func withoutPrefix(
        _ bytes: UnsafeRawBufferPointer, _ prefix: StaticString
    ) -> UnsafeRawBufferPointer? {
        let length = prefix.utf8CodeUnitCount
        guard bytes.count >= length else { return nil }
        for index in 0..<length {
            let byte = bytes[index]
            let lower = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte
            if lower != prefix.utf8Start[index] { return nil }
        }
        return UnsafeRawBufferPointer(rebasing: bytes[length...])
    }

    static func encoding(_ value: UnsafeRawBufferPointer) -> MessageEncoding {
        if equal(value, "identity") { return .identity }
        if equal(value, "gzip") { return .gzip }
        return .unknown
    }

    /// `grpc-timeout`: at most eight digits and one of H M S m u n.
    ///
    /// - Returns: nanoseconds, saturated at `Int64.max`; nil when malformed.
    static func timeout(_ value: UnsafeRawBufferPointer) -> Int64? {
        guard value.count >= 2, value.count <= 9,
            let amount = decimal(UnsafeRawBufferPointer(rebasing: value[..<(value.count - 1)]))
        else { return nil }
        let unit: Int64
        switch value[value.count - 1] {
        case UInt8(ascii: "H"): unit = 3_600_000_000_000
        case UInt8(ascii: "M"): unit = 60_000_000_000
        case UInt8(ascii: "S"): unit = 1_000_000_000
        case UInt8(ascii: "m"): unit = 1_000_000
        case UInt8(ascii: "u"): unit = 1_000
        case UInt8(ascii: "n"): unit = 1
        default: return nil
        }
        let (product, overflow) = Int64(amount).multipliedReportingOverflow(by: unit)
        return overflow ? .max : product
    }

    /// One to eight decimal digits; nil for anything else.
    static func decimal(_ value: UnsafeRawBufferPointer) -> Int32? {
        guard value.count >= 1, value.count <= 8 else { return nil }
        var result: Int32 = 0
        for byte in value {
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
            result = result * 10 + Int32(byte - UInt8(ascii: "0"))
        }
        return result
    }
}

/// The class of a `content-type`.
package enum ContentType: Sendable {
    case absent, grpc, other
}

/// A `grpc-encoding`.
package enum MessageEncoding: Sendable {
    case absent, identity, gzip, unknown
}
