package import Tracing

/// Spans of a call that is over.
extension CallReport {
    /// The method, and the route's pattern if there is one.
    package var spanName: String {
        guard transport == .http else { return method }
        let method = method == Self.otherMethod ? "HTTP" : method
        return pattern.map { "\(method) \($0)" } ?? method
    }

    /// Stands for an unknown HTTP method, which may be anything.
    package static let otherMethod = "_OTHER"

    /// The route, if it is a pattern and not a name for many routes.
    private var pattern: String? { route.flatMap { $0.hasPrefix("/") ? $0 : nil } }

    /// Named by OpenTelemetry's conventions where these have a name.
    package var spanAttributes: SpanAttributes {
        var attributes = SpanAttributes()
        switch transport {
        case .grpc:
            let parts = method.split(separator: "/", maxSplits: 1)
            attributes["rpc.system"] = "grpc"
            if parts.count == 2 {
                attributes["rpc.service"] = String(parts[0])
                attributes["rpc.method"] = String(parts[1])
            }
            attributes["rpc.grpc.status_code"] = statusCode
            let end = peer.lastIndex(of: ":") ?? peer.endIndex
            attributes["client.address"] = String(peer[..<end])
            if let port = Int(peer[end...].dropFirst()) { attributes["client.port"] = port }
        case .http:
            attributes["http.request.method"] = method
            if let pattern { attributes["http.route"] = pattern }
            attributes["http.response.status_code"] = statusCode
            attributes["client.address"] = peer
        }
        if let tenant { attributes["tollgate.tenant"] = tenant }
        if let caller { attributes["tollgate.caller"] = Hexadecimal.text(caller) }
        if let answer { attributes["tollgate.answer"] = answer }
        return attributes
    }

    /// nil: it was not an error.
    package var spanStatus: SpanStatus? {
        isFault ? SpanStatus(code: .error, message: status) : nil
    }

    var spanCount: Int { 1 + (decision == nil ? 0 : 1) + (diskWait == nil ? 0 : 1) }

    /// One span for the call, as its server saw it, and a child for each part.
    ///
    /// - Parameter clock: as read when the call ended.
    func spans(_ clock: WallClock) -> [EndedSpan] {
        let trace = trace ?? .new
        var call = EndedSpan(
            trace: trace.trace, id: .newSpanID, parent: trace.span, state: trace.state,
            name: spanName, kind: .server, began: clock.unix(began),
            ended: clock.unix(max(began, ended)), attributes: spanAttributes)
        call.error = spanStatus?.message
        let parts = [("decide", decision), ("wait for disk", diskWait)]
        return [call]
            + parts.compactMap { name, part in
                part.map {
                    EndedSpan(
                        trace: trace.trace, id: .newSpanID, parent: call.id, state: trace.state,
                        name: name, kind: .internal, began: clock.unix($0.began),
                        ended: clock.unix($0.ended))
                }
            }
    }
}

extension UInt64 {
    /// An id for a new span; not 0, which stands for none.
    static var newSpanID: UInt64 { .random(in: 1 ... .max) }
}
