import Events
import Foundation

/// What lines of the audit log keep of lists.
enum AuditCoding {
    /// A kind of event has the lowest bit of its mask. Lines that were written when there was a bit for each limit have any.
    private static func mask(_ kind: Event.Kind) -> Int64 {
        switch kind {
        case .profileThresholdReached: 1 << 0 | 1 << 12
        case .tenantThresholdReached: 0x1e << 0 | 0x1e << 12
        case .profileLimitReached: 1 << 5 | 1 << 17 | 1 << 22
        case .tenantLimitReached: 0x1e << 5 | 0x1e << 17 | 0x1e << 22
        case .tenantSuspended: 1 << 10
        case .tenantReinstated: 1 << 11
        case .voiceProfileThresholdReached: 1 << 27
        case .voiceProfileLimitReached: 1 << 28
        }
    }

    static func bits(_ kinds: [Event.Kind]) -> Int64 {
        kinds.reduce(0) { $0 | mask($1) & -mask($1) }
    }

    static func kinds(_ bits: Int64) -> [Event.Kind] {
        Event.Kind.inOrder.filter { bits & mask($0) != 0 }
    }

    /// As `JSONEncoder` would, without its cost: names of limits need no escapes.
    static func text(_ readings: [LimitReading]) -> String {
        let objects = readings.map {
            """
            {"name":"\($0.name)","cap":\($0.cap),"committed":\($0.committed),"held":\($0.held),\
            "asked":\($0.asked),"percent":\($0.percent),"windowStart":\($0.windowStart),\
            "resetsAt":\($0.resetsAt)}
            """
        }
        return "[" + objects.joined(separator: ",") + "]"
    }

    static func text(_ changes: [AuditRow.Change]) throws -> String {
        String(decoding: try JSONEncoder().encode(changes), as: UTF8.self)
    }

    static func readings(_ text: String?) -> [LimitReading] {
        text.flatMap { try? JSONDecoder().decode([LimitReading].self, from: Data($0.utf8)) } ?? []
    }

    static func changes(_ text: String?) -> [AuditRow.Change] {
        text.flatMap { try? JSONDecoder().decode([AuditRow.Change].self, from: Data($0.utf8)) }
            ?? []
    }
}
