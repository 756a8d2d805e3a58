import GRDB
import Limits

/// Reads usage: the sums, and what has not gone on to them yet.
struct UsageLookup {
    /// Whose usage.
    enum Subject: Equatable {
        /// All tenants together.
        case everybody
        case tenant(Int64)
        case profile(Int64, of: Int64)

        fileprivate var profile: Int64 {
            switch self {
            case .everybody: UsageKey.everybody
            case .tenant: UsageKey.tenantAsAWhole
            case .profile(let profile, _): profile
            }
        }

        fileprivate var tenant: Int64 {
            switch self {
            case .everybody: UsageKey.everybody
            case .tenant(let tenant), .profile(_, let tenant): tenant
            }
        }
    }

    let db: Database

    init(_ db: Database) { self.db = db }

    private static let columns = UsageSums.columns.joined(separator: ", ")

    // MARK: One subject

    /// Sums by action of the hours or days that have any, oldest first.
    ///
    /// - Parameters:
    ///   - from: the first; a whole hour or day.
    ///   - to: exclusive.
    /// - Complexity: O(hours or days between); of everybody also O(rows of `usage_delta`).
    func sums(
        _ table: UsageSums.Table, of subject: Subject, from: Int64, to: Int64
    ) throws -> [(start: Int64, actions: [Int16: UsageSum])] {
        let length = table == .hourly ? UsageKey.hourLength : ProfileState.dayLength
        var found: [Int64: [Int16: UsageSum]] = [:]
        let statement = try db.cachedStatement(
            sql: """
                SELECT action, \(Self.columns) FROM \(table.name)
                WHERE \(table.start) = ? AND profile = ? AND tenant = ?
                """)
        for start in stride(from: from, to: to, by: Int(length)) {
            let rows = try Row.fetchCursor(
                statement, arguments: [start, subject.profile, subject.tenant])
            while let row = try rows.next() {
                let action = Int16(clamping: row.current(0))
                found[start, default: [:]][action, default: UsageSum()].add(
                    UsageSum(at: row, from: 1))
            }
        }
        try deltas(of: subject) { key, sum in
            let start = table.start(of: key)
            guard (from..<max(from, to)).contains(start) else { return }
            found[start, default: [:]][key.action, default: UsageSum()].add(sum)
        }
        return found.sorted { $0.key < $1.key }.map { (start: $0.key, actions: $0.value) }
    }

    /// Sums of days, whatever for.
    func days(
        of tenant: Int64, _ profile: Int64, from: Int64, to: Int64
    ) throws -> [(day: Int64, sum: UsageSum)] {
        let subject =
            profile == UsageKey.tenantAsAWhole
            ? Subject.tenant(tenant) : .profile(profile, of: tenant)
        return try sums(.daily, of: subject, from: from, to: to).map { start, actions in
            var all = UsageSum()
            for sum in actions.values { all.add(sum) }
            return (day: start, sum: all)
        }
    }

    private func deltas(of subject: Subject, _ body: (UsageKey, UsageSum) -> Void) throws {
        let key = UsageSums.deltaKey.joined(separator: ", ")
        var sql = "SELECT \(key), \(Self.columns) FROM usage_delta WHERE profile = ?"
        var arguments = [subject.profile]
        if subject == .everybody {
            arguments = [UsageKey.tenantAsAWhole]
        } else {
            sql += " AND tenant = ?"
            arguments.append(subject.tenant)
        }
        let rows = try Row.fetchCursor(
            db.cachedStatement(sql: sql), arguments: StatementArguments(arguments))
        while let row = try rows.next() {
            body(
                UsageKey(
                    tenant: row.current(0), profile: row.current(1), hour: row.current(2),
                    day: row.current(3), action: Int16(clamping: row.current(4))),
                UsageSum(at: row, from: 5))
        }
    }

    /// Refusals by code, of a tenant (`profile` -1) or a profile, in hours or days.
    func refusals(
        _ table: UsageSums.Table, of subject: Subject, from: Int64, to: Int64
    ) throws -> [Int64: [UInt32: Int64]] {
        let length = table == .hourly ? UsageKey.hourLength : ProfileState.dayLength
        var found: [Int64: [UInt32: Int64]] = [:]
        let statement = try db.cachedStatement(
            sql: """
                SELECT code, count FROM refusal_\(table.rawValue)
                WHERE \(table.start) = ? AND tenant = ? AND profile = ?
                """)
        for start in stride(from: from, to: to, by: Int(length)) {
            let rows = try Row.fetchCursor(
                statement, arguments: [start, subject.tenant, subject.profile])
            while let row = try rows.next() {
                found[start, default: [:]][try row.value("code")] = try row.value("count")
            }
        }
        return found
    }

    func refusals(
        of tenant: Int64, _ profile: Int64, on day: Int64
    ) throws -> [UInt32: Int64] {
        let subject =
            profile == UsageKey.tenantAsAWhole
            ? Subject.tenant(tenant) : .profile(profile, of: tenant)
        return try refusals(.daily, of: subject, from: day, to: day + 1)[day] ?? [:]
    }

    // MARK: All tenants

    /// Hands over what each tenant used, in no order: of the months or days between two, behind their sums what has not
    /// gone on to them.
    ///
    /// - Parameters:
    ///   - condition: what else must be true of a row; of columns of `usage_delta`.
    ///   - body: when, who, what for, how much.
    /// - Complexity: O(rows between) + O(rows of `usage_delta`).
    func eachTenant(
        _ table: UsageSums.Table, from: Int64, to: Int64, where condition: String = "1",
        _ body: (_ start: Int64, _ tenant: Int, _ action: Int16, _ sum: UsageSum) -> Void
    ) throws {
        let statement = try db.cachedStatement(
            sql: """
                SELECT tenant, action, \(Self.columns) FROM \(table.name)
                WHERE \(table.start) = ? AND profile = \(UsageKey.tenantAsAWhole) AND \(condition)
                """)
        var start = from
        while start < to {
            let rows = try Row.fetchCursor(statement, arguments: [start])
            while let row = try rows.next() {
                let tenant = Int(clamping: row.current(0))
                guard tenant >= 0 else { continue }
                body(
                    start, tenant, Int16(clamping: row.current(1)), UsageSum(at: row, from: 2))
            }
            start =
                table == .monthly
                ? UsageKey.month(of: start + 31 * ProfileState.dayLength)
                : start + ProfileState.dayLength
        }
        try deltas(of: .everybody) { key, sum in
            let start = table.start(of: key)
            guard from <= start, start < to, key.tenant >= 0 else { return }
            body(start, Int(key.tenant), key.action, sum)
        }
    }
}
