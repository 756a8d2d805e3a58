import Foundation
import GRDB
import Limits

/// A day of a tenant, or of one of its messaging profiles.
struct DayKey: Hashable {
    /// A date: its first millisecond in UTC.
    var day: Int64
    var tenant: UInt32
    /// -1: the tenant as a whole.
    var profile: Int64
}

/// What a slice adds to a day.
struct DaySum {
    /// By `Resource.index`.
    var committed = Amounts()
    var allowed: Int64 = 0
    var denied: Int64 = 0
    /// Holds that were taken on that day and may still come to something else than what is booked.
    var open: Int64 = 0

    var isEmpty: Bool {
        allowed == 0 && denied == 0 && open == 0
            && Resource.allCases.allSatisfy { committed[$0] == 0 }
    }

    mutating func add(_ other: DaySum) {
        for resource in Resource.indices {
            committed[resource] = committed[resource].addingSaturated(other.committed[resource])
        }
        allowed += other.allowed
        denied += other.denied
        open += other.open
    }
}

struct RefusalKey: Hashable {
    var day: DayKey
    var code: UInt32
}

// Daily usage: what was held is booked on the day on which it was taken, what an extension added on the day of that,
// everything else on the day of the record. Days of tenants are their zone's, those of messaging profiles are UTC's: so
// days sum up to the windows of the limits.
extension ProjectionWriter {
    /// Books the record in hand, which has taken effect.
    ///
    /// - Parameter grown: what was added to the hold that it settles.
    func count(_ grown: [Growth], _ db: Database) throws {
        var now = DaySum()
        var taken = DaySum()
        let isSettling = record.kind.isSettling
        let charged = Transition.amounts(record.transition.committed, fold.rules)
        let holds = Transition.amounts(record.transition.held, fold.rules)
        for resource in Resource.indices {
            let committed = charged[resource]
            // What the hold makes up of it; a correction of what was charged for it is a part of that.
            var held: Int64 = 0
            if isSettling {
                held =
                    committed < 0
                    ? committed : min(committed, max(0, -holds[resource]))
            }
            taken.committed[resource] = held
            now.committed[resource] = committed - held
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
        if !grown.isEmpty { try bookGrowth(grown, from: &taken, db) }
        let day = try date(of: record.time, db)
        // Not on record: no day began since.
        let takenDay = record.takenAt == 0 ? day : try date(of: record.takenAt, db)
        add(now, to: DayKey(day: day, tenant: record.tenant, profile: -1))
        add(taken, to: DayKey(day: takenDay, tenant: record.tenant, profile: -1))
        countProfile(now, taken)
    }

    /// A profile's windows are its days.
    private func countProfile(_ now: DaySum, _ taken: DaySum) {
        guard let profile = record.profile, let state = fold.profile(profile)?.state else { return }
        let resource = fold.rules.limit(of: state.kind).row.resource
        let today = ProfileState.dayStart(of: record.time)
        func key(_ day: Int64) -> DayKey {
            DayKey(day: day, tenant: record.tenant, profile: Int64(profile))
        }
        var sum = now
        sum.committed = Amounts(resource, record.transition.profileCommitted)
        add(sum, to: key(today))
        var settled = DaySum()
        settled.open = taken.open
        let takenDay = ProfileState.dayStart(of: record.takenAt == 0 ? record.time : record.takenAt)
        add(settled, to: key(takenDay))
        for index in 0..<record.closed.count {
            let charge = record.closed.charges[index]
            var closed = DaySum()
            closed.committed[resource.index] = charge.profileSpend
            add(closed, to: key(charge.dayStart == 0 ? today : charge.dayStart))
        }
    }

    func add(_ sum: DaySum, to key: DayKey) {
        if !sum.isEmpty { days[key, default: DaySum()].add(sum) }
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
        let count = Int64(clamping: record.count.all)
        var keys = [
            DayKey(day: try date(of: record.time, db), tenant: record.tenant, profile: -1)
        ]
        if let profile = record.profile {
            keys.append(
                DayKey(
                    day: ProfileState.dayStart(of: record.time), tenant: record.tenant,
                    profile: Int64(profile)))
        }
        let codes = refusalCodes
        for key in keys {
            var sum = DaySum()
            sum.denied = count
            add(sum, to: key)
            for (code, _) in codes {
                refusals[RefusalKey(day: key, code: code), default: 0] += count
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

    // MARK: The end of a slice

    func writeDays(_ db: Database) throws {
        let keys = days.keys.sorted {
            ($0.day, $0.tenant, $0.profile) < ($1.day, $1.tenant, $1.profile)
        }
        for key in keys {
            guard let sum = days[key], !sum.isEmpty else { continue }
            var arguments: StatementArguments = [key.day, key.tenant, key.profile]
            arguments += sum.committed.columns
            arguments += [sum.allowed, sum.denied, sum.open]
            try db.run(.writeDay, arguments)
        }
        days.removeAll(keepingCapacity: true)
        for (key, count) in refusals {
            try db.run(
                .writeRefusals,
                [key.day.day, key.day.tenant, key.day.profile, key.code, count])
        }
        refusals.removeAll(keepingCapacity: true)
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
