package import Events
package import JSON
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
        let body: JSON = [
            "data": data(event),
            "meta": ["attempt": .integer(attempt), "delivered_to": .string(url)],
        ]
        return body.text
    }

    /// The event by itself.
    package static func data(_ event: Event) -> JSON {
        [
            "event_type": .string(event.kind.rawValue), "id": .string(event.id),
            "occurred_at": .string(Instant.text(event.occurredAt).dropLast() + "+00:00"),
            "payload": payload(event), "record_type": "event",
        ]
    }

    package static func payload(_ event: Event) -> JSON {
        .object(event.kind.subject == .tenant ? tenantPayload(event) : profilePayload(event))
    }

    private static func profilePayload(_ event: Event) -> [JSON.Member] {
        var members: [JSON.Member] = [
            ("configured_limit", .string(Money.format(event.limit?.cap ?? 0))),
            ("current_cost", .string(Money.format(event.limit?.committed ?? 0))),
            ("profile_id", .string(event.profileID)),
        ]
        if event.kind.isThreshold, let limit = event.limit {
            members.append(("alert_threshold", .integer(limit.percent)))
            // The other event's body is the vendor's, member by member: there a header says it.
            if let occasion = event.occasion {
                members.append(("occasion", .string(occasion.rawValue)))
            }
        }
        return members
    }

    private static func tenantPayload(_ event: Event) -> [JSON.Member] {
        var members: [JSON.Member] = [
            ("tenant_id", .string(event.tenantID)), ("tenant_name", .string(event.tenantName)),
        ]
        if let limit = event.limit {
            let resource = limit.row?.resource
            let amount = { (value: Int64) in resource?.json(value) ?? JSON.integer(value) }
            members.append(("limit", .string(limit.name)))
            if !event.profileID.isEmpty { members.append(("profile_id", .string(event.profileID))) }
            members.append(("cap", amount(limit.cap)))
            if let setting = limit.row?.cap, setting.unit == .minutes {
                members.append(("cap_minutes", .integer(setting.configured(limit.cap))))
            }
            members.append(("committed", amount(limit.committed)))
            members.append(("held", amount(limit.held)))
            members.append(("asked", amount(limit.asked)))
            members.append(("alert_threshold", .integer(limit.percent)))
            if limit.resetsAt != 0 {
                members.append(("window_start", .string(Instant.text(limit.windowStart))))
                members.append(("resets_at", .string(Instant.text(limit.resetsAt))))
            }
            if let occasion = event.occasion {
                members.append(("occasion", .string(occasion.rawValue)))
            }
        }
        if !event.reason.isEmpty { members.append(("reason", .string(event.reason))) }
        return members
    }
}
