import CLinux
import Limits
import Reservations

/// The address space that an engine needs: what is reserved at its start and later, whatever of it is ever used.
enum AddressSpace {
    /// Of the process itself: code, stacks, the allocator's arenas, SQLite, buffers.
    private static let ofTheProcess = 1 << 30
    /// Of each lane's thread: its stack and its arena.
    private static let ofALane = 80 << 20

    /// Refuses bounds that the process's limit has no room for: where it ends is no place to say so.
    ///
    /// - Parameter hasJournal: checkpoints are made, each in a table of its own.
    static func check(_ capacity: TableCapacity, hasJournal: Bool) throws(EngineError) {
        try check(capacity, hasJournal: hasJournal, limit: linux_address_space_limit())
    }

    static func check(
        _ capacity: TableCapacity, hasJournal: Bool, limit: UInt64
    ) throws(EngineError) {
        let needed = bytes(capacity, hasJournal: hasJournal)
        guard limit < UInt64(needed) else { return }
        throw EngineError(
            .system,
            """
            the address space limit (RLIMIT_AS, ulimit -v) is \(limit) bytes, and the configured \
            maximums need \(needed): raise the limit, or lower --max-reservations, \
            --max-remembered, --max-amended, --max-tenants or --max-profiles
            """)
    }

    static func bytes(_ capacity: TableCapacity, hasJournal: Bool) -> Int {
        var bytes = ofTheProcess + capacity.lanes * (ofALane + capacity.ringWords * 8)
        bytes += self.bytes(ofTable: capacity)
        if hasJournal { bytes += self.bytes(ofTable: capacity.ofFolding) }
        return bytes
    }

    /// With the ids that do not fit their cells.
    private static func bytes(ofTable capacity: TableCapacity) -> Int {
        capacity.memoryBytes + (capacity.tenants + capacity.profiles) * 64
    }
}
