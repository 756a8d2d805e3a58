import Glibc
public import Synchronization

/// One lane's way to the journal: a ring of 64-bit words with one producer and one consumer.
///
/// The lane writes a record behind `published`, where nobody looks, *before* it swings a tenant's head, and publishes
/// it afterwards. Between the two anybody who needs the record (the next operation on that tenant) may copy it from
/// here: it knows the position from the tenant's node, and a copy is good if the record is still unpublished after the
/// last word was read, because the lane overwrites nothing before it has published.
///
/// Positions count words from the ring's beginning of time and never wrap; a word's place is its position modulo the
/// capacity. The writer (`JournalWriter`) takes words from `durable` to `published` and moves `durable` on when they
/// are on disk. Where they are *settled* is a little behind: there all that they build upon, in whatever ring, is on
/// disk too.
///
/// **Progress.** Every operation is wait-free.
// SAFETY: all shared state is in atomics; the memory lives until `deallocate`.
@frozen public struct RecordRing: @unchecked Sendable {
    @usableFromInline let words: UnsafeMutablePointer<Atomic<UInt64>>
    @usableFromInline let control: UnsafeMutablePointer<Atomic<UInt64>>
    /// Words, a power of two.
    public let capacity: Int

    /// Places within `control`, a cache line each.
    @usableFromInline static var publishedPlace: Int { 0 }
    @usableFromInline static var durablePlace: Int { 8 }
    /// With `durable`, since the writer changes both.
    @usableFromInline static var settledPlace: Int { 9 }
    @usableFromInline static var shutPlace: Int { 16 }
    @usableFromInline static var controlWords: Int { 24 }

    /// - Parameter capacity: words, at least 1 024; rounded up to a power of two.
    public init(capacity wanted: Int) {
        var size = 1_024
        while size < wanted { size *= 2 }
        capacity = size
        words = Self.zeros(size)
        control = Self.zeros(Self.controlWords)
    }

    /// Page-aligned, so that no other lane's words share a cache line.
    private static func zeros(_ count: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        let memory = aligned_alloc(4_096, (count * 8 + 4_095) & ~4_095)
        guard let memory else { preconditionFailure("no memory for a ring of \(count) words") }
        memset(memory, 0, count * 8)
        return memory.assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// Frees the memory; nobody may use the ring any more.
    public func deallocate() {
        free(words)
        free(control)
    }

    /// The word at a position.
    @inlinable public subscript(position: UInt64) -> UInt64 {
        @inline(__always) get {
            // ORDERING: acquire; pairs with the release in `set`: who reads a word of the next lap also sees that its
            // record was published, and discards the copy.
            words[Int(truncatingIfNeeded: position) & (capacity &- 1)].load(ordering: .acquiring)
        }
        @inline(__always) nonmutating set {
            // ORDERING: release; pairs with `get`.
            words[Int(truncatingIfNeeded: position) & (capacity &- 1)].store(
                newValue, ordering: .releasing)
        }
    }

    /// The position behind the last published record.
    @inlinable public var published: UInt64 {
        // ORDERING: sequentially consistent; see `publish`.
        control[Self.publishedPlace].load(ordering: .sequentiallyConsistent)
    }

    /// The producer's own view of `published`.
    @inlinable public var end: UInt64 {
        // ORDERING: relaxed because only the calling thread writes it.
        control[Self.publishedPlace].load(ordering: .relaxed)
    }

    /// Publishes everything in front of a position. Producer only.
    @inlinable public func publish(to position: UInt64) {
        // ORDERING: sequentially consistent; the producer afterwards reads the number of the round in progress, and
        // the writer first begins a round and then reads `published`. One of them sees the other.
        control[Self.publishedPlace].store(position, ordering: .sequentiallyConsistent)
    }

    /// The position in front of which everything is on disk and may be overwritten.
    @inlinable public var durable: UInt64 {
        // ORDERING: acquire; pairs with the release in `setDurable`: the words were read before they are overwritten.
        control[Self.durablePlace].load(ordering: .acquiring)
    }

    /// Writer only.
    @inlinable public func setDurable(_ position: UInt64) {
        // ORDERING: release; pairs with `durable`.
        control[Self.durablePlace].store(position, ordering: .releasing)
    }

    /// The position in front of which every record is on disk with all that it builds upon. Never beyond `durable`.
    @inlinable public var settled: UInt64 {
        // ORDERING: acquire; pairs with the release in `setSettled`.
        control[Self.settledPlace].load(ordering: .acquiring)
    }

    /// Writer only.
    @inlinable public func setSettled(_ position: UInt64) {
        // ORDERING: release; pairs with `settled`: what lies in front is synced.
        control[Self.settledPlace].store(position, ordering: .releasing)
    }

    /// False: the disk has no room for what the rings could still bring, or has failed. What was written before
    /// may be published all the same.
    @inlinable public var isOpen: Bool {
        // ORDERING: relaxed because room for everything that is let in meanwhile is kept.
        control[Self.shutPlace].load(ordering: .relaxed) == 0
    }

    /// Writer only.
    @inlinable public func setOpen(_ open: Bool) {
        // ORDERING: relaxed; see `isOpen`.
        control[Self.shutPlace].store(open ? 0 : 1, ordering: .relaxed)
    }

    /// Whether the producer may write this many words more.
    @inlinable public func hasRoom(_ count: Int) -> Bool {
        end &- durable &+ UInt64(truncatingIfNeeded: count) <= UInt64(truncatingIfNeeded: capacity)
    }

    /// The memory of up to `count` words from a position on: as far as the ring's end, the rest by a second call.
    /// Writer only, for words that are published and not yet durable.
    package func bytes(from position: UInt64, count: Int) -> UnsafeRawBufferPointer {
        let place = Int(truncatingIfNeeded: position) & (capacity - 1)
        return UnsafeRawBufferPointer(
            start: words + place, count: min(count, capacity - place) * 8)
    }
}
