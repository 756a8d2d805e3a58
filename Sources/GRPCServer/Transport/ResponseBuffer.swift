internal import HTTP2

/// Where a service writes one encoded message: straight into the stream's output, behind the length
/// prefix that the transport fills in.
package struct ResponseBuffer {
    private let output: UnsafeMutablePointer<ByteQueue>
    /// Where this message's prefix begins, counted from the head of the queue.
    private let start: Int

    /// Opens a message at the end of `output`.
    init(_ output: UnsafeMutablePointer<ByteQueue>) {
        self.output = output
        start = output.pointee.count
        _ = output.pointee.reserve(256)
        withUnsafeBytes(of: (UInt32(0), UInt8(0))) {
            output.pointee.append(UnsafeRawBufferPointer(rebasing: $0[..<GRPCFraming.prefixBytes]))
        }
    }

    /// Goes on with the message that stands in `output`, of a request that was put off.
    init(resuming output: UnsafeMutablePointer<ByteQueue>) {
        self.output = output
        start = 0
    }

    /// Bytes written so far.
    package var count: Int { output.pointee.count - start - GRPCFraming.prefixBytes }

    /// Room for at least `byteCount` bytes; `commit` takes them into the message.
    package mutating func reserve(_ byteCount: Int) -> UnsafeMutableRawBufferPointer {
        output.pointee.reserve(byteCount)
    }

    /// Takes the first `byteCount` bytes of the last reservation into the message.
    package mutating func commit(_ byteCount: Int) {
        output.pointee.commit(byteCount)
    }

    package mutating func append(_ bytes: UnsafeRawBufferPointer) {
        output.pointee.append(bytes)
    }

    /// Takes back everything written.
    package mutating func removeAll() {
        output.pointee.truncate(to: start + GRPCFraming.prefixBytes)
    }

    /// Completes the message.
    func close() {
        output.pointee.store(UInt32(truncatingIfNeeded: count), at: start + 1)
    }

    /// The message without its prefix. Valid until the queue is next changed.
    var message: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(
            rebasing: output.pointee.readable[(start + GRPCFraming.prefixBytes)...])
    }

    /// Puts a compressed message in the place of the closed one.
    ///
    /// - Parameter packed: no bytes of the queue.
    func replace(with packed: UnsafeRawBufferPointer) {
        output.pointee.truncate(to: start)
        withUnsafeTemporaryAllocation(byteCount: GRPCFraming.prefixBytes, alignment: 1) { prefix in
            prefix[0] = 1
            prefix.storeBytes(
                of: UInt32(truncatingIfNeeded: packed.count).bigEndian, toByteOffset: 1,
                as: UInt32.self)
            output.pointee.append(UnsafeRawBufferPointer(prefix))
        }
        output.pointee.append(packed)
    }

    /// Takes back the message, prefix and all.
    func cancel() {
        output.pointee.truncate(to: start)
    }
}
