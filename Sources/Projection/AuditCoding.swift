import Events
import Foundation
import JSON
import Limits

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

    /// 16 bytes, the highest first.
    static func data(_ trace: TraceID?) -> Data? {
        guard let trace else { return nil }
        return [trace.high, trace.low].reduce(into: Data()) { data, word in
            withUnsafeBytes(of: word.bigEndian) { data.append(contentsOf: $0) }
        }
    }

    /// nil: there is none, or it makes no sense.
    static func trace(_ data: Data?) -> TraceID? {
        guard let data, data.count == 16 else { return nil }
        let words = [data.prefix(8), data.suffix(8)].map { half in
            half.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        }
        return TraceID(high: words[0], low: words[1])
    }

    static func text(_ readings: [LimitReading]) -> String {
        let objects = readings.map { reading -> JSON in
            [
                "name": .string(reading.name), "cap": .integer(reading.cap),
                "committed": .integer(reading.committed), "held": .integer(reading.held),
                "asked": .integer(reading.asked), "percent": .integer(reading.percent),
                "windowStart": .integer(reading.windowStart),
                "resetsAt": .integer(reading.resetsAt),
            ]
        }
        return JSON.array(objects).text
    }

    static func text(_ changes: [AuditRow.Change]) throws -> String {
        try JSON(encoding: changes).text
    }

    static func readings(_ text: String?) -> [LimitReading] { list(text) }

    static func changes(_ text: String?) -> [AuditRow.Change] { list(text) }

    /// Empty: it cannot be read.
    private static func list<Element: Decodable>(_ text: String?) -> [Element] {
        text.flatMap { try? JSONParser.parse($0).decoded(as: [Element].self) } ?? []
    }
}
