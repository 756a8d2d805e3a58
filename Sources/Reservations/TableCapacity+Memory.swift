package import Limits

/// What a table's bounds cost.
extension TableCapacity {
    /// Memory of one kind of record: address space that is reserved at start and backed as it is used.
    package struct Memory: Sendable, Equatable {
        package let kind: String
        /// Records at most.
        package let count: Int
        /// Bytes of each, index included.
        package let bytesEach: Int
        package var bytes: Int { count * bytesEach }
    }

    /// By kind, the sum being what a table can use in all.
    package var memory: [Memory] {
        func bytes<Layout: RecordLayout>(_: Layout.Type) -> Int { Layout.words * 8 }
        return [
            // Cells and nodes; a directory is at most half empty and keeps its smaller predecessors.
            Memory(
                kind: "tenants", count: tenants,
                bytesEach: bytes(TenantCell.self) + bytes(TenantNode.self) + 5 * 8),
            Memory(
                kind: "profiles", count: profiles,
                bytesEach: bytes(ProfileCell.self) + bytes(ProfileNode.self) + 4 * 8),
            Memory(kind: "reservations", count: reservations, bytesEach: bytes(Slot.self)),
            Memory(kind: "bodies", count: bodies, bytesEach: bytes(Body.self)),
            Memory(
                kind: "keys", count: keys,
                bytesEach: bytes(KeyMemory.Entry.self) + bytes(Word.self)),
            Memory(
                kind: "timers", count: TimerPool.chunks(self),
                bytesEach: bytes(TimerChunk.self)),
        ]
    }

    /// Of a table in which journal and checkpoint are folded into the next checkpoint: nobody is served from it, and what
    /// is over comes free in other pieces than in the live one, so that it has room for twice as many keys. Backed as far
    /// as it is used.
    package var ofFolding: TableCapacity {
        var folding = self
        folding.keys = min(2 * keys + KeyMemory.chunkEntries, max(keys, 0xffff_0000))
        folding.ringWords = 0
        folding.lanes = 1
        return folding
    }

    /// The sum of `memory`, bytes.
    package var memoryBytes: Int { memory.reduce(0) { $0 + $1.bytes } }
}
