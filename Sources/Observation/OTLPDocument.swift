internal import JSON

/// Spans as OTLP writes them in JSON: the body of a request to a collector.
package struct OTLPDocument: Sendable {
    private let resource: JSON
    private let scope: JSON

    /// - Parameters:
    ///   - version: the service's.
    ///   - instance: tells this process from all others.
    package init(version: String, instance: String) {
        resource = [
            "attributes": .array([
                Self.attribute("service.name", .text("tollgate")),
                Self.attribute("service.version", .text(version)),
                Self.attribute("service.instance.id", .text(instance)),
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
        members += [
            ("name", .string(span.name)), ("kind", .integer(span.kind.rawValue)),
            // 64-bit numbers are texts in protobuf's JSON.
            ("startTimeUnixNano", .string("\(span.began)")),
            ("endTimeUnixNano", .string("\(span.ended)")),
            ("attributes", .array(span.attributes.map { attribute($0.name, $0.value) })),
        ]
        if let error = span.error {
            // STATUS_CODE_ERROR
            members.append(("status", ["code": 2, "message": .string(error)]))
        }
        return .object(members)
    }

    private static func attribute(_ name: String, _ value: EndedSpan.Value) -> JSON {
        let value: JSON =
            switch value {
            case .text(let text): ["stringValue": .string(text)]
            case .integer(let number): ["intValue": .string("\(number)")]
            case .decimal(let number): ["doubleValue": .decimal(number)]
            case .truth(let truth): ["boolValue": .bool(truth)]
            }
        return ["key": .string(name), "value": value]
    }
}
