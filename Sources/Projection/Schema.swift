import GRDB

/// The tables of `projection.sqlite`. Any change of them or of what they mean is a new `version`, and older files are
/// made anew from the journal.
enum Schema {
    /// `PRAGMA user_version`.
    static let version = 2

    /// What a tenant or profile is called and configured to be is apart from how it stands: the latter is narrow,
    /// because it is written with nearly every record. `state` holds the words of `TenantState` and `ProfileState`,
    /// little-endian. Lines of the audit log and events are numbered by their time in microseconds, made unique.
    static let sql = """
        CREATE TABLE position (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            journal_low INTEGER NOT NULL, journal_high INTEGER NOT NULL,
            segment INTEGER NOT NULL, offset INTEGER NOT NULL, sequence INTEGER NOT NULL,
            time INTEGER NOT NULL);
        CREATE TABLE waiting (id INTEGER PRIMARY KEY, words BLOB NOT NULL);
        CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
        CREATE TABLE caller (number INTEGER PRIMARY KEY, name TEXT NOT NULL);

        CREATE TABLE tenant (
            number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
            settings BLOB NOT NULL, created INTEGER NOT NULL, open INTEGER NOT NULL);
        CREATE INDEX tenant_id ON tenant (id) WHERE open = 1;
        CREATE INDEX tenant_name ON tenant (name) WHERE open = 1;
        CREATE INDEX tenant_created ON tenant (created) WHERE open = 1;
        CREATE TABLE tenant_state (
            number INTEGER PRIMARY KEY, state BLOB NOT NULL,
            spend INTEGER NOT NULL, extensions INTEGER NOT NULL, dids INTEGER NOT NULL,
            seconds INTEGER NOT NULL, fullness REAL NOT NULL, status INTEGER NOT NULL,
            cycle_end INTEGER NOT NULL, ended INTEGER NOT NULL, open INTEGER NOT NULL);
        CREATE INDEX tenant_state_fullness ON tenant_state (fullness) WHERE open = 1;
        CREATE INDEX tenant_state_status ON tenant_state (status) WHERE open = 1;
        CREATE INDEX tenant_state_cycle ON tenant_state (cycle_end) WHERE open = 1 AND ended = 0;

        CREATE TABLE profile (
            number INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, id TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL, settings BLOB NOT NULL, open INTEGER NOT NULL);
        CREATE INDEX profile_id ON profile (id) WHERE open = 1;
        CREATE INDEX profile_tenant ON profile (tenant, id) WHERE open = 1;
        CREATE TABLE profile_state (
            number INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, state BLOB NOT NULL);

        CREATE TABLE usage_daily (
            day INTEGER NOT NULL, tenant INTEGER NOT NULL, profile INTEGER NOT NULL,
            spend INTEGER NOT NULL, extensions INTEGER NOT NULL, dids INTEGER NOT NULL,
            seconds INTEGER NOT NULL, allowed INTEGER NOT NULL, denied INTEGER NOT NULL,
            PRIMARY KEY (day, tenant, profile)) WITHOUT ROWID;

        CREATE TABLE audit (
            id INTEGER PRIMARY KEY, time INTEGER NOT NULL, kind INTEGER NOT NULL,
            tenant INTEGER, profile INTEGER, caller INTEGER NOT NULL, action INTEGER NOT NULL,
            code INTEGER NOT NULL, reservation INTEGER NOT NULL, events INTEGER NOT NULL,
            asked TEXT NOT NULL, reference TEXT NOT NULL, limits TEXT, changes TEXT);
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
            target TEXT NOT NULL, failover TEXT NOT NULL, place TEXT NOT NULL,
            status INTEGER NOT NULL, attempts INTEGER NOT NULL, due INTEGER,
            created INTEGER NOT NULL, finished INTEGER);
        CREATE INDEX delivery_due ON delivery (due) WHERE status = 0;
        CREATE INDEX delivery_place ON delivery (place, due) WHERE status = 0;
        CREATE INDEX delivery_event ON delivery (event);
        CREATE INDEX delivery_status ON delivery (status);
        CREATE TABLE attempt (
            delivery INTEGER NOT NULL, number INTEGER NOT NULL, started INTEGER NOT NULL,
            finished INTEGER NOT NULL, target TEXT NOT NULL, status INTEGER, error TEXT,
            PRIMARY KEY (delivery, number)) WITHOUT ROWID;
        """

    static func make(_ db: Database) throws {
        try db.execute(sql: sql)
        try db.execute(sql: "PRAGMA user_version = \(version)")
    }
}

/// `delivery.status`.
enum DeliveryStatus {
    static let pending = 0
    static let delivered = 1
    static let failed = 2
}
