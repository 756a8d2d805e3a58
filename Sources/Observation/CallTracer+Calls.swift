internal import Tracing

/// Spans of a call that is over: one for the call, as its server saw it, and one below it for each step.
extension CallTracer {
    func record(_ report: CallReport, _ clock: WallClock) {
        func instant(_ monotonic: UInt64) -> DefaultTracerClock.Timestamp {
            DefaultTracerClock.Timestamp(nanosecondsSinceEpoch: clock.unix(monotonic))
        }
        var context = InstrumentationContext.topLevel
        context[TraceContextKey.self] = report.trace
        let name =
            report.transport == .grpc
            ? report.method
            : [report.method, report.route].compactMap(\.self).joined(separator: " ")
        let call = startSpan(name, context: context, ofKind: .server, at: instant(report.began))
        call.attributes = Self.attributes(report)
        if report.isFault {
            call.setStatus(SpanStatus(code: .error, message: report.status))
        }
        var spans = report.steps.compactMap { step in
            startSpan(step.name, context: call.context, at: instant(step.began))
                .ended(at: clock.unix(step.ended))
        }
        if let ended = call.ended(at: clock.unix(report.ended)) { spans.insert(ended, at: 0) }
        queue.add(spans)
    }

    /// By OpenTelemetry's conventions, where they have a name.
    private static func attributes(_ report: CallReport) -> SpanAttributes {
        var attributes = SpanAttributes()
        switch report.transport {
        case .grpc:
            let parts = report.method.split(separator: "/", maxSplits: 1)
            attributes["rpc.system"] = "grpc"
            if parts.count == 2 {
                attributes["rpc.service"] = String(parts[0])
                attributes["rpc.method"] = String(parts[1])
            }
            attributes["rpc.grpc.status_code"] = report.statusCode
        case .http:
            attributes["http.request.method"] = report.method
            if let route = report.route { attributes["http.route"] = route }
            attributes["http.response.status_code"] = report.statusCode
        }
        attributes["client.address"] = report.peer
        if let tenant = report.tenant { attributes["tollgate.tenant"] = tenant }
        if let caller = report.caller { attributes["tollgate.caller"] = Hexadecimal.text(caller) }
        if let answer = report.answer { attributes["tollgate.answer"] = answer }
        return attributes
    }
}
