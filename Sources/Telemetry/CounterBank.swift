public import Synchronization

/// Counters that one thread adds to and any thread reads; they only grow, from 0.
///
/// An addition is a load and a store, both relaxed: no locked instruction, no fence, no allocation. Readers may see
/// one counter before another that was added to earlier: whoever sums gets what was true of each at some moment during
/// the call.
///
/// Thread safety: `add` on one thread at a time, the rest on any.
///
/// **Progress.** Every operation is wait-free.
public final class CounterBank: Sendable {
    // SAFETY: allocated once, freed with `self`; everything behind it is atomic.
    @usableFromInline nonisolated(unsafe) let base: UnsafeMutablePointer<Atomic<UInt64>>
    /// How many there are.
    public let count: Int

    /// On cache lines of their own, so that threads that count do not slow each other; in pairs, since neighbouring
    /// lines are fetched together.
    private static let alignment = 128

    /// - Parameter count: 1 ... 65 536.
    public init(count: Int) {
        precondition((1...65_536).contains(count), "a bank of \(count) counters")
        self.count = count
        let bytes = (count * 8 + Self.alignment - 1) / Self.alignment * Self.alignment
        let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: Self.alignment)
        base = memory.bindMemory(to: Atomic<UInt64>.self, capacity: count)
        for index in 0..<count { (base + index).initialize(to: Atomic(0)) }
    }

    deinit {
        base.deinitialize(count: count)
        UnsafeMutableRawPointer(base).deallocate()
    }

    /// Adds to a counter. The counting thread only.
    ///
    /// - Parameter index: 0 ..< `count`.
    /// - Complexity: O(1)
    @inlinable @inline(__always)
    public func add(_ amount: UInt64 = 1, to index: Int) {
        precondition(index >= 0 && index < count, "beyond the counters")
        let counter = base + index
        // ORDERING: relaxed because one thread writes, and a count publishes nothing but itself.
        let value = counter.pointee.load(ordering: .relaxed)
        counter.pointee.store(value &+ amount, ordering: .relaxed)
    }

    /// All counters as they stand.
    ///
    /// - Complexity: O(`count`)
    public var values: [UInt64] {
        // ORDERING: relaxed; see `add`.
        (0..<count).map { base[$0].load(ordering: .relaxed) }
    }
}
