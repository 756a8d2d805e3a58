/// A growable queue of bytes in one piece of memory, reused from message to message.
///
/// Bytes are appended at the tail and consumed at the head; what is readable is always contiguous.
package struct ByteQueue: ~Copyable {
    private var base: UnsafeMutableRawPointer?
    private(set) var capacity = 0
    private var head = 0
    private var tail = 0

    package init() {}

    deinit {
        base?.deallocate()
    }

    /// Bytes that can be read.
    package var count: Int { tail - head }

    package var isEmpty: Bool { tail == head }

    /// The bytes that can be read. Valid until the queue is next changed.
    package var readable: UnsafeRawBufferPointer {
        guard let base else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        return UnsafeRawBufferPointer(start: base + head, count: tail - head)
    }

    /// Room for at least `byteCount` bytes behind the tail; `commit` makes them readable.
    ///
    /// - Complexity: amortised O(1); O(count) when the memory must grow or be closed up.
    package mutating func reserve(_ byteCount: Int) -> UnsafeMutableRawBufferPointer {
        if capacity - tail < byteCount { makeRoom(for: byteCount) }
        return UnsafeMutableRawBufferPointer(
            start: base.map { $0 + tail }, count: capacity - tail)
    }

    /// Makes the first `byteCount` bytes of the last reservation readable.
    package mutating func commit(_ byteCount: Int) {
        precondition(byteCount >= 0 && byteCount <= capacity - tail, "more than was reserved")
        tail += byteCount
    }

    package mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return }
        if let target = reserve(bytes.count).baseAddress {
            target.copyMemory(from: source, byteCount: bytes.count)
        }
        tail += bytes.count
    }

    /// Drops `byteCount` bytes at the head.
    package mutating func consume(_ byteCount: Int) {
        precondition(byteCount >= 0 && byteCount <= count, "more than can be read")
        head += byteCount
        if head == tail {
            head = 0
            tail = 0
        }
    }

    /// As `consume`, and gives back memory that what is left has no use for: a peer decides how large a queue becomes, and
    /// how long it then stays nearly empty.
    ///
    /// - Complexity: amortised O(byteCount)
    package mutating func consume(_ byteCount: Int, retaining retainedBytes: Int) {
        consume(byteCount)
        guard capacity > retainedBytes, count <= capacity / 4 else { return }
        if isEmpty { return reset(retaining: retainedBytes) }
        move(to: max(retainedBytes, 2 * count))
    }

    /// Drops all but the first `byteCount` bytes.
    package mutating func truncate(to byteCount: Int) {
        precondition(byteCount >= 0 && byteCount <= count, "more than can be read")
        tail = head + byteCount
    }

    /// Overwrites four bytes, `offset` behind the head, with a number in network order.
    package mutating func store(_ value: UInt32, at offset: Int) {
        precondition(offset >= 0 && offset + 4 <= count, "outside of what can be read")
        base?.storeBytes(of: value.bigEndian, toByteOffset: head + offset, as: UInt32.self)
    }

    /// Drops everything, and the memory too if it is larger than `retainedBytes`.
    package mutating func reset(retaining retainedBytes: Int) {
        head = 0
        tail = 0
        guard capacity > retainedBytes else { return }
        base?.deallocate()
        base = nil
        capacity = 0
    }

    private mutating func makeRoom(for byteCount: Int) {
        let live = count
        if let base, capacity - live >= byteCount, head >= live {
            base.copyMemory(from: base + head, byteCount: live)
        } else {
            var grown = max(capacity, 256)
            while grown < live + byteCount { grown *= 2 }
            return move(to: grown)
        }
        head = 0
        tail = live
    }

    /// Moves what can be read to fresh memory.
    private mutating func move(to size: Int) {
        let live = count
        let fresh = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
        if let base {
            fresh.copyMemory(from: base + head, byteCount: live)
            base.deallocate()
        }
        base = fresh
        capacity = size
        head = 0
        tail = live
    }
}
