internal import Limits
internal import Synchronization
package import Tracing

/// Makes spans for swift-distributed-tracing, and queues those that are recorded for export. REST requests get their
/// spans from it; those of gRPC calls are made from reports, away from the event loops (`CallReport.spans`).
///
/// It is passed to whoever makes spans, and is not the process-wide tracer (`InstrumentationSystem`): libraries would
/// make spans of their own with that; the HTTP client, for example, of webhooks, whose URLs have secret paths, and of
/// exports, which would be exported in turn.
///
/// Thread safety: any thread.
package final class CallTracer: Tracer {
    package let queue: SpanQueue

    package init(_ queue: SpanQueue) { self.queue = queue }

    package func startSpan<Instant: TracerInstant>(
        _ operationName: String, context: @autoclosure () -> InstrumentationContext,
        ofKind kind: SpanKind, at instant: @autoclosure () -> Instant, function: String,
        file fileID: String, line: UInt
    ) -> CallSpan {
        let context = context()
        let parent = context.trace ?? .new
        return CallSpan(
            EndedSpan(
                trace: parent.trace, id: .newSpanID, parent: parent.span, state: parent.state,
                name: operationName, kind: kind, began: instant().nanosecondsSinceEpoch),
            in: context, parent.isSampled ? queue : nil)
    }

    /// Exports are made in the background.
    package func forceFlush() {}

    /// Callers' contexts are read by `CallObserver`, which selects calls by them.
    package func extract<Carrier, Extract: Extractor>(
        _ carrier: Carrier, into context: inout InstrumentationContext, using extractor: Extract
    ) where Extract.Carrier == Carrier {}

    /// No call calls another service.
    package func inject<Carrier, Inject: Injector>(
        _ context: InstrumentationContext, into carrier: inout Carrier, using injector: Inject
    ) where Inject.Carrier == Carrier {}
}

extension InstrumentationContext {
    private enum Key: InstrumentationContextKey {
        typealias Value = TraceContext
        static let nameOverride: String? = "trace"
    }

    /// The trace and span that it belongs to; nil: none.
    package var trace: TraceContext? {
        get { self[Key.self] }
        set { self[Key.self] = newValue }
    }
}

/// A span of `CallTracer`.
///
/// Thread safety: any thread.
package final class CallSpan: Tracing.Span {
    package let context: InstrumentationContext
    /// nil: it is not recorded.
    private let queue: SpanQueue?
    /// As it will be exported; nil: it has ended.
    private let state: Mutex<EndedSpan?>

    init(_ span: EndedSpan, in context: InstrumentationContext, _ queue: SpanQueue?) {
        var context = context
        context.trace = TraceContext(
            trace: span.trace, span: span.id, isSampled: queue != nil, state: span.state)
        self.context = context
        self.queue = queue
        state = Mutex(span)
    }

    package var isRecording: Bool { queue != nil && state.withLock { $0 != nil } }

    package var operationName: String {
        get { state.withLock { $0?.name ?? "" } }
        set { state.withLock { $0?.name = newValue } }
    }

    package var attributes: SpanAttributes {
        get { state.withLock { $0?.attributes ?? [:] } }
        set { state.withLock { $0?.attributes = newValue } }
    }

    package func setStatus(_ status: SpanStatus) {
        state.withLock { $0?.error = status.code == .error ? status.message ?? "" : nil }
    }

    /// An error's description may contain what nobody else may see: the span's status reports the failure.
    package func recordError<Instant: TracerInstant>(
        _ error: any Error, attributes: SpanAttributes, at instant: @autoclosure () -> Instant
    ) {}

    /// Events and links are not kept: nothing here makes any.
    package func addEvent(_ event: SpanEvent) {}
    package func addLink(_ link: SpanLink) {}

    package func end<Instant: TracerInstant>(at instant: @autoclosure () -> Instant) {
        let last = state.withLock { state in
            defer { state = nil }
            return state
        }
        guard let queue, var span = last else { return }
        span.ended = max(span.began, instant().nanosecondsSinceEpoch)
        queue.add(span)
    }
}
