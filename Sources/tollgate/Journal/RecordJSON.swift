internal import Engine
internal import Foundation
internal import Journal
internal import JSON
internal import Limits
internal import Notation

/// A record as `tollgate journal dump --json` shows it: snake_case names, absent where there is nothing to say.
struct RecordJSON {
    private var members: [JSON.Member] = []

    /// An operation.
    static func operation(_ record: borrowing Record) -> JSON {
        var json = RecordJSON()
        json.add("kind", .string(snakeCase("\(record.kind)")))
        json.add("tenant", .integer(Int64(record.tenant)))
        json.add("version", .integer(Int64(clamping: record.version)))
        json.add("time", .string(Instant.text(record.time)))
        if record.lead != 0 { json.add("life_time", .string(Instant.text(record.life))) }
        if let profile = record.profile { json.add("profile", .integer(Int64(profile))) }
        if record.reservationID != 0 {
            json.add("reservation_id", .string(String(record.reservationID)))
        }
        if record.expiresAt != 0 { json.add("expires_at", .string(Instant.text(record.expiresAt))) }
        if record.action != .unspecified {
            json.add("action", .string(snakeCase("\(record.action)")))
        }
        json.add("asked", record.asked)
        json.add("charged", record.charged)
        json.add("committed_by", Transition.amounts(record.transition.committed, .standard))
        json.add("held_by", Transition.amounts(record.transition.held, .standard))
        json.addProfile(record)
        json.addWindows(record)
        json.addAnswer(record)
        if record.caller != 0 { json.add("caller", .string(String(record.caller, radix: 16))) }
        if let trace = record.trace { json.add("trace_id", .string("\(trace)")) }
        if record.takenAt != 0 { json.add("taken_at", .string(Instant.text(record.takenAt))) }
        if record.count.all != 0 {
            json.add("count", .integer(Int64(clamping: record.count.all)))
            json.add("raised_nothing", .integer(Int64(clamping: record.count.quiet)))
            json.add("first", .string(Instant.text(record.count.first)))
            json.add("last", .string(Instant.text(record.count.last)))
        }
        json.addText(record)
        return .object(json.members)
    }

    /// An entry of a checkpoint; nil: it cannot be read.
    static func entry(_ words: UnsafeBufferPointer<UInt64>) -> JSON? {
        guard let kind = CheckpointEntry.Kind(rawValue: words.recordKind),
            let entry = try? CheckpointEntry(words)
        else { return nil }
        var json = RecordJSON()
        json.add("kind", .string("\(kind)_entry"))
        json.add("tenant", .integer(Int64(UInt32(truncatingIfNeeded: words[3]))))
        json.add("version", .integer(Int64(clamping: words[1])))
        switch entry {
        case .tenant(let tenant): json.addSettings(SettingsText.tenant(tenant.settings))
        case .profile(let profile): json.addSettings(SettingsText.profile(profile.settings))
        case .table, .reservation, .key, .setting, .clock: break
        }
        json.add("words", .array(words.dropFirst(4).map { .string(String($0, radix: 16)) }))
        return .object(json.members)
    }

    private mutating func add(_ name: String, _ value: JSON) { members.append((name, value)) }

    private mutating func add(_ name: String, _ amounts: Amounts) {
        guard !amounts.isEmpty else { return }
        var values: [JSON.Member] = []
        for resource in Resource.allCases where amounts.contains(resource.index) {
            values.append((resource.name, resource.json(amounts[resource.index])))
        }
        add(name, .object(values))
    }

    private mutating func addProfile(_ record: borrowing Record) {
        guard record.transition.touchesProfile else { return }
        add(
            "profile_committed_by", .string(Money.format(record.transition.profileCommitted)))
        add("profile_held_by", .string(Money.format(record.transition.profileHeld)))
    }

    private mutating func addWindows(_ record: borrowing Record) {
        if record.openedCycleEnd != 0 {
            add("cycle_start", .string(Instant.text(record.openedCycleStart)))
            add("cycle_end", .string(Instant.text(record.openedCycleEnd)))
        }
        if record.openedDay != 0 { add("day", .string(Instant.text(record.openedDay))) }
        guard record.closed.count > 0 else { return }
        var closed: [JSON] = []
        for index in 0..<record.closed.count {
            let charge = record.closed.charges[index]
            var json = RecordJSON()
            json.add("cycle_start", .string(Instant.text(charge.cycleStart)))
            json.add("day", .string(Instant.text(charge.dayStart)))
            json.add("amounts", charge.amounts)
            json.add("profile_spend", .string(Money.format(charge.profileSpend)))
            closed.append(.object(json.members))
        }
        add("charged_to_closed_windows", .array(closed))
    }

    private mutating func addAnswer(_ record: borrowing Record) {
        if record.decision == .denied { add("decision", .string("denied")) }
        if record.refusedBySuspension { add("refused_by_suspension", .bool(true)) }
        add("refused", record.refused)
        add("warnings", record.warnings)
        let events = record.transition.events
        add("ended_at_threshold", events.endedThresholds)
        add("ended_at_limit", events.endedReached)
        add("threshold_reached", events.thresholds)
        add("limit_reached", events.reached)
        add("refused_request_too_large", events.refusals)
        if events.contains(.suspended) { add("suspended", .bool(true)) }
        if events.contains(.reinstated) { add("reinstated", .bool(true)) }
        add("threshold_rearmed", record.transition.rearms.thresholds)
        add("limit_rearmed", record.transition.rearms.reached)
        if record.hasKey {
            let key = String(record.keyHigh, radix: 16) + "-" + String(record.keyLow, radix: 16)
            add("key_hash", .string(key))
            add("key_until", .string(Instant.text(record.keyUntil)))
        }
    }

    private mutating func add(_ name: String, _ limits: LimitSet) {
        let names = LimitKind.allCases.filter { limits.contains($0) }
        if !names.isEmpty { add(name, .array(names.map { .string($0.row.name) })) }
    }

    private mutating func addText(_ record: borrowing Record) {
        guard record.text.count > 0 else { return }
        switch record.kind {
        case .tenantCreated, .tenantChanged: addSettings(SettingsText.tenant(record.text))
        case .profileCreated, .profileChanged: addSettings(SettingsText.profile(record.text))
        case .tenantSuspended, .tenantReinstated, .tenantClosed:
            add("reason", .string(String(decoding: record.text, as: UTF8.self)))
        case .settingChanged:
            // Its value may be a secret.
            let setting = ServiceSetting(encoded: record.text)
            add("setting", .string(setting?.name ?? ""))
        case .holdMoved: break
        default: add("reference", .string(String(decoding: record.text, as: UTF8.self)))
        }
    }

    private mutating func addSettings(_ settings: [(String, String)]?) {
        guard let settings else { return }
        add("settings", .object(settings.map { ($0.0, .string($0.1)) }))
    }

    /// "tenantCreated" → "tenant_created".
    static func snakeCase(_ name: String) -> String {
        name.reduce(into: "") { text, letter in
            if letter.isUppercase { text += "_" }
            text += letter.lowercased()
        }
    }
}
