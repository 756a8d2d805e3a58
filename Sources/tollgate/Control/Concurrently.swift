internal import CommandIO

/// Requests underway at a time: enough to hide the way there and back, too few to crowd others out.
private let requestsUnderway = 8

/// Does something with every element, several at a time; results in the order of the elements.
///
/// - Throws: the first error, when those underway have ended; the others are not begun.
func concurrently<Element: Sendable, Result: Sendable>(
    _ elements: [Element], _ progress: Progress,
    _ body: @escaping @Sendable (Element) async throws -> Result
) async throws -> [Result] {
    try await withThrowingTaskGroup(of: (Int, Result).self) { group in
        var results = [Result?](repeating: nil, count: elements.count)
        var next = 0
        func begin() {
            guard next < elements.count else { return }
            let (index, element) = (next, elements[next])
            next += 1
            group.addTask { (index, try await body(element)) }
        }
        for _ in 0..<requestsUnderway { begin() }
        while let (index, result) = try await group.next() {
            results[index] = result
            await progress.step()
            begin()
        }
        return results.compactMap { $0 }
    }
}

/// Tells how far long work is: a line on standard error every two seconds.
actor Progress {
    private var verb = ""
    private var total = 0
    private var done = 0
    private var lastTold = ContinuousClock.now

    /// Starts counting anew.
    func begin(_ verb: String, of total: Int) {
        (self.verb, self.total, done, lastTold) = (verb, total, 0, .now)
    }

    func step() {
        done += 1
        guard lastTold.duration(to: .now) >= .seconds(2), done < total else { return }
        lastTold = .now
        StandardError.print("\(verb) \(done) of \(total)")
    }
}
