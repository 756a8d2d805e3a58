import CZlib

/// What became of a message that was to be unpacked.
package enum GzipDecoded {
    /// Valid until the decoder's next message.
    case complete(UnsafeRawBufferPointer)
    /// It unfolds to more than it may. How much more is not known: unpacking stopped there.
    case tooLarge
    /// It is no gzip, or does not end where it should, or its checksum is wrong.
    case damaged
    case noMemory
}

/// Unpacks gzip messages (RFC 1952), one after the other: nothing is kept from one message to the next but memory.
///
/// A message is one member; more behind it is damage. Takes some 45 KiB from the first message on, and as many bytes as
/// the largest message so far, at most.
///
/// Thread safety: one thread at a time.
package struct GzipDecoder: ~Copyable {
    /// zlib keeps pointers to it. nil: no message has come yet.
    private var stream: UnsafeMutablePointer<z_stream>?
    private var output: UnsafeMutableRawPointer?
    private var capacity = 0

    /// 15: the largest window, which any gzip may need; 16 more: a gzip header and trailer, and nothing else.
    private static let windowBits: Int32 = 15 + 16

    package init() {}

    deinit {
        if let stream {
            inflateEnd(stream)
            stream.deallocate()
        }
        output?.deallocate()
    }

    /// What the last message unfolded to, as far as that went.
    package private(set) var unfoldedBytes = 0

    /// Bytes that messages have had it take, so far.
    package var keptBytes: Int { capacity }

    /// Unpacks one message.
    ///
    /// - Parameter maximumBytes: what it may unfold to; the work ends a byte behind.
    /// - Complexity: O(bytes.count + maximumBytes)
    package mutating func decode(
        _ bytes: UnsafeRawBufferPointer, maximumBytes: Int
    ) -> GzipDecoded {
        unfoldedBytes = 0
        guard let stream = ready() else { return .noMemory }
        // zlib takes a mutable pointer and only reads through it.
        stream.pointee.next_in = UnsafeMutablePointer(
            mutating: bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
        stream.pointee.avail_in = UInt32(bytes.count)
        var count = 0
        while true {
            if count == capacity { grow(toHold: count + 1, atMost: maximumBytes + 1) }
            let room = min(capacity, maximumBytes + 1) - count
            stream.pointee.next_out = output.map {
                ($0 + count).assumingMemoryBound(to: UInt8.self)
            }
            stream.pointee.avail_out = UInt32(room)
            // Z_OK; Z_STREAM_END; Z_BUF_ERROR: no progress; Z_DATA_ERROR, Z_NEED_DICT: damage; Z_MEM_ERROR;
            // Z_STREAM_ERROR: a mistake of ours.
            let result = inflate(stream, Z_NO_FLUSH)
            count += room - Int(stream.pointee.avail_out)
            unfoldedBytes = count
            guard count <= maximumBytes else { return .tooLarge }
            switch result {
            case Z_STREAM_END:
                guard stream.pointee.avail_in == 0 else { return .damaged }
                return .complete(UnsafeRawBufferPointer(start: output, count: count))
            case Z_OK where stream.pointee.avail_out == 0:
                continue
            case Z_MEM_ERROR:
                return .noMemory
            default:
                return .damaged
            }
        }
    }

    private mutating func ready() -> UnsafeMutablePointer<z_stream>? {
        if let stream {
            // Z_OK, or Z_STREAM_ERROR: a mistake of ours.
            return inflateReset(stream) == Z_OK ? stream : nil
        }
        let fresh = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        fresh.initialize(to: z_stream())
        // Z_OK, Z_MEM_ERROR, or a mistake of ours.
        guard
            inflateInit2_(
                fresh, Self.windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK
        else {
            fresh.deallocate()
            return nil
        }
        stream = fresh
        return fresh
    }

    private mutating func grow(toHold count: Int, atMost maximum: Int) {
        let size = min(max(count, 4 * capacity, 4_096), max(maximum, count))
        let fresh = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
        if let output {
            fresh.copyMemory(from: output, byteCount: capacity)
            output.deallocate()
        }
        output = fresh
        capacity = size
    }
}
