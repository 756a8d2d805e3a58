import Glibc
import Synchronization

/// A run of 64-bit words that several threads read and write.
///
/// Every access is atomic. Copies of more than one word are consistent only when a head word that guards them is
/// unchanged afterwards (see `ReservationTable`): therefore loads acquire and stores release, which costs nothing
/// on x86-64 and makes the check sound everywhere: who reads a word of a buffer's next life also sees the head
/// swung that gave the buffer away.
// SAFETY: memory that is never unmapped while its table lives, accessed atomically only.
struct Words: @unchecked Sendable {
    let base: UnsafeMutablePointer<Atomic<UInt64>>

    @inline(always)
    subscript(index: Int) -> UInt64 {
        // ORDERING: acquire; pairs with the release in `nonmutating set`. See the type's comment.
        get { base[index].load(ordering: .acquiring) }
        // ORDERING: release; pairs with the acquire in `get`.
        nonmutating set { base[index].store(newValue, ordering: .releasing) }
    }

    @inline(always)
    func signed(_ index: Int) -> Int64 { Int64(bitPattern: self[index]) }

    @inline(always)
    func setSigned(_ index: Int, _ value: Int64) { self[index] = UInt64(bitPattern: value) }

    /// True: the word was `expected` and is `desired` now.
    @inline(always)
    func compareExchange(_ index: Int, _ expected: UInt64, _ desired: UInt64) -> Bool {
        // ORDERING: acquire-release; publishes everything written before it, and takes over what it replaces.
        base[index].compareExchange(
            expected: expected, desired: desired, ordering: .acquiringAndReleasing
        ).exchanged
    }

    /// Adds and returns the value before.
    @inline(always)
    func add(_ index: Int, _ operand: UInt64) -> UInt64 {
        // ORDERING: relaxed because only the uniqueness of the result counts.
        base[index].wrappingAdd(operand, ordering: .relaxed).oldValue
    }

    /// Raises a word to a value, unless it is at least that: by who may come too late.
    func raise(_ index: Int, to value: UInt64) {
        var present = self[index]
        while present < value && !compareExchange(index, present, value) { present = self[index] }
    }

    @inline(always)
    func advanced(_ words: Int) -> Words { Words(base: base + words) }
}

/// What a `Region` holds: records of a fixed number of words.
protocol RecordLayout {
    static var words: Int { get }
    /// The words that its fields take: where the last one ends. At most `words`.
    static var end: Int { get }
}

/// Records of one layout in memory that is reserved whole and backed page by page, large ones where the system has
/// them, as it is touched.
///
/// Growing needs no copy and no pause; nothing is ever given back, so a stale index always points at a record of
/// the same type. Fresh memory reads zero.
// SAFETY: as `Words`.
struct Region<Layout: RecordLayout>: @unchecked Sendable {
    let base: UnsafeMutablePointer<Atomic<UInt64>>
    /// Records.
    let capacity: Int

    /// Reserves address space. Fails when the system refuses it.
    init(capacity: Int) throws(TableError) {
        precondition(capacity > 0)
        precondition(Layout.end <= Layout.words, "the fields of \(Layout.self) exceed its words")
        self.capacity = capacity
        let bytes = Layout.words * capacity * 8
        let memory = mmap(
            nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let memory, memory != MAP_FAILED else {
            throw TableError.cannotReserve(bytes: bytes, errno: errno)
        }
        // Records are met in any order: with small pages the first touch of each, and finding it again, would take
        // longer than the work on it (docs/decisions/0002). A system that has no large ones refuses; nothing is lost.
        _ = madvise(memory, bytes, MADV_HUGEPAGE)
        // A core file of the whole table takes minutes to write, and holds the ports meanwhile.
        _ = madvise(memory, bytes, MADV_DONTDUMP)
        base = memory.assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    @inline(always)
    subscript(index: Int) -> Words { Words(base: base + index &* Layout.words) }

    func unmap() { munmap(base, Layout.words * capacity * 8) }
}

/// Why a table cannot be made or a tenant or profile cannot be added.
package enum TableError: Error, Equatable {
    /// The system refused address space (`vm.overcommit_memory`, `RLIMIT_AS`).
    case cannotReserve(bytes: Int, errno: Int32)
    /// More tenants, profiles or schedules than the table was made for.
    case full(String)
    /// The journal has no room at the moment.
    case busy
    /// The profile exists and belongs to another tenant, or the tenant does not exist.
    case notFound(String)
    /// The tenant or profile was deleted; ids are never reused.
    case closed(String)
    case invalid(String)
}
