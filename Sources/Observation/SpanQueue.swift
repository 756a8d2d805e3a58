internal import Limits
internal import Synchronization
internal import Tracing

/// A span that has ended, as it is exported.
package struct EndedSpan: Sendable {
    var trace: TraceID
    var id: UInt64
    /// 0: none.
    var parent: UInt64
    var state: String
    var name: String
    var kind: SpanKind
    /// Unix nanoseconds.
    var began: UInt64
    var ended: UInt64 = 0
    var attributes: SpanAttributes = [:]
    /// The error that it ended with; nil: none.
    var error: String?
}

/// Spans waiting to be exported, and calls whose spans will be made at that time. There is a bound: what exceeds it is
/// dropped and counted.
///
/// Thread safety: any thread; adding never waits long.
package final class SpanQueue: Sendable {
    private enum Element {
        case call(CallReport, WallClock)
        case span(EndedSpan)

        var spanCount: Int {
            switch self {
            case .call(let report, _): report.spanCount
            case .span: 1
            }
        }

        var spans: [EndedSpan] {
            switch self {
            case .call(let report, let clock): report.spans(clock)
            case .span(let span): [span]
            }
        }
    }

    private struct State {
        var elements = SlicedQueue<Element>()
        var counts = Counts()
    }

    /// Numbers of spans; all except `waiting` are totals.
    package struct Counts: Sendable {
        package var waiting = 0
        /// A collector has accepted them.
        package var exported: UInt64 = 0
        /// They will not be exported, for whatever reason.
        package var dropped: UInt64 = 0
        /// Of these, those for which there was no room.
        package var overflowed: UInt64 = 0
    }

    private let maximum: Int
    private let state = Mutex(State())
    /// Spans made from what was taken out of the state, the oldest first: adding never waits for them to be made.
    private let made = Mutex<[EndedSpan]>([])

    /// - Parameter maximum: spans that may wait.
    package init(maximum: Int) { self.maximum = maximum }

    /// Adds all spans of the call or none: a trace with gaps helps nobody.
    func add(_ report: CallReport, _ clock: WallClock) { add(.call(report, clock)) }

    func add(_ span: EndedSpan) { add(.span(span)) }

    private func add(_ element: Element) {
        let count = element.spanCount
        state.withLock { state in
            guard state.counts.waiting + count <= maximum else {
                state.counts.dropped += UInt64(count)
                state.counts.overflowed += UInt64(count)
                return
            }
            state.elements.append(element)
            state.counts.waiting += count
        }
    }

    /// Takes the oldest spans.
    func take(atMost count: Int) -> [EndedSpan] {
        made.withLock { made in
            while made.count < count {
                let slice = state.withLock { $0.elements.takeSlice() }
                guard !slice.isEmpty else { break }
                for element in slice { made += element.spans }
            }
            let taken = Array(made.prefix(count))
            made.removeFirst(taken.count)
            state.withLock { $0.counts.waiting -= taken.count }
            return taken
        }
    }

    /// Puts spans that were taken back, in front of all others.
    func putBack(_ spans: [EndedSpan]) {
        made.withLock { $0.insert(contentsOf: spans, at: 0) }
        state.withLock { $0.counts.waiting += spans.count }
    }

    /// Spans that were taken have been sent.
    ///
    /// - Parameter rejected: how many of them the collector rejected.
    func noteExported(_ count: Int, rejected: Int) {
        let rejected = min(rejected, count)
        state.withLock {
            $0.counts.exported += UInt64(count - rejected)
            $0.counts.dropped += UInt64(rejected)
        }
    }

    /// Spans that were taken will not be exported.
    func drop(_ count: Int) { state.withLock { $0.counts.dropped += UInt64(count) } }

    package var counts: Counts { state.withLock { $0.counts } }
}
