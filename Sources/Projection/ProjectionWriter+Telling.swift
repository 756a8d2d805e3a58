import Engine
import Events
import Foundation
import GRDB
import Journal
import Limits

// What people are told of: configuration, the audit log, events and who gets them.
extension ProjectionWriter {
    /// Writes down what the record in hand, which has taken effect, means for people.
    func tell(_ change: Change, _ db: Database, now: Int64) throws {
        let changes = try configure(change, db)
        if isTold { return }
        // A caller whose deadlines pass has as many taken back as it likes.
        if record.kind == .reversed, record.transition.events.isEmpty {
            return try writeTogether(
                code: 0, limits: nil, first: record.time, last: record.time, count: 1, db)
        }
        let events = try raisedEvents(db)
        try writeAudit(changes: changes, db)
        try write(events, db, now: now)
    }

    // MARK: Configuration

    private func configure(_ change: Change, _ db: Database) throws -> [AuditRow.Change] {
        let number = record.tenant
        if let settings = change.tenant {
            let before = try tenantSettings(number, db)
            // What is told already the file has.
            if !isTold, let zone = before?.timeZone, !zone.hasSameBytes(as: settings.timeZone) {
                try keepZone(zone, db)
            }
            try write(settings, tenant: number, isOpen: true, db)
            return AuditRow.Change.list(
                before: before?.auditFields, after: settings.auditFields)
        }
        if let settings = change.profile, let profile = record.profile {
            let before = try profileSettings(profile, db)
            try write(settings, profile: profile, of: number, isOpen: true, db)
            return AuditRow.Change.list(
                before: before?.auditFields, after: settings.auditFields)
        }
        switch record.kind {
        case .tenantClosed:
            try db.run(.closeTenant, [number])
            try begin(.closeProfiles, "\(number)", db)
        case .profileClosed:
            try db.run(.closeProfile, [record.profile])
        default: break
        }
        return []
    }

    func write(
        _ settings: TenantSettings, tenant number: UInt32, isOpen: Bool, _ db: Database
    ) throws {
        try db.run(
            .writeTenant,
            [
                number, settings.id, settings.name, Data(settings.encoded),
                settings.revision.createdAt, isOpen,
            ])
        tenantNames[number] = (settings.id, settings.name)
        zones[number] = nil
    }

    func write(
        _ settings: ProfileSettings, profile number: UInt32, of tenant: UInt32, isOpen: Bool,
        _ db: Database
    ) throws {
        try db.run(
            .writeProfile,
            [
                number, tenant, settings.id, settings.name, Data(settings.encoded), isOpen,
                settings.kind.rawValue,
            ])
    }

    func tenantSettings(_ number: UInt32, _ db: Database) throws -> TenantSettings? {
        let kept: Data? = try db.value(.tenantSettings, [number])
        return kept.flatMap(TenantSettings.init(kept:))
    }

    private func profileSettings(_ number: UInt32, _ db: Database) throws -> ProfileSettings? {
        let kept: Data? = try db.value(.profileSettings, [number])
        return kept.flatMap(ProfileSettings.init(kept:))
    }

    private func tenantName(_ number: UInt32, _ db: Database) throws -> (id: String, name: String) {
        if let known = tenantNames[number] { return known }
        let settings = try tenantSettings(number, db)
        let name = (settings?.id ?? "", settings?.name ?? "")
        tenantNames[number] = name
        return name
    }

    // MARK: Settings of the service

    func takeSetting(_ db: Database) throws {
        guard let setting = ServiceSetting(encoded: record.text) else {
            throw ProjectionError(.journal, "a setting of the service cannot be read")
        }
        let before: String? = try db.value(.setting, [setting.name])
        try keep(setting, db)
        try hasten(setting, now: record.time, db)
        // What was changed is told by its own record.
        if isTold || RecipientIndex.isSilent(setting.name) { return }
        let changes = AuditRow.Change.list(
            before: RecipientIndex.fields(before),
            after: RecipientIndex.fields(RecipientIndex.kept(setting.name, setting.value)))
        try writeAudit(changes: changes, reference: setting.name, db)
    }

    func keep(_ setting: ServiceSetting, _ db: Database) throws {
        recipients.set(setting.name, setting.value)
        if !isTold, RecipientIndex.isRecipient(setting.name) {
            try begin(.redirect, setting.name, db)
        }
        if let kept = RecipientIndex.kept(setting.name, setting.value) {
            try db.run(.writeSetting, [setting.name, kept])
        } else {
            try db.run(.forgetSetting, [setting.name])
        }
        if let caller = RecipientIndex.caller(setting.name, setting.value) {
            // Stays when the token goes: the log still names it.
            try db.run(.writeCaller, [Int64(bitPattern: caller.number), caller.name])
        }
    }

    /// Ends what is on its way to recipients that are no more, where no record says so.
    func endOrphans(_ db: Database) throws {
        guard !isTold else { return }
        var last = ""
        while let name: String = try db.value(.nextRecipient, [last]) {
            try begin(.redirect, name, db)
            last = name
        }
    }

    // MARK: Limits

    /// A limit as it stands behind the record in hand, or in the window that ended with it; nil: there is no cap.
    func reading(_ kind: LimitKind, ended: Bool = false) -> LimitReading? {
        guard let present = fold.tenant(record.tenant) else { return nil }
        let tenant = ended ? fold.ended.tenant : present
        let row = kind.row
        var reading = LimitReading(
            name: row.name, cap: -1, committed: 0, held: 0,
            asked: ended ? 0 : record.asked[row.resource],
            percent: Int(tenant.threshold(0)), windowStart: 0, resetsAt: 0)
        switch row.subject {
        case .tenant:
            reading.cap = tenant.cap(of: kind)
            reading.committed = tenant.committed(of: kind)
            reading.held = tenant.held(of: kind)
            (reading.windowStart, reading.resetsAt) = tenant.bounds(of: row.window)
        case .messagingProfile, .voiceProfile:
            guard let present = record.profile.flatMap(fold.profile)?.state else { return nil }
            let profile = ended ? fold.ended.profile : present
            reading.cap = profile.cap
            reading.committed = profile.committed
            reading.held = profile.held
            reading.windowStart = profile.dayStart
            reading.resetsAt = profile.dayStart + ProfileState.dayLength
        }
        return reading.cap < 0 ? nil : reading
    }

    /// The limit that suspended the tenant: the first that the record says was reached, else the first whose refusal trips
    /// it; else (it was reached before, and the tenant reinstated since) the first whose usage rose and is at the cap.
    private var suspendingLimit: LimitReading? {
        let own = LimitSubject.tenant.limits.filter(\.suspends).map(\.kind)
        if let kind = own.first(where: record.transition.events.reached.contains) {
            return reading(kind)
        }
        let tripped = own.first { kind in
            guard record.refused.contains(kind), let limit = reading(kind) else { return false }
            return Decide.reaches(
                limit.committed, cap: limit.cap, percent: kind.row.refusalTripsFromPercent)
        }
        if let tripped { return reading(tripped) }
        return own.lazy.filter { kind in
            guard let counter = self.fold.rules.counter(of: kind) else { return false }
            return self.record.transition.committed[counter] > 0
        }.compactMap { self.reading($0) }.first { $0.committed >= $0.cap }
    }

    // MARK: Events

    /// What the record in hand raised, in the order of the bits.
    private func raisedEvents(_ db: Database) throws -> [Event] {
        let raised = record.transition.events
        guard !raised.isEmpty else { return [] }
        let tenant = try tenantName(record.tenant, db)
        var events: [Event] = []
        for single in raised.events {
            var event = Event(
                id: eventID(single.number), kind: .tenantSuspended, occurredAt: record.time,
                tenantID: tenant.id, tenantName: tenant.name)
            switch single {
            case .suspended:
                if record.kind == .tenantSuspended {
                    event.reason = String(decoding: record.text, as: UTF8.self)
                } else {
                    event.limit = suspendingLimit
                }
            case .reinstated:
                event.kind = .tenantReinstated
                event.reason =
                    record.kind == .reversed
                    ? "The charge that suspended the tenant was reversed: its caller's deadline had passed"
                    : String(decoding: record.text, as: UTF8.self)
            case .alert(let group, let kind): try describe(&event, group, kind, db)
            }
            events.append(event)
        }
        return events
    }

    /// What an event about a limit is about.
    private func describe(
        _ event: inout Event, _ group: EventSet.Group, _ kind: LimitKind, _ db: Database
    ) throws {
        event.limit = reading(kind, ended: group.hasEnded)
        if group.hasEnded { event.occasion = .windowEnd }
        if group == .refusal { event.occasion = .refusal }
        let subject = kind.row.subject
        event.kind =
            group.isThreshold ? .thresholdReached(of: subject) : .limitReached(of: subject)
        if let level = group.level, let tenant = fold.tenant(record.tenant) {
            event.limit?.percent = Int(tenant.threshold(level))
        }
        if group == .endedThreshold, let limit = event.limit {
            event.limit?.percent = Int(
                fold.ended.tenant.highestThreshold(limit.committed + limit.held, cap: limit.cap))
        }
        if subject != .tenant,
            let profile = try record.profile.flatMap({ try profileSettings($0, db) })
        {
            event.profileID = profile.id
            event.profileName = profile.name
        }
    }

    /// A UUID (version 8) made of what tells one event from all others, so that a rebuilt projection finds the same. The
    /// time is for journals that were restored from a backup: they give versions out again, but later.
    private func eventID(_ bit: Int) -> String {
        EventID.make([
            journal.low, journal.high, UInt64(record.tenant), record.version, UInt64(bit),
            UInt64(bitPattern: record.time),
        ])
    }

    /// Writes the events of a transition down.
    private func write(_ events: [Event], _ db: Database, now: Int64) throws {
        var transition: Int64 = 0
        for event in events {
            guard try EventRows.insert(event, isTest: false, db) else { continue }
            if transition == 0 { transition = db.lastInsertedRowID }
            try send(event, transition, db, now: now)
        }
    }

    /// Writes a delivery down for everybody who wants an event that was just written.
    private func send(_ event: Event, _ transition: Int64, _ db: Database, now: Int64) throws {
        eventCount += 1
        newEvents += 1
        if mayBeSent && event.occurredAt < now - attemptsGoOn { return }
        var profile: ProfileSettings?
        if let number = record.profile, !event.profileID.isEmpty {
            profile = try profileSettings(number, db)
        }
        for (recipient, channel) in recipients.channels(for: event.kind, profile: profile) {
            _ = try EventRows.insertDelivery(
                of: event.id, to: channel, recipient: recipient, transition: transition, now: now,
                db)
            hasDeliveries = true
        }
    }

    // MARK: The audit log

    /// Adds a line about the record in hand.
    private func writeAudit(
        changes: [AuditRow.Change], reference: String? = nil, _ db: Database
    ) throws {
        let events = record.transition.events
        var limits = record.refused.union(record.warnings)
        limits.formUnion(events.thresholds.union(events.reached))
        let ended = events.endedThresholds.union(events.endedReached)
        var readings =
            LimitKind.allCases.filter(ended.contains).compactMap { reading($0, ended: true) }
            + LimitKind.allCases.filter(limits.contains).compactMap { reading($0) }
        if readings.isEmpty && events.contains(.suspended) && record.kind != .tenantSuspended {
            readings = suspendingLimit.map { [$0] } ?? []
        }
        try writeLine(
            kind: record.kind, code: refusalCode,
            limits: readings.isEmpty ? nil : AuditCoding.text(readings),
            changes: changes.isEmpty ? nil : AuditCoding.text(changes),
            reference: reference ?? ownReference, time: record.time, db)
    }

    /// - Parameter together: of a line that stands for several: their minute, how many, and the time of the last.
    func writeLine(
        kind: Limits.Record.Kind, code: UInt32, limits: String?, changes: String? = nil,
        reference: String, time: Int64,
        together: (minute: Int64, count: Int64, last: Int64)? = nil, _ db: Database
    ) throws {
        lastAudit = max(lastAudit + 1, time * 1_000)
        let tenant: UInt32? = record.tenant == .max ? nil : record.tenant
        let minute: Int64? = together?.minute
        let count: Int64 = together?.count ?? 1
        let last: Int64 = together?.last ?? time
        try db.run(
            .writeLine,
            [
                lastAudit, time, kind.rawValue, tenant, record.profile,
                Int64(bitPattern: record.caller), record.action.rawValue, code,
                Int64(bitPattern: record.reservationID),
                AuditCoding.bits(Event.Kind.list(record.transition.events)),
                record.asked.listed, reference, limits, changes, minute, count, last,
                AuditCoding.data(record.trace),
            ])
        auditCount += 1
        newLines += 1
    }

    /// 0: no refusal.
    var refusalCode: UInt32 {
        guard record.decision == .denied else { return 0 }
        if record.refusedBySuspension { return ErrorCode.suspended.rawValue }
        return LimitKind.allCases.first(where: record.refused.contains)?.row.error.rawValue ?? 0
    }

    /// The caller's own id or the operator's reason; of a configuration change nothing: its text is the settings.
    var ownReference: String {
        switch record.kind {
        case .tenantCreated, .tenantChanged, .profileCreated, .profileChanged, .settingChanged,
            .holdMoved:
            ""
        default: String(decoding: record.text, as: UTF8.self)
        }
    }
}

/// UUIDs out of numbers.
enum EventID {
    static func make(_ words: [UInt64]) -> String {
        var high: UInt64 = 0x243F_6A88_85A3_08D3
        var low: UInt64 = 0x1319_8A2E_0370_7344
        for word in words {
            high = mix(high ^ word)
            low = mix(low &+ high ^ word.byteSwapped)
        }
        high = high & ~0xF000 | 0x8000
        low = low & ~(3 << 62) | 2 << 62
        let digits = hex(high) + hex(low)
        var text = ""
        for (index, digit) in digits.enumerated() {
            if [8, 12, 16, 20].contains(index) { text += "-" }
            text.append(digit)
        }
        return text
    }

    /// The finalizer of SplitMix64: a bijection.
    private static func mix(_ value: UInt64) -> UInt64 {
        var z = value &+ 0x9E37_79B9_7F4A_7C15
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }

    private static func hex(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

extension TenantSettings {
    /// nil: it cannot be read.
    init?(kept: Data) {
        guard let settings = kept.withUnsafeBytes({ TenantSettings(encoded: $0) }) else {
            return nil
        }
        self = settings
    }
}

extension ProfileSettings {
    init?(kept: Data) {
        guard let settings = kept.withUnsafeBytes({ ProfileSettings(encoded: $0) }) else {
            return nil
        }
        self = settings
    }
}
