/// One lane's supply of key entries: a chunk of 128 at a time, from the queue that all lanes share. A filled chunk goes
/// to the queue's end; the chunk in front is filled anew, by whichever lane needs one, when all its entries are
/// forgotten.
///
/// A lane that stops keeps the chunk that it is filling, and nothing else.
struct KeySupply {
    /// Clocks of different lanes differ by less than this.
    static let clockMargin: Int64 = 2_000

    private let memory: KeyMemory
    private let used: Words
    private let chunkLimit: Int
    private var current: ChunkQueue.Item?
    private var offset = KeyMemory.chunkEntries

    /// - Parameter used: the shared counter of chunks that were ever taken.
    init(_ memory: KeyMemory, used: Words) {
        self.memory = memory
        self.used = used
        chunkLimit = memory.entries.capacity / KeyMemory.chunkEntries
    }

    /// An entry to renew, or nil when the budget is spent: a key is never forgotten early. Allocates nothing.
    mutating func next(now: Int64, _ steps: Steps) -> Int? {
        if offset == KeyMemory.chunkEntries {
            guard advance(now: now, steps) else { return nil }
        }
        guard let current else { return nil }
        offset += 1
        return current.value * KeyMemory.chunkEntries + offset - 1
    }

    /// Gives the chunk in hand back; what is left of it is forgotten with the rest.
    mutating func retire(_ steps: Steps) {
        if let chunk = current { memory.filled.enqueue(chunk, steps) }
        current = nil
        offset = KeyMemory.chunkEntries
    }

    private mutating func advance(now: Int64, _ steps: Steps) -> Bool {
        retire(steps)
        let memory = memory
        current =
            memory.filled.dequeue(where: { memory.isForgotten(chunk: $0, now: now) }, steps)
            ?? fresh()
        guard current != nil else { return false }
        offset = 0
        return true
    }

    private func fresh() -> ChunkQueue.Item? {
        guard used[0] < chunkLimit else { return nil }
        let chunk = Int(used.add(0, 1))
        return chunk < chunkLimit ? memory.filled.fresh(chunk) : nil
    }
}

extension KeyMemory {
    fileprivate func isForgotten(chunk: Int, now: Int64) -> Bool {
        let start = chunk * Self.chunkEntries
        guard start + Self.chunkEntries <= entries.capacity else { return false }
        return (start..<start + Self.chunkEntries).allSatisfy {
            isForgotten($0, now: now - KeySupply.clockMargin)
        }
    }
}
