/// Records that wait for one of their tenant that comes before them.
///
/// Whoever reads a journal has one. A process leaves at most what stood in its rings when it ended, so that is what can
/// wait in one process run.
package struct OutOfOrderRecords: Sendable {
    /// By tenant, in the order of their versions.
    private var waiting: [UInt32: [[UInt64]]] = [:]
    package private(set) var count = 0

    package init() {}

    package var isEmpty: Bool { count == 0 }

    /// Has a record wait. Of equal versions the one that came first goes first. O(1) in the order of the versions.
    ///
    /// - Parameter words: what was read as a record.
    package mutating func add(_ words: UnsafeBufferPointer<UInt64>) {
        let version = words[1]
        let tenant = UInt32(truncatingIfNeeded: words[3])
        var place = waiting[tenant]?.count ?? 0
        while place > 0, let before = waiting[tenant]?[place - 1], before[1] > version {
            place -= 1
        }
        waiting[tenant, default: []].insert(Array(words), at: place)
        count += 1
    }

    /// The one of a tenant that comes next; nil: none waits.
    package func next(of tenant: UInt32) -> [UInt64]? { waiting[tenant]?.first }

    /// Lets go of the one that comes next: it has taken effect.
    package mutating func removeNext(of tenant: UInt32) {
        guard let index = waiting.index(forKey: tenant) else { return }
        waiting.values[index].removeFirst()
        if waiting.values[index].isEmpty { waiting.remove(at: index) }
        count -= 1
    }

    /// A process begins: what still waits was never acknowledged, and its versions may be others' now. Returns how many
    /// records are dropped.
    package mutating func beginProcess() -> Int {
        defer { self = OutOfOrderRecords() }
        return count
    }

    /// All of them, by tenant and version.
    package var all: [[UInt64]] { waiting.keys.sorted().flatMap { waiting[$0] ?? [] } }
}
