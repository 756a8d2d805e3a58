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
    /// It ended with an error, and what that was.
    var error: String?
}

/// Spans that wait to be exported, and calls of which they will be made then. There is a bound: what is beyond is dropped
/// and counted.
///
/// Thread safety: any thread; adding waits for moments only.
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

    /// Spans; all but `waiting` ever.
    package struct Counts: Sendable {
        package var waiting = 0
        /// A collector has taken them.
        package var exported: UInt64 = 0
        /// They will not be exported, for whatever reason.
        package var dropped: UInt64 = 0
        /// Of these, those for which there was no room.
        package var overflowed: UInt64 = 0
    }

    private let maximum: Int
    private let state = Mutex(State())
    /// Made of what was taken out of the state, the oldest first: who adds never waits for it.
    private let made = Mutex<[EndedSpan]>([])

    /// - Parameter maximum: spans that may wait.
    package init(maximum: Int) { self.maximum = maximum }

    /// All spans of the call or none: a trace with holes helps nobody.
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

    /// Takes the oldest.
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

    /// Spans that were taken wait again, in front of all others.
    func putBack(_ spans: [EndedSpan]) {
        made.withLock { $0.insert(contentsOf: spans, at: 0) }
        state.withLock { $0.counts.waiting += spans.count }
    }

    /// Spans that were taken have gone.
    ///
    /// - Parameter rejected: those of them that the collector did not want.
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
