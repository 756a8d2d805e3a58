import Foundation
import GRDB
import Limits

// Usage by hour and day, and by what it was for: what was held is booked when it was taken, what an extension added when
// that was done, everything else at the time of the record. Days of tenants are their zone's, those of profiles are UTC's:
// so days sum up to the windows of the limits.
extension ProjectionWriter {
    /// Books the record in hand, which has taken effect.
    ///
    /// - Parameter grown: what was added to the hold that it settles.
    func count(_ grown: [Growth], _ db: Database) throws {
        var now = UsageSum()
        var taken = UsageSum()
        let isSettling = record.kind.isSettling
        let charged = Transition.amounts(record.transition.committed, fold.rules)
        let holds = Transition.amounts(record.transition.held, fold.rules)
        for resource in Resource.indices {
            // What the hold makes up of it.
            let held = isSettling ? Self.held(of: charged[resource], freed: -holds[resource]) : 0
            taken.committed[resource] = held
            now.committed[resource] = charged[resource] - held
        }
        for index in 0..<record.closed.count {
            for resource in Resource.indices {
                taken.committed[resource] = taken.committed[resource].addingSaturated(
                    record.closed.charges[index].amounts[resource])
            }
        }
        switch record.kind {
        case .reserved:
            now.allowed = 1
            now.open = 1
        case .charged: now.allowed = 1
        case .extended: now.allowed = record.transition.held.isEmpty ? 0 : 1
        default: if record.endsBookings { taken.open = -1 }
        }
        if record.exceedsHolds { now.overage = max(0, now.committed[.spend]) }
        if !grown.isEmpty { try bookGrowth(grown, from: &taken, db) }
        // Not on record: no quarter of an hour began since.
        let takenAt = record.takenAt == 0 ? record.time : record.takenAt
        try addOfTenant(now, at: record.time, db)
        try addOfTenant(taken, at: takenAt, db)
        countProfile(now, taken, takenAt: takenAt)
    }

    /// How much of a charge was held for it, of what it frees; a correction of what was charged is a part of that.
    private static func held(of charged: Int64, freed: Int64) -> Int64 {
        charged < 0 ? charged : min(charged, max(0, freed))
    }

    /// What is counted for a profile stands with its windows, which are its days; all else with the tenant's.
    private func countProfile(_ now: UsageSum, _ taken: UsageSum, takenAt: Int64) {
        guard let profile = record.profile, let state = fold.profile(profile)?.state else { return }
        let resource = fold.rules.limit(of: state.kind).row.resource.index
        let charged = record.transition.profileCommitted
        let held =
            record.kind.isSettling
            ? Self.held(of: charged, freed: -record.transition.profileHeld) : 0
        let isToday =
            ProfileState.dayStart(of: takenAt) == ProfileState.dayStart(of: record.time)
        var (now, taken) = (now, taken)
        now.committed[resource] = isToday ? charged - held : charged
        taken.committed[resource] = isToday ? held : 0
        if record.exceedsHolds { now.overage = max(0, charged - held) }
        add(now, of: profile, at: record.time)
        add(taken, of: profile, at: takenAt)
        for index in 0..<record.closed.count {
            let charge = record.closed.charges[index]
            guard charge.profileSpend != 0 else { continue }
            var closed = UsageSum()
            closed.committed[resource] = charge.profileSpend
            // Of a part that was added on a later day the hour is not on record.
            let day =
                charge.dayStart == 0 ? ProfileState.dayStart(of: record.time) : charge.dayStart
            add(
                closed, of: profile, at: ProfileState.dayStart(of: takenAt) == day ? takenAt : day)
        }
    }

    func addOfTenant(_ sum: UsageSum, at time: Int64, _ db: Database) throws {
        guard !sum.isEmpty else { return }
        add(
            sum,
            to: UsageKey(
                tenant: record.tenant, profile: UsageKey.tenantAsAWhole, time: time,
                day: try date(of: time, db), action: record.action))
    }

    func add(_ sum: UsageSum, of profile: UInt32, at time: Int64) {
        guard !sum.isEmpty else { return }
        add(
            sum,
            to: UsageKey(
                tenant: record.tenant, profile: Int64(profile), time: time,
                day: ProfileState.dayStart(of: time), action: record.action))
    }

    private func add(_ sum: UsageSum, to key: UsageKey) {
        usage[key, default: UsageSum()].add(sum)
    }

    // MARK: Time zones

    /// The date of an instant for the tenant of the record in hand, in the zone that counted then.
    func date(of time: Int64, _ db: Database) throws -> Int64 {
        let former = formerZones.isEmpty ? nil : formerZones[record.tenant]
        return calendar.date(
            of: time, try zone(of: record.tenant, db), after: former ?? [])
    }

    private func zone(of tenant: UInt32, _ db: Database) throws -> Int {
        if let zone = zones[tenant] { return zone }
        let zone = calendar.zone(named: try tenantSettings(tenant, db)?.timeZone ?? "UTC")
        zones[tenant] = zone
        return zone
    }

    /// Keeps the zone that the record in hand changes: it counts until the day ends that goes on. What was held is booked
    /// by the zone of the instant at which it was taken, however late it is settled.
    func keepZone(_ name: String, _ db: Database) throws {
        var former = formerZones[record.tenant] ?? []
        // Changed twice in a day: the one in between never counts.
        if let last = former.last, last.until > record.time { return }
        let zone = calendar.zone(named: name)
        let day = calendar.date(of: record.time, zone, after: former)
        let until = calendar.end(of: day, zone, after: record.time)
        former.append(FormerZone(until: until, day: day, zone: zone))
        formerZones[record.tenant] = former
        try db.run(.writeZone, [day, record.tenant, until, name])
    }

    // MARK: Refusals

    /// Counts refusals, and has the audit log show those that raised nothing.
    func takeRefusals(_ db: Database) throws {
        var sum = UsageSum()
        sum.denied = Int64(clamping: record.count.all)
        try addOfTenant(sum, at: record.time, db)
        var refused = RefusalKey(
            tenant: Int64(record.tenant), profile: UsageKey.tenantAsAWhole,
            hour: UsageKey.hour(of: record.time), day: try date(of: record.time, db), code: 0)
        let codes = refusalCodes
        for (code, _) in codes {
            refused.code = code
            refusals[refused, default: 0] += sum.denied
        }
        if let profile = record.profile {
            add(sum, of: profile, at: record.time)
            refused.profile = Int64(profile)
            refused.day = ProfileState.dayStart(of: record.time)
            for (code, _) in codes {
                refused.code = code
                refusals[refused, default: 0] += sum.denied
            }
        }
        guard record.count.quiet > 0 else { return }
        for (code, kind) in codes { try writeRefusals(code, kind, db) }
    }

    /// Each limit that refused, or the suspension alone.
    private var refusalCodes: [(code: UInt32, kind: LimitKind?)] {
        if record.refusedBySuspension { return [(ErrorCode.suspended.rawValue, nil)] }
        return LimitKind.allCases.filter(record.refused.contains).map {
            ($0.row.error.rawValue, $0)
        }
    }

    private func writeRefusals(_ code: UInt32, _ kind: LimitKind?, _ db: Database) throws {
        let limits = kind.flatMap { reading($0) }.map { AuditCoding.text([$0]) }
        try writeTogether(
            code: code, limits: limits, first: record.count.first, last: record.count.last,
            count: Int64(clamping: record.count.quiet), db)
    }

    /// One line for a tenant, a code and a minute, however many records and lanes there are. Code 0: what was no refusal,
    /// which are charges that were taken back.
    func writeTogether(
        code: UInt32, limits: String?, first: Int64, last: Int64, count: Int64, _ db: Database
    ) throws {
        let minute = first / 60_000
        guard let row = try db.row(.lineOfMinute, [record.tenant, minute, code]) else {
            return try writeLine(
                kind: record.kind == .refusals ? .denied : record.kind, code: code,
                limits: limits, reference: ownReference, time: first,
                together: (minute, count, last), db)
        }
        let id: Int64 = try row.value("id")
        let latest: Int64 = try row.value("last")
        let before: Int64 = try row.value("count")
        try db.run(.addToLine, [before.addingSaturated(count), max(latest, last), id])
        guard first < (try row.value("time") as Int64) else { return }
        try db.run(
            .beginLine,
            [
                first, record.profile, Int64(bitPattern: record.caller),
                record.action.rawValue, Int64(bitPattern: record.reservationID),
                record.asked.listed, ownReference, limits, AuditCoding.data(record.trace), id,
            ])
    }
}

extension Limits.Record.Kind {
    /// It settles what a reservation held, or corrects what was charged for it.
    fileprivate var isSettling: Bool {
        switch self {
        case .committed, .committedLate, .expiredCharged, .released, .expired: true
        default: false
        }
    }
}

extension Limits.Record {
    /// What it charges besides what was held is above the hold.
    fileprivate var exceedsHolds: Bool {
        kind == .committed || (kind == .committedLate && onExpiry == .commit)
    }
}

/// A time zone that a tenant had.
struct FormerZone {
    /// The first instant at which the next one counts, Unix milliseconds.
    var until: Int64
    /// The date that ended then.
    var day: Int64
    /// Its number in the calendar.
    var zone: Int
}

/// Dates of instants in time zones.
///
/// Thread safety: one thread at a time.
struct DayCalendar {
    private struct Zone {
        var zone: TimeZone
        /// Between these instants, Unix milliseconds, it is so many milliseconds ahead of UTC.
        var from: Int64 = 0
        var to: Int64 = 0
        var offset: Int64 = 0
    }

    private var zones: [Zone] = [Zone(zone: .gmt, from: .min, to: .max)]
    private var names: [String: Int] = ["UTC": 0]

    /// A zone's number; of a name that is not known UTC's.
    mutating func zone(named name: String) -> Int {
        if let known = names[name] { return known }
        var number = 0
        if let zone = TimeZone(identifier: name) {
            number = zones.count
            zones.append(Zone(zone: zone))
        }
        names[name] = number
        return number
    }

    /// The date that an instant falls on, as its first millisecond in UTC.
    mutating func date(of time: Int64, _ number: Int) -> Int64 {
        if time < zones[number].from || time >= zones[number].to { look(at: time, number) }
        return ProfileState.dayStart(of: time + zones[number].offset)
    }

    /// The date of an instant for somebody who had other zones before, oldest first. Dates never go back: where the next
    /// zone is a date behind, the last one goes on.
    mutating func date(of time: Int64, _ number: Int, after former: [FormerZone]) -> Int64 {
        var least = Int64.min
        for zone in former {
            if time < zone.until { return max(least, date(of: time, zone.zone)) }
            least = zone.day
        }
        return max(least, date(of: time, number))
    }

    /// The first instant behind another one whose date is later than a day.
    mutating func end(of day: Int64, _ number: Int, after time: Int64) -> Int64 {
        let quarter = Limits.Record.quarter
        var end = time - time % quarter + quarter
        while date(of: end, number) <= day { end += quarter }
        return end
    }

    private mutating func look(at time: Int64, _ number: Int) {
        let date = Date(timeIntervalSince1970: Double(time) / 1_000)
        let zone = zones[number].zone
        zones[number].offset = Int64(zone.secondsFromGMT(for: date)) * 1_000
        zones[number].from = time
        let next = zone.nextDaylightSavingTimeTransition(after: date)
        // A few hours at most: what changes is not always daylight saving.
        let latest = time + ProfileState.dayLength / 4
        zones[number].to = min(
            latest, next.map { Int64(($0.timeIntervalSince1970 * 1_000).rounded(.up)) } ?? latest)
    }
}
