/// One lane's supply of key entries: a chunk of 128 at a time, from the queue that all lanes share. A filled chunk goes
/// to the queue's end; the chunk in front is filled anew, by whichever lane needs one, when all its entries are
/// forgotten.
///
/// A lane that stops keeps the chunk that it is filling, and nothing else.
struct KeySupply {
    private let memory: KeyMemory
    private let shares: KeyShares
    private let used: Words
    private var current: ChunkQueue.Item?
    private var offset = KeyMemory.chunkEntries
    /// Whose the chunk in hand is, and until when its last key is remembered.
    private var tenant: Int?
    private var until: Int64 = 0

    /// - Parameter used: the shared counter of chunks that were ever taken.
    init(_ memory: KeyMemory, _ shares: KeyShares, used: Words) {
        self.memory = memory
        self.shares = shares
        self.used = used
    }

    /// An entry to renew, or nil when the budget is spent: a key is never forgotten early. Allocates nothing.
    ///
    /// - Parameters:
    ///   - until: how long the key is remembered.
    ///   - tenant: for whom a chunk counts that this key is the first in; nil: for nobody.
    ///   - isPlayedBack: it was remembered before, within the budget.
    mutating func next(
        now: Int64, until: Int64, tenant: Int?, isPlayedBack: Bool, _ steps: Steps
    ) -> Int? {
        if offset == KeyMemory.chunkEntries {
            let limit = memory.chunks + (isPlayedBack ? KeyMemory.spareChunks : 0)
            guard advance(now: now, limit: limit, steps) else { return nil }
            self.tenant = tenant
            self.until = until
            if let current { shares.count(current.value, tenant, until: until) }
        }
        guard let current else { return nil }
        self.until = max(self.until, until)
        offset += 1
        return current.value * KeyMemory.chunkEntries + offset - 1
    }

    /// Gives the chunk in hand back; what is left of it is forgotten with the rest.
    mutating func retire(_ steps: Steps) {
        if let chunk = current {
            shares.count(chunk.value, tenant, until: until)
            memory.filled.enqueue(chunk, steps)
        }
        current = nil
        offset = KeyMemory.chunkEntries
    }

    private mutating func advance(now: Int64, limit: Int, _ steps: Steps) -> Bool {
        retire(steps)
        let memory = memory
        current =
            memory.filled.dequeue(where: { memory.isForgotten(chunk: $0, now: now) }, steps)
            ?? fresh(limit)
        guard current != nil else { return false }
        offset = 0
        return true
    }

    private func fresh(_ limit: Int) -> ChunkQueue.Item? {
        guard used[0] < limit else { return nil }
        let chunk = Int(used.add(0, 1))
        return chunk < limit ? memory.filled.fresh(chunk) : nil
    }
}

extension KeyMemory {
    fileprivate func isForgotten(chunk: Int, now: Int64) -> Bool {
        let start = chunk * Self.chunkEntries
        guard start + Self.chunkEntries <= entries.capacity else { return false }
        return (start..<start + Self.chunkEntries).allSatisfy {
            isForgotten($0, now: now - KeyShares.clockMargin)
        }
    }
}
