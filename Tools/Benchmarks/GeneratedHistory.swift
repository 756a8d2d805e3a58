internal import GRDB

/// A history of usage that nobody lived through, straight into a projection's file: a tenth of the tenants is active on a
/// day, each on every tenth, sends messages and makes calls in twelve hours of the day, and is denied something now and
/// then.
///
/// The file is not open elsewhere, and has nothing of these days.
struct GeneratedHistory {
    let tenants: Int
    /// Days by day and by hour, up to yesterday.
    let days: Int
    let hourlyDays: Int
    /// A date: its first millisecond in UTC.
    let today: Int64

    private static let day: Int64 = 86_400_000
    private static let hour: Int64 = 3_600_000

    /// The numbers of active tenants, and what each did for an action: 1 sends messages, 4 and 5 are calls.
    private static let active = """
        WITH RECURSIVE active(t) AS
        (SELECT :part UNION ALL SELECT t + 10 FROM active WHERE t + 10 < :tenants),
        used(action, spend, seconds, messages) AS
        (VALUES (1, 4000000, 0, 1), (4, 9000000, 60, 0), (5, 0, 45, 0))
        """

    /// Rows that were made.
    func write(_ path: String) throws -> Int {
        let queue = try DatabaseQueue(path: path)
        defer { try? queue.close() }
        var rows = 0
        for index in 1...days {
            let date = today - Int64(days + 1 - index) * Self.day
            rows += try queue.write { db in
                var made = try usage("daily", "day", at: date, hours: 12, index, db)
                made += try refusals(at: date, index, db)
                guard index > days - hourlyDays else { return made }
                for hour in 8..<20 {
                    made += try usage(
                        "hourly", "hour", at: date + Int64(hour) * Self.hour, hours: 1, index, db)
                }
                return made
            }
        }
        rows += try queue.write { db in
            var made = try sums("daily", "day", db) + sums("hourly", "hour", db)
            try db.execute(
                sql: """
                    INSERT INTO usage_monthly
                    (month, profile, tenant, action, spend, seconds, messages, overage, allowed, denied)
                    SELECT 1000 * unixepoch(day / 1000, 'unixepoch', 'start of month') AS first,
                    profile, tenant, action, SUM(spend), SUM(seconds), SUM(messages), SUM(overage),
                    SUM(allowed), SUM(denied) FROM usage_daily
                    WHERE profile < 0 AND day < ? GROUP BY first, profile, tenant, action
                    """, arguments: [today])
            made += db.changesCount
            return made
        }
        try queue.writeWithoutTransaction { _ = try $0.checkpoint(.truncate) }
        return rows
    }

    /// Of tenants, and of a profile of each other one.
    private func usage(
        _ table: String, _ start: String, at time: Int64, hours: Int, _ index: Int, _ db: Database
    ) throws -> Int {
        var made = 0
        for (profile, condition) in [("-1", "1"), ("t", "t % 20 < 10")] {
            try db.execute(
                sql: """
                    \(Self.active)
                    INSERT INTO usage_\(table) (\(start), profile, tenant, action, spend, seconds,
                    messages, overage, allowed, denied)
                    SELECT :time, \(profile), t, action, spend * n, seconds * n, messages * n,
                    spend * n / 50, n, n / 9 FROM active JOIN used
                    JOIN (SELECT :hours * (1 + :index % 7) AS n) WHERE \(condition)
                    ORDER BY t, action
                    """,
                arguments: [
                    "part": index % 10, "tenants": tenants, "time": time, "hours": hours,
                    "index": index,
                ])
            made += db.changesCount
        }
        return made
    }

    /// Sums of everybody.
    private func sums(_ table: String, _ start: String, _ db: Database) throws -> Int {
        try db.execute(
            sql: """
                INSERT INTO usage_\(table) (\(start), profile, tenant, action, spend, seconds,
                messages, overage, allowed, denied)
                SELECT \(start), -2, -2, action, SUM(spend), SUM(seconds), SUM(messages),
                SUM(overage), SUM(allowed), SUM(denied) FROM usage_\(table)
                WHERE profile = -1 AND \(start) < ? GROUP BY \(start), action
                """, arguments: [today])
        return db.changesCount
    }

    private func refusals(at date: Int64, _ index: Int, _ db: Database) throws -> Int {
        var made = 0
        for code in [49_001, 49_004, 20_012] {
            try db.execute(
                sql: """
                    \(Self.active)
                    INSERT INTO refusal_daily (day, tenant, profile, code, count)
                    SELECT :time, t, -1, :code, 3 FROM active WHERE t % 30 = :part
                    UNION ALL SELECT :time, -2, -2, :code, COUNT(*) * 3 FROM active
                    WHERE t % 30 = :part
                    """,
                arguments: [
                    "part": index % 10, "tenants": tenants, "time": date, "code": code,
                ])
            made += db.changesCount
        }
        return made
    }
}
