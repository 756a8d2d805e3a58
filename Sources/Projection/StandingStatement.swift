import GRDB

/// A statement that runs by itself: nobody asked for it, so nobody notices when it takes long.
///
/// **The rule.** Each finds its rows by an index or by their number, however many there are: no table is read from one
/// end to the other, and nothing is sorted. `StatementTests` has SQLite explain each of them over a million rows. What
/// may have much to do does it in steps, each a bounded number of rows.
struct StandingStatement: Sendable {
    let name: String
    let sql: String
    /// What the plan may say besides searches, and the reason.
    let exception: Exception?

    struct Exception: Sendable {
        /// A step of the plan, as SQLite words it.
        let step: String
        let reason: String
    }

    fileprivate init(_ name: String, _ sql: String, exception: Exception? = nil) {
        self.name = name
        self.sql = sql
        self.exception = exception
    }
}

extension Database {
    func run(_ statement: StandingStatement, _ arguments: StatementArguments = []) throws {
        try cachedStatement(sql: statement.sql).execute(arguments: arguments)
    }

    func rows(_ statement: StandingStatement, _ arguments: StatementArguments = []) throws -> [Row]
    {
        try Row.fetchAll(try cachedStatement(sql: statement.sql), arguments: arguments)
    }

    func row(_ statement: StandingStatement, _ arguments: StatementArguments = []) throws -> Row? {
        try Row.fetchOne(try cachedStatement(sql: statement.sql), arguments: arguments)
    }

    func value<T: DatabaseValueConvertible>(
        _ statement: StandingStatement, _ arguments: StatementArguments = []
    ) throws -> T? {
        try T.fetchOne(try cachedStatement(sql: statement.sql), arguments: arguments)
    }

    func values<T: DatabaseValueConvertible>(
        _ statement: StandingStatement, _ arguments: StatementArguments = []
    ) throws -> [T] {
        try T.fetchAll(try cachedStatement(sql: statement.sql), arguments: arguments)
    }
}

// MARK: Beginning

extension StandingStatement {
    static let position = StandingStatement("position", "SELECT * FROM position WHERE id = 1")
    static let told = StandingStatement("told", "SELECT * FROM told WHERE id = 1")
    static let lastLine = StandingStatement("last line", "SELECT MAX(id) FROM audit")
    static let passLines = passing("audit", "id")
    static let passEvents = passing("event", "number")
    static let countLines = counting("audit", "id")
    static let countEvents = counting("event", "number")

    /// The row that so many stand in front of, behind another one.
    private static func passing(_ table: String, _ key: String) -> StandingStatement {
        StandingStatement(
            "pass over \(table)s",
            "SELECT \(key) FROM \(table) WHERE \(key) > ? ORDER BY \(key) LIMIT 1 OFFSET ?")
    }

    /// Rows behind one.
    private static func counting(_ table: String, _ key: String) -> StandingStatement {
        StandingStatement("count \(table)s", "SELECT COUNT(*) FROM \(table) WHERE \(key) > ?")
    }
    static let anyTenant = StandingStatement(
        "any tenant", "SELECT number FROM tenant WHERE number >= 0 LIMIT 1")
    static let anySetting = StandingStatement(
        "any setting", "SELECT name FROM setting WHERE name > '' LIMIT 1")
    static let loadTenants = StandingStatement(
        "load tenants",
        "SELECT number, state FROM tenant_state WHERE number > ? ORDER BY number LIMIT ?")
    static let loadProfiles = StandingStatement(
        "load profiles",
        """
        SELECT number, tenant, state FROM profile_state WHERE number > ? ORDER BY number LIMIT ?
        """)
    static let loadSettings = StandingStatement(
        "load settings", "SELECT name, value FROM setting",
        exception: Exception(step: "SCAN setting", reason: "hundreds, by their bounds"))
    static let loadWaiting = StandingStatement(
        "load waiting", "SELECT words FROM waiting ORDER BY id",
        exception: Exception(
            step: "SCAN waiting", reason: "what one process wrote out of order last"))
    static let loadGrowths = StandingStatement(
        "load growths", "SELECT * FROM growth ORDER BY reservation, quarter",
        exception: Exception(
            step: "SCAN growth", reason: "holds that were extended on a later day, and are open"))
    static let loadZones = StandingStatement(
        "load zones", "SELECT * FROM former_zone ORDER BY day, tenant, until",
        exception: Exception(
            step: "SCAN former_zone",
            reason: "changes of time zones, one of a tenant and day, as long as days are kept"))
    /// Of one tenant.
    static let zonesOfTenant = StandingStatement(
        "zones of a tenant",
        """
        SELECT until, day, name FROM former_zone INDEXED BY former_zone_tenant
        WHERE tenant = ? ORDER BY until
        """)
    static let loadJobs = StandingStatement(
        "load jobs", "SELECT kind, subject, after FROM job",
        exception: Exception(step: "SCAN job", reason: "a few"))
    static let pendingDeliveries = StandingStatement(
        "pending deliveries",
        """
        SELECT created FROM delivery INDEXED BY delivery_due
        WHERE status = 0 AND due > ? ORDER BY due LIMIT ?
        """)
    static let nextRecipient = StandingStatement(
        "next recipient",
        """
        SELECT recipient FROM delivery INDEXED BY delivery_recipient
        WHERE status = 0 AND recipient > ? ORDER BY recipient LIMIT 1
        """)
}

// MARK: Following

extension StandingStatement {
    private static let limits = ProjectionSchema.limitColumns
    private static let amounts = ProjectionSchema.amountColumns

    private static func places(_ count: Int) -> String {
        Array(repeating: "?", count: count).joined(separator: ", ")
    }

    static let writePosition = StandingStatement(
        "write position",
        """
        INSERT OR REPLACE INTO position
        (id, journal_low, journal_high, segment, offset, sequence, records, time, lines, events)
        VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """)
    static let sync = StandingStatement(
        "sync", "UPDATE position SET syncs = syncs + 1 WHERE id = 1")
    static let forgetWaiting = StandingStatement(
        "forget waiting", "DELETE FROM waiting",
        exception: Exception(
            step: "SCAN waiting", reason: "what one process wrote out of order last"))
    static let writeWaiting = StandingStatement(
        "write waiting", "INSERT INTO waiting (words) VALUES (?)")
    static let writeTotals = StandingStatement(
        "write totals",
        """
        UPDATE tenant_state SET state = ?, \(limits.map { "\($0) = ?" }.joined(separator: ", ")),
        fullness = ? WHERE number = ?
        """)
    static let writeTenantState = StandingStatement(
        "write tenant state",
        """
        INSERT OR REPLACE INTO tenant_state (state, \(limits.joined(separator: ", ")), fullness,
        number, status, next_end, open)
        VALUES (\(places(limits.count + 6)))
        """)
    static let writeProfileState = StandingStatement(
        "write profile state",
        "INSERT OR REPLACE INTO profile_state (number, tenant, state) VALUES (?, ?, ?)")
    /// SQLite goes on with a sum as a floating-point number where it leaves the range: it stays at the end of the range.
    private static let sums = UsageSums.columns.map { column -> String in
        let sum = "\(column) + excluded.\(column)"
        let isAmount = amounts.contains(column) || column == "overage"
        guard isAmount else { return "\(column) = \(sum)" }
        return "\(column) = CAST(MAX(MIN(\(sum), \(Int64.max)), \(Int64.min)) AS INTEGER)"
    }.joined(separator: ", ")

    private static func adding(_ table: String, _ key: [String]) -> StandingStatement {
        let columns = key + UsageSums.columns
        return StandingStatement(
            "add to \(table)",
            """
            INSERT INTO \(table) (\(columns.joined(separator: ", ")))
            VALUES (\(places(columns.count))) ON CONFLICT DO UPDATE SET \(sums)
            """)
    }

    static let writeUsage = adding("usage_delta", UsageSums.deltaKey)
    static let addToHours = adding(.hourly)
    static let addToDays = adding(.daily)
    static let addToMonths = adding(.monthly)

    private static func adding(_ table: UsageSums.Table) -> StandingStatement {
        adding(table.name, table.key)
    }

    static func addUsage(_ table: UsageSums.Table) -> StandingStatement {
        switch table {
        case .hourly: addToHours
        case .daily: addToDays
        case .monthly: addToMonths
        }
    }

    private static let deltaKey = UsageSums.deltaKey.joined(separator: ", ")
    /// Rows of `usage_delta` behind a key.
    static let nextUsage = StandingStatement(
        "next usage",
        """
        SELECT \((UsageSums.deltaKey + UsageSums.columns).joined(separator: ", "))
        FROM usage_delta WHERE (\(deltaKey)) > (?, ?, ?, ?, ?) ORDER BY \(deltaKey) LIMIT ?
        """)
    /// Rows of `usage_delta` behind a key, up to another one.
    static let forgetUsage = StandingStatement(
        "forget usage",
        """
        DELETE FROM usage_delta
        WHERE (\(deltaKey)) > (?, ?, ?, ?, ?) AND (\(deltaKey)) <= (?, ?, ?, ?, ?)
        """)
    static let writeHourlyRefusals = StandingStatement(
        "write hourly refusals",
        """
        INSERT INTO refusal_hourly (hour, tenant, profile, code, count) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT DO UPDATE SET count = count + excluded.count
        """)
    static let writeRefusals = StandingStatement(
        "write refusals",
        """
        INSERT INTO refusal_daily (day, tenant, profile, code, count) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT DO UPDATE SET count = count + excluded.count
        """)
    static let writeGrowth = StandingStatement(
        "write growth",
        """
        INSERT OR REPLACE INTO growth
        (reservation, quarter, version, \(amounts.joined(separator: ", ")))
        VALUES (\(places(amounts.count + 3)))
        """)
    static let forgetGrowth = StandingStatement(
        "forget growth", "DELETE FROM growth WHERE reservation = ?")
    static let writeZone = StandingStatement(
        "write zone",
        "INSERT OR REPLACE INTO former_zone (day, tenant, until, name) VALUES (?, ?, ?, ?)")
    static let lineOfMinute = StandingStatement(
        "line of a minute",
        """
        SELECT id, time, last, count FROM audit INDEXED BY audit_refusals
        WHERE tenant = ? AND minute = ? AND code = ?
        """)
    static let addToLine = StandingStatement(
        "add to a line", "UPDATE audit SET count = ?, last = ? WHERE id = ?")
    static let beginLine = StandingStatement(
        "have a line begin earlier",
        """
        UPDATE audit SET time = ?, profile = ?, caller = ?, action = ?, reservation = ?,
        asked = ?, reference = ?, limits = ?, trace = ? WHERE id = ?
        """)
    static let writeTenant = StandingStatement(
        "write tenant",
        """
        INSERT OR REPLACE INTO tenant (number, id, name, settings, created, open)
        VALUES (?, ?, ?, ?, ?, ?)
        """)
    static let writeProfile = StandingStatement(
        "write profile",
        """
        INSERT OR REPLACE INTO profile (number, tenant, id, name, settings, open, kind)
        VALUES (?, ?, ?, ?, ?, ?, ?)
        """)
    static let closeTenant = closing("tenant")
    static let closeProfile = closing("profile")
    static let tenantSettings = settings(of: "tenant")
    static let profileSettings = settings(of: "profile")

    private static func closing(_ table: String) -> StandingStatement {
        StandingStatement("close \(table)", "UPDATE \(table) SET open = 0 WHERE number = ?")
    }

    private static func settings(of table: String) -> StandingStatement {
        StandingStatement("\(table) settings", "SELECT settings FROM \(table) WHERE number = ?")
    }

    static let setting = StandingStatement("setting", "SELECT value FROM setting WHERE name = ?")
    static let writeSetting = StandingStatement(
        "write setting", "INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)")
    static let forgetSetting = StandingStatement(
        "forget setting", "DELETE FROM setting WHERE name = ?")
    static let writeCaller = StandingStatement(
        "write caller", "INSERT OR REPLACE INTO caller (number, name) VALUES (?, ?)")
    static let writeLine = StandingStatement(
        "write line",
        """
        INSERT INTO audit (id, time, kind, tenant, profile, caller, action, code,
        reservation, events, asked, reference, limits, changes, minute, count, last, trace)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """)
    static let writeEvent = StandingStatement(
        "write event",
        """
        INSERT INTO event (number, id, kind, tenant, time, body, test)
        VALUES (MAX(IFNULL((SELECT MAX(number) FROM event), 0) + 1, ?), ?, ?, ?, ?, ?, ?)
        ON CONFLICT (id) DO NOTHING
        """)
    static let writeDelivery = StandingStatement(
        "write delivery",
        """
        INSERT INTO delivery (id, event, webhook, target, failover, place, recipient, transition,
        status, attempts, due, created)
        VALUES (MAX(IFNULL((SELECT MAX(id) FROM delivery), 0) + 1, ?),
        (SELECT number FROM event WHERE id = ?), ?, ?, ?, ?, ?, ?, 0, 0, ?, ?)
        """)
}

// MARK: Work in steps

extension StandingStatement {
    static let writeJob = StandingStatement(
        "write job", "INSERT OR REPLACE INTO job (kind, subject, after) VALUES (?, ?, ?)")
    static let forgetJob = StandingStatement(
        "forget job", "DELETE FROM job WHERE kind = ? AND subject = ?")
    static let hasJob = StandingStatement(
        "has job", "SELECT 1 FROM job WHERE kind = ? AND subject = ?")
    static let onItsWay = StandingStatement(
        "on its way to a recipient",
        """
        SELECT id, target, failover FROM delivery INDEXED BY delivery_recipient
        WHERE status = 0 AND recipient = ? AND id > ? ORDER BY id LIMIT ?
        """)
    static let giveUp = StandingStatement(
        "give up", "UPDATE delivery SET status = 2, due = NULL, finished = ? WHERE id = ?")
    static let redirect = StandingStatement(
        "redirect", "UPDATE delivery SET target = ?, failover = ?, place = ? WHERE id = ?")
    static let dueLater = StandingStatement(
        "due later",
        """
        SELECT id FROM delivery INDEXED BY delivery_due WHERE status = 0 AND due > ? LIMIT ?
        """)
    static let haveDue = StandingStatement(
        "have due", "UPDATE delivery SET due = ? WHERE id = ?")
    static let openProfiles = StandingStatement(
        "open profiles of a tenant",
        """
        SELECT number FROM profile INDEXED BY profile_tenant WHERE tenant = ? AND open = 1 LIMIT ?
        """)
}

// MARK: Cleaning

extension StandingStatement {
    static let endedWindows = StandingStatement(
        "ended windows",
        """
        SELECT number FROM tenant_state INDEXED BY tenant_state_end
        WHERE open = 1 AND next_end <= ? LIMIT ?
        """)
    static let endWindow = StandingStatement(
        "end window",
        """
        UPDATE tenant_state SET \(limits.map { "\($0) = ?" }.joined(separator: ", ")),
        fullness = ?, next_end = ? WHERE number = ?
        """)
    static let pruneLines = StandingStatement(
        "prune lines",
        """
        DELETE FROM audit WHERE id IN
        (SELECT id FROM audit WHERE id < ? ORDER BY id LIMIT ?)
        """)
    static let oldestEvents = StandingStatement(
        "oldest events",
        "SELECT number, time FROM event WHERE number > ? ORDER BY number LIMIT ?")
    static let isOnItsWay = StandingStatement(
        "is on its way",
        """
        SELECT 1 FROM delivery INDEXED BY delivery_event WHERE event = ? AND status = 0 LIMIT 1
        """)
    static let waitedTooLong = StandingStatement(
        "waited too long",
        """
        SELECT id FROM delivery INDEXED BY delivery_due
        WHERE status = 0 AND due < ? ORDER BY due LIMIT ?
        """)
    static let forgetAttempts = StandingStatement(
        "forget attempts",
        """
        DELETE FROM attempt WHERE delivery IN
        (SELECT id FROM delivery INDEXED BY delivery_event WHERE event = ?)
        """)
    static let forgetDeliveries = StandingStatement(
        "forget deliveries", "DELETE FROM delivery INDEXED BY delivery_event WHERE event = ?")
    static let forgetEvent = StandingStatement("forget event", "DELETE FROM event WHERE number = ?")
    static let oldHours = old("usage_hourly", UsageSums.Table.hourly.key)
    static let forgetHour = forgetting("usage_hourly", UsageSums.Table.hourly.key)
    static let oldDays = old("usage_daily", UsageSums.Table.daily.key)
    static let forgetDay = forgetting("usage_daily", UsageSums.Table.daily.key)
    static let oldMonths = old("usage_monthly", UsageSums.Table.monthly.key)
    static let forgetMonth = forgetting("usage_monthly", UsageSums.Table.monthly.key)
    static let oldRefusals = old("refusal_daily", refusalKey)
    static let forgetRefusals = forgetting("refusal_daily", refusalKey)
    static let oldHourlyRefusals = old("refusal_hourly", hourlyRefusalKey)
    static let forgetHourlyRefusals = forgetting("refusal_hourly", hourlyRefusalKey)
    static let oldZones = old("former_zone", zoneKey)
    static let forgetZone = forgetting("former_zone", zoneKey)

    static let refusalKey = ["day", "tenant", "profile", "code"]
    static let hourlyRefusalKey = ["hour", "tenant", "profile", "code"]
    static let zoneKey = ["day", "tenant", "until"]

    /// Keys of the oldest rows of a table by days, hours or months.
    private static func old(_ table: String, _ key: [String]) -> StandingStatement {
        let columns = key.joined(separator: ", ")
        return StandingStatement(
            "old \(table)",
            "SELECT \(columns) FROM \(table) WHERE \(key[0]) < ? ORDER BY \(columns) LIMIT ?")
    }

    private static func forgetting(_ table: String, _ key: [String]) -> StandingStatement {
        let isIt = key.map { "\($0) = ?" }.joined(separator: " AND ")
        return StandingStatement("forget \(table)", "DELETE FROM \(table) WHERE \(isIt)")
    }
}

// MARK: Delivering

extension StandingStatement {
    // Indices are named: left to itself SQLite reads all that is pending, and sorts it.

    /// The next place behind one, and when the first of its deliveries is due.
    static let nextPlace = StandingStatement(
        "next place",
        """
        SELECT place, due FROM delivery INDEXED BY delivery_place
        WHERE status = 0 AND place > ? ORDER BY place, due LIMIT 1
        """)
    /// The next recipient's address at a place behind one.
    static let nextEndpoint = StandingStatement(
        "next endpoint",
        """
        SELECT target FROM delivery INDEXED BY delivery_endpoint
        WHERE status = 0 AND place = ? AND target > ? ORDER BY target LIMIT 1
        """)
    /// What is due at a place for one address, oldest first.
    static let dueAtEndpoint = StandingStatement(
        "due at endpoint",
        """
        SELECT d.*, e.body FROM delivery d INDEXED BY delivery_endpoint
        JOIN event e ON e.number = d.event
        WHERE d.status = 0 AND d.place = ? AND d.target = ? AND d.due <= ?
        ORDER BY d.due, d.id LIMIT ?
        """)
    static let dueAfter = StandingStatement(
        "due after",
        """
        SELECT due FROM delivery INDEXED BY delivery_due
        WHERE status = 0 AND due > ? ORDER BY due LIMIT 1
        """)
    static let isPending = StandingStatement(
        "is pending", "SELECT status = 0 FROM delivery WHERE id = ?")
    static let noteOutcome = StandingStatement(
        "note outcome",
        """
        UPDATE delivery SET status = ?, due = ?, place = IFNULL(?, place),
        attempts = attempts + 1, finished = ? WHERE id = ?
        """)
    static let noteAttempt = StandingStatement(
        "note attempt",
        """
        INSERT OR REPLACE INTO attempt (delivery, number, started, finished, target, status, error)
        VALUES (?, ?, ?, ?, ?, ?, ?)
        """)
}

extension StandingStatement {
    /// All of them.
    static let all: [StandingStatement] = [
        position, told, lastLine, passLines, passEvents, countLines, countEvents, anyTenant,
        anySetting, loadTenants,
        loadProfiles, loadSettings, loadWaiting, loadGrowths, loadZones,
        zonesOfTenant, loadJobs, pendingDeliveries, nextRecipient,
        writePosition, sync, forgetWaiting, writeWaiting, writeTotals, writeTenantState,
        writeProfileState, writeUsage, addToHours, addToDays, addToMonths, nextUsage, forgetUsage,
        writeRefusals, writeHourlyRefusals, writeGrowth, forgetGrowth, writeZone,
        lineOfMinute,
        addToLine, beginLine, writeTenant,
        writeProfile, closeTenant, closeProfile,
        tenantSettings, profileSettings, setting, writeSetting, forgetSetting, writeCaller,
        writeLine, writeEvent, writeDelivery,
        writeJob, forgetJob, hasJob, onItsWay, giveUp, redirect, dueLater,
        haveDue, openProfiles,
        endedWindows, endWindow, pruneLines, oldestEvents, isOnItsWay,
        waitedTooLong, forgetAttempts,
        forgetDeliveries, forgetEvent, oldHours, forgetHour, oldDays, forgetDay, oldMonths,
        forgetMonth, oldRefusals, forgetRefusals, oldHourlyRefusals, forgetHourlyRefusals,
        oldZones, forgetZone,
        nextPlace, nextEndpoint, dueAtEndpoint, dueAfter, isPending, noteOutcome, noteAttempt,
    ]
}
