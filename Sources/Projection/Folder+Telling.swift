import Engine
import Events
import Foundation
import GRDB
import Journal
import Limits

// What people are told of: configuration, the audit log, events and who gets them.
extension Folder {
    /// Writes down what the record in hand, which has taken effect, means for people.
    func tell(_ change: Change, _ db: Database, now: Int64) throws {
        let changes = try configure(change, db)
        if isTold { return }
        let events = try raisedEvents(db)
        try writeAudit(changes: changes, db)
        for event in events { try write(event, db, now: now) }
    }

    // MARK: Configuration

    private func configure(_ change: Change, _ db: Database) throws -> [AuditRow.Change] {
        let number = record.tenant
        if let settings = change.tenant {
            let before = try tenantSettings(number, db)
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
            try db.execute(sql: "UPDATE tenant SET open = 0 WHERE number = ?", arguments: [number])
            try db.execute(
                sql: "UPDATE profile SET open = 0 WHERE tenant = ? AND open = 1",
                arguments: [number])
        case .profileClosed:
            try db.execute(
                sql: "UPDATE profile SET open = 0 WHERE number = ?", arguments: [record.profile])
        default: break
        }
        return []
    }

    func write(
        _ settings: TenantSettings, tenant number: UInt32, isOpen: Bool, _ db: Database
    ) throws {
        let statement = try db.cachedStatement(
            sql: """
                INSERT OR REPLACE INTO tenant (number, id, name, settings, created, open)
                VALUES (?, ?, ?, ?, ?, ?)
                """)
        try statement.execute(arguments: [
            number, settings.id, settings.name, Data(settings.encoded),
            settings.revision.createdAt, isOpen,
        ])
        tenantNames[number] = (settings.id, settings.name)
    }

    func write(
        _ settings: ProfileSettings, profile number: UInt32, of tenant: UInt32, isOpen: Bool,
        _ db: Database
    ) throws {
        let statement = try db.cachedStatement(
            sql: """
                INSERT OR REPLACE INTO profile (number, tenant, id, name, settings, open)
                VALUES (?, ?, ?, ?, ?, ?)
                """)
        try statement.execute(arguments: [
            number, tenant, settings.id, settings.name, Data(settings.encoded), isOpen,
        ])
    }

    private func tenantSettings(_ number: UInt32, _ db: Database) throws -> TenantSettings? {
        let statement = try db.cachedStatement(sql: "SELECT settings FROM tenant WHERE number = ?")
        return try Data.fetchOne(statement, arguments: [number]).flatMap(TenantSettings.init(kept:))
    }

    private func profileSettings(_ number: UInt32, _ db: Database) throws -> ProfileSettings? {
        let statement = try db.cachedStatement(sql: "SELECT settings FROM profile WHERE number = ?")
        return try Data.fetchOne(statement, arguments: [number])
            .flatMap(ProfileSettings.init(kept:))
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
        let before = try String.fetchOne(
            db, sql: "SELECT value FROM setting WHERE name = ?", arguments: [setting.name])
        try keep(setting, db)
        if isTold { return }
        let changes = AuditRow.Change.list(
            before: Services.fields(before),
            after: Services.fields(Services.kept(setting.name, setting.value)))
        try writeAudit(changes: changes, reference: setting.name, db)
    }

    func keep(_ setting: ServiceSetting, _ db: Database) throws {
        services.set(setting.name, setting.value)
        if !isTold { try redirect(setting.name, db) }
        if let kept = Services.kept(setting.name, setting.value) {
            try db.execute(
                sql: "INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)",
                arguments: [setting.name, kept])
        } else {
            try db.execute(sql: "DELETE FROM setting WHERE name = ?", arguments: [setting.name])
        }
        if let caller = Services.caller(setting.name, setting.value) {
            // Stays when the token goes: the log still names it.
            try db.execute(
                sql: "INSERT OR REPLACE INTO caller (number, name) VALUES (?, ?)",
                arguments: [Int64(bitPattern: caller.number), caller.name])
        }
    }

    /// Has what is on its way to the recipient of a setting follow the setting: to where it says now, or nowhere.
    private func redirect(_ name: String, _ db: Database) throws {
        guard Services.isRecipient(name) else { return }
        guard let channel = services.channel(name) else {
            return try db.execute(
                sql: """
                    UPDATE delivery INDEXED BY delivery_due
                    SET status = 2, due = NULL, finished = ? WHERE status = 0 AND recipient = ?
                    """, arguments: [max(time, record.time), name])
        }
        let (_, target, failover) = EventRows.columns(channel)
        try db.execute(
            sql: """
                UPDATE delivery INDEXED BY delivery_due
                SET target = ?, failover = ?, place = ? WHERE status = 0 AND recipient = ?
                AND (target <> ? OR failover <> ?)
                """,
            arguments: [
                target, failover, DeliveryPlace(channel).name, name, target, failover,
            ])
    }

    /// Ends what is on its way to recipients that are no more, where no record says so.
    func endOrphans(_ db: Database) throws {
        guard !isTold else { return }
        let names = try String.fetchAll(
            db,
            sql: """
                SELECT DISTINCT recipient FROM delivery INDEXED BY delivery_due
                WHERE status = 0 AND recipient <> ''
                """)
        for name in names { try redirect(name, db) }
    }

    // MARK: Limits

    /// A limit as it stands behind the record in hand; nil: there is no cap.
    private func reading(_ kind: LimitKind) -> LimitReading? {
        guard let tenant = fold.tenant(record.tenant) else { return nil }
        let row = kind.row
        let resource = row.resource.index
        var reading = LimitReading(
            name: row.name, cap: tenant.caps[resource], committed: tenant.committed[resource],
            held: tenant.held[resource], asked: record.asked[resource],
            percent: Int(tenant.thresholdPercent), windowStart: 0, resetsAt: 0)
        switch row.window {
        case .standing: break
        case .billingCycle:
            reading.windowStart = tenant.cycleStart
            reading.resetsAt = tenant.cycleEnd
        case .utcDay:
            guard let profile = record.profile.flatMap(fold.profile)?.state else { return nil }
            reading.cap = profile.cap
            reading.committed = profile.committed
            reading.held = profile.held
            reading.windowStart = profile.dayStart
            reading.resetsAt = profile.dayStart + ProfileState.dayLength
        }
        return reading.cap < 0 ? nil : reading
    }

    /// The limit that suspended the tenant: the first that the record says was reached, else the first that refused; else
    /// (it was reached before, and the tenant reinstated since) the first whose usage rose and is at the cap.
    private var suspendingLimit: LimitReading? {
        let own = (0..<4).map(LimitKind.tenant)
        if let kind = own.first(where: record.transition.events.reached.contains) {
            return reading(kind)
        }
        if let kind = own.first(where: record.refused.contains) { return reading(kind) }
        return own.lazy.filter { self.record.transition.committed[$0.row.resource.index] > 0 }
            .compactMap(reading).first { $0.committed >= $0.cap }
    }

    // MARK: Events

    /// What the record in hand raised, in the order of the bits.
    private func raisedEvents(_ db: Database) throws -> [Event] {
        let raised = record.transition.events
        guard !raised.isEmpty else { return [] }
        let tenant = try tenantName(record.tenant, db)
        var events: [Event] = []
        for bit in 0..<12 where raised.rawValue & 1 << UInt16(bit) != 0 {
            var event = Event(
                id: eventID(bit), kind: .tenantSuspended, occurredAt: record.time,
                tenantID: tenant.id, tenantName: tenant.name)
            switch bit {
            case 0, 5:
                event.kind = bit == 0 ? .profileThresholdReached : .profileLimitReached
                event.limit = reading(.profileDailySpend)
                if let profile = try record.profile.flatMap({ try profileSettings($0, db) }) {
                    event.profileID = profile.id
                    event.profileName = profile.name
                }
            case 10:
                if record.kind == .tenantSuspended {
                    event.reason = String(decoding: record.text, as: UTF8.self)
                } else {
                    event.limit = suspendingLimit
                }
            case 11:
                event.kind = .tenantReinstated
                event.reason = String(decoding: record.text, as: UTF8.self)
            default:
                event.kind = bit < 5 ? .tenantThresholdReached : .tenantLimitReached
                event.limit = reading(LimitKind.catalogue[bit % 5].kind)
            }
            events.append(event)
        }
        return events
    }

    /// A UUID (version 8) made of what tells one event from all others, so that a rebuilt projection finds the same.
    private func eventID(_ bit: Int) -> String {
        EventID.make([
            journal.low, journal.high, UInt64(record.tenant), record.version, UInt64(bit),
        ])
    }

    /// Writes an event down, and a delivery for everybody who wants it.
    private func write(_ event: Event, _ db: Database, now: Int64) throws {
        guard try EventRows.insert(event, isTest: false, db) else { return }
        eventCount += 1
        newEvents += 1
        if mayBeSent && event.occurredAt < now - attemptsGoOn { return }
        var profile: ProfileSettings?
        if let number = record.profile, !event.profileID.isEmpty {
            profile = try profileSettings(number, db)
        }
        for (recipient, channel) in services.channels(for: event.kind, profile: profile) {
            _ = try EventRows.insertDelivery(
                of: event.id, to: channel, recipient: recipient, now: now, db)
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
        var readings = LimitKind.allCases.filter(limits.contains).compactMap(reading)
        if readings.isEmpty && events.contains(.suspended) && record.kind != .tenantSuspended {
            readings = suspendingLimit.map { [$0] } ?? []
        }
        lastAudit = max(lastAudit + 1, record.time * 1_000)
        let isService = record.tenant == .max
        let statement = try db.cachedStatement(
            sql: """
                INSERT INTO audit (id, time, kind, tenant, profile, caller, action, code,
                reservation, events, asked, reference, limits, changes)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """)
        try statement.execute(arguments: [
            lastAudit, record.time, record.kind.rawValue, isService ? nil : record.tenant,
            record.profile, Int64(bitPattern: record.caller), record.action.rawValue, refusalCode,
            Int64(bitPattern: record.reservationID), events.rawValue, record.asked.listed,
            reference ?? ownReference, readings.isEmpty ? nil : AuditCoding.text(readings),
            changes.isEmpty ? nil : try AuditCoding.text(changes),
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
    private var ownReference: String {
        switch record.kind {
        case .tenantCreated, .tenantChanged, .profileCreated, .profileChanged, .settingChanged: ""
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

/// Texts within lines of the audit log.
enum AuditCoding {
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
