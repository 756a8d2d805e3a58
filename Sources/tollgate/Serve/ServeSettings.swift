internal import Notifications

/// Everything that `tollgate serve` can be told, complete and checked.
struct ServeSettings: Sendable, Equatable {
    /// How soon an answer is safe on disk.
    enum Durability: String, CaseIterable, Sendable {
        /// Every answer waits until its record is on disk.
        case sync
        /// Records are written at short intervals; answers do not wait.
        case interval
        /// Nothing is written: the state ends with the process.
        case memory
    }

    enum SMTPSecurity: String, CaseIterable, Sendable { case none, starttls, tls }

    enum LogLevel: String, CaseIterable, Sendable { case debug, info, notice, warning, error }

    var grpcListen = NetworkAddress(host: "127.0.0.1", port: 50051)
    var httpListen = NetworkAddress(host: "127.0.0.1", port: 8080)
    var dataDirectory = "tollgate-data"
    /// Event loops.
    var threads = 1
    var durability = Durability.sync
    /// nil: no limits file.
    var limitsFile: String?
    var insecureNoAuth = false
    var logLevel = LogLevel.info

    var drainTimeoutMilliseconds: Int64 = 10_000
    var idempotencyRetentionMilliseconds: Int64 = 900_000
    var maxReservationLifeMilliseconds: Int64 = 86_400_000

    /// Durability `interval`: how long the journal collects between the end of a write and the next.
    var journalIntervalMilliseconds: Int64 = 10
    var journalSegmentBytes = 64 << 20
    /// Of all segments together; more is refused until a checkpoint has made room.
    var journalMaximumBytes = 64 << 30
    var journalRetentionMilliseconds: Int64 = 3_600_000
    /// Journal written since the last checkpoint that starts the next one.
    var checkpointBytes = 256 << 20

    /// How long the audit log is kept.
    var auditRetentionMilliseconds: Int64 = 400 * 86_400_000

    var webhookTimeoutMilliseconds: Int64 = 2_000
    var webhookBackoffMilliseconds: Int64 = 1_000
    var webhookConcurrency = 64
    /// Networks that webhooks may reach though they are private, as CIDR.
    var webhookAllowPrivate: [Network] = []

    /// nil: no e-mail.
    var smtpHost: String?
    var smtpPort = 587
    var smtpSecurity = SMTPSecurity.starttls
    var smtpUser: String?
    var smtpPasswordFile: String?
    var smtpFrom: String?
    var smtpCAFile: String?
    /// Whom mails and pages speak for.
    var brandName = "Tollgate"
    /// What stands beside the logo on pages; empty: the brand's name.
    var brandLogo = ""
    /// Where suspended tenants turn to; empty: nothing is named.
    var brandContact = ""
    /// Browsers send the cookie of a log-in over TLS only: the service stands behind a proxy that speaks TLS.
    var secureCookie = false

    var maxTenants = 1_000_000
    var maxProfiles = 1_000_000
    var maxReservations = 20_000_000
    var maxRemembered = 10_000_000
    var maxAmended = 4_000_000

    var maxConnections = 10_000
    var maxConnectionsPerAddress = 1_024
    var maxConcurrentStreams = 256
}

/// The names of the settings: `--grpc-listen`, `TOLLGATE_GRPC_LISTEN`, `grpc-listen:` in the file.
enum ServeKey: String, CaseIterable, Sendable {
    case grpcListen = "grpc-listen"
    case httpListen = "http-listen"
    case dataDirectory = "data-dir"
    case threads
    case durability
    case limitsFile = "limits"
    case insecureNoAuth = "insecure-no-auth"
    case logLevel = "log-level"
    case drainTimeout = "drain-timeout"
    case idempotencyRetention = "idempotency-retention"
    case maxReservationLife = "max-reservation-life"
    case journalInterval = "journal-interval"
    case journalSegment = "journal-segment"
    case journalMaximum = "journal-maximum"
    case journalRetention = "journal-retention"
    case checkpointEvery = "checkpoint-every"
    case auditRetention = "audit-retention"
    case webhookTimeout = "webhook-timeout"
    case webhookConcurrency = "webhook-concurrency"
    case webhookAllowPrivate = "webhook-allow-private"
    case webhookBackoff = "webhook-backoff"
    case smtpHost = "smtp-host"
    case smtpPort = "smtp-port"
    case smtpSecurity = "smtp-security"
    case smtpUser = "smtp-user"
    case smtpPasswordFile = "smtp-password-file"
    case smtpFrom = "smtp-from"
    case smtpCAFile = "smtp-ca-file"
    case brandName = "brand-name"
    case brandLogo = "brand-logo"
    case brandContact = "brand-contact"
    case secureCookie = "secure-cookie"
    case maxTenants = "max-tenants"
    case maxProfiles = "max-profiles"
    case maxReservations = "max-reservations"
    case maxRemembered = "max-remembered"
    case maxAmended = "max-amended"
    case maxConnections = "max-connections"
    case maxConnectionsPerAddress = "max-connections-per-address"
    case maxConcurrentStreams = "max-concurrent-streams"

    var environmentName: String {
        "TOLLGATE_" + rawValue.uppercased().map { $0 == "-" ? "_" : String($0) }.joined()
    }
}
