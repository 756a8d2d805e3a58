package import Events
import Foundation
import Limits
import Notation

/// The body of a webhook, member by member in the vendor's order: compact, slashes not escaped, text in UTF-8, so that
/// whoever parses and writes it again gets the signed bytes.
package enum EventJSON {
    /// The whole body of one attempt.
    ///
    /// - Parameters:
    ///   - attempt: 1, 2, ...
    ///   - url: where this attempt goes.
    package static func body(_ event: Event, attempt: Int, deliveredTo url: String) -> String {
        object([
            ("data", data(event)),
            ("meta", object([("attempt", "\(attempt)"), ("delivered_to", string(url))])),
        ])
    }

    /// The event by itself.
    package static func data(_ event: Event) -> String {
        object([
            ("event_type", string(event.kind.rawValue)),
            ("id", string(event.id)),
            ("occurred_at", string(Instant.text(event.occurredAt).dropLast() + "+00:00")),
            ("payload", payload(event)),
            ("record_type", string("event")),
        ])
    }

    private static func payload(_ event: Event) -> String {
        event.kind.subject == .tenant ? tenantPayload(event) : profilePayload(event)
    }

    private static func profilePayload(_ event: Event) -> String {
        var members = [
            ("configured_limit", string(Money.format(event.limit?.cap ?? 0))),
            ("current_cost", string(Money.format(event.limit?.committed ?? 0))),
            ("profile_id", string(event.profileID)),
        ]
        if event.kind.isThreshold, let limit = event.limit {
            members.append(("alert_threshold", "\(limit.percent)"))
            // The other event's body is the vendor's, member by member: there a header says it.
            if let occasion = event.occasion {
                members.append(("occasion", string(occasion.rawValue)))
            }
        }
        return object(members)
    }

    private static func tenantPayload(_ event: Event) -> String {
        var members = [
            ("tenant_id", string(event.tenantID)), ("tenant_name", string(event.tenantName)),
        ]
        if let limit = event.limit {
            let resource = limit.row?.resource
            members.append(("limit", string(limit.name)))
            if !event.profileID.isEmpty { members.append(("profile_id", string(event.profileID))) }
            members.append(("cap", amount(limit.cap, resource)))
            if resource?.unit == .seconds { members.append(("cap_minutes", "\(limit.cap / 60)")) }
            members.append(("committed", amount(limit.committed, resource)))
            members.append(("held", amount(limit.held, resource)))
            members.append(("asked", amount(limit.asked, resource)))
            members.append(("alert_threshold", "\(limit.percent)"))
            if limit.resetsAt != 0 {
                members.append(("window_start", string(Instant.text(limit.windowStart))))
                members.append(("resets_at", string(Instant.text(limit.resetsAt))))
            }
            if let occasion = event.occasion {
                members.append(("occasion", string(occasion.rawValue)))
            }
        }
        if !event.reason.isEmpty { members.append(("reason", string(event.reason))) }
        return object(members)
    }

    private static func amount(_ value: Int64, _ resource: Resource?) -> String {
        resource?.unit == .amount ? string(Money.format(value)) : "\(value)"
    }

    private static func object(_ members: [(String, String)]) -> String {
        "{" + members.map { "\(string($0.0)):\($0.1)" }.joined(separator: ",") + "}"
    }

    /// A JSON string: what RFC 8259 demands is escaped, and nothing else.
    private static func string(_ text: some StringProtocol) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
