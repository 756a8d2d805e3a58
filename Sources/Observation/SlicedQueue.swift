/// A queue for one reader, in slices: adding moves no more than a slice, and the reader takes one slice at a time.
struct SlicedQueue<Element> {
    /// Elements per slice.
    static var sliceLength: Int { 256 }

    /// The oldest first; none is empty.
    private var slices: [[Element]] = []
    private(set) var count = 0

    /// - Complexity: O(1) amortised over a slice; after each slice O(slices) words.
    mutating func append(_ element: Element) {
        let last = slices.count - 1
        // By its index: through a variable, it would be copied.
        if last >= 0, slices[last].count < Self.sliceLength {
            slices[last].append(element)
        } else {
            slices.append([element])
        }
        count += 1
    }

    /// Takes the oldest slice; empty: there is none.
    ///
    /// - Complexity: O(slices) words.
    mutating func takeSlice() -> [Element] {
        guard !slices.isEmpty else { return [] }
        let slice = slices.removeFirst()
        count -= slice.count
        return slice
    }
}
