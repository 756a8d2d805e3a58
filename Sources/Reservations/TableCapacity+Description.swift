public import Limits

/// What a table's bounds cost and sustain, for the line that the start prints.
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

    /// What may begin each second for ever: as much as is forgotten, one retention after it was settled.
    package var reservationsPerSecond: Double { perSecond(reservations) }
    /// Extensions of fresh reservations, and commits of other amounts than held.
    package var bodiesPerSecond: Double { perSecond(bodies) }
    package var keysPerSecond: Double { perSecond(keys) }

    private func perSecond(_ count: Int) -> Double { Double(count) * 1_000 / Double(retention) }
}

extension TableCapacity: CustomStringConvertible {
    /// For example: `reservations 20000000 (2.4 GiB, 22222/s), …; remembered for 900 s`.
    public var description: String {
        let rates = [
            "reservations": reservationsPerSecond, "bodies": bodiesPerSecond, "keys": keysPerSecond,
        ]
        let kinds = memory.map { memory in
            let rate = rates[memory.kind].map { ", \(Int($0))/s" } ?? ""
            return "\(memory.kind) \(memory.count) (\(Self.text(memory.bytes))\(rate))"
        }
        return kinds.joined(separator: ", ")
            + "; in all up to \(Self.text(memoryBytes)), remembered for \(retention / 1_000) s"
    }

    private static func text(_ bytes: Int) -> String {
        let units = ["bytes", "KiB", "MiB", "GiB", "TiB"]
        var value = Double(bytes)
        var unit = 0
        while value >= 1_024 && unit + 1 < units.count {
            value /= 1_024
            unit += 1
        }
        return "\((value * 10).rounded() / 10) \(units[unit])"
    }
}
