package import Limits

/// What is wrong with one request, in the order of its fields: the first eight findings.
package struct Violations: Sendable {
    package static let capacity = 8
    /// 0 ... capacity.
    package private(set) var count: Int
    private var storage: InlineArray<8, Failure>

    package init() {
        count = 0
        storage = InlineArray(repeating: Failure(.badField))
    }

    package var isEmpty: Bool { count == 0 }

    /// - Parameter index: 0 ..< count.
    package subscript(index: Int) -> Failure {
        precondition(index >= 0 && index < count)
        return storage[index]
    }

    /// Adds a finding, or drops it where eight are known.
    mutating func append(_ failure: Failure) {
        guard count < Violations.capacity else { return }
        storage[count] = failure
        count += 1
    }

    mutating func removeAll() { count = 0 }
}
