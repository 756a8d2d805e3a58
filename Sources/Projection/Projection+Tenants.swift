import Engine
import Foundation
import GRDB
import Limits

// Lists of tenants and profiles. Each list first finds the numbers of its page by an index, then reads those
// rows: skipping what comes before the page costs no look at rows.
extension Projection {
    /// Tenants that were not deleted. `descending` with `nearestToLimit` puts the fullest first.
    ///
    /// - Complexity: by id, name, creation and fullness O(page's end); by usage, and of texts that contain, O(tenants):
    ///   an index for each would cost more than all else that a decision changes.
    package func tenants(_ query: TenantQuery, _ page: Page) async throws -> Paged<TenantRow> {
        let now = try await timeOfWindows()
        return try await list { [self] db in
            var filter = Filter("t.open = 1 AND s.open = 1")
            filter.add("t.id", query.id)
            if let id = query.idAfter { filter.add("t.id > ?", id) }
            filter.add("t.name", query.name)
            if let status = query.status { filter.add("s.status = ?", status.rawValue) }
            let isOfStates = query.sort.isOfStates
            let total = try query.countByStatus(db)
            if query.needsNames && query.needsStates {
                filter.add("t.number = s.number")
            } else {
                filter.drop(query.needsNames ? "s.open = 1" : "t.open = 1")
            }
            let number = isOfStates ? "s.number" : "t.number"
            let direction = query.descending ? "DESC" : "ASC"
            let numbers = try filter.page(
                db, number, query.tables(isSorted: true, total),
                "\(query.sort.column) \(direction), \(number) \(direction)", page,
                counting: query.tables(isSorted: false), total: total)
            let rows = try numbers.rows.compactMap { try tenantRow(number: $0, db, now: now) }
            return Paged(rows: rows, total: numbers.total)
        }
    }

    /// Usage of tenants against their limits: the rows of `tenants`.
    package func usage(_ query: TenantQuery, _ page: Page) async throws -> Paged<TenantRow> {
        try await tenants(query, page)
    }

    /// nil: there is no such tenant, or it was deleted.
    package func tenant(_ id: String) async throws -> TenantRow? {
        let now = try await timeOfWindows()
        return try await list { [self] db in
            let number = try Int64.fetchOne(
                db, sql: "SELECT number FROM tenant WHERE id = ? AND open = 1", arguments: [id])
            return try number.flatMap { try tenantRow(number: $0, db, now: now) }
        }
    }

    /// Profiles that were not deleted, nor their tenant, by id.
    package func profiles(_ query: ProfileQuery, _ page: Page) async throws -> Paged<ProfileRow> {
        let now = try await timeOfWindows()
        return try await list { db in
            var filter = Filter("p.open = 1")
            if let tenantID = query.tenantID {
                guard let tenant = try Self.tenantNumber(tenantID, db) else {
                    return Paged(rows: [], total: 0)
                }
                filter.add("p.tenant = ?", tenant)
            }
            if let kind = query.kind { filter.add("p.kind = ?", kind.rawValue) }
            if let id = query.idAfter { filter.add("p.id > ?", id) }
            filter.add("p.name", query.name)
            let numbers = try filter.page(db, "p.number", "profile p", "p.id", page)
            let rows = try numbers.rows.compactMap { try Self.profileRow(number: $0, db, now: now) }
            return Paged(rows: rows, total: numbers.total)
        }
    }

    /// Usage by day, oldest first; days without any are left out. Days of a tenant are its time zone's, those of a
    /// profile UTC's.
    ///
    /// - Parameters:
    ///   - profileID: nil: the tenant as a whole.
    ///   - from: a date, as its first millisecond in UTC: the first.
    ///   - to: exclusive.
    /// - Complexity: O(days), at most those that are kept.
    package func dailyUsage(
        tenantID: String, profileID: String?, from: Int64, to: Int64
    ) async throws -> [DailyUsageRow] {
        let length = ProfileState.dayLength
        let now = clock.now
        // What is not taken up yet may belong to any day since: asked before the file is.
        let known = isCaughtUp ? now : min(now, status.time)
        let first = max(from, now - Int64(configuration.usageDays + 1) * length, 0)
        // East of Greenwich tomorrow has begun.
        let last = min(to, now + 2 * length)
        return try await list { db in
            guard let tenant = try Self.tenantNumber(tenantID, db) else { return [] }
            let today = try Self.today(
                known - Self.refusalsWait, ofTenant: profileID == nil ? tenant : nil, db)
            var profile: Int64 = -1
            var kind: ProfileKind?
            if let profileID {
                guard let number = try Self.profileNumber(profileID, nil, of: tenant, db) else {
                    return []
                }
                profile = number
                let kept: Data? = try db.value(.profileSettings, [number])
                kind = kept.flatMap(ProfileSettings.init(kept:))?.kind
            }
            let counted = Resource.catalogue.filter { resource in
                resource.nature != .held
                    && (profileID == nil || kind?.limit.resource == resource.resource)
            }
            let reader = UsageLookup(db)
            let sums = try reader.days(
                of: tenant, profile, from: ProfileState.dayStart(of: first), to: last)
            return try sums.map { day, sum in
                var committed = Amounts()
                for resource in counted {
                    committed.set(resource.resource.index, sum.committed[resource.resource])
                }
                var usage = DailyUsageRow(
                    day: day, profileID: profileID ?? "", committed: committed,
                    allowed: sum.allowed, denied: sum.denied)
                usage.isFinal = day < today && sum.open <= 0
                usage.refusals = try reader.refusals(of: tenant, profile, on: day)
                return usage
            }
        }
    }

    // MARK: Rows

    /// Refusals are on record a second after they were given, and taken up soon after. Milliseconds.
    static let refusalsWait: Int64 = 2_000

    /// The date of an instant, of a tenant in its zone, else in UTC.
    private static func today(
        _ now: Int64, ofTenant tenant: Int64?, _ db: Database
    ) throws -> Int64 {
        var calendar = DayCalendar()
        var name = "UTC"
        var former: [FormerZone] = []
        if let tenant, let kept: Data = try db.value(.tenantSettings, [tenant]),
            let settings = TenantSettings(kept: kept)
        {
            name = settings.timeZone
            former = try db.rows(.zonesOfTenant, [tenant]).map { try FormerZone($0, &calendar) }
        }
        return calendar.date(of: now, calendar.zone(named: name), after: former)
    }

    static func tenantNumber(_ id: String, _ db: Database) throws -> Int64? {
        try Int64.fetchOne(db, sql: "SELECT number FROM tenant WHERE id = ?", arguments: [id])
    }

    /// - Parameters:
    ///   - kind: nil: any.
    ///   - tenant: nil: anybody's.
    static func profileNumber(
        _ id: String, _ kind: ProfileKind?, of tenant: Int64?, _ db: Database
    ) throws -> Int64? {
        let row = try Row.fetchOne(
            db, sql: "SELECT number, tenant, kind FROM profile WHERE id = ?", arguments: [id])
        guard let row else { return nil }
        if let kind, try row.value("kind") != kind.rawValue { return nil }
        let owner: Int64 = try row.value("tenant")
        if let tenant, tenant != owner { return nil }
        return try row.value("number")
    }

    private func tenantRow(number: Int64, _ db: Database, now: Int64) throws -> TenantRow? {
        let statement = try db.cachedStatement(
            sql: """
                SELECT t.settings, s.state FROM tenant t JOIN tenant_state s
                ON s.number = t.number WHERE t.number = ?
                """)
        guard let row = try Row.fetchOne(statement, arguments: [number]),
            let settings = TenantSettings(kept: try row.value("settings")),
            let state = TenantState(blob: try row.value("state"))
        else { return nil }
        let ended = state.endedCounters(now, .standard)
        let usage = LimitSubject.tenant.limits.enumerated().map { counter, row in
            let isOver = ended.hasBit(counter)
            let window = window(row.window, of: state, settings, isOver: isOver, now: now)
            return LimitUsage(
                kind: row.kind, cap: state.caps[counter] < 0 ? nil : state.caps[counter],
                committed: isOver ? 0 : state.committed[counter],
                held: isOver ? 0 : state.held[counter], windowStart: window.start,
                resetsAt: window.end)
        }
        return TenantRow(settings: settings, status: state.status, usage: usage)
    }

    /// A window of a tenant, Unix milliseconds; 0, 0: it stands. One that is over reads as the one that has begun since,
    /// though no record says so yet.
    private func window(
        _ window: LimitWindow, of state: TenantState, _ settings: TenantSettings, isOver: Bool,
        now: Int64
    ) -> (start: Int64, end: Int64) {
        let known = state.bounds(of: window)
        guard isOver,
            let next = schedules.window(window, settings, containing: now, notBefore: known.end)
        else { return known }
        return (next.start, next.end)
    }

    private static func profileRow(
        number: Int64, _ db: Database, now: Int64
    ) throws -> ProfileRow? {
        let statement = try db.cachedStatement(
            sql: """
                SELECT p.settings, s.state FROM profile p JOIN profile_state s
                ON s.number = p.number WHERE p.number = ?
                """)
        guard let row = try Row.fetchOne(statement, arguments: [number]),
            let settings = ProfileSettings(kept: try row.value("settings")),
            let state = ProfileState(blob: try row.value("state"))
        else { return nil }
        let isOver = now - state.dayStart >= ProfileState.dayLength
        let day = isOver ? ProfileState.dayStart(of: now) : state.dayStart
        return ProfileRow(
            settings: settings,
            usage: LimitUsage(
                kind: LimitRules.standard.limit(of: state.kind),
                cap: state.cap < 0 ? nil : state.cap,
                committed: isOver ? 0 : state.committed, held: isOver ? 0 : state.held,
                windowStart: day, resetsAt: day + ProfileState.dayLength))
    }
}

extension TenantQuery {
    fileprivate var needsNames: Bool {
        !sort.isOfStates || id != nil || idAfter != nil || name != nil
    }
    fileprivate var needsStates: Bool { sort.isOfStates || status != nil }

    /// Tenants of so few are looked up by their status, and sorted.
    private static let few = 5_000

    /// How many there are, if only the status matters; nil: other conditions do.
    func countByStatus(_ db: Database) throws -> Int? {
        guard let status, id == nil, idAfter == nil, name == nil else { return nil }
        return try Int.fetchOne(
            db,
            sql: """
                SELECT COUNT(*) FROM tenant_state INDEXED BY tenant_state_status
                WHERE open = 1 AND status = ?
                """, arguments: [status.rawValue])
    }

    /// Only the tables that matter, the sorted one outside.
    ///
    /// - Parameters:
    ///   - isSorted: for the page, not for counting. What no index sorts is then read in the order of the rows: by another
    ///     index they would be looked up one by one.
    ///   - ofStatus: how many there are of the status, if nothing else matters.
    func tables(isSorted: Bool, _ ofStatus: Int? = nil) -> String {
        let joinsBoth = needsNames && needsStates
        if let ofStatus, ofStatus <= Self.few {
            return "tenant_state s INDEXED BY tenant_state_status"
                + (joinsBoth ? " CROSS JOIN tenant t" : "")
        }
        guard sort.isOfStates else {
            return "tenant t" + (joinsBoth ? " CROSS JOIN tenant_state s" : "")
        }
        let isScanned = isSorted && sort != .nearestToLimit && status == nil
        return "tenant_state s" + (isScanned ? " NOT INDEXED" : "")
            + (joinsBoth ? " CROSS JOIN tenant t" : "")
    }
}

extension TenantQuery.Sort {
    /// Sorted by how a tenant stands, rather than by what it is called.
    fileprivate var isOfStates: Bool {
        switch self {
        case .id, .name, .createdAt: false
        case .nearestToLimit, .limit: true
        }
    }

    var column: String {
        switch self {
        case .id: "t.id"
        case .name: "t.name"
        case .createdAt: "t.created"
        case .nearestToLimit: "s.fullness"
        case .limit(let kind): "s.\(kind.row.name)"
        }
    }
}

/// Conditions of a list, and its page.
struct Filter {
    private var conditions: [String]
    private var arguments: [any DatabaseValueConvertible] = []

    init(_ conditions: String) {
        self.conditions = conditions.isEmpty ? [] : conditions.components(separatedBy: " AND ")
    }

    mutating func add(_ condition: String) { conditions.append(condition) }

    mutating func add(_ condition: String, _ argument: any DatabaseValueConvertible) {
        conditions.append(condition)
        arguments.append(argument)
    }

    /// A text that is equal, or contains: without regard to the case of ASCII letters.
    mutating func add(_ column: String, _ filter: TextFilter?) {
        switch filter {
        case .equals(let text): add("\(column) = ?", text)
        case .contains(let text):
            let pattern = text.replacingOccurrences(of: "\\", with: "\\\\")
                .replacingOccurrences(of: "%", with: "\\%")
                .replacingOccurrences(of: "_", with: "\\_")
            add("\(column) LIKE ? ESCAPE '\\'", "%\(pattern)%")
        case nil: break
        }
    }

    mutating func drop(_ condition: String) { conditions.removeAll { $0 == condition } }

    /// Numbers of the rows of a page, and how many rows there are.
    ///
    /// - Parameters:
    ///   - counted: the same tables, as they are best read to count; nil: no differently.
    ///   - most: rows are counted up to here.
    ///   - total: how many there are, where that is known; nil: they are counted.
    func page(
        _ db: Database, _ column: String, _ tables: String, _ order: String, _ page: Page,
        counting counted: String? = nil, upTo most: Int = .max, total known: Int? = nil
    ) throws -> Paged<Int64> {
        let place = conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND ")
        let total =
            try known
            ?? Int.fetchOne(
                db,
                sql: "SELECT COUNT(*) FROM (SELECT 1 FROM \(counted ?? tables) \(place) LIMIT ?)",
                arguments: StatementArguments(arguments + [most]))
        let size = min(max(page.size, 1), 250)
        // Beyond this nothing is listed; it also keeps the product in range.
        let number = min(max(page.number, 1), 1 << 40)
        let rows = try Int64.fetchAll(
            db,
            sql: "SELECT \(column) FROM \(tables) \(place) ORDER BY \(order) LIMIT ? OFFSET ?",
            arguments: StatementArguments(arguments + [size, (number - 1) * size]))
        return Paged(rows: rows, total: total ?? 0)
    }
}
