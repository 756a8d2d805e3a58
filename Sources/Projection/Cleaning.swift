import GRDB
import Limits

/// What time alone brings, in steps of a few rows, until they are enough or the time is over.
///
/// Each step says whether it came to an end: else there is more to do.
struct Cleaning {
    /// Rows between two looks at the clock.
    static let batch = 100

    let db: Database
    /// The time is over.
    let isOver: () -> Bool

    /// Has limits whose window is over count as empty in the orders of lists, though no record says so yet.
    func endWindows(_ fold: StateFold, now: Int64) throws -> Bool {
        while true {
            let numbers: [UInt32] = try db.values(.endedWindows, [now, Self.batch])
            for number in numbers {
                // What is not known stands in nobody's way.
                let state = fold.tenant(number) ?? TenantState()
                var arguments = state.columns(now, fold.rules)
                arguments += [
                    state.fullness(now, fold.rules), state.nextEnd(after: now, fold.rules), number,
                ]
                try db.run(.endWindow, arguments)
            }
            if numbers.count < Self.batch { return true }
            if isOver() { return false }
        }
    }

    /// Removes the oldest lines: those before a time, and as many as there are too many; at most `limit`.
    func pruneAudit(
        before time: Int64, excess: Int, limit: Int = .max
    ) throws -> (removed: Int, isDone: Bool) {
        var removed = 0
        while removed < limit {
            let batch = min(Self.batch, limit - removed)
            try db.run(.pruneLines, [time * 1_000, batch])
            var count = db.changesCount
            if count < batch, excess > removed + count {
                let rest = min(batch - count, excess - removed - count)
                try db.run(.pruneLines, [Int64.max, rest])
                count += db.changesCount
            }
            removed += count
            if count < batch { return (removed, true) }
            if isOver() { break }
        }
        return (removed, false)
    }

    /// Removes events of which nothing is on its way any more, with their deliveries: those before a time, and as many as
    /// there are too many; at most `limit`. What is on its way stays, and is passed over once, however much it is.
    ///
    /// - Parameter last: the event that was looked at last; back at the beginning when this comes to an end.
    func pruneEvents(
        after last: inout Int64, before time: Int64, excess: Int, limit: Int = .max
    ) throws -> (removed: Int, isDone: Bool) {
        var removed = 0
        while removed < limit {
            let rows = try db.rows(.oldestEvents, [last, Self.batch])
            for row in rows {
                let number: Int64 = try row.value("number")
                if removed >= limit { return (removed, false) }
                let happened: Int64 = try row.value("time")
                guard happened < time || removed < excess else {
                    last = .min
                    return (removed, true)
                }
                last = number
                let isOnItsWay: Bool? = try db.value(.isOnItsWay, [number])
                if isOnItsWay != nil { continue }
                try db.run(.forgetAttempts, [number])
                try db.run(.forgetDeliveries, [number])
                try db.run(.forgetEvent, [number])
                removed += 1
            }
            if rows.count < Self.batch {
                last = .min
                return (removed, true)
            }
            if isOver() { break }
        }
        return (removed, false)
    }

    /// Gives up what has been due since before a time: its recipient takes less than it is sent, or nothing.
    func giveUp(dueBefore time: Int64, now: Int64) throws -> Bool {
        while true {
            let ids: [Int64] = try db.values(.waitedTooLong, [time, Self.batch])
            for id in ids { try db.run(.giveUp, [now, id]) }
            if ids.count < Self.batch { return true }
            if isOver() { return false }
        }
    }

    /// Removes the oldest days, months and hours.
    ///
    /// - Parameters:
    ///   - day: the first day that stays, with its month.
    ///   - hour: the first hour that stays.
    func pruneUsage(before day: Int64, hoursBefore hour: Int64) throws -> Bool {
        let month = UsageKey.month(of: day)
        return try prune(.oldHours, .forgetHour, UsageSums.Table.hourly.key, before: hour)
            && prune(
                .oldHourlyRefusals, .forgetHourlyRefusals, StandingStatement.hourlyRefusalKey,
                before: hour)
            && prune(.oldDays, .forgetDay, UsageSums.Table.daily.key, before: day)
            && prune(.oldMonths, .forgetMonth, UsageSums.Table.monthly.key, before: month)
            && prune(.oldRefusals, .forgetRefusals, StandingStatement.refusalKey, before: day)
            && prune(.oldZones, .forgetZone, StandingStatement.zoneKey, before: day)
    }

    private func prune(
        _ old: StandingStatement, _ forget: StandingStatement, _ key: [String], before start: Int64
    ) throws -> Bool {
        while true {
            let rows = try db.rows(old, [start, Self.batch])
            for row in rows {
                let values = try key.map { try row.value($0) as Int64 }
                try db.run(forget, StatementArguments(values))
            }
            if rows.count < Self.batch { return true }
            if isOver() { return false }
        }
    }
}
