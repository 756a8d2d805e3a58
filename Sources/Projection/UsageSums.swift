import GRDB
import Limits
import Notation

/// Whose usage it is, when, and what for.
struct UsageKey: Hashable {
    /// `profile`: the tenant as a whole.
    static let tenantAsAWhole: Int64 = -1
    /// `profile` and `tenant`: all tenants together.
    static let everybody: Int64 = -2
    /// `action`: from before actions were told apart.
    static let unknownAction: Int16 = -1
    static let hourLength: Int64 = 3_600_000

    var tenant: Int64
    var profile: Int64
    /// Its first instant; `noHour`: not known.
    var hour: Int64
    /// A date: its first millisecond in UTC.
    var day: Int64
    var action: Int16

    init(tenant: Int64, profile: Int64, hour: Int64, day: Int64, action: Int16) {
        self.tenant = tenant
        self.profile = profile
        self.hour = hour
        self.day = day
        self.action = action
    }

    init(tenant: UInt32, profile: Int64, time: Int64, day: Int64, action: Action) {
        self.init(
            tenant: Int64(tenant), profile: profile, hour: Self.hour(of: time), day: day,
            action: Int16(action.rawValue))
    }

    /// The hour that an instant is in.
    static func hour(of time: Int64) -> Int64 {
        let rest = time % hourLength
        return time &- (rest < 0 ? rest + hourLength : rest)
    }

    /// The month that a date is in, as the first millisecond of its first day.
    static func month(of day: Int64) -> Int64 {
        // What a damaged file says may be anything.
        let number = CivilDate.days(ofMilliseconds: min(max(day, -(1 << 52)), 1 << 52))
        return Int64(number - CivilDate(daysSinceEpoch: number).day + 1) * ProfileState.dayLength
    }
}

struct RefusalKey: Hashable {
    var tenant: Int64
    var profile: Int64
    var hour: Int64
    var day: Int64
    var code: UInt32
}

/// What was used.
struct UsageSum: Equatable {
    /// By `Resource.index`.
    var committed = Amounts()
    /// Spend that was charged above what had been held for it, nano-USD.
    var overage: Int64 = 0
    var allowed: Int64 = 0
    var denied: Int64 = 0
    /// Holds that were taken and may still come to something else than what is booked.
    var open: Int64 = 0

    var isEmpty: Bool {
        allowed == 0 && denied == 0 && open == 0 && overage == 0
            && Resource.indices.allSatisfy { committed[$0] == 0 }
    }

    mutating func add(_ other: UsageSum) {
        for resource in Resource.indices where other.committed[resource] != 0 {
            committed[resource] = committed[resource].addingSaturated(other.committed[resource])
        }
        overage = overage.addingSaturated(other.overage)
        allowed = allowed.addingSaturated(other.allowed)
        denied = denied.addingSaturated(other.denied)
        open = open.addingSaturated(other.open)
    }

    /// Of `UsageSums.columns`, behind so many others.
    init(_ row: Row, from index: Int) {
        self.init()
        for (offset, resource) in Resource.catalogue.enumerated() {
            committed[resource.resource.index] = row.saturated(index + offset)
        }
        let next = index + Resource.count
        overage = row.saturated(next)
        allowed = row.saturated(next + 1)
        denied = row.saturated(next + 2)
        open = row.saturated(next + 3)
    }

    /// The same of a row that a cursor stands on, in a third of the time.
    init(at row: Row, from index: Int) {
        self.init()
        for (offset, resource) in Resource.indices.enumerated() {
            let amount = row.current(index + offset)
            if amount != 0 { committed[resource] = amount }
        }
        let next = index + Resource.count
        overage = row.current(next)
        allowed = row.current(next + 1)
        denied = row.current(next + 2)
        open = row.current(next + 3)
    }

    init(open: Int64 = 0) { self.open = open }

    /// Of `UsageSums.columns`.
    func append(to values: inout [DatabaseValue]) {
        for resource in Resource.catalogue {
            values.append(committed[resource.resource.index].databaseValue)
        }
        values.append(overage.databaseValue)
        values.append(allowed.databaseValue)
        values.append(denied.databaseValue)
        values.append(open.databaseValue)
    }
}

/// The tables of usage.
///
/// **One row is written for each key that a slice touches**, in `usage_delta`, whose rows are as many as there are keys in
/// use. Every few minutes they go on to the sums by hour, day and month, of each and of everybody, and leave the table in
/// the same transaction: so however often a key is charged, its sums are written once in that time, and what is listed is
/// always the sums and the delta together.
enum UsageSums {
    /// Behind the key; in all tables.
    static let columns = ProjectionSchema.amountColumns + ["overage", "allowed", "denied", "open"]
    static let deltaKey = ["tenant", "profile", "hour", "day", "action"]

    /// A table of sums.
    enum Table: String, CaseIterable {
        case hourly, daily, monthly

        var name: String { "usage_" + rawValue }
        /// Its first column.
        var start: String {
            switch self {
            case .hourly: "hour"
            case .daily: "day"
            case .monthly: "month"
            }
        }
        var key: [String] { [start, "profile", "tenant", "action"] }
        /// What it is to be added with; months of profiles are not kept.
        func takes(profile: Int64) -> Bool { self != .monthly || profile < 0 }

        /// When a day or hour counts.
        func start(of key: UsageKey) -> Int64 {
            switch self {
            case .hourly: key.hour
            case .daily: key.day
            case .monthly: UsageKey.month(of: key.day)
            }
        }
    }

    /// A key of a table of sums.
    struct Key: Hashable, Comparable {
        var start: Int64
        var profile: Int64
        var tenant: Int64
        var action: Int16

        static func < (a: Key, b: Key) -> Bool {
            (a.start, a.profile, a.tenant, a.action) < (b.start, b.profile, b.tenant, b.action)
        }
    }

    /// Makes what follows from days and hours anew: months, and sums of everybody. O(days).
    static func makeAnew(_ db: Database) throws {
        try db.execute(sql: "DELETE FROM usage_monthly")
        for table in [Table.hourly, .daily] { try makeAnew(table, db) }
        try makeRefusalsAnew(db)
    }

    private static func makeAnew(_ table: Table, _ db: Database) throws {
        try db.execute(
            sql: "DELETE FROM \(table.name) WHERE profile = \(UsageKey.everybody)")
        let next = try db.cachedStatement(
            sql: "SELECT MIN(\(table.start)) FROM \(table.name) WHERE \(table.start) > ?")
        let own = try db.cachedStatement(
            sql: """
                SELECT tenant, action, \(columns.joined(separator: ", ")) FROM \(table.name)
                WHERE \(table.start) = ? AND profile = \(UsageKey.tenantAsAWhole)
                """)
        var start = Int64.min
        // A month at a time.
        var month = Int64.min
        var monthly: [Key: UsageSum] = [:]
        while let found = try Int64.fetchOne(next, arguments: [start]) {
            start = found
            if UsageKey.month(of: start) != month {
                try add(monthly, to: .monthly, db)
                monthly.removeAll(keepingCapacity: true)
                month = UsageKey.month(of: start)
            }
            var everybody: [Key: UsageSum] = [:]
            let rows = try Row.fetchCursor(own, arguments: [start])
            while let row = try rows.next() {
                let sum = UsageSum(row, from: 2)
                var key = Key(
                    start: start, profile: UsageKey.everybody, tenant: UsageKey.everybody,
                    action: Int16(clamping: row.saturated(1)))
                everybody[key, default: UsageSum()].add(sum)
                guard table == .daily else { continue }
                key.start = month
                monthly[key, default: UsageSum()].add(sum)
                key.profile = UsageKey.tenantAsAWhole
                key.tenant = row.saturated(0)
                monthly[key, default: UsageSum()].add(sum)
            }
            try add(everybody, to: table, db)
        }
        try add(monthly, to: .monthly, db)
    }

    private static func makeRefusalsAnew(_ db: Database) throws {
        for (table, start) in [("refusal_daily", "day"), ("refusal_hourly", "hour")] {
            try db.execute(
                sql: """
                    DELETE FROM \(table) WHERE tenant = \(UsageKey.everybody);
                    INSERT INTO \(table) (\(start), tenant, profile, code, count)
                    SELECT \(start), \(UsageKey.everybody), \(UsageKey.everybody), code,
                    CAST(MIN(TOTAL(count), \(Int64.max / 2)) AS INTEGER) FROM \(table)
                    WHERE profile = \(UsageKey.tenantAsAWhole) GROUP BY \(start), code
                    """)
        }
    }

    /// Adds to a table of sums, in the order of its keys: neighbours share pages.
    static func add(_ sums: [Key: UsageSum], to table: Table, _ db: Database) throws {
        let statement = try db.cachedStatement(sql: StandingStatement.addUsage(table).sql)
        var values: [DatabaseValue] = []
        for key in sums.keys.sorted() {
            guard let sum = sums[key], !sum.isEmpty else { continue }
            values.removeAll(keepingCapacity: true)
            values += [
                key.start.databaseValue, key.profile.databaseValue, key.tenant.databaseValue,
                Int64(key.action).databaseValue,
            ]
            sum.append(to: &values)
            try statement.execute(arguments: StatementArguments(values))
        }
    }
}

extension ProjectionWriter {
    /// Writes what the slice adds to usage.
    func writeUsage(_ db: Database) throws {
        try writeDeltas(db)
        guard !refusals.isEmpty else { return }
        var hours: [[Int64]: Int64] = [:]
        var days: [[Int64]: Int64] = [:]
        let everybody = UsageKey.everybody
        for (key, count) in refusals {
            let code = Int64(key.code)
            days[[key.day, key.tenant, key.profile, code], default: 0] += count
            hours[[key.hour, key.tenant, key.profile, code], default: 0] += count
            guard key.profile == UsageKey.tenantAsAWhole else { continue }
            days[[key.day, everybody, everybody, code], default: 0] += count
            hours[[key.hour, everybody, everybody, code], default: 0] += count
        }
        refusals.removeAll(keepingCapacity: true)
        for (key, count) in days {
            try db.run(.writeRefusals, StatementArguments(key + [count]))
        }
        for (key, count) in hours {
            try db.run(.writeHourlyRefusals, StatementArguments(key + [count]))
        }
    }

    private func writeDeltas(_ db: Database) throws {
        guard !usage.isEmpty else { return }
        let statement = try db.cachedStatement(sql: StandingStatement.writeUsage.sql)
        // In the order of the rows: neighbours share pages.
        let keys = usage.keys.sorted {
            ($0.tenant, $0.profile, $0.hour, $0.day, $0.action)
                < ($1.tenant, $1.profile, $1.hour, $1.day, $1.action)
        }
        var values: [DatabaseValue] = []
        for key in keys {
            guard let sum = usage[key], !sum.isEmpty else { continue }
            values.removeAll(keepingCapacity: true)
            values += [
                key.tenant.databaseValue, key.profile.databaseValue, key.hour.databaseValue,
                key.day.databaseValue, Int64(key.action).databaseValue,
            ]
            sum.append(to: &values)
            try statement.execute(arguments: StatementArguments(values))
        }
        usage.removeAll(keepingCapacity: true)
    }
}

extension Cleaning {
    /// Has rows of `usage_delta` go on to the sums, those behind a key.
    ///
    /// - Parameter last: the row that went last; nil: none, and again when this comes to an end.
    func sumUp(after last: inout UsageKey?) throws -> Bool {
        while true {
            let first = last
            let rows = try db.rows(.nextUsage, Self.arguments(first) + [Self.batch])
            var sums: [UsageSums.Table: [UsageSums.Key: UsageSum]] = [:]
            for row in rows {
                let key = UsageKey(
                    tenant: row.saturated(0), profile: row.saturated(1), hour: row.saturated(2),
                    day: row.saturated(3), action: Int16(clamping: row.saturated(4)))
                Self.add(UsageSum(row, from: 5), of: key, to: &sums)
                last = key
            }
            for (table, sums) in sums { try UsageSums.add(sums, to: table, db) }
            if !rows.isEmpty {
                try db.run(.forgetUsage, Self.arguments(first) + Self.arguments(last))
            }
            if rows.count < Self.batch {
                last = nil
                return true
            }
            if isOver() { return false }
        }
    }

    private static func add(
        _ sum: UsageSum, of key: UsageKey,
        to sums: inout [UsageSums.Table: [UsageSums.Key: UsageSum]]
    ) {
        for table in UsageSums.Table.allCases where table.takes(profile: key.profile) {
            var own = UsageSums.Key(
                start: table.start(of: key), profile: key.profile, tenant: key.tenant,
                action: key.action)
            sums[table, default: [:]][own, default: UsageSum()].add(sum)
            guard key.profile == UsageKey.tenantAsAWhole else { continue }
            own.profile = UsageKey.everybody
            own.tenant = UsageKey.everybody
            sums[table, default: [:]][own, default: UsageSum()].add(sum)
        }
    }

    /// Of the columns of `UsageSums.deltaKey`; nil: in front of all rows.
    private static func arguments(_ key: UsageKey?) -> StatementArguments {
        guard let key else { return StatementArguments(Array(repeating: Int64.min, count: 5)) }
        return [key.tenant, key.profile, key.hour, key.day, Int64(key.action)]
    }
}

extension Row {
    /// A number of a row that a cursor stands on: SQLite itself makes what does not fit the nearest that does.
    func current(_ index: Int) -> Int64 { self[index] as Int64? ?? 0 }

    /// A number; one that does not fit is the nearest that does.
    func saturated(_ index: Int) -> Int64 {
        let stored: DatabaseValue = self[index]
        return switch stored.storage {
        case .int64(let number): number
        case .double(let number): Int64(saturating: number)
        default: 0
        }
    }
}
