import TestKit
import Testing

/// A register that is read and written.
private struct Register: SequentialSpecification {
    enum Operation { case write(Int), read }
    var value = 0

    func after(_ operation: Operation, _ answer: Int) -> Register? {
        switch operation {
        case .write(let value): Register(value: value)
        case .read: answer == value ? self : nil
        }
    }
}

@Suite("Linearizability checker") struct LinearizabilityTests {
    private func write(_ value: Int, _ called: Int, _ returned: Int)
        -> HistoryEntry<Register.Operation, Int>
    {
        HistoryEntry(.write(value), 0, called: called, returned: returned)
    }
    private func read(_ value: Int, _ called: Int, _ returned: Int)
        -> HistoryEntry<Register.Operation, Int>
    {
        HistoryEntry(.read, value, called: called, returned: returned)
    }

    @Test func overlappingOperationsMayTakeEffectInAnyOrder() {
        #expect(
            Linearizability.holds(
                [write(1, 0, 10), read(0, 1, 2), read(1, 3, 4)], from: Register()))
        #expect(
            Linearizability.holds(
                [write(1, 0, 10), write(2, 1, 9), read(1, 11, 12)], from: Register()))
        #expect(
            Linearizability.holds(
                [write(1, 0, 10), write(2, 1, 9), read(2, 11, 12)], from: Register()))
    }

    @Test func whatHasReturnedIsSeen() {
        #expect(!Linearizability.holds([write(1, 0, 1), read(0, 2, 3)], from: Register()))
        // A value that was seen does not go away again.
        #expect(
            !Linearizability.holds(
                [write(1, 0, 10), read(1, 1, 2), read(0, 3, 4)], from: Register()))
        #expect(!Linearizability.holds([read(7, 0, 1)], from: Register()))
    }

    @Test func longHistories() {
        var history: [HistoryEntry<Register.Operation, Int>] = []
        for round in 0..<2_000 {
            let start = round * 10
            history.append(write(round, start, start + 5))
            history.append(read(round, start + 1, start + 6))
            history.append(read(round, start + 7, start + 8))
        }
        #expect(Linearizability.holds(history, from: Register()))
        history[2_999] = read(-1, 9_997, 9_998)
        #expect(!Linearizability.holds(history, from: Register()))
    }
}
