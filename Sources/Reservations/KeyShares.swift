/// For whom the chunks of remembered keys count.
///
/// A chunk counts for the tenant whose key is the first in it: in the long run each tenant has as many as it has keys, at
/// the cost of one step in 128. It counts from then until the last of its keys is over, which is noticed when the chunk
/// begins anew, or by a look that the ticks of all lanes have a part of. A checkpoint says of each key for whom its chunk
/// counts; its keys come chunk by chunk.
///
/// A chunk's word changes by compare-exchange from the exact old one; who wins sets the counts right.
struct KeyShares {
    /// Clocks of different lanes differ by less than this.
    static let clockMargin: Int64 = 2_000
    /// Chunks that one tick looks at.
    static let stretch = 1_024

    /// By chunk: how long it counts, in units of 16 ms << 24 | tenant + 1 (0: nobody). 0: it counts no more.
    private let owners: Region<Word>
    /// By tenant: chunks that count for it.
    private let tenants: Region<Word>
    private let total: Words
    private let cursor: Words
    private let used: Words
    private let pressure: Words
    /// The budget.
    private let limit: Int

    /// - Parameters: counted, cursor: zeroed words; used: the counter of chunks that were ever taken; pressure: the
    ///   table's word of `Pressure`.
    init(
        _ memory: KeyMemory, tenants: Int, counted: Words, cursor: Words, used: Words,
        pressure: Words
    ) throws(TableError) {
        owners = try Region(capacity: memory.entries.capacity / KeyMemory.chunkEntries)
        self.tenants = try Region(capacity: tenants)
        limit = memory.chunks
        total = counted
        self.cursor = cursor
        self.used = used
        self.pressure = pressure
    }

    func unmap() {
        owners.unmap()
        tenants.unmap()
    }

    /// Chunks that count for somebody, or nobody.
    var counted: Int { max(0, Int(Int64(bitPattern: total[0]))) }

    /// For whom a chunk counts; nil: for nobody, or no more.
    func owner(ofChunk chunk: Int) -> Int? {
        let tenant = Int(owners[chunk][0] & 0xff_ffff)
        return tenant == 0 ? nil : tenant - 1
    }

    func keys(of tenant: Int) -> Int {
        max(0, Int(Int64(bitPattern: tenants[tenant][0]))) * KeyMemory.chunkEntries
    }

    /// Has a chunk, which is in the caller's hand, count for a tenant from now until an instant.
    func count(_ chunk: Int, _ tenant: Int?, until: Int64) {
        let time = max(1, until / 16 + 1)
        change(chunk, to: UInt64(bitPattern: time) &<< 24 | UInt64((tenant ?? -1) + 1))
    }

    /// Looks for chunks whose keys are all over.
    func look(now: Int64) {
        let chunks = min(Int(used[0]), owners.capacity)
        guard total[0] != 0, chunks > 0 else { return }
        let start = Int(truncatingIfNeeded: cursor.add(0, UInt64(Self.stretch)) % UInt64(chunks))
        let over = (now - Self.clockMargin) / 16
        for place in start..<start + min(Self.stretch, chunks) {
            let chunk = place < chunks ? place : place - chunks
            let word = owners[chunk][0]
            if word != 0 && Int64(word &>> 24) < over { drop(chunk, word) }
        }
    }

    /// What counts no more; losing means that the chunk has begun anew.
    private func drop(_ chunk: Int, _ word: UInt64) {
        guard owners[chunk].compareExchange(0, word, 0) else { return }
        add(.max, to: word)
        notePressure()
    }

    private func change(_ chunk: Int, to word: UInt64) {
        while true {
            let old = owners[chunk][0]
            guard owners[chunk].compareExchange(0, old, word) else { continue }
            if old != 0 { add(.max, to: old) }
            add(1, to: word)
            return notePressure()
        }
    }

    private func add(_ change: UInt64, to word: UInt64) {
        _ = total.add(0, change)
        let tenant = Int(word & 0xff_ffff) - 1
        if tenant >= 0 { _ = tenants[tenant].add(0, change) }
    }

    private func notePressure() {
        let reserve = limit / Pressure.reservePart
        Pressure.set(Pressure.keys, counted * 4 >= limit * 3, in: pressure)
        Pressure.set(Pressure.keyReserve, reserve > 0 && counted >= limit - reserve, in: pressure)
    }
}
