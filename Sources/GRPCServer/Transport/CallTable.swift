internal import HTTP2

/// A call that outlives the read that brought it: a streaming one, or one whose answer is parked, or whose request is not
/// complete or was put off.
struct ActiveCall {
    var stream = StreamHandle.none
    var method = 0
    /// On the monotonic clock; `UInt64.max`: none.
    var deadlineNanoseconds = UInt64.max
    /// How far it is.
    var life = CallLifecycle.none
    /// What a stream keeps; nil: it is none.
    var streaming: ActiveStream?
}

/// A request of one message that waits to be unpacked, or a unary one that waits for room, as far as it was decided. Its
/// bytes stay in the stream's input, what was written of its answer in the output.
struct PutOffCall {
    let stream: StreamHandle
    let progress: Int
    let isParked: Bool
    /// What would take back what was done of it.
    let undo: [UInt8]
    let receivedNanoseconds: UInt64
}

/// The active calls of a connection, by stream index. Its state lies outside the struct, so that an owner may keep
/// it in a constant and pays for no exclusivity checks.
struct CallTable: ~Copyable {
    private struct State {
        var base: UnsafeMutablePointer<ActiveCall>
        var capacity: Int
        var count = 0
    }

    private let state: UnsafeMutablePointer<State>

    init() {
        let capacity = 4
        let base = UnsafeMutablePointer<ActiveCall>.allocate(capacity: capacity)
        base.initialize(repeating: ActiveCall(), count: capacity)
        state = .allocate(capacity: 1)
        state.initialize(to: State(base: base, capacity: capacity))
    }

    deinit {
        state.pointee.base.deinitialize(count: state.pointee.capacity)
        state.pointee.base.deallocate()
        state.deallocate()
    }

    var count: Int { state.pointee.count }

    /// The call of a stream; valid until the next `add`.
    subscript(_ stream: StreamHandle) -> UnsafeMutablePointer<ActiveCall>? {
        guard state.pointee.count > 0 else { return nil }
        let index = Int(stream.index)
        guard index >= 0, index < state.pointee.capacity else { return nil }
        let call = state.pointee.base + index
        let name = call.pointee.stream
        return name.index == stream.index && name.generation == stream.generation ? call : nil
    }

    /// The streams of calls are below this index.
    var limit: Int { state.pointee.capacity }

    /// The call at a stream's index, if there is one.
    func call(at index: Int) -> UnsafeMutablePointer<ActiveCall>? {
        let call = state.pointee.base + index
        return call.pointee.stream == .none ? nil : call
    }

    @discardableResult
    func add(_ call: ActiveCall) -> UnsafeMutablePointer<ActiveCall> {
        let index = Int(call.stream.index)
        if index >= state.pointee.capacity { grow(toHold: index) }
        state.pointee.base[index] = call
        state.pointee.count += 1
        return state.pointee.base + index
    }

    func remove(_ call: UnsafeMutablePointer<ActiveCall>) {
        call.pointee = ActiveCall()
        state.pointee.count -= 1
    }

    private func grow(toHold index: Int) {
        let capacity = state.pointee.capacity
        var grown = capacity
        while grown <= index { grown *= 2 }
        let fresh = UnsafeMutablePointer<ActiveCall>.allocate(capacity: grown)
        fresh.moveInitialize(from: state.pointee.base, count: capacity)
        (fresh + capacity).initialize(repeating: ActiveCall(), count: grown - capacity)
        state.pointee.base.deallocate()
        state.pointee.base = fresh
        state.pointee.capacity = grown
    }
}
