import Limits
import Synchronization

/// A hash set of ids that only grows: id → index of a cell.
///
/// **Algorithm.** Open addressing with linear probing over 64-bit words (hash fragment, cell index + 1). A word is
/// written once and never changes, since ids are never reused. Growth allocates a table of twice the size and moves
/// the words step by step: whoever inserts while a successor exists moves a stretch first. A slot that was empty
/// when the mover came is frozen, so nobody can insert behind the mover's back; who meets a frozen slot goes on in
/// the successor. (After Cliff Click's non-blocking hash table, without deletion or replacement.)
///
/// **Progress.** Lookups are wait-free but for the probe length; inserts are lock-free: a failed compare-exchange
/// means that another insert or freeze succeeded. No operation moves more than `stretch` words.
///
/// **Invariants.** (1) An id stands at most once in the union of a table and its successor, apart from its copy:
/// two inserters of one id compete for the same first empty slot of the same probe sequence. (2) An id is inserted
/// into the successor only after the empty slot that ends its probe sequence in the predecessor is frozen: a reader
/// that meets an unfrozen empty slot there has seen every id inserted before. (3) `current` moves on only when
/// every slot of its table is frozen or copied.
///
/// Old tables are kept: together they are as large as the present one.
final class Directory: Sendable {
    private static let frozen = UInt64.max
    private static let stretch = 64

    private final class Table: Sendable {
        let region: Region
        let mask: Int
        /// Filled slots; approximate, decides when to grow.
        let count = Atomic<Int>(0)
        /// Next slot to move.
        let cursor = Atomic<Int>(0)
        /// Slots moved.
        let moved = Atomic<Int>(0)
        let next = AtomicLazyReference<Table>()

        init(size: Int) throws(TableError) {
            region = try Region(stride: 1, capacity: size)
            mask = size - 1
        }

        deinit { region.unmap() }
    }

    // SAFETY: `Region` is a pointer to memory that lives as long as the table and is accessed atomically only.
    private let current: Atomic<Unmanaged<Table>>
    private let cells: Region
    private let idOffset: Int
    private let longIDs: Region

    /// - Parameters:
    ///   - cells: where ids stand, from word `CellID.firstWord` of a cell on.
    init(cells: Region, longIDs: Region, idOffset: Int = CellID.firstWord, initialSize: Int = 16)
        throws(TableError)
    {
        self.cells = cells
        self.longIDs = longIDs
        self.idOffset = idOffset
        current = Atomic(Unmanaged.passRetained(try Table(size: initialSize)))
    }

    /// The cell of an id, or nil. Allocates nothing.
    @inline(__always)
    func find(_ id: BorrowedBytes, hash: UInt64) -> Int? {
        // ORDERING: acquire; pairs with the release in `finishMoving`.
        let unmanaged = current.load(ordering: .acquiring)
        return unmanaged._withUnsafeGuaranteedRef { table in
            find(id, hash: hash, in: table)
        }
    }

    @inline(__always)
    private func find(_ id: BorrowedBytes, hash: UInt64, in table: Table) -> Int? {
        var slot = Int(truncatingIfNeeded: hash) & table.mask
        let fragment = hash &>> 32
        while true {
            let word = table.region[slot][0]
            if word == 0 { return nil }
            if word == Self.frozen { return findMoved(id, hash: hash, after: table) }
            if word &>> 32 == fragment {
                let cell = Int(truncatingIfNeeded: word & 0xffff_ffff) &- 1
                if matches(cell, id) { return cell }
            }
            slot = (slot &+ 1) & table.mask
        }
    }

    @inline(never)
    private func findMoved(_ id: BorrowedBytes, hash: UInt64, after table: Table) -> Int? {
        guard let next = table.next.load() else { return nil }
        return find(id, hash: hash, in: next)
    }

    @inline(__always)
    private func matches(_ cell: Int, _ id: BorrowedBytes) -> Bool {
        CellID.matches(cells[cell].advanced(idOffset), id, longIDs)
    }

    /// Adds an id whose cell is filled. Returns its cell: `cell`, or the one that was there before.
    func insert(_ id: BorrowedBytes, hash: UInt64, cell: Int) throws(TableError) -> Int {
        var table = current.load(ordering: .acquiring).takeUnretainedValue()
        let word = (hash &>> 32) &<< 32 | UInt64(cell + 1)
        probe: while true {
            if table.next.load() != nil { move(table) }
            var slot = Int(truncatingIfNeeded: hash) & table.mask
            while true {
                let found = table.region[slot][0]
                if found == 0 {
                    let successor = table.next.load()
                    let desired = successor == nil ? word : Self.frozen
                    guard table.region[slot].compareExchange(0, 0, desired) else { continue }
                    if let successor {
                        table = successor
                        continue probe
                    }
                    try added(to: table)
                    return cell
                }
                if found == Self.frozen {
                    guard let successor = table.next.load() else {
                        preconditionFailure("a frozen slot without a successor")
                    }
                    table = successor
                    continue probe
                }
                if found &>> 32 == hash &>> 32 {
                    let other = Int(truncatingIfNeeded: found & 0xffff_ffff) &- 1
                    if matches(other, id) { return other }
                }
                slot = (slot &+ 1) & table.mask
            }
        }
    }

    /// Counts an insert and starts growing at a load of five eighths.
    private func added(to table: Table) throws(TableError) {
        // ORDERING: relaxed because the count only decides when to grow.
        let count = table.count.wrappingAdd(1, ordering: .relaxed).newValue
        if count * 8 > (table.mask + 1) * 5 && table.next.load() == nil {
            _ = table.next.storeIfNil(try Table(size: (table.mask + 1) * 2))
        }
    }

    /// Moves a stretch of a table that has a successor.
    private func move(_ table: Table) {
        guard let next = table.next.load() else { return }
        let size = table.mask + 1
        // ORDERING: relaxed because a claim only divides the work.
        let start = table.cursor.wrappingAdd(Self.stretch, ordering: .relaxed).oldValue
        let stretch: Range<Int>
        if start < size {
            stretch = start..<min(start + Self.stretch, size)
        } else if current.load(ordering: .acquiring).toOpaque()
            == Unmanaged.passUnretained(table).toOpaque()
        {
            // Everything is claimed, but a claimer may have stopped: do it all again rather than wait.
            // Moving is idempotent.
            stretch = 0..<size
        } else {
            return
        }
        for slot in stretch { moveSlot(slot, of: table, to: next) }
        // ORDERING: acquire-release; the last one to add sees every move before it publishes `next`.
        let moved = table.moved.wrappingAdd(stretch.count, ordering: .acquiringAndReleasing)
            .newValue
        if moved >= size && (stretch.count == size || moved == size) {
            finishMoving(table, next)
        }
    }

    private func moveSlot(_ slot: Int, of table: Table, to next: Table) {
        while true {
            let word = table.region[slot][0]
            if word == Self.frozen { return }
            if word == 0 {
                if table.region[slot].compareExchange(0, 0, Self.frozen) { return }
                continue
            }
            let cell = Int(truncatingIfNeeded: word & 0xffff_ffff) - 1
            let hash = CellID.hash(cells[cell].advanced(idOffset))
            var target = Int(truncatingIfNeeded: hash) & next.mask
            while true {
                let found = next.region[target][0]
                if found == word { return }
                if found == 0 {
                    if next.region[target].compareExchange(0, 0, word) {
                        next.count.wrappingAdd(1, ordering: .relaxed)
                        return
                    }
                    continue
                }
                precondition(found != Self.frozen, "a successor cannot be moved before its turn")
                target = (target + 1) & next.mask
            }
        }
    }

    private func finishMoving(_ table: Table, _ next: Table) {
        // ORDERING: release; pairs with the acquire in `find`. Publishes the moved words.
        // The reference from `table.next` keeps `next` alive; old tables are kept by the first.
        _ = current.compareExchange(
            expected: Unmanaged.passUnretained(table), desired: Unmanaged.passUnretained(next),
            ordering: .acquiringAndReleasing)
    }
}
