import Events
import Engine
import ControlPlane
import Limits
import Projection

/// The audit log: filtered, by page, and as a file.
struct AuditPage: Sendable {
    let context: PageContext

    /// Kinds that can be looked for, in the order in which people look for them.
    private static let kinds = [
        "denied", "extension_denied", "tenant_suspended", "tenant_reinstated", "tenant_created",
        "tenant_changed", "tenant_closed", "profile_created", "profile_changed", "profile_closed",
        "setting_changed", "charged", "committed", "committed_late", "usage_recorded",
        "counts_reconciled", "reversed", "expired_charged",
    ]

    private struct Choice {
        var query = AuditQuery()
        var parameters: [(String, String)]

        init(_ request: PageRequest) {
            parameters = ["tenant", "profile", "kind", "from", "to"].map { ($0, request.text($0)) }
            let given = { (name: String) -> String? in
                let text = request.text(name)
                return text.isEmpty ? nil : text
            }
            query.tenantID = given("tenant")
            query.profileID = given("profile")
            query.kind = given("kind")
            query.from = given("from").flatMap { Texts.day($0) }
            query.to = given("to").flatMap { Texts.day($0) }.map { $0 + ProfileState.dayLength }
        }

        subscript(_ name: String) -> String { parameters.first { $0.0 == name }?.1 ?? "" }
    }

    func reply(_ request: PageRequest, _ visitor: Visitor) async throws -> PageReply {
        let model = try context.readModel()
        await model.caughtUp()
        let choice = Choice(request)
        let page = Page(number: request.page(), size: context.settings.pageSize)
        let found = try await model.audit(choice.query, page)
        return context.page(
            "audit", visitor, current: "/audit",
            [
                "csvPath": Links.path("/audit.csv", choice.parameters),
                "filterTenant": choice["tenant"], "filterProfile": choice["profile"],
                "from": choice["from"], "to": choice["to"],
                "kinds": [option("", "Everything", selected: choice["kind"])]
                    + Self.kinds.map {
                        option($0, Texts.sentence($0), selected: choice["kind"])
                    },
                "audit": found.rows.map(AuditLines.fields), "hasAudit": !found.rows.isEmpty,
                "showTenant": true,
                "pager": Pager.fields(
                    label: "Entries", number: page.number, size: page.size, total: found.total
                ) { Links.path("/audit", choice.parameters + [("page", String($0))]) },
            ])
    }

    /// The newest lines that fit the filters, as many as a file may have.
    func csv(_ request: PageRequest) async throws -> PageReply {
        let model = try context.readModel()
        await model.caughtUp()
        var choice = Choice(request)
        // What comes in meanwhile would move what is on later pages.
        let now = context.engine.clock.now
        choice.query.to = min(choice.query.to ?? now, now)
        var table = CSVTable([
            "time", "kind", "tenant_id", "messaging_profile_id", "code", "limit", "cap",
            "committed", "held", "asked", "events", "action", "reservation_id", "reference",
            "caller", "changes", "count", "last", "voice_profile_id", "trace_id",
        ])
        let size = 250
        var number = 1
        while number * size <= context.settings.maximumCSVLines {
            let found = try await model.audit(choice.query, Page(number: number, size: size))
            for row in found.rows {
                for line in AuditLines.cells(row) { table.append(line) }
            }
            if number * size >= found.total { break }
            number += 1
        }
        return .csv(table, name: "audit-log.csv")
    }
}

/// A line of the audit log for people and for other programs.
enum AuditLines {
    static func fields(_ row: AuditRow) -> Fields {
        let events = row.events.map { Texts.name($0) }.joined(separator: ", ")
        return [
            "iso": Texts.iso(row.time), "time": Texts.time(row.time),
            "kind": events.isEmpty ? Texts.sentence(row.kind) : events,
            "code": row.code.isEmpty ? nil : row.code,
            "tenant": row.tenantID,
            "tenantPath": row.tenantID.isEmpty ? nil : Links.tenant(row.tenantID),
            "profile": row.profileID.isEmpty ? nil : row.profileID, "lines": lines(row),
            "changes": row.changes.filter { $0.before != nil && !unsaid.contains($0.name) }.map {
                change -> Fields in
                [
                    "name": Texts.sentence(change.name), "before": change.before,
                    "after": change.after ?? "none",
                ]
            },
            "by": caller(row) ?? "–",
        ]
    }

    /// Parts of settings that the line itself says: when, and which.
    private static let unsaid: Set<String> = ["id", "createdAt", "updatedAt"]

    private static func caller(_ row: AuditRow) -> String? {
        if !row.callerName.isEmpty { return row.callerName }
        return row.caller == 0 ? nil : String(row.caller, radix: 16)
    }

    private static func lines(_ row: AuditRow) -> [String] {
        var lines: [String] = []
        if !row.events.isEmpty {
            lines.append("Caused by: \(Texts.sentence(row.kind).lowercased())")
        }
        for reading in row.limits {
            guard let limit = reading.row else { continue }
            let amount = { (value: Int64) in Texts.amount(value, of: limit.resource) }
            let shown = limit.shown(committed: reading.committed, held: reading.held)
            var text =
                "\(limit.words.title): \(amount(shown.used)) of \(amount(reading.cap)) used"
            if shown.held != 0 { text += ", \(amount(shown.held)) held" }
            if reading.asked != 0 { text += ", \(amount(reading.asked)) asked" }
            lines.append(text)
        }
        if row.limits.isEmpty, !row.asked.isEmpty {
            let asked = Resource.allCases.filter { row.asked.contains($0.index) }
                .map { Texts.counted(row.asked[$0], of: $0) }
            lines.append("Asked: " + asked.joined(separator: ", "))
        }
        if !row.reference.isEmpty {
            let isByOperator = row.kind == "tenant_suspended" || row.kind == "tenant_reinstated"
            let title =
                isByOperator ? "Reason" : row.kind == "setting_changed" ? "Setting" : "Reference"
            lines.append("\(title): \(row.reference)")
        }
        let new = row.changes.filter { $0.before == nil && !unsaid.contains($0.name) }
            .compactMap { change -> String? in
                guard let after = change.after, !after.isEmpty else { return nil }
                return "\(Texts.sentence(change.name)) \(after)"
            }
        if !new.isEmpty { lines.append(new.joined(separator: " · ")) }
        if row.reservationID != 0 { lines.append("Reservation \(row.reservationID)") }
        if let trace = row.trace { lines.append("Trace \(trace)") }
        if row.count > 1 {
            let what = row.code.isEmpty ? "reversed charges" : "refusals"
            lines.append(
                "\(Texts.count(row.count)) \(what), the last at \(Texts.time(row.lastTime))")
        }
        return lines
    }

    /// One line for each limit, at least one.
    static func cells(_ row: AuditRow) -> [[String]] {
        func profile(_ kind: ProfileKind) -> String {
            row.profileKind == kind ? row.profileID : ""
        }
        let head = [
            Texts.iso(row.time), row.kind, row.tenantID, profile(.messaging), row.code,
        ]
        let tail = [
            row.events.map(\.rawValue).joined(separator: " "),
            row.action == .unspecified ? "" : Texts.name(row.action),
            row.reservationID == 0 ? "" : String(row.reservationID), row.reference,
            caller(row) ?? "",
            row.changes.map { "\($0.name): \($0.before ?? "not set") -> \($0.after ?? "not set")" }
                .joined(separator: "; "),
            "\(row.count)", Texts.iso(row.lastTime), profile(.voice),
            row.trace.map { "\($0)" } ?? "",
        ]
        let limits = row.limits.map { reading -> [String] in
            let resource = reading.row?.resource
            return [reading.name]
                + [reading.cap, reading.committed, reading.held, reading.asked]
                .map { Texts.plain($0, of: resource) }
        }
        return (limits.isEmpty ? [["", "", "", "", ""]] : limits).map { head + $0 + tail }
    }
}
