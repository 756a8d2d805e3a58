/// A stack of record indices that all lanes share: Treiber's stack (1986) with a tag in its head.
///
/// A record in the stack links to the next one by the low 32 bits of one of its words; the high 32 bits are the
/// pusher's. **Progress:** lock-free; a failed compare-exchange means that another push or pop succeeded. **ABA:**
/// every change of the head raises its tag; a thread would have to stop for a multiple of 2^(64 - `indexBits`)
/// changes and find the same record on top.
struct SharedStack<Layout: RecordLayout> {
    /// tag << indexBits | index + 1
    let head: Words
    let records: Region<Layout>
    /// The word of a record that links.
    let link: Int
    let indexBits: UInt64

    private var mask: UInt64 { 1 &<< indexBits &- 1 }

    /// The record on top, now the caller's alone; nil: none.
    func pop(_ steps: Steps) -> Int? {
        while true {
            let word = head[0]
            let index = Int(truncatingIfNeeded: word & mask)
            if index == 0 { return nil }
            // May be another life's word by now: then the head has another tag.
            let next = records[index - 1][link] & 0xffff_ffff & mask
            steps(.stackRead)
            if head.compareExchange(0, word, (word &>> indexBits &+ 1) &<< indexBits | next) {
                return index - 1
            }
        }
    }

    /// Puts a record on top that is the caller's alone.
    func push(_ index: Int, note: UInt32 = 0, _ steps: Steps) {
        while true {
            let word = head[0]
            records[index][link] = UInt64(note) &<< 32 | word & mask
            steps(.stackRead)
            let tag = word &>> indexBits &+ 1
            if head.compareExchange(0, word, tag &<< indexBits | UInt64(index + 1)) { return }
        }
    }

    /// What the pusher of a record that was popped noted with it.
    func note(_ index: Int) -> UInt32 { UInt32(truncatingIfNeeded: records[index][link] &>> 32) }
}
