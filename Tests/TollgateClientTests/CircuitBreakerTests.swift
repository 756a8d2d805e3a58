import NIOCore
import Testing

@testable import TollgateClient

@Suite("When calls are no longer tried")
struct CircuitBreakerTests {
    /// What happens at a second; the breaker opens after three failures, for 2 s, then 4 s, then 5 s at most.
    enum Event: Sendable {
        case answered, failed, withdrawn
        /// Of a call that was begun at this second.
        case failedSince(UInt64)
        case asked(Bool)
    }

    typealias Row = (name: String, events: [(second: UInt64, event: Event)])

    static let table: [Row] = [
        (
            "two failures do no harm",
            [
                (0, .failed), (0, .failed), (0, .asked(true)), (1, .answered), (1, .failed),
                (1, .failed), (1, .asked(true)),
            ]
        ),
        (
            "three in a row open it for its time",
            [
                (0, .failed), (0, .failed), (1, .failed), (1, .asked(false)), (2, .asked(false)),
                (3, .asked(true)),
            ]
        ),
        (
            "one trial at a time",
            [
                (0, .failed), (0, .failed), (0, .failed), (2, .asked(true)), (2, .asked(false)),
                (3, .asked(false)),
            ]
        ),
        (
            "a trial that is answered closes it",
            [
                (0, .failed), (0, .failed), (0, .failed), (2, .asked(true)), (3, .answered),
                (3, .asked(true)), (3, .failed), (3, .failed), (3, .asked(true)), (3, .failed),
                (4, .asked(false)), (5, .asked(true)),
            ]
        ),
        (
            "a trial that fails opens it for twice the time, at most the most",
            [
                (0, .failed), (0, .failed), (0, .failed), (2, .asked(true)), (2, .failed),
                (5, .asked(false)), (6, .asked(true)), (6, .failed), (10, .asked(false)),
                (11, .asked(true)), (11, .failed), (15, .asked(false)), (16, .asked(true)),
            ]
        ),
        (
            "a trial that is withdrawn leaves room for the next",
            [
                (0, .failed), (0, .failed), (0, .failed), (2, .asked(true)), (2, .withdrawn),
                (2, .asked(true)), (2, .asked(false)),
            ]
        ),
        (
            "a trial that is lost leaves room after the longest time",
            [
                (0, .failed), (0, .failed), (0, .failed), (2, .asked(true)), (6, .asked(false)),
                (7, .asked(true)),
            ]
        ),
        (
            "calls that were under way together count as one",
            [
                (1, .failed), (1, .failedSince(0)), (1, .failedSince(0)), (1, .failedSince(0)),
                (1, .asked(true)), (2, .failedSince(1)), (3, .failedSince(2)), (3, .asked(false)),
            ]
        ),
        (
            "calls from before it opened change nothing but by an answer",
            [
                (0, .failed), (0, .failed), (0, .failed), (1, .failed), (1, .failed),
                (1, .withdrawn), (1, .asked(false)), (2, .asked(true)), (2, .failed),
                (3, .answered), (3, .asked(true)),
            ]
        ),
    ]

    @Test(arguments: table.indices)
    func row(_ index: Int) {
        let row = Self.table[index]
        var breaker = CircuitBreaker(threshold: 3, first: .seconds(2), most: .seconds(5))
        for (number, (second, event)) in row.events.enumerated() {
            let now = NIODeadline.uptimeNanoseconds((100 + second) * 1_000_000_000)
            switch event {
            case .answered: breaker.answered()
            case .failed: _ = breaker.failed(begun: now, at: now)
            case .failedSince(let second):
                _ = breaker.failed(
                    begun: .uptimeNanoseconds((100 + second) * 1_000_000_000), at: now)
            case .withdrawn: breaker.withdrawn(at: now)
            case .asked(let expected):
                #expect(breaker.admits(at: now) == expected, "\(row.name): event \(number)")
            }
        }
    }

    @Test func openingIsToldOnce() {
        var breaker = CircuitBreaker(threshold: 2, first: .seconds(2), most: .seconds(2))
        let now = NIODeadline.uptimeNanoseconds(1_000_000_000)
        #expect(breaker.isUndisturbed && breaker.nextTrial == nil)
        let told = (0..<4).map { _ in breaker.failed(begun: now, at: now) }
        #expect(told == [false, true, false, false])
        #expect(breaker.isUndisturbed == false && breaker.nextTrial == now + .seconds(2))
        breaker.answered()
        #expect(breaker.isUndisturbed)
    }
}
