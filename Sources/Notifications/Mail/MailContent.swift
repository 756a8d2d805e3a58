import Events
import Limits

/// What a mail about an event says, in plain words and in no format yet. Everything in it is one line.
struct MailContent: Sendable {
    struct Fact: Sendable {
        var name: String
        var value: String
    }

    struct Section: Sendable {
        var title: String
        var lines: [String]
    }

    let subject: String
    /// What happened, in a sentence or two.
    let summary: String
    let facts: [Fact]
    let sections: [Section]
    let eventID: String
    let eventType: String

    init(_ event: Event) {
        let words = MailWords(event)
        subject = words.subject
        summary = words.subject + " " + "It happened at \(MailText.instant(event.occurredAt))."
        facts = words.facts
        sections = [
            Section(title: "What happens now", lines: words.consequences),
            Section(title: "What you can do", lines: words.advice),
        ]
        eventID = MailText.line(event.id)
        eventType = event.kind.rawValue
    }
}

/// The wording.
private struct MailWords {
    let event: Event
    let limit: LimitReading?
    let row: LimitRow?

    init(_ event: Event) {
        self.event = event
        limit = event.limit
        row = event.limit?.row
    }

    /// The name, or the id where there is none.
    private func called(_ name: String, _ id: String) -> String {
        let line = MailText.line(name)
        return line.allSatisfy(\.isWhitespace) ? MailText.line(id) : line
    }

    private var tenant: String { called(event.tenantName, event.tenantID) }
    private var profile: String { called(event.profileName, event.profileID) }

    /// As the partner guide says it.
    private var cap: String {
        row?.words.phrase ?? limit.map { MailText.line($0.name) } ?? "cap"
    }

    /// Of an event about a profile: the row of its limit.
    private var subjectRow: LimitRow {
        if let row, row.subject != .tenant { return row }
        return (event.kind.subject.profileKind ?? .messaging).limit
    }

    // MARK: What happened

    var subject: String {
        switch event.occasion {
        case .refusal: return refusal
        case .windowEnd: return windowEnd
        case nil: break
        }
        let percent = limit?.percent ?? 0
        switch event.kind {
        case .tenantThresholdReached:
            return "Tenant \(tenant) has hit \(percent)% of their \(cap)."
        case .tenantLimitReached: return "Tenant \(tenant) has hit their \(cap)."
        case .tenantSuspended:
            return limit == nil
                ? "Tenant \(tenant) has been suspended by an operator."
                : "Tenant \(tenant) has been suspended: they have hit their \(cap)."
        case .tenantReinstated: return "Tenant \(tenant) has been reinstated."
        case .profileThresholdReached, .voiceProfileThresholdReached:
            return """
                \(subjectRow.subject.title) \(profile) of tenant \(tenant) has hit \(percent)% of its \
                \(subjectRow.words.phrase).
                """
        case .profileLimitReached, .voiceProfileLimitReached:
            return """
                \(subjectRow.subject.title) \(profile) of tenant \(tenant) has reached its \
                \(subjectRow.words.phrase).
                """
        }
    }

    /// Whose limit it is.
    private var owner: String {
        event.profileID.isEmpty
            ? "tenant \(tenant)" : "\(subjectRow.subject.noun) \(profile) of tenant \(tenant)"
    }

    /// Asked, used, cap.
    private var refusal: String {
        guard let limit else { return "A request of \(owner) was refused." }
        let resource = row?.resource
        return """
            A request of \(owner) was refused: it asked for \(MailText.amount(limit.asked, resource)), and \
            \(MailText.amount(limit.committed, resource)) of the \(cap) of \
            \(MailText.amount(limit.cap, resource)) is used.
            """
    }

    /// What a total runs over.
    private var window: String {
        switch row?.window {
        case .utcDay, .tenantDay: "day"
        case .billingCycle, .standing, nil: "billing cycle"
        }
    }

    private var windowEnd: String {
        let what =
            event.kind.isThreshold
            ? "at \(limit?.percent ?? 0)% of the \(cap) or more" : "at the \(cap)"
        return """
            The \(window) of \(owner) has ended \(what), including what was still \
            reserved.
            """
    }

    var facts: [MailContent.Fact] {
        var facts: [MailContent.Fact] = []
        func add(_ name: String, _ value: String) {
            facts.append(MailContent.Fact(name: name, value: value))
        }
        add("Tenant", named(event.tenantName, event.tenantID))
        if !event.profileID.isEmpty {
            add(subjectRow.subject.title, named(event.profileName, event.profileID))
        }
        if !event.reason.isEmpty { add("Reason", MailText.line(event.reason)) }
        guard let limit else { return facts }
        let resource = row?.resource
        let shown =
            row?.shown(committed: limit.committed, held: limit.held)
            ?? (used: limit.committed, held: limit.held)
        let share = MailText.percent(shown.used, of: limit.cap).map { " (\($0)%)" } ?? ""
        add("Limit", cap)
        add("Cap", MailText.amount(limit.cap, resource))
        add(isOnlyHeld ? "In use" : "Used", MailText.amount(shown.used, resource) + share)
        if shown.held != 0 { add("Also held", MailText.amount(shown.held, resource)) }
        if limit.asked != 0 { add("Last request", MailText.amount(limit.asked, resource)) }
        if limit.cap > 0 { add("Alert threshold", "\(limit.percent)%") }
        if row?.window == .standing {
            let what = isOnlyHeld ? "what is open now" : "what exists now"
            add("Counted", "\(what); this total does not reset")
        } else if limit.resetsAt != 0 {
            add("Counted since", MailText.instant(limit.windowStart))
            add("Resets at", MailText.instant(limit.resetsAt))
        }
        return facts
    }

    /// "ACME (acme-1)".
    private func named(_ name: String, _ id: String) -> String {
        let called = called(name, id)
        let id = MailText.line(id)
        return called == id ? id : "\(called) (\(id))"
    }

    // MARK: What comes of it

    private var isCount: Bool { row?.window == .standing }
    private var isOnlyHeld: Bool { row?.resource.mayBeCharged == false }
    /// What is counted, one and several.
    private var thing: String { row?.resource.row.singular ?? "" }
    private var things: String { row?.resource.row.plural ?? "" }

    var consequences: [String] {
        switch event.occasion {
        case .refusal:
            return [
                "That request was refused. The tenant was not suspended: little of the cap is used.",
                "Requests that fit are still allowed. You are notified once per window.",
            ]
        case .windowEnd:
            return [
                "The total has been reset: nothing is refused, and the tenant was not suspended.",
                "Amounts held then still count for the window that ended when they are charged.",
            ]
        case nil: break
        }
        return usualConsequences
    }

    private var usualConsequences: [String] {
        switch event.kind {
        case .tenantThresholdReached where isCount:
            ["Nothing is refused yet. The first \(thing) above the cap will be."]
        case .tenantThresholdReached:
            [
                "Nothing is refused yet.",
                """
                At the cap, the tenant is suspended if auto-suspend is on; otherwise it keeps running \
                and you are notified.
                """,
            ]
        case .tenantLimitReached where isCount:
            [
                "Every further \(thing) is refused while the cap is reached.",
                row?.suspends == false
                    ? "The tenant is not suspended. Each of its \(things) that ends makes room again."
                    : "If auto-suspend is on, the tenant is suspended as well; you get a separate e-mail.",
            ]
        case .tenantLimitReached:
            [
                "If auto-suspend is on, the tenant is suspended; you get a separate e-mail.",
                "If auto-suspend is off, the tenant keeps running.",
            ]
        case .tenantSuspended:
            [
                "Every new request of this tenant is refused. Usage that is still reported is recorded.",
                """
                It stays suspended until an operator reinstates it; a higher cap or the next \
                \(window) does not.
                """,
                "The tenant itself has not been notified.",
            ]
        case .tenantReinstated:
            [
                "New requests of this tenant are checked against its limits again.",
                "A tenant that is still at a cap is suspended again by its next charge or creation.",
            ]
        case .profileThresholdReached, .voiceProfileThresholdReached:
            [
                "Nothing is refused yet. \(subjectRow.subject.usage) that would go over the limit will be."
            ]
        case .profileLimitReached, .voiceProfileLimitReached:
            [
                """
                \(subjectRow.subject.usage) of this profile that would go over the limit are refused \
                with error \(subjectRow.error.rawValue).
                """,
                "The total resets at midnight UTC. Nothing else resets it.",
            ]
        }
    }

    private var makingRoom: String {
        if isOnlyHeld { return "Raise or remove the cap, or wait until some \(things) end." }
        return isCount
            ? "Raise or remove the cap, or have the tenant release some \(things)."
            : "Raise or remove the cap. Usage so far stays counted."
    }

    var advice: [String] {
        switch event.kind {
        case .tenantThresholdReached, .tenantLimitReached:
            [
                makingRoom,
                "Tell the tenant under your own brand: it has not been notified.",
                "See the tenant's usage and the audit log for the exact charges.",
            ]
        case .tenantSuspended:
            [
                "See the audit log for the exact trigger.",
                "If the usage is legitimate, raise or remove the cap, then reinstate the tenant.",
            ]
        case .tenantReinstated:
            ["If this was not intended: the audit log shows who did it. Suspend the tenant again."]
        case .profileThresholdReached, .profileLimitReached, .voiceProfileThresholdReached,
            .voiceProfileLimitReached:
            [
                """
                Raise \(subjectRow.cap.name), or set \(subjectRow.cap.toggleName) to false for a while.
                """,
                """
                If the \(subjectRow.resource.row.plural) is unexpected, look for a bug or a leaked key in \
                the sending system.
                """,
            ]
        }
    }
}
