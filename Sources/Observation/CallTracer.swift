internal import Limits
internal import Synchronization
package import Tracing

/// Makes spans as swift-distributed-tracing has them, and queues for export those that are recorded.
///
/// It is given to whoever makes spans, and is not the process' tracer (`InstrumentationSystem`): libraries would make spans
/// of their own with it, the HTTP client of webhooks with URLs whose paths are secrets, and of exports, which would be
/// exported in turn.
///
/// Thread safety: any thread.
package final class CallTracer: Tracer {
    package let queue: SpanQueue
    private let chance = Mutex(Chance())

    package init(_ queue: SpanQueue) { self.queue = queue }

    package func startSpan<Instant: TracerInstant>(
        _ operationName: String, context: @autoclosure () -> InstrumentationContext,
        ofKind kind: SpanKind, at instant: @autoclosure () -> Instant, function: String,
        file fileID: String, line: UInt
    ) -> CallSpan {
        let context = context()
        let parent = context[TraceContextKey.self]
        let ids = chance.withLock { ($0.id(), $0.id(), $0.id()) }
        let own = TraceContext(
            trace: parent?.trace ?? TraceID(high: ids.0, low: ids.1), span: ids.2,
            isSampled: parent?.isSampled ?? true, state: parent?.state ?? "")
        return CallSpan(
            operationName, own, parent: parent?.span ?? 0, kind,
            began: instant().nanosecondsSinceEpoch, context, own.isSampled ? queue : nil)
    }

    /// Exports are made in the background.
    package func forceFlush() {}

    package func extract<Carrier, Extract: Extractor>(
        _ carrier: Carrier, into context: inout InstrumentationContext, using extractor: Extract
    ) where Extract.Carrier == Carrier {
        guard let parent = extractor.extract(key: "traceparent", from: carrier) else { return }
        let state = extractor.extract(key: "tracestate", from: carrier)
        context[TraceContextKey.self] = TraceContext(traceparent: parent, tracestate: state)
    }

    package func inject<Carrier, Inject: Injector>(
        _ context: InstrumentationContext, into carrier: inout Carrier, using injector: Inject
    ) where Inject.Carrier == Carrier {
        guard let trace = context[TraceContextKey.self] else { return }
        injector.inject(trace.traceparent, forKey: "traceparent", into: &carrier)
        if !trace.state.isEmpty {
            injector.inject(trace.state, forKey: "tracestate", into: &carrier)
        }
    }
}

/// Where a context keeps which trace and span it is in.
enum TraceContextKey: InstrumentationContextKey {
    typealias Value = TraceContext
    static let nameOverride: String? = "trace"
}

/// A span of `CallTracer`.
///
/// Thread safety: any thread.
package final class CallSpan: Tracing.Span {
    private struct State {
        var name: String
        var attributes = SpanAttributes()
        var error: String?
        var isEnded = false
    }

    package let context: InstrumentationContext
    private let own: TraceContext
    private let parent: UInt64
    private let kind: SpanKind
    private let began: UInt64
    /// nil: it is not recorded.
    private let queue: SpanQueue?
    private let state: Mutex<State>

    init(
        _ name: String, _ own: TraceContext, parent: UInt64, _ kind: SpanKind, began: UInt64,
        _ context: InstrumentationContext, _ queue: SpanQueue?
    ) {
        var context = context
        context[TraceContextKey.self] = own
        self.context = context
        self.own = own
        self.parent = parent
        self.kind = kind
        self.began = began
        self.queue = queue
        state = Mutex(State(name: name))
    }

    package var isRecording: Bool { queue != nil && state.withLock { !$0.isEnded } }

    package var operationName: String {
        get { state.withLock { $0.name } }
        set { state.withLock { $0.name = newValue } }
    }

    package var attributes: SpanAttributes {
        get { state.withLock { $0.attributes } }
        set { state.withLock { $0.attributes = newValue } }
    }

    package func setStatus(_ status: SpanStatus) {
        state.withLock { $0.error = status.code == .error ? status.message ?? "" : nil }
    }

    package func recordError<Instant: TracerInstant>(
        _ error: any Error, attributes: SpanAttributes, at instant: @autoclosure () -> Instant
    ) {
        // What an error says of itself may have what nobody else is to see.
        state.withLock { $0.error = "\(type(of: error))" }
    }

    /// Events and links are not kept: nothing here makes any.
    package func addEvent(_ event: SpanEvent) {}
    package func addLink(_ link: SpanLink) {}

    package func end<Instant: TracerInstant>(at instant: @autoclosure () -> Instant) {
        guard let ended = ended(at: instant().nanosecondsSinceEpoch) else { return }
        queue?.add([ended])
    }

    /// Ends it without queueing it; nil: it has ended before, or is not recorded.
    func ended(at time: UInt64) -> EndedSpan? {
        let last = state.withLock { state -> State? in
            guard !state.isEnded else { return nil }
            state.isEnded = true
            return state
        }
        guard let last, queue != nil else { return nil }
        var attributes: [(name: String, value: EndedSpan.Value)] = []
        last.attributes.forEach { name, value in
            attributes.append((name, EndedSpan.Value(value)))
        }
        attributes.sort { $0.name < $1.name }
        return EndedSpan(
            trace: own.trace, id: own.span, parent: parent, state: own.state, name: last.name,
            kind: EndedSpan.Kind(kind), began: began, ended: max(began, time),
            attributes: attributes, error: last.error)
    }
}

extension EndedSpan.Kind {
    init(_ kind: SpanKind) {
        switch kind {
        case .server: self = .server
        case .client: self = .client
        case .producer: self = .producer
        case .consumer: self = .consumer
        case .internal: self = .internal
        }
    }
}

extension EndedSpan.Value {
    init(_ attribute: SpanAttribute) {
        switch attribute {
        case .int32(let value): self = .integer(Int64(value))
        case .int64(let value): self = .integer(value)
        case .double(let value): self = .decimal(value)
        case .bool(let value): self = .truth(value)
        case .string(let value): self = .text(value)
        case .stringConvertible(let value): self = .text("\(value)")
        default: self = .text("\(attribute)")
        }
    }
}
