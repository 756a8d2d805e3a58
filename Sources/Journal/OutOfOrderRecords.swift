/// Records that wait for one of their tenant that comes before them.
///
/// Whoever reads a journal has one. A process leaves at most what stood in its rings when it ended, so that is what can
/// wait in one process run. The records of one tenant that was busy in several lanes arrive lane by lane, and so nearly all
/// of them wait: a binary heap for each tenant keeps that from becoming quadratic.
package struct OutOfOrderRecords: Sendable {
    private var waiting: [UInt32: Heap] = [:]
    package private(set) var count = 0
    /// How many have waited so far.
    private var arrivals = 0

    package init() {}

    package var isEmpty: Bool { count == 0 }

    /// Has a record wait. Of equal versions the one that came first goes first.
    ///
    /// - Parameter words: what was read as a record.
    /// - Complexity: O(log n) in what waits of its tenant.
    package mutating func add(_ words: UnsafeBufferPointer<UInt64>) {
        let tenant = UInt32(truncatingIfNeeded: words[3])
        waiting[tenant, default: Heap()].insert(
            Heap.Entry(version: words[1], arrival: arrivals, words: Array(words)))
        arrivals += 1
        count += 1
    }

    /// The one of a tenant that comes next; nil: none waits. O(1).
    package func next(of tenant: UInt32) -> [UInt64]? { waiting[tenant]?.first?.words }

    /// Lets go of the one that comes next: it has taken effect.
    ///
    /// - Complexity: O(log n) in what waits of its tenant.
    package mutating func removeNext(of tenant: UInt32) {
        guard let index = waiting.index(forKey: tenant) else { return }
        waiting.values[index].removeFirst()
        if waiting.values[index].first == nil { waiting.remove(at: index) }
        count -= 1
    }

    /// A process begins: what still waits was never acknowledged, and its versions may be others' now. Returns how many
    /// records are dropped.
    package mutating func beginProcess() -> Int {
        defer { self = OutOfOrderRecords() }
        return count
    }

    /// All of them, by tenant and version.
    package var all: [[UInt64]] {
        waiting.keys.sorted().flatMap { (waiting[$0]?.sorted ?? []).map(\.words) }
    }
}

/// Records in a binary heap: no entry goes after its children, which stand at 2 i + 1 and 2 i + 2.
private struct Heap: Sendable {
    struct Entry: Sendable, Comparable {
        let version: UInt64
        let arrival: Int
        let words: [UInt64]

        static func < (one: Entry, other: Entry) -> Bool {
            (one.version, one.arrival) < (other.version, other.arrival)
        }
        static func == (one: Entry, other: Entry) -> Bool { one.arrival == other.arrival }
    }

    private var entries: [Entry] = []

    var first: Entry? { entries.first }
    var sorted: [Entry] { entries.sorted() }

    mutating func insert(_ entry: Entry) {
        entries.append(entry)
        var child = entries.count - 1
        while child > 0, entries[child] < entries[(child - 1) / 2] {
            entries.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func removeFirst() {
        entries.swapAt(0, entries.count - 1)
        entries.removeLast()
        var parent = 0
        while let child = firstChild(of: parent), entries[child] < entries[parent] {
            entries.swapAt(parent, child)
            parent = child
        }
    }

    private func firstChild(of parent: Int) -> Int? {
        let left = 2 * parent + 1
        guard left < entries.count else { return nil }
        let right = left + 1
        return right < entries.count && entries[right] < entries[left] ? right : left
    }
}
