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
// SAFETY: all shared state is atomic; tables are freed by `deallocate` alone. A struct, so that a look-up counts no references.
struct Directory<Cell: RecordLayout>: @unchecked Sendable {
    private static var frozen: UInt64 { .max }
    private static var stretch: Int { 64 }

    /// One table; never moved, freed with the directory.
    private struct Table: ~Copyable {
        let region: Region<Word>
        let mask: Int
        /// Filled slots; approximate, decides when to grow.
        let count = Atomic<Int>(0)
        /// Next stretch to move.
        let cursor = Atomic<Int>(0)
        /// Stretches moved, by number: 1 when every slot of it is frozen or copied.
        let isMoved: Region<Word>
        /// Stretches moved.
        let moved = Atomic<Int>(0)
        let next = Atomic<TablePointer?>(nil)

        init(size: Int) throws(TableError) {
            let words = try Region<Word>(capacity: size)
            let flags = try Region<Word>(capacity: (size + stretch - 1) / stretch)
            region = words
            isMoved = flags
            mask = size - 1
        }

        deinit {
            region.unmap()
            isMoved.unmap()
        }
    }
    private typealias TablePointer = UnsafeMutablePointer<Table>

    private let first: TablePointer
    private let current: UnsafeMutablePointer<Atomic<TablePointer>>
    private let cells: Region<Cell>
    private let longIDs: Region<CacheLine>

    /// - Parameter cells: where ids stand, from word `CellID.firstWord` of a cell on.
    init(cells: Region<Cell>, longIDs: Region<CacheLine>, initialSize: Int = 16)
        throws(TableError)
    {
        self.cells = cells
        self.longIDs = longIDs
        first = try Self.makeTable(size: initialSize)
        current = .allocate(capacity: 1)
        current.initialize(to: Atomic(first))
    }

    /// Frees everything; nobody may use the directory any more.
    func deallocate() {
        current.deinitialize(count: 1)
        current.deallocate()
        var table: TablePointer? = first
        while let pointer = table {
            // ORDERING: relaxed because nobody else is left.
            table = pointer.pointee.next.load(ordering: .relaxed)
            pointer.deinitialize(count: 1)
            pointer.deallocate()
        }
    }

    private static func makeTable(size: Int) throws(TableError) -> TablePointer {
        let table = try Table(size: size)
        let pointer = TablePointer.allocate(capacity: 1)
        pointer.initialize(to: table)
        return pointer
    }

    /// The table that takes over from this one, if it is outgrown.
    @inline(always)
    private static func successor(_ table: TablePointer) -> TablePointer? {
        // ORDERING: acquire; pairs with the release in `added`. Publishes the successor's fields.
        table.pointee.next.load(ordering: .acquiring)
    }

    /// The cell of an id, or nil. Allocates nothing.
    @inline(always)
    func find(_ id: BorrowedBytes, hash: UInt64) -> Int? {
        // ORDERING: acquire; pairs with the release in `finishMoving`.
        let table = current.pointee.load(ordering: .acquiring)
        return Self.find(id, hash: hash, in: table, cells, longIDs)
    }

    /// Static, as what follows: a directory would be copied where it is handed on.
    @inline(always)
    private static func find(
        _ id: BorrowedBytes, hash: UInt64, in table: TablePointer, _ cells: Region<Cell>,
        _ longIDs: Region<CacheLine>
    ) -> Int? {
        let mask = table.pointee.mask
        let region = table.pointee.region
        var slot = Int(truncatingIfNeeded: hash) & mask
        let fragment = hash &>> 32
        while true {
            let word = region[slot][0]
            if word &>> 32 == fragment && word != frozen && word != 0 {
                let cell = Int(truncatingIfNeeded: word & 0xffff_ffff) &- 1
                if CellID.matches(cells[cell].advanced(CellID.firstWord), id, longIDs) {
                    return cell
                }
            } else if word == 0 {
                return nil
            } else if word == frozen {
                return findMoved(id, hash: hash, after: table, cells, longIDs)
            }
            slot = (slot &+ 1) & mask
        }
    }

    @inline(never)
    private static func findMoved(
        _ id: BorrowedBytes, hash: UInt64, after table: TablePointer, _ cells: Region<Cell>,
        _ longIDs: Region<CacheLine>
    ) -> Int? {
        guard let next = successor(table) else { return nil }
        return find(id, hash: hash, in: next, cells, longIDs)
    }

    @inline(always)
    private func matches(_ cell: Int, _ id: BorrowedBytes) -> Bool {
        CellID.matches(cells[cell].advanced(CellID.firstWord), id, longIDs)
    }

    /// Adds an id whose cell is filled. Returns its cell: `cell`, or the one that was there before.
    func insert(
        _ id: BorrowedBytes, hash: UInt64, cell: Int, _ steps: Steps
    ) throws(TableError) -> Int {
        // ORDERING: acquire; pairs with the release in `finishMoving`.
        var table = current.pointee.load(ordering: .acquiring)
        let word = (hash &>> 32) &<< 32 | UInt64(cell + 1)
        probe: while true {
            if Self.successor(table) != nil { move(table, steps) }
            var slot = Int(truncatingIfNeeded: hash) & table.pointee.mask
            while true {
                let found = table.pointee.region[slot][0]
                if found == 0 {
                    let next = Self.successor(table)
                    let desired = next == nil ? word : Self.frozen
                    steps(.placeFound)
                    guard table.pointee.region[slot].compareExchange(0, 0, desired) else {
                        continue
                    }
                    if let next {
                        table = next
                        continue probe
                    }
                    try added(to: table, steps)
                    return cell
                }
                if found == Self.frozen {
                    guard let next = Self.successor(table) else {
                        preconditionFailure("a frozen slot without a successor")
                    }
                    table = next
                    continue probe
                }
                if found &>> 32 == hash &>> 32 {
                    let other = Int(truncatingIfNeeded: found & 0xffff_ffff) &- 1
                    if matches(other, id) { return other }
                }
                slot = (slot &+ 1) & table.pointee.mask
            }
        }
    }

    /// Counts an insert and starts growing at a load of five eighths.
    private func added(to table: TablePointer, _ steps: Steps) throws(TableError) {
        // ORDERING: relaxed because the count only decides when to grow.
        let count = table.pointee.count.wrappingAdd(1, ordering: .relaxed).newValue
        let size = table.pointee.mask + 1
        guard count * 8 > size * 5, Self.successor(table) == nil else { return }
        let made = try Self.makeTable(size: size * 2)
        steps(.successorMade)
        // ORDERING: release; pairs with the acquire in `successor`.
        let published = table.pointee.next.compareExchange(
            expected: nil, desired: made, ordering: .acquiringAndReleasing
        ).exchanged
        if !published {
            made.deinitialize(count: 1)
            made.deallocate()
        }
    }

    /// Moves a stretch of a table that has a successor.
    private func move(_ table: TablePointer, _ steps: Steps) {
        guard let next = Self.successor(table) else { return }
        let stretches = table.pointee.isMoved.capacity
        // ORDERING: relaxed because a claim only divides the work; `current` is acquired, with the release in
        // `finishMoving`.
        let claimed = table.pointee.cursor.wrappingAdd(1, ordering: .relaxed).oldValue
        if claimed < stretches {
            moveStretch(claimed, of: table, to: next, steps)
        } else if current.pointee.load(ordering: .acquiring) == table {
            // Everything is claimed, but a claimer may have stopped: move what is not moved yet rather than wait.
            for stretch in 0..<stretches where table.pointee.isMoved[stretch][0] == 0 {
                moveStretch(stretch, of: table, to: next, steps)
            }
        }
    }

    /// Moves a stretch; anybody, any number of times. Who completes the last one publishes the successor.
    private func moveStretch(
        _ stretch: Int, of table: TablePointer, to next: TablePointer, _ steps: Steps
    ) {
        let start = stretch * Self.stretch
        for slot in start..<min(start + Self.stretch, table.pointee.mask + 1) {
            moveSlot(slot, of: table, to: next, steps)
        }
        steps(.stretchMoved)
        guard table.pointee.isMoved[stretch].compareExchange(0, 0, 1) else { return }
        // ORDERING: acquire-release; the last one to add sees every move before it publishes `next`.
        let moved = table.pointee.moved.wrappingAdd(1, ordering: .acquiringAndReleasing).newValue
        if moved == table.pointee.isMoved.capacity { finishMoving(table, next) }
    }

    private func moveSlot(
        _ slot: Int, of table: TablePointer, to next: TablePointer, _ steps: Steps
    ) {
        while true {
            let word = table.pointee.region[slot][0]
            steps(.moving)
            if word == Self.frozen { return }
            if word == 0 {
                if table.pointee.region[slot].compareExchange(0, 0, Self.frozen) { return }
                continue
            }
            let cell = Int(truncatingIfNeeded: word & 0xffff_ffff) - 1
            let hash = CellID.hash(cells[cell].advanced(CellID.firstWord))
            var target = Int(truncatingIfNeeded: hash) & next.pointee.mask
            while true {
                let found = next.pointee.region[target][0]
                if found == word { return }
                if found == 0 {
                    if next.pointee.region[target].compareExchange(0, 0, word) {
                        // ORDERING: relaxed because the count only decides when to grow.
                        next.pointee.count.wrappingAdd(1, ordering: .relaxed)
                        return
                    }
                    continue
                }
                precondition(found != Self.frozen, "a successor cannot be moved before its turn")
                target = (target + 1) & next.pointee.mask
            }
        }
    }

    private func finishMoving(_ table: TablePointer, _ next: TablePointer) {
        // ORDERING: release; pairs with the acquire in `find`. Publishes the moved words.
        _ = current.pointee.compareExchange(
            expected: table, desired: next, ordering: .acquiringAndReleasing)
    }
}
