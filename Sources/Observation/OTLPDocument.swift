internal import JSON
internal import Tracing

/// Spans in OTLP's JSON encoding: the body of a request to a collector.
package struct OTLPDocument: Sendable {
    private let resource: JSON
    private let scope: JSON

    /// - Parameters:
    ///   - version: the service's.
    ///   - instance: distinguishes this process from all others.
    package init(version: String, instance: String) {
        resource = [
            "attributes": .array([
                Self.attribute("service.name", .string("tollgate")),
                Self.attribute("service.version", .string(version)),
                Self.attribute("service.instance.id", .string(instance)),
            ])
        ]
        scope = ["name": "tollgate", "version": .string(version)]
    }

    /// - Complexity: O(spans)
    package func encoded(_ spans: [EndedSpan]) -> [UInt8] {
        let document: JSON = [
            "resourceSpans": [
                [
                    "resource": resource,
                    "scopeSpans": [
                        ["scope": scope, "spans": .array(spans.map(Self.json))]
                    ],
                ]
            ]
        ]
        return document.encoded
    }

    private static func json(_ span: EndedSpan) -> JSON {
        var members: [JSON.Member] = [
            ("traceId", .string("\(span.trace)")), ("spanId", .string(Hexadecimal.text(span.id))),
        ]
        if !span.state.isEmpty { members.append(("traceState", .string(span.state))) }
        if span.parent != 0 {
            members.append(("parentSpanId", .string(Hexadecimal.text(span.parent))))
        }
        var attributes: [(name: String, value: SpanAttribute)] = []
        span.attributes.forEach { attributes.append(($0, $1)) }
        attributes.sort { $0.name < $1.name }
        members += [
            ("name", .string(span.name)), ("kind", .integer(kind(span.kind))),
            // 64-bit numbers are strings in protobuf's JSON.
            ("startTimeUnixNano", .string("\(span.began)")),
            ("endTimeUnixNano", .string("\(span.ended)")),
            ("attributes", .array(attributes.map(attribute))),
        ]
        if let error = span.error {
            // STATUS_CODE_ERROR
            members.append(("status", ["code": 2, "message": .string(error)]))
        }
        return .object(members)
    }

    /// SPAN_KIND_…
    private static func kind(_ kind: SpanKind) -> Int {
        switch kind {
        case .internal: 1
        case .server: 2
        case .client: 3
        case .producer: 4
        case .consumer: 5
        }
    }

    private static func attribute(_ name: String, _ value: SpanAttribute) -> JSON {
        let value: JSON =
            switch value {
            case .string(let text): ["stringValue": .string(text)]
            case .int32(let number): ["intValue": .string("\(number)")]
            case .int64(let number): ["intValue": .string("\(number)")]
            case .double(let number): ["doubleValue": .decimal(number)]
            case .bool(let truth): ["boolValue": .bool(truth)]
            case .stringConvertible(let value): ["stringValue": .string("\(value)")]
            default: ["stringValue": .string("\(value)")]
            }
        return ["key": .string(name), "value": value]
    }
}
