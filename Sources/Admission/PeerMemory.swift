internal import Synchronization

/// The bound over the process for all bytes that wait for peers: unfinished requests, metadata, and answers that were not
/// yet taken, on both ports.
///
/// A connection's first bytes (`PeerMemoryShare.freeBytes`) are not counted: they are bounded by the number of
/// connections, and so nobody's small request is refused because others wait with large ones.
///
/// Thread safety: any thread; lock-free.
package final class PeerMemory: Sendable {
    package static let defaultLimit = 256 << 20

    /// Bytes that may wait.
    package let limit: Int
    // ORDERING: both stand for themselves; nothing is published by them.
    private let counted = Atomic<Int>(0)
    private let highest = Atomic<Int>(0)

    package init(limit: Int = PeerMemory.defaultLimit) {
        self.limit = limit
    }

    /// Bytes that wait now.
    package var used: Int { counted.load(ordering: .relaxed) }

    /// Whether no more may wait.
    package var isFull: Bool { used >= limit }

    /// The most bytes that have waited at once since this was last asked.
    package func takePeak() -> Int { highest.exchange(used, ordering: .relaxed) }

    /// Counts bytes that are about to wait.
    ///
    /// - Returns: false: there is no room, and nothing was counted.
    package func reserve(_ bytes: Int) -> Bool {
        guard add(bytes) <= limit else {
            release(bytes)
            return false
        }
        return true
    }

    /// Gives back what `reserve` or `add` has counted.
    package func release(_ bytes: Int) { counted.wrappingSubtract(bytes, ordering: .relaxed) }

    /// Counts bytes that are there already, room or not.
    ///
    /// - Returns: all bytes that wait now.
    @discardableResult
    package func add(_ bytes: Int) -> Int {
        let now = counted.wrappingAdd(bytes, ordering: .relaxed).newValue
        if now > highest.load(ordering: .relaxed) { highest.max(now, ordering: .relaxed) }
        return now
    }
}

/// One connection's part of `PeerMemory`, counted in grains, so that the shared counter is touched seldom. What it counts
/// is given back with it.
///
/// Thread safety: one thread at a time.
package struct PeerMemoryShare: ~Copyable {
    /// Of each connection, not counted.
    package static let freeBytes = 16 << 10
    private static let grain = 16 << 10

    private let memory: PeerMemory
    private var counted = 0

    package init(of memory: PeerMemory) { self.memory = memory }

    deinit {
        if counted > 0 { memory.release(counted) }
    }

    /// Whether it counts anything.
    package var isCounting: Bool { counted > 0 }

    /// Says how many bytes of the connection wait now.
    ///
    /// - Returns: false: too much waits, in the process and of this connection: no more may be taken in from it.
    package mutating func set(_ bytes: Int) -> Bool {
        let grains = (bytes - Self.freeBytes + Self.grain - 1) / Self.grain
        let wanted = max(0, grains) * Self.grain
        if wanted > counted {
            memory.add(wanted - counted)
            counted = wanted
        } else if wanted < counted {
            memory.release(counted - wanted)
            counted = wanted
        }
        return counted == 0 || !memory.isFull
    }
}
