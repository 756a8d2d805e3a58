internal import HTTP2

/// What a stream keeps besides its life.
final class ActiveStream {
    /// Its answers may leave compressed.
    let compresses: Bool
    /// Answers in the order of their requests, prefix included, from the first that is parked on.
    let waiting: UnsafeMutablePointer<ByteQueue>
    /// The number of its last parked answer; while that is parked, what follows stands behind it.
    var lastParked: UInt64 = 0

    init(compresses: Bool) {
        self.compresses = compresses
        waiting = .allocate(capacity: 1)
        waiting.initialize(to: ByteQueue())
    }

    deinit {
        waiting.deinitialize(count: 1)
        waiting.deallocate()
    }
}
