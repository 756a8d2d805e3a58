import CZlib

/// Packs messages as gzip (RFC 1952), one after the other: nothing is kept from one message to the next but memory.
///
/// At zlib's fastest level: whoever serves has less processor to spare than network, and the messages of a protocol are
/// small, with much that is alike, which any level finds. Takes some 270 KiB from the first message on, and as many bytes
/// as the largest message so far.
///
/// Thread safety: one thread at a time.
package struct GzipEncoder: ~Copyable {
    /// zlib keeps pointers to it. nil: no message has come yet.
    private var stream: UnsafeMutablePointer<z_stream>?
    private var output: UnsafeMutableRawPointer?
    private var capacity = 0

    package init() {}

    deinit {
        if let stream {
            deflateEnd(stream)
            stream.deallocate()
        }
        output?.deallocate()
    }

    /// Packs one message.
    ///
    /// - Returns: fewer bytes, valid until the next message; nil: it does not become smaller, or there is no memory.
    /// - Complexity: O(bytes.count)
    package mutating func encode(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        guard bytes.count > 1, let stream = ready() else { return nil }
        if capacity < bytes.count {
            output?.deallocate()
            output = .allocate(byteCount: bytes.count, alignment: 16)
            capacity = bytes.count
        }
        // zlib takes a mutable pointer and only reads through it.
        stream.pointee.next_in = UnsafeMutablePointer(
            mutating: bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
        stream.pointee.avail_in = UInt32(bytes.count)
        stream.pointee.next_out = output?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_out = UInt32(bytes.count - 1)
        // Z_STREAM_END; Z_OK, Z_BUF_ERROR: it does not fit; Z_STREAM_ERROR: a mistake of ours.
        guard deflate(stream, Z_FINISH) == Z_STREAM_END else { return nil }
        return UnsafeRawBufferPointer(
            start: output, count: bytes.count - 1 - Int(stream.pointee.avail_out))
    }

    private mutating func ready() -> UnsafeMutablePointer<z_stream>? {
        if let stream {
            // Z_OK, or Z_STREAM_ERROR: a mistake of ours.
            return deflateReset(stream) == Z_OK ? stream : nil
        }
        let fresh = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        fresh.initialize(to: z_stream())
        // 15 bits of window, 16 more: a gzip header and trailer. Z_OK, Z_MEM_ERROR, or a mistake of ours.
        guard
            deflateInit2_(
                fresh, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
                Int32(MemoryLayout<z_stream>.size)) == Z_OK
        else {
            fresh.deallocate()
            return nil
        }
        stream = fresh
        return fresh
    }
}
