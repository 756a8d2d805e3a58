internal import Gzip
internal import HTTP2

/// gRPC's framing of messages: a flag, a length, and the message, compressed or not. One for each
/// connection.
///
/// Thread safety: the connection's event loop only.
final class MessageCodec {
    /// Maximum size of an answer, compressed and decompressed.
    static let maximumAnswerBytes = 8 << 20

    /// The message at the front of a stream's input; valid until that changes.
    struct Frame {
        let isCompressed: Bool
        let payload: UnsafeRawBufferPointer

        /// How many bytes of input to consume with it.
        var byteCount: Int { 5 + payload.count }
    }

    private let accepts: Bool
    private let compressesFrom: Int
    private var encoder = GzipEncoder()
    private var decoder = GzipDecoder()

    init(_ configuration: ClientConfiguration) {
        accepts = configuration.acceptsCompression
        compressesFrom = configuration.compressesRequestsFrom ?? .max
    }

    /// Appends a request, compressed if it is large enough and that makes it smaller.
    func append(_ message: [UInt8], to output: inout ByteQueue) {
        message.withUnsafeBytes { plain in
            let compressed = plain.count >= compressesFrom ? encoder.encode(plain) : nil
            let bytes = compressed ?? plain
            var prefix: (UInt8, UInt8, UInt8, UInt8, UInt8) = (
                compressed == nil ? 0 : 1, UInt8(truncatingIfNeeded: bytes.count >> 24),
                UInt8(truncatingIfNeeded: bytes.count >> 16),
                UInt8(truncatingIfNeeded: bytes.count >> 8),
                UInt8(truncatingIfNeeded: bytes.count)
            )
            withUnsafeBytes(of: &prefix) { output.append($0) }
            output.append(bytes)
        }
    }

    /// The first whole message of a stream's input; nil: none yet.
    static func frame(in input: UnsafeRawBufferPointer) throws(TollgateError) -> Frame? {
        guard input.count >= 5 else { return nil }
        guard input[0] <= 1 else {
            throw TollgateError(.internal, "The answer is not a gRPC message")
        }
        let length = Int(UInt32(bigEndian: input.loadUnaligned(fromByteOffset: 1, as: UInt32.self)))
        guard length <= maximumAnswerBytes else { throw .answerTooLarge }
        guard input.count >= 5 + length else { return nil }
        return Frame(
            isCompressed: input[0] == 1,
            payload: UnsafeRawBufferPointer(rebasing: input[5..<5 + length]))
    }

    /// The message of a frame; valid until the next one.
    ///
    /// - Parameter encoding: The answer's `grpc-encoding`.
    func message(
        _ frame: Frame, _ encoding: MessageEncoding
    ) throws(TollgateError) -> UnsafeRawBufferPointer {
        guard frame.isCompressed else { return frame.payload }
        switch encoding {
        case .absent, .identity:
            throw TollgateError(
                .internal, "The answer is compressed without a grpc-encoding")
        case .gzip where accepts: break
        case .gzip, .unknown:
            throw TollgateError(
                .internal, "The answer uses an unsupported compression")
        }
        switch decoder.decode(frame.payload, maximumBytes: Self.maximumAnswerBytes) {
        case .complete(let message): return message
        case .tooLarge: throw .answerTooLarge
        case .damaged: throw TollgateError(.internal, "The answer is damaged or truncated gzip")
        case .noMemory:
            throw TollgateError(.resourceExhausted, "Out of memory while decompressing the answer")
        }
    }
}

extension TollgateError {
    static let answerTooLarge = TollgateError(
        .resourceExhausted, "The answer is too large for this client")
}
