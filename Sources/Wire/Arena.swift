import CTollgate

/// Bounded bump memory for one message at a time, handed to protobuf-c as its allocator.
///
/// Allocation moves an offset, release does nothing, `reset` frees everything at once; when the
/// bound of the present message is reached, allocation answers NULL and protobuf-c gives the
/// message up. So a hostile message costs at most the bound, whatever it expands to, and no request
/// allocates in the steady state.
///
/// The memory is taken once and touched only as far as messages need it.
/// Thread safety: none; one arena belongs to one thread at a time.
struct Arena: ~Copyable {
    /// Lives at a fixed address: protobuf-c keeps a pointer to it for the length of a call.
    private struct State {
        var base: UnsafeMutableRawPointer
        var offset: Int
        /// Bytes that the present message may use: 0 ... capacity.
        var limit: Int
        /// An allocation of the present message was refused.
        var isExhausted: Bool
        var allocator: ProtobufCAllocator
    }

    private let state: UnsafeMutablePointer<State>
    let capacity: Int

    /// - Parameter capacity: bytes; a positive multiple of 8.
    init(capacity: Int) {
        precondition(capacity > 0 && capacity % Arena.alignment == 0)
        self.capacity = capacity
        let base = UnsafeMutableRawPointer.allocate(
            byteCount: capacity, alignment: Arena.alignment)
        state = .allocate(capacity: 1)
        state.initialize(
            to: State(
                base: base, offset: 0, limit: capacity, isExhausted: false,
                allocator: ProtobufCAllocator(
                    alloc: { data, size in
                        guard let data else { return nil }
                        return Arena.allocate(
                            data.assumingMemoryBound(to: State.self), byteCount: size)
                    },
                    free: { _, _ in },
                    allocator_data: UnsafeMutableRawPointer(state))))
    }

    deinit {
        state.pointee.base.deallocate()
        state.deallocate()
    }

    /// Structs of protobuf-c hold nothing wider than 8 bytes.
    private static let alignment = 8

    /// What protobuf-c takes; valid as long as the arena.
    var allocator: UnsafeMutablePointer<ProtobufCAllocator> {
        guard let pointer = state.pointer(to: \.allocator) else {
            preconditionFailure("the allocator is a stored property")
        }
        return pointer
    }

    /// Whether an allocation was refused since the last `reset`.
    var isExhausted: Bool { state.pointee.isExhausted }

    /// Bytes in use since the last `reset`.
    var usedBytes: Int { state.pointee.offset }

    /// Frees everything and bounds the next message.
    ///
    /// - Parameter limit: bytes, 0 ... capacity.
    /// - Complexity: O(1)
    func reset(limit: Int) {
        precondition(limit >= 0 && limit <= capacity)
        state.pointee.offset = 0
        state.pointee.limit = limit
        state.pointee.isExhausted = false
    }

    /// Room for `count` values, not initialized; nil when the bound is reached.
    func allocate<Value>(
        _ type: Value.Type, count: Int = 1
    ) -> UnsafeMutablePointer<Value>? {
        Arena.allocate(state, byteCount: count * MemoryLayout<Value>.stride)?
            .bindMemory(to: type, capacity: count)
    }

    private static func allocate(
        _ state: UnsafeMutablePointer<State>, byteCount: Int
    ) -> UnsafeMutableRawPointer? {
        let offset = state.pointee.offset
        guard byteCount >= 0, byteCount <= state.pointee.limit &- offset else {
            state.pointee.isExhausted = true
            return nil
        }
        // Within the capacity by now: nothing overflows. The limit need not be a multiple of the
        // alignment, hence the clamp.
        let end = (offset &+ byteCount &+ (alignment &- 1)) & ~(alignment &- 1)
        state.pointee.offset = min(end, state.pointee.limit)
        return state.pointee.base + offset
    }
}
