internal import Foundation
internal import JSON
internal import Limits
internal import Notation
internal import TollgateClient

// Answers as JSON with the REST API's field names, and as lines for people.

extension Array where Element == Quantity {
    var json: JSON {
        .object(map { ($0.resource.name, $0.resource.json($0.amount)) })
    }

    /// "0.004 USD, 60 s"; "nothing".
    var text: String {
        isEmpty ? "nothing" : map { $0.resource.text($0.amount) }.joined(separator: ", ")
    }
}

extension LimitReport {
    var json: JSON {
        let row = limit?.row
        let amount: (Int64) -> JSON = { row?.resource.json($0) ?? .integer($0) }
        var members: [JSON.Member] = [
            ("limit", row.map { .string($0.name) } ?? .null),
            ("subject_id", .string(subjectID)),
            ("cap", cap.map(amount) ?? .null),
        ]
        if let setting = row?.cap, setting.unit == .minutes, let cap {
            members.append(("cap_minutes", .integer(setting.configured(cap))))
        }
        if capIsHidden { members.append(("cap_hidden", .bool(true))) }
        members += [
            ("committed", amount(committed)), ("held", amount(held)),
            ("window_start", Instant.json(windowStartMilliseconds)),
            ("resets_at", Instant.json(resetsAtMilliseconds)),
            ("blocking", .bool(isBlocking)),
        ]
        return .object(members)
    }

    /// "tenant_extensions initech: 20 of 20 extensions, 0 held".
    var text: String {
        let resource = limit?.row.resource
        let cap =
            capIsHidden
            ? "of a hidden cap"
            : cap.map { "of \(resource?.text($0) ?? String($0))" } ?? "without limit"
        var line = "\(limit?.row.name ?? "unknown limit") of \(subjectID): "
        let shown =
            limit?.row.shown(committed: committed, held: held) ?? (used: committed, held: held)
        line += "\(resource?.text(shown.used) ?? String(shown.used)) \(cap)"
        if shown.held != 0 {
            line += ", \(resource?.text(shown.held) ?? String(shown.held)) held"
        }
        if resetsAtMilliseconds != 0 {
            line += ", resets \(Instant.text(resetsAtMilliseconds))"
        }
        if isBlocking == false && self.cap != nil { line += ", alerts only" }
        return line
    }
}

extension ErrorEntry {
    /// An entry of the REST API's `errors`.
    var json: JSON {
        var members: [JSON.Member] = [
            ("code", .string(code)), ("title", .string(title)),
        ]
        if detail.isEmpty == false { members.append(("detail", .string(detail))) }
        if url.isEmpty == false {
            members.append(("meta", .object([("url", .string(url))])))
        }
        if pointer.isEmpty == false {
            members.append(("source", .object([("pointer", .string(pointer))])))
        }
        return .object(members)
    }

    /// One line, and a second with the limit's numbers where they are shown.
    var text: String {
        var text = "  \(code) \(title)"
        if detail.isEmpty == false { text += ": \(detail)" }
        if let state { text += "\n        \(state.text)" }
        return text
    }
}

extension Outcome {
    init(_ answer: CheckResponse) {
        let isAllowed = answer.decision == .allowed
        var members: [JSON.Member] = [
            ("record_type", .string("reservation")),
            ("id", answer.reservationID == 0 ? .null : .string(String(answer.reservationID))),
            ("decision", .string(isAllowed ? "allowed" : "denied")),
            ("expires_at", Instant.json(answer.expiresAtMilliseconds)),
            ("granted", answer.granted.json),
            ("limits", .array(answer.limits.map(\.json))),
            ("warnings", .array(answer.warnings.map(\.json))),
            ("tenant_status", answer.tenantStatus.map { .string($0.name) } ?? .null),
            ("replayed", .bool(answer.isReplayed)),
        ]
        if isAllowed == false {
            members.append(("errors", .array(answer.errors.map(\.json))))
            members.append(("treatment", answer.treatment.name.map { .string($0) } ?? .null))
        }
        var lines = [isAllowed ? "ALLOWED" : "DENIED"]
        if answer.reservationID != 0 {
            lines[0] += " reservation \(answer.reservationID)"
            lines[0] += ", expires \(Instant.text(answer.expiresAtMilliseconds))"
        }
        if answer.isReplayed { lines[0] += " (replayed)" }
        if answer.granted.isEmpty == false { lines.append("  granted \(answer.granted.text)") }
        lines += answer.errors.map(\.text)
        if let treatment = answer.treatment.name { lines.append("  treatment: \(treatment)") }
        lines += answer.warnings.map { "  warning\($0.text)" }
        if answer.tenantStatus == .suspended { lines.append("  the tenant is suspended") }
        lines += answer.limits.map { "  \($0.text)" }
        self.init(
            text: lines.joined(separator: "\n"), json: .object(members),
            status: isAllowed ? .done : .denied)
    }

    init(_ answer: CommitResponse) {
        var lines = ["COMMITTED \(answer.committed.text)"]
        if answer.isLate { lines[0] += " (late)" }
        if answer.isReplayed { lines[0] += " (replayed)" }
        if answer.uncharged.isEmpty == false {
            lines.append("  not charged: \(answer.uncharged.text)")
        }
        lines += answer.warnings.map { "  warning\($0.text)" }
        if answer.tenantStatus == .suspended { lines.append("  the tenant is suspended") }
        self.init(
            text: lines.joined(separator: "\n"),
            json: .object([
                ("committed", answer.committed.json), ("uncharged", answer.uncharged.json),
                ("late", .bool(answer.isLate)), ("replayed", .bool(answer.isReplayed)),
                ("warnings", .array(answer.warnings.map(\.json))),
                ("tenant_status", answer.tenantStatus.map { .string($0.name) } ?? .null),
            ]))
    }

    init(_ answer: ReleaseResponse) {
        var text = answer.isExpired ? "RELEASED: it had expired already" : "RELEASED"
        if answer.isReplayed { text += " (replayed)" }
        self.init(
            text: text,
            json: .object([
                ("replayed", .bool(answer.isReplayed)), ("expired", .bool(answer.isExpired)),
            ]))
    }

    init(_ answer: ExtendResponse) {
        let isAllowed = answer.decision == .allowed
        var lines = [isAllowed ? "EXTENDED" : "DENIED"]
        lines[0] += ", expires \(Instant.text(answer.expiresAtMilliseconds))"
        if answer.isReplayed { lines[0] += " (replayed)" }
        if answer.granted.isEmpty == false { lines.append("  granted \(answer.granted.text)") }
        lines += answer.errors.map(\.text)
        if let treatment = answer.treatment.name { lines.append("  treatment: \(treatment)") }
        lines += answer.warnings.map { "  warning\($0.text)" }
        var members: [JSON.Member] = [
            ("decision", .string(isAllowed ? "allowed" : "denied")),
            ("expires_at", Instant.json(answer.expiresAtMilliseconds)),
            ("granted", answer.granted.json),
            ("warnings", .array(answer.warnings.map(\.json))),
            ("replayed", .bool(answer.isReplayed)),
        ]
        if isAllowed == false {
            members.append(("errors", .array(answer.errors.map(\.json))))
            members.append(("treatment", answer.treatment.name.map { .string($0) } ?? .null))
        }
        self.init(
            text: lines.joined(separator: "\n"), json: .object(members),
            status: isAllowed ? .done : .denied)
    }

    init(_ answer: RecordUsageResponse) {
        var lines = [answer.isReplayed ? "RECORDED (replayed)" : "RECORDED"]
        lines += answer.warnings.map { "  warning\($0.text)" }
        if answer.tenantStatus == .suspended { lines.append("  the tenant is suspended") }
        self.init(
            text: lines.joined(separator: "\n"),
            json: .object([
                ("replayed", .bool(answer.isReplayed)),
                ("warnings", .array(answer.warnings.map(\.json))),
                ("tenant_status", answer.tenantStatus.map { .string($0.name) } ?? .null),
            ]))
    }

    init(_ update: UsageUpdate) {
        guard update.isSnapshotComplete == false else {
            self.init(
                text: "(current state; changes follow)",
                json: .object([
                    ("record_type", .string("usage")), ("snapshot_complete", .bool(true)),
                ]))
            return
        }
        self.init(tenantID: update.tenantID, update.tenantStatus, update.limits)
    }

    init(_ answer: UsageResponse, tenantID: String) {
        self.init(tenantID: tenantID, answer.tenantStatus, answer.limits)
    }

    private init(tenantID: String, _ tenantStatus: TenantStatus?, _ limits: [LimitReport]) {
        let status = tenantStatus?.name ?? "unknown"
        let lines = ["\(tenantID) is \(status)"] + limits.map { "  \($0.text)" }
        self.init(
            text: lines.joined(separator: "\n"),
            json: .object([
                ("record_type", .string("usage")), ("tenant_id", .string(tenantID)),
                ("tenant_status", .string(status)),
                ("limits", .array(limits.map(\.json))),
            ]))
    }
}
