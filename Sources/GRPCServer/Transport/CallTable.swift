internal import HTTP2

/// A call that outlives the read that brought it: a streaming one, or one whose answer is held.
struct ActiveCall {
    var stream = StreamHandle.none
    var method = 0
    /// On the monotonic clock; `UInt64.max`: none.
    var deadlineNanoseconds = UInt64.max
    /// Its answers among those that the loop holds. While there are any, the call keeps its stream.
    var heldAnswers = 0
    /// Its caller has been told how it ended, or is gone: held answers are taken back, not sent.
    var isOver = false
    /// How the call ends when all held answers have left.
    var ending = Ending.open
    /// nil: a unary call.
    var streaming: StreamCall?

    enum Ending {
        /// A stream goes on; a unary call answers what stands in its output.
        case open
        case failed(GRPCFailure)
    }
}

/// The active calls of a connection, by stream index.
struct CallTable: ~Copyable {
    private var base: UnsafeMutablePointer<ActiveCall>
    private var capacity: Int
    private(set) var count = 0

    init() {
        capacity = 4
        base = .allocate(capacity: capacity)
        base.initialize(repeating: ActiveCall(), count: capacity)
    }

    deinit {
        base.deinitialize(count: capacity)
        base.deallocate()
    }

    /// The call of a stream; valid until the next `add`.
    subscript(_ stream: StreamHandle) -> UnsafeMutablePointer<ActiveCall>? {
        let index = Int(stream.index)
        guard index >= 0, index < capacity, base[index].stream == stream else { return nil }
        return base + index
    }

    /// The streams of calls are below this index.
    var limit: Int { capacity }

    /// The call at a stream's index, if there is one.
    func call(at index: Int) -> UnsafeMutablePointer<ActiveCall>? {
        base[index].stream == .none ? nil : base + index
    }

    @discardableResult
    mutating func add(_ call: ActiveCall) -> UnsafeMutablePointer<ActiveCall> {
        let index = Int(call.stream.index)
        if index >= capacity { grow(toHold: index) }
        base[index] = call
        count += 1
        return base + index
    }

    mutating func remove(_ call: UnsafeMutablePointer<ActiveCall>) {
        call.pointee = ActiveCall()
        count -= 1
    }

    private mutating func grow(toHold index: Int) {
        var grown = capacity
        while grown <= index { grown *= 2 }
        let fresh = UnsafeMutablePointer<ActiveCall>.allocate(capacity: grown)
        fresh.moveInitialize(from: base, count: capacity)
        (fresh + capacity).initialize(repeating: ActiveCall(), count: grown - capacity)
        base.deallocate()
        base = fresh
        capacity = grown
    }
}
