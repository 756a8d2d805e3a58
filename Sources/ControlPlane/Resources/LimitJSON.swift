import JSON
import Limits
import Projection

// Limits, amounts and usage as JSON, and who sees how much of them.

extension Amounts {
    /// The resources that are present.
    var json: JSON {
        .object(
            Resource.allCases.filter { contains($0.index) }.map {
                (name: $0.name, value: $0.json(self[$0]))
            })
    }
}

/// A limit as it is shown, whether the engine or the projection tells.
struct LimitView {
    var row: LimitRow
    var subjectID: String
    var cap: Int64?
    var committed: Int64
    var held: Int64
    /// Unix milliseconds; 0: a standing count.
    var windowStart: Int64
    var resetsAt: Int64
    /// nil: not known.
    var isBlocking: Bool?

    init(_ kind: LimitKind, _ state: LimitState, subjectID: String) {
        row = kind.row
        self.subjectID = subjectID
        cap = state.cap
        committed = state.committed
        held = state.held
        windowStart = state.windowStart
        resetsAt = state.resetsAt
        isBlocking = state.blocking
    }

    init(_ usage: LimitUsage, subjectID: String) {
        row = usage.kind.row
        self.subjectID = subjectID
        cap = usage.cap
        committed = usage.committed
        held = usage.held
        windowStart = usage.windowStart
        resetsAt = usage.resetsAt
    }

    func json(_ disclosure: Disclosure = .full) -> JSON {
        let amount = row.resource.json
        let isShown = disclosure.shows(row)
        var members: [JSON.Member] = []
        func add(_ name: String, _ value: JSON) {
            members.append((name: name, value: value))
        }
        add("limit", .string(row.name))
        add("subject_id", .string(subjectID))
        add("cap", isShown ? cap.map(amount) ?? .null : .null)
        if isShown, row.cap.unit == .minutes {
            add("cap_minutes", cap.map { .integer(row.cap.configured($0)) } ?? .null)
        }
        if !isShown { add("cap_hidden", true) }
        add("committed", amount(committed))
        add("held", amount(held))
        guard isShown else { return .object(members) }
        add("window_start", Instant.json(windowStart))
        add("resets_at", Instant.json(resetsAt))
        if let isBlocking { add("blocking", .bool(isBlocking)) }
        return .object(members)
    }

    /// More is not told: a cap of 0 has it with the first use.
    static let mostPercent: Int64 = 1_000_000

    /// Used of the cap in percent, rounded down, at most `mostPercent`; nil: no cap.
    var percent: Int64? {
        guard let cap else { return nil }
        let used = committed.addingReportingOverflow(held).partialValue
        guard cap > 0 else { return used > 0 ? Self.mostPercent : 0 }
        let wide = cap.magnitude.dividingFullWidth(
            used < 0 ? (0, 0) : Self.product(used.magnitude, 100, below: cap.magnitude))
        return min(Int64(clamping: wide.quotient), Self.mostPercent)
    }

    /// `a` × `b` in full width, made small enough to be divided by `divisor`.
    private static func product(
        _ a: UInt64, _ b: UInt64, below divisor: UInt64
    ) -> (high: UInt64, low: UInt64) {
        let wide = a.multipliedFullWidth(by: b)
        return wide.high < divisor ? (wide.high, wide.low) : (divisor - 1, .max)
    }
}

extension LimitStates {
    /// In the order of the catalogue.
    func views(tenantID: String, profileID: String) -> [LimitView] {
        LimitKind.catalogue.filter { present.contains($0.kind) }.map { row in
            LimitView(
                row.kind, self[row.kind],
                subjectID: row.subject == .tenant ? tenantID : profileID)
        }
    }
}

extension LimitSet {
    /// Warnings: entries as in `errors`, as far as the reader may see them.
    func warnings(_ disclosure: Disclosure = .full) -> JSON {
        .array(
            LimitKind.catalogue.filter { contains($0.kind) && disclosure.shows($0) }
                .map { APIErrorEntry(ErrorKind($0.error)).json })
    }
}
