import Events
import GRDB
import Limits

/// The tables of `projection.sqlite`, of two sorts:
///
/// - **State** follows from the journal, which has all of it at any time: its oldest checkpoint says how things stood.
///   It is made anew whenever that helps.
/// - **History** the journal gives back only as far as it still goes. It stays, whatever becomes of the state.
///
/// Any change of them or of what they mean is a new `version`. State is made anew then; a change of history is a step in
/// `migrate`. A row that the catalogues of limits and resources did not have is a further column, and no new version.
/// `position` and `told` keep their meaning: they are read in files of earlier versions.
enum ProjectionSchema {
    /// `PRAGMA user_version`.
    static let version = 11

    private static let stateTables = [
        "position", "waiting", "job", "setting", "tenant", "tenant_state", "profile",
        "profile_state",
    ]

    /// With what their rows are ordered by.
    static let historyTables = [
        ("caller", "number"), ("usage_daily", "day, profile, tenant, action"),
        ("usage_hourly", "hour, profile, tenant, action"),
        ("usage_delta", "tenant, profile, hour, day, action"),
        ("refusal_daily", "day, tenant, profile, code"),
        ("refusal_hourly", "hour, tenant, profile, code"), ("usage_note", "id"),
        ("growth", "reservation, quarter"),
        ("former_zone", "day, tenant, until"),
        ("audit", "id"),
        ("event", "number"), ("delivery", "id"), ("attempt", "delivery, number"),
    ]

    /// What a journal that still begins with its first segment tells again.
    static let toldAgain = [
        "audit", "usage_hourly", "usage_daily", "usage_monthly", "usage_delta", "refusal_daily",
        "refusal_hourly", "growth", "former_zone",
    ]

    /// What a tenant or profile is called and configured to be is apart from how it stands: the latter is narrow,
    /// because it is written with nearly every record. `state` holds the words of `TenantState` and `ProfileState`,
    /// little-endian; there is a column for each limit of a tenant with what is used of it; at `next_end` one of its
    /// windows is over. `position.records` are those that were taken up of the frame that begins there, `lines` and `events`
    /// how many of them the file holds; `syncs` is there to be changed: a commit that changes nothing is not synced.
    /// `job` is what is still to be done of something large.
    private static let state = """
        CREATE TABLE position (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            journal_low INTEGER NOT NULL, journal_high INTEGER NOT NULL,
            segment INTEGER NOT NULL, offset INTEGER NOT NULL, sequence INTEGER NOT NULL,
            records INTEGER NOT NULL, time INTEGER NOT NULL, lines INTEGER NOT NULL,
            events INTEGER NOT NULL, syncs INTEGER NOT NULL DEFAULT 0);
        CREATE TABLE job (
            kind INTEGER NOT NULL, subject TEXT NOT NULL, after INTEGER NOT NULL,
            PRIMARY KEY (kind, subject)) WITHOUT ROWID;
        CREATE TABLE waiting (id INTEGER PRIMARY KEY, words BLOB NOT NULL);
        CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

        CREATE TABLE tenant (
            number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
            settings BLOB NOT NULL, created INTEGER NOT NULL, open INTEGER NOT NULL);
        CREATE INDEX tenant_id ON tenant (id) WHERE open = 1;
        CREATE INDEX tenant_name ON tenant (name) WHERE open = 1;
        CREATE INDEX tenant_created ON tenant (created) WHERE open = 1;
        CREATE TABLE tenant_state (
            number INTEGER PRIMARY KEY, state BLOB NOT NULL,
            \(numbers(limitColumns)),
            fullness REAL NOT NULL, status INTEGER NOT NULL,
            next_end INTEGER NOT NULL, open INTEGER NOT NULL);
        CREATE INDEX tenant_state_fullness ON tenant_state (fullness) WHERE open = 1;
        CREATE INDEX tenant_state_status ON tenant_state (status) WHERE open = 1;
        CREATE INDEX tenant_state_end ON tenant_state (next_end) WHERE open = 1;

        CREATE TABLE profile (
            number INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, id TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL, settings BLOB NOT NULL, open INTEGER NOT NULL,
            kind INTEGER NOT NULL);
        CREATE INDEX profile_id ON profile (id) WHERE open = 1;
        CREATE INDEX profile_kind ON profile (kind, id) WHERE open = 1;
        CREATE INDEX profile_tenant ON profile (tenant, id) WHERE open = 1;
        CREATE TABLE profile_state (
            number INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, state BLOB NOT NULL);
        """

    /// A `day` is a date: the first millisecond of that date in UTC. Of a tenant (`profile` -1) it is the date in its zone.
    /// An `hour` is an instant, its first millisecond. Slices add to `usage_delta`, whose rows go on, a step at a time, to
    /// the sums: `usage_hourly`, `usage_daily`, `usage_monthly` (see `UsageSums`). `usage_daily.open` are holds taken on that
    /// day that may still change it; `growth` is what was added to some of them later; `former_zone` are zones that tenants
    /// had `until` an instant, the end of that day. A line that stands for several refusals or charges that were taken back
    /// has a `minute`, `count` and `last`. `audit.trace` has the 16 bytes of a trace's id, the highest first; NULL: none.
    /// `usage_note` says since when usage is kept by action and hour.
    ///
    /// Lines of the audit log and events are numbered by their time in microseconds, made unique. `delivery.recipient` is
    /// the setting that the delivery is for; empty: none. `delivery.transition` is the first event of the same transition,
    /// 0: not known. `delivery.begun` are the attempts before it was sent again.
    private static let history = """
        CREATE TABLE told (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            journal_low INTEGER NOT NULL, journal_high INTEGER NOT NULL,
            history INTEGER NOT NULL, deliveries INTEGER NOT NULL,
            records INTEGER NOT NULL DEFAULT 0);
        CREATE TABLE caller (number INTEGER PRIMARY KEY, name TEXT NOT NULL);

        \(usage);
        CREATE TABLE refusal_daily (
            day INTEGER NOT NULL, tenant INTEGER NOT NULL, profile INTEGER NOT NULL,
            code INTEGER NOT NULL, count INTEGER NOT NULL,
            PRIMARY KEY (day, tenant, profile, code)) WITHOUT ROWID;
        \(growth);
        \(formerZones);

        CREATE TABLE audit (
            id INTEGER PRIMARY KEY, time INTEGER NOT NULL, kind INTEGER NOT NULL,
            tenant INTEGER, profile INTEGER, caller INTEGER NOT NULL, action INTEGER NOT NULL,
            code INTEGER NOT NULL, reservation INTEGER NOT NULL, events INTEGER NOT NULL,
            asked TEXT NOT NULL, reference TEXT NOT NULL, limits TEXT, changes TEXT,
            minute INTEGER, count INTEGER NOT NULL DEFAULT 1, last INTEGER NOT NULL DEFAULT 0,
            trace BLOB);
        CREATE INDEX audit_refusals ON audit (tenant, minute, code) WHERE minute IS NOT NULL;
        CREATE INDEX audit_tenant ON audit (tenant);
        CREATE INDEX audit_profile ON audit (profile) WHERE profile IS NOT NULL;
        CREATE INDEX audit_kind ON audit (kind);

        CREATE TABLE event (
            number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
            tenant TEXT NOT NULL, time INTEGER NOT NULL, body BLOB NOT NULL,
            test INTEGER NOT NULL);
        CREATE INDEX event_tenant ON event (tenant) WHERE test = 0;
        CREATE INDEX event_kind ON event (kind) WHERE test = 0;
        CREATE TABLE delivery (
            id INTEGER PRIMARY KEY, event INTEGER NOT NULL, webhook INTEGER NOT NULL,
            target TEXT NOT NULL, failover TEXT NOT NULL, place TEXT NOT NULL DEFAULT '',
            recipient TEXT NOT NULL DEFAULT '', transition INTEGER NOT NULL DEFAULT 0,
            status INTEGER NOT NULL, attempts INTEGER NOT NULL, begun INTEGER NOT NULL DEFAULT 0,
            due INTEGER, created INTEGER NOT NULL, finished INTEGER);
        CREATE INDEX delivery_due ON delivery (due) WHERE status = 0;
        CREATE INDEX delivery_place ON delivery (place, due) WHERE status = 0;
        CREATE INDEX delivery_endpoint ON delivery (place, target, due) WHERE status = 0;
        CREATE INDEX delivery_recipient ON delivery (recipient) WHERE status = 0;
        CREATE INDEX delivery_event ON delivery (event);
        CREATE INDEX delivery_status ON delivery (status);
        CREATE TABLE attempt (
            delivery INTEGER NOT NULL, number INTEGER NOT NULL, started INTEGER NOT NULL,
            finished INTEGER NOT NULL, target TEXT NOT NULL, status INTEGER, error TEXT,
            PRIMARY KEY (delivery, number)) WITHOUT ROWID;
        """

    private static let usageColumns = """
        action INTEGER NOT NULL DEFAULT -1, \(numbers(amountColumns)),
        overage INTEGER NOT NULL DEFAULT 0, allowed INTEGER NOT NULL DEFAULT 0,
        denied INTEGER NOT NULL DEFAULT 0, open INTEGER NOT NULL DEFAULT 0
        """

    /// A sum for each tenant, each profile, and everybody together (`UsageKey`), by what it was for.
    private static func sums(_ table: String, by start: String) -> String {
        """
        CREATE TABLE \(table) (
            \(start) INTEGER NOT NULL, profile INTEGER NOT NULL, tenant INTEGER NOT NULL,
            \(usageColumns), PRIMARY KEY (\(start), profile, tenant, action)) WITHOUT ROWID
        """
    }

    private static let usage = """
        CREATE TABLE usage_delta (
            tenant INTEGER NOT NULL, profile INTEGER NOT NULL, hour INTEGER NOT NULL,
            day INTEGER NOT NULL, \(usageColumns),
            PRIMARY KEY (tenant, profile, hour, day, action)) WITHOUT ROWID;
        \(sums("usage_hourly", by: "hour"));
        \(sums("usage_daily", by: "day"));
        \(sums("usage_monthly", by: "month"));
        CREATE TABLE refusal_hourly (
            hour INTEGER NOT NULL, tenant INTEGER NOT NULL, profile INTEGER NOT NULL,
            code INTEGER NOT NULL, count INTEGER NOT NULL,
            PRIMARY KEY (hour, tenant, profile, code)) WITHOUT ROWID;
        CREATE TABLE usage_note (
            id INTEGER PRIMARY KEY CHECK (id = 1), by_action_since INTEGER NOT NULL)
        """

    private static let growth = """
        CREATE TABLE growth (
            reservation INTEGER NOT NULL, quarter INTEGER NOT NULL, version INTEGER NOT NULL,
            \(numbers(amountColumns)), PRIMARY KEY (reservation, quarter)) WITHOUT ROWID
        """

    private static let formerZones = """
        CREATE TABLE former_zone (
            day INTEGER NOT NULL, tenant INTEGER NOT NULL, until INTEGER NOT NULL,
            name TEXT NOT NULL, PRIMARY KEY (day, tenant, until)) WITHOUT ROWID;
        CREATE INDEX former_zone_tenant ON former_zone (tenant, until)
        """

    static func make(_ db: Database) throws {
        try db.execute(sql: state)
        try db.execute(sql: history)
        try db.execute(sql: "PRAGMA user_version = \(version)")
    }

    // MARK: Columns by the catalogues

    /// What is used of each limit of a tenant.
    static let limitColumns = LimitSubject.tenant.limits.map(\.name)
    /// An amount of each resource.
    static let amountColumns = Resource.catalogue.map(\.column)

    private static let catalogued = [
        ("tenant_state", limitColumns), ("usage_delta", amountColumns),
        ("usage_hourly", amountColumns), ("usage_daily", amountColumns),
        ("usage_monthly", amountColumns), ("growth", amountColumns),
    ]

    private static func numbers(_ columns: [String]) -> String {
        columns.map { "\($0) INTEGER NOT NULL DEFAULT 0" }.joined(separator: ", ")
    }

    /// Of a table that is not there none.
    private static func missing(
        _ columns: [String], in table: String, _ db: Database
    ) throws -> [String] {
        let found = try Set(
            Row.fetchAll(db, sql: "PRAGMA table_info(\(table))").map {
                try $0.value("name") as String
            })
        return found.isEmpty ? [] : columns.filter { !found.contains($0) }
    }

    /// Whether there is a column for every row of the catalogues; else the file is to be taken over as one of an earlier
    /// version.
    static func isComplete(_ db: Database) throws -> Bool {
        try catalogued.allSatisfy { try missing($0.1, in: $0.0, db).isEmpty }
    }

    /// nil: the file is empty.
    static func version(of db: Database) throws -> Int? {
        let tables = try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM sqlite_master") ?? 0
        return tables == 0 ? nil : try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0
    }

    /// Makes the state anew, and keeps the history.
    static func makeStateAnew(_ db: Database, _ journal: JournalExtent) throws {
        // Before the position goes.
        let told = try HistoryWatermark.keeping(db, journal)
        for table in stateTables { try db.execute(sql: "DROP TABLE IF EXISTS \(table)") }
        try db.execute(sql: state)
        try told.write(db)
    }

    /// Takes a file of an earlier version over. O(state, pending deliveries, and daily usage).
    static func migrate(_ db: Database, from earlier: Int, _ journal: JournalExtent) throws {
        if earlier < 2 {
            try db.execute(
                sql: """
                    ALTER TABLE delivery ADD COLUMN place TEXT NOT NULL DEFAULT '';
                    CREATE INDEX delivery_place ON delivery (place, due) WHERE status = 0
                    """)
            try fillPlaces(db)
        }
        if earlier < 3 {
            try db.execute(
                sql: """
                    ALTER TABLE delivery ADD COLUMN recipient TEXT NOT NULL DEFAULT '';
                    ALTER TABLE delivery ADD COLUMN begun INTEGER NOT NULL DEFAULT 0;
                    CREATE TABLE told (
                        id INTEGER PRIMARY KEY CHECK (id = 1),
                        journal_low INTEGER NOT NULL, journal_high INTEGER NOT NULL,
                        history INTEGER NOT NULL, deliveries INTEGER NOT NULL)
                    """)
        }
        if earlier < 4 {
            try db.execute(
                sql: """
                    ALTER TABLE delivery ADD COLUMN transition INTEGER NOT NULL DEFAULT 0;
                    CREATE INDEX delivery_endpoint ON delivery (place, target, due)
                    WHERE status = 0;
                    CREATE INDEX delivery_recipient ON delivery (recipient) WHERE status = 0;
                    ALTER TABLE told ADD COLUMN records INTEGER NOT NULL DEFAULT 0
                    """)
        }
        if earlier < 5 {
            try db.execute(
                sql: """
                    ALTER TABLE usage_daily ADD COLUMN open INTEGER NOT NULL DEFAULT 0;
                    CREATE TABLE refusal_daily (
                        day INTEGER NOT NULL, tenant INTEGER NOT NULL, profile INTEGER NOT NULL,
                        code INTEGER NOT NULL, count INTEGER NOT NULL,
                        PRIMARY KEY (day, tenant, profile, code)) WITHOUT ROWID;
                    ALTER TABLE audit ADD COLUMN minute INTEGER;
                    ALTER TABLE audit ADD COLUMN count INTEGER NOT NULL DEFAULT 1;
                    ALTER TABLE audit ADD COLUMN last INTEGER NOT NULL DEFAULT 0;
                    CREATE INDEX audit_refusals ON audit (tenant, minute, code)
                    WHERE minute IS NOT NULL
                    """)
        }
        if earlier < 6 { try db.execute(sql: growth) }
        if earlier < 7 { try db.execute(sql: formerZones) }
        if earlier < 10 { try db.execute(sql: "ALTER TABLE audit ADD COLUMN trace BLOB") }
        if earlier < 11 { try keepUsageByAction(db) }
        for (table, columns) in catalogued where !stateTables.contains(table) {
            for column in try missing(columns, in: table, db) {
                try db.execute(sql: "ALTER TABLE \(table) ADD COLUMN \(numbers([column]))")
            }
        }
        try makeStateAnew(db, journal)
        try db.execute(sql: "PRAGMA user_version = \(version)")
    }

    /// Days of before have no actions (-1) and no hours.
    private static func keepUsageByAction(_ db: Database) throws {
        let found = try db.columns(in: "usage_daily").map(\.name)
        let names = found.filter { amountColumns.contains($0) }
        let columns = (["day", "profile", "tenant", "allowed", "denied", "open"] + names)
            .joined(separator: ", ")
        let since: Int64 = try Int64.fetchOne(db, sql: "SELECT time FROM position") ?? 0
        try db.execute(
            sql: """
                ALTER TABLE usage_daily RENAME TO usage_before;
                \(usage);
                INSERT INTO usage_daily (\(columns)) SELECT \(columns) FROM usage_before
                ORDER BY day, profile, tenant;
                DROP TABLE usage_before
                """)
        try db.execute(
            sql: "INSERT INTO usage_note (id, by_action_since) VALUES (1, ?)", arguments: [since])
        try UsageSums.makeAnew(db)
    }

    /// Says of deliveries that are on their way where they go, if that is not said yet.
    static func fillPlaces(_ db: Database) throws {
        let rows = try Row.fetchAll(
            db,
            sql: """
                SELECT DISTINCT webhook, target, failover FROM delivery
                WHERE status = 0 AND place = ''
                """)
        for row in rows {
            try db.execute(
                sql: """
                    UPDATE delivery SET place = ?
                    WHERE status = 0 AND place = '' AND webhook = ? AND target = ?
                    """,
                arguments: [
                    DeliveryPlace(try EventRows.channel(row)).name,
                    try row.value("webhook") as Bool, try row.value("target") as String,
                ])
        }
    }
}

/// `delivery.status`.
enum DeliveryStatus {
    static let pending = 0
    static let delivered = 1
    static let failed = 2
}
