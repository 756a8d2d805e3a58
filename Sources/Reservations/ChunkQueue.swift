/// The queue of filled key chunks that all lanes share, the oldest in front: Michael and Scott's queue ("Simple, fast,
/// and practical non-blocking and blocking concurrent queue algorithms", 1996) with tagged indices.
///
/// A node and the number it carries travel together: who takes a number from the queue gets a node that is free, and
/// who puts a number in brings one. So there are as many nodes as chunks, and one that is always in the queue.
///
/// **Progress:** lock-free; whoever finds the tail behind moves it on. **ABA:** every word carries a 32-bit tag that
/// rises with each change: a thread would have to stop for exactly 2^32 changes, each of which stands for 128 keys.
struct ChunkQueue {
    enum Node: RecordLayout {
        static let words = 2
        /// tag << 32 | node + 1; 0: the last one
        static let next = 0
        static let value = 1
        static let end = 2
    }
    /// A number that is in nobody's list, with the node to put it back with.
    struct Item {
        var value: Int
        var node: Int
    }

    private let nodes: Region<Node>
    private let ends: Region<CacheLine>
    private var head: Words { ends[0] }
    private var tail: Words { ends[1] }

    /// - Parameter capacity: numbers that exist; number `n` comes with node `n + 1`.
    init(capacity: Int) throws(TableError) {
        nodes = try Region(capacity: capacity + 1)
        ends = try Region(capacity: 2)
        ends[0][0] = 1
        ends[1][0] = 1
    }

    func unmap() {
        nodes.unmap()
        ends.unmap()
    }

    /// A number that was never in the queue.
    func fresh(_ value: Int) -> Item { Item(value: value, node: value + 1) }

    @inline(always)
    private func successor(_ old: UInt64, _ index: UInt64) -> UInt64 {
        (old &>> 32 &+ 1) &<< 32 | index
    }
    @inline(always)
    private func index(_ word: UInt64) -> Int { Int(truncatingIfNeeded: word & 0xffff_ffff) }

    /// Puts an item at the end.
    func enqueue(_ item: Item, _ steps: Steps) {
        let node = nodes[item.node]
        node[Node.value] = UInt64(item.value)
        node[Node.next] = successor(node[Node.next], 0)
        let mine = UInt64(item.node + 1)
        while true {
            let last = tail[0]
            let lastNode = nodes[index(last) - 1]
            let next = lastNode[Node.next]
            guard tail[0] == last else { continue }
            steps(.queueRead)
            if index(next) != 0 {
                // Losing means that somebody else moved it on.
                _ = tail.compareExchange(0, last, successor(last, UInt64(index(next))))
            } else if lastNode.compareExchange(Node.next, next, successor(next, mine)) {
                steps(.queueLinked)
                _ = tail.compareExchange(0, last, successor(last, mine))
                return
            }
        }
    }

    /// Takes the item in front if it is fit; nil: it is not, or there is none.
    func dequeue(where isFit: (Int) -> Bool, _ steps: Steps) -> Item? {
        while true {
            let first = head[0]
            let last = tail[0]
            let next = nodes[index(first) - 1][Node.next]
            guard head[0] == first else { continue }
            if index(next) == 0 { return nil }
            if index(first) == index(last) {
                _ = tail.compareExchange(0, last, successor(last, UInt64(index(next))))
                continue
            }
            // Another life's value if the head has changed: then nothing is decided by it.
            let value = Int(truncatingIfNeeded: nodes[index(next) - 1][Node.value])
            guard isFit(value) else {
                if head[0] == first { return nil }
                continue
            }
            steps(.queueRead)
            if head.compareExchange(0, first, successor(first, UInt64(index(next)))) {
                return Item(value: value, node: index(first) - 1)
            }
        }
    }
}
