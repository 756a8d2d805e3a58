/// The length-prefixed messages of gRPC over HTTP/2, and the encodings of its metadata.
enum GRPCFraming {
    /// Flag and length ahead of each message.
    static let prefixBytes = 5

    /// The front of a body.
    enum Message {
        /// Not all there yet (or, at the end of the stream: cut short).
        case incomplete
        /// A message and the bytes it takes with its prefix.
        case complete(UnsafeRawBufferPointer, consumed: Int)
        /// The same, compressed.
        case compressed(UnsafeRawBufferPointer, consumed: Int)
        /// The compressed flag is neither set nor unset.
        case malformed
        case tooLarge
    }

    /// Whether the message at the front of `body` is compressed.
    static func isCompressed(_ body: UnsafeRawBufferPointer) -> Bool { body.first == 1 }

    /// Reads the message at the front of `body`.
    static func parse(_ body: UnsafeRawBufferPointer, maximumBytes: Int) -> Message {
        guard body.count >= prefixBytes, let base = body.baseAddress else { return .incomplete }
        guard body[0] <= 1 else { return .malformed }
        let length = Int(
            UInt32(bigEndian: base.loadUnaligned(fromByteOffset: 1, as: UInt32.self)))
        guard length <= maximumBytes else { return .tooLarge }
        guard body.count - prefixBytes >= length else { return .incomplete }
        let message = UnsafeRawBufferPointer(start: base + prefixBytes, count: length)
        return body[0] == 0
            ? .complete(message, consumed: prefixBytes + length)
            : .compressed(message, consumed: prefixBytes + length)
    }

    /// `grpc-message`: bytes outside of printable ASCII, and "%", become "%XX". Cut at 1 KiB.
    static func percentEncode(_ text: String) -> [UInt8] {
        let digits = Array("0123456789ABCDEF".utf8)
        var result: [UInt8] = []
        result.reserveCapacity(text.utf8.count)
        for byte in text.utf8 where result.count <= 1_021 {
            if byte >= 0x20, byte <= 0x7e, byte != UInt8(ascii: "%") {
                result.append(byte)
            } else {
                result += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return result
    }

    /// Base64 (RFC 4648 §4) without padding, as `-bin` metadata is sent.
    static func base64(_ bytes: [UInt8]) -> [UInt8] {
        let alphabet = Array(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var result: [UInt8] = []
        result.reserveCapacity((bytes.count * 4 + 2) / 3)
        var bits: UInt32 = 0
        var bitCount = 0
        for byte in bytes {
            bits = bits << 8 | UInt32(byte)
            bitCount += 8
            while bitCount >= 6 {
                bitCount -= 6
                result.append(alphabet[Int(bits >> UInt32(bitCount) & 63)])
            }
        }
        if bitCount > 0 { result.append(alphabet[Int(bits << UInt32(6 - bitCount) & 63)]) }
        return result
    }
}
