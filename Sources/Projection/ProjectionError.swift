import Journal

/// Why the projection cannot be opened, or does not go on.
package struct ProjectionError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Code: Sendable {
        /// There is no journal to follow (`--durability memory`).
        case noJournal
        /// The journal does not go on where the file ends, or the file is not what it should be.
        case unusable
        /// The file is another journal's.
        case otherJournal
        /// The journal cannot be read, or says what cannot be.
        case journal
        /// The service stops.
        case stopping
        /// What was durable at the start is not taken up yet: a list would not be the whole.
        case catchingUp
        /// The file cannot be opened once more just now: for want of a file descriptor above all.
        case unopened
    }

    package var code: Code
    package var reason: String

    package init(_ code: Code, _ reason: String) {
        self.code = code
        self.reason = reason
    }

    init(_ error: JournalError) {
        self.init(error.code == .missing ? .unusable : .journal, "\(error)")
    }

    /// It is worth while to ask again later.
    package var isPassing: Bool { code == .catchingUp || code == .unopened }

    package var description: String { reason }
}

/// Bounds of the projection; each a number with a default.
package struct ProjectionConfiguration: Sendable {
    /// How long lines of the audit log are kept, milliseconds.
    package var auditRetention: Int64 = 400 * 86_400_000
    /// Lines of the audit log; the oldest go first.
    package var auditRows = 10_000_000
    /// The longest that attempts at one delivery go on, milliseconds. Of a file that is gone nobody knows what it sent: what
    /// was raised longer ago than this is not sent again.
    package var attemptsGoOn: Int64 = 30 * 60_000
    /// How long a delivery waits for its turn, milliseconds: then it has failed. So what is on its way to a recipient that
    /// takes nothing is bounded.
    package var deliveryWait: Int64 = 24 * 3_600_000
    /// So long after a start nothing has waited too long, milliseconds: what fell due while the service was down has its
    /// turn first.
    package var deliveryGrace: Int64 = 3_600_000
    /// How long events and finished deliveries are kept, milliseconds.
    package var eventRetention: Int64 = 30 * 86_400_000
    /// Events, and finished deliveries; the oldest go first.
    package var eventRows = 1_000_000
    /// Days of daily usage; a month stays as long as one of its days.
    package var usageDays = 400
    /// Days of hourly usage.
    package var hourlyDays = 35
    /// Milliseconds after which what slices add to usage is summed up by hour, day and month. Rows that wait for it are as
    /// many as tenants and profiles were charged in that time.
    package var sumMilliseconds: Int64 = 300_000
    /// Tenants that a forecast looks at, the fullest first; and the overview's.
    package var forecastTenants = 100_000
    package var overviewTenants = 2_000
    /// Records that one transaction takes up at most.
    package var sliceRecords = 50_000
    /// Milliseconds that a transaction takes at most: others write between two.
    package var sliceMilliseconds: Int64 = 50
    /// The longest wait before the journal is looked at again, milliseconds.
    package var pollMilliseconds: Int64 = 100
    /// Bytes of the file beside the database that changes go to first. Beyond them it begins anew, which it does by itself
    /// only when nobody happens to read.
    package var walBytes = 256 << 20
    /// Milliseconds between looks at what time alone brings: cycles that end, rows that are old.
    package var cleaningMilliseconds: Int64 = 1_000

    /// Matches in the log, of events and deliveries are counted up to here: `Paged.total` says no more.
    package var mostCounted = 1_000_000
    /// Receives one sentence about what the operator should know: that a file was damaged, and what became of it. Called on
    /// any thread.
    package var notice: @Sendable (String) -> Void = { _ in }
    /// Called with each SQL statement; for tests.
    var trace: (@Sendable (String) -> Void)?

    package init() {}
}
