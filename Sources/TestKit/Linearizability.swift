/// A thing that can be asked one operation after the other.
package protocol SequentialSpecification: Hashable {
    associatedtype Operation
    associatedtype Answer
    /// The state after an operation that gave this answer; nil: it cannot have given it here.
    func after(_ operation: Operation, _ answer: Answer) -> Self?
}

/// One operation of a concurrent history: what was asked, what came back, and when.
package struct HistoryEntry<Operation, Answer> {
    package var operation: Operation
    package var answer: Answer
    /// Instants of one clock that no two events share.
    package var called: Int
    package var returned: Int

    package init(_ operation: Operation, _ answer: Answer, called: Int, returned: Int) {
        self.operation = operation
        self.answer = answer
        self.called = called
        self.returned = returned
    }
}

/// Decides whether a concurrent history can be explained by an order of its operations, each taking effect at one
/// instant between its call and its return (Herlihy and Wing, "Linearizability"). The search is Wing and Gong's with
/// Lowe's memory of visited configurations.
///
/// - Complexity: exponential at worst; linear in practice for histories of few threads.
package enum Linearizability {
    /// The operations that have taken effect, and the state that they led to. Operations are numbered by their calls;
    /// all below `base` have taken effect, and those of `beyond`.
    private struct Configuration<Specification: SequentialSpecification>: Hashable {
        var base = 0
        var beyond: Set<Int> = []
        var state: Specification

        func contains(_ index: Int) -> Bool { index < base || beyond.contains(index) }

        mutating func insert(_ index: Int) {
            beyond.insert(index)
            while beyond.remove(base) != nil { base += 1 }
        }
    }

    /// Whether a history is linearizable.
    package static func holds<Specification: SequentialSpecification>(
        _ history: [HistoryEntry<Specification.Operation, Specification.Answer>],
        from start: Specification
    ) -> Bool {
        let entries = history.sorted { $0.called < $1.called }
        var visited: Set<Configuration<Specification>> = []
        var stack = [Configuration(state: start)]
        while let configuration = stack.popLast() {
            if configuration.base == entries.count { return true }
            guard visited.insert(configuration).inserted else { continue }
            var earliestReturn = Int.max
            var index = configuration.base
            // Whoever was called after another had returned cannot take effect before it.
            while index < entries.count && entries[index].called < earliestReturn {
                defer { index += 1 }
                if configuration.contains(index) { continue }
                let entry = entries[index]
                earliestReturn = min(earliestReturn, entry.returned)
                guard let state = configuration.state.after(entry.operation, entry.answer) else {
                    continue
                }
                var next = configuration
                next.state = state
                next.insert(index)
                stack.append(next)
            }
        }
        return false
    }
}
