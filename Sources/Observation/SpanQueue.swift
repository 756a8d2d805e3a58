package import Limits
internal import Synchronization

/// A span that has ended, as it is exported.
package struct EndedSpan: Sendable {
    package enum Kind: Int, Sendable {
        case `internal` = 1
        case server, client, producer, consumer
    }

    package enum Value: Sendable, Equatable {
        case text(String)
        case integer(Int64)
        case decimal(Double)
        case truth(Bool)
    }

    package var trace: TraceID
    package var id: UInt64
    /// 0: none.
    package var parent: UInt64
    package var state: String
    package var name: String
    package var kind: Kind
    /// Unix nanoseconds.
    package var began: UInt64
    package var ended: UInt64
    package var attributes: [(name: String, value: Value)]
    /// It ended with an error, and what that was.
    package var error: String?
}

/// Spans that wait to be exported. There is a bound: what is beyond is dropped and counted.
///
/// Thread safety: any thread.
package final class SpanQueue: Sendable {
    private struct State {
        var spans: [EndedSpan] = []
        /// These, and those that are on their way out.
        var waiting = 0
        var dropped: UInt64 = 0
        var exported: UInt64 = 0
    }

    private let maximum: Int
    private let state = Mutex(State())
    /// Taken out of the state all at once, the oldest last: whoever adds never waits for many to be moved.
    private let leaving = Mutex<[EndedSpan]>([])

    package init(maximum: Int) { self.maximum = maximum }

    /// All or none of them: a trace with holes helps nobody.
    func add(_ spans: [EndedSpan]) {
        state.withLock { state in
            guard state.waiting + spans.count <= maximum else {
                state.dropped += UInt64(spans.count)
                return
            }
            state.spans += spans
            state.waiting += spans.count
        }
    }

    /// Takes the oldest.
    package func take(atMost count: Int) -> [EndedSpan] {
        leaving.withLock { leaving in
            if leaving.isEmpty {
                let found = state.withLock { state in
                    defer { state.spans = [] }
                    return state.spans
                }
                leaving = found.reversed()
            }
            let taken = Array(leaving.suffix(count).reversed())
            leaving.removeLast(taken.count)
            state.withLock { $0.waiting -= taken.count }
            return taken
        }
    }

    /// Spans that were taken will not be exported.
    func drop(_ count: Int) { state.withLock { $0.dropped += UInt64(count) } }

    func noteExported(_ count: Int) { state.withLock { $0.exported += UInt64(count) } }

    /// Spans that were dropped, and those that a collector has taken, ever; and those that wait.
    package var counts: (dropped: UInt64, exported: UInt64, waiting: Int) {
        state.withLock { ($0.dropped, $0.exported, $0.waiting) }
    }
}
