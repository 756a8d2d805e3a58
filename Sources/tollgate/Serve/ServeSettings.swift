internal import GRPCServer
internal import Notifications
internal import TransportSecurity

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
    /// One for each event loop, one for configuration, one to spare.
    var lanes: Int { threads + 2 }
    var durability = Durability.sync
    /// nil: no limits file.
    var limitsFile: String?
    var insecureNoAuth = false
    /// nil: nobody's word counts but our own.
    var identitiesFile: String?
    /// Calls a second; nil: no bound.
    var callerRate: Int?
    /// TLS of either port; nil: it is plaintext.
    var grpcTLS: TLSFiles?
    var httpTLS: TLSFiles?
    var tlsHandshakeTimeoutMilliseconds: Int64 = 10_000
    /// Handshakes under way on each port.
    var tlsMaxHandshakes = 1_024
    /// Before a certificate ends.
    var tlsExpiryWarningsMilliseconds: [Int64] = [30, 7, 1].map { $0 * 86_400_000 }
    /// Plaintext is served beyond loopback.
    var insecureAllowPlaintext = false
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
    /// How long calls wait for room while the disk makes no progress.
    var journalStallMilliseconds: Int64 = 5_000
    /// Journal written since the last checkpoint that starts the next one.
    var checkpointBytes = 256 << 20

    /// How far the wall clock is believed.
    var maxClockAdvanceMilliseconds: Int64 = 31 * 86_400_000
    /// About now: the operator's word that the wall clock is right, Unix milliseconds; nil: none.
    var acceptedClock: Int64?
    /// A journal that has been lost is no reason not to start.
    var acceptEmptyJournal = false

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
    /// Proxies that are believed when they say whose request they hand on, as CIDR.
    var trustedProxy: [Network] = []

    /// REST and page: how long a request's head and body may take to arrive, how long a part of an answer may stay
    /// untaken, and a connection without a request open.
    var httpHeadTimeoutMilliseconds: Int64 = 10_000
    var httpBodyTimeoutMilliseconds: Int64 = 20_000
    var httpAnswerTimeoutMilliseconds: Int64 = 30_000
    /// How long it may be worked on.
    var httpRequestTimeoutMilliseconds: Int64 = 30_000
    var httpIdleTimeoutMilliseconds: Int64 = 60_000
    var httpMaxConnections = 1_024
    /// nil: as many of one address as gRPC, and no more than a quarter of all.
    var httpMaxConnectionsPerAddress: Int?
    var httpMaxRequests = 256

    var maxTenants = 1_000_000
    var maxProfiles = 1_000_000
    var maxReservations = 20_000_000
    var maxRemembered = 10_000_000
    /// Answers to operators' changes.
    var maxAnswers = 10_000
    var maxAmended = 4_000_000
    var maxCharged = 1_000_000
    /// Percent of what is scarce that a tenant may have: for callers that are bound to tenants, and for the others.
    var tenantShare = 10
    var allTenantsShare = 100

    var maxConnections = 10_000
    var maxConnectionsPerAddress = 1_024
    var maxConcurrentStreams = 256
    var peerMemoryBytes = 256 << 20
    var keepaliveMilliseconds: Int64 = 60_000
    var connectionIdleMilliseconds: Int64 = 1_800_000
    /// 0: connections may become as old as they like.
    var connectionAgeMilliseconds: Int64 = 86_400_000
    /// Whose gRPC answers leave compressed.
    var compression = AnswerCompression.asked
    /// gRPC clients may ask for the descriptors of what is served.
    var reflection = true
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
    case identitiesFile = "identities"
    case callerRate = "caller-rate"
    case insecureAllowPlaintext = "insecure-allow-plaintext"
    case tlsCertificate = "tls-certificate"
    case tlsKey = "tls-key"
    case tlsClientCA = "tls-client-ca"
    case tlsClientAuth = "tls-client-auth"
    case tlsRevoked = "tls-revoked"
    case tlsHandshakeTimeout = "tls-handshake-timeout"
    case tlsMaxHandshakes = "tls-max-handshakes"
    case tlsExpiryWarning = "tls-expiry-warning"
    case httpTLS = "http-tls"
    case httpTLSCertificate = "http-tls-certificate"
    case httpTLSKey = "http-tls-key"
    case httpTLSClientAuth = "http-tls-client-auth"
    case logLevel = "log-level"
    case drainTimeout = "drain-timeout"
    case idempotencyRetention = "idempotency-retention"
    case maxReservationLife = "max-reservation-life"
    case journalInterval = "journal-interval"
    case journalSegment = "journal-segment"
    case journalMaximum = "journal-maximum"
    case journalRetention = "journal-retention"
    case journalStall = "journal-stall"
    case checkpointEvery = "checkpoint-every"
    case maxClockAdvance = "max-clock-advance"
    case acceptClock = "accept-clock"
    case acceptEmptyJournal = "accept-empty-journal"
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
    case trustedProxy = "trusted-proxy"
    case httpHeadTimeout = "http-head-timeout"
    case httpBodyTimeout = "http-body-timeout"
    case httpAnswerTimeout = "http-answer-timeout"
    case httpIdleTimeout = "http-idle-timeout"
    case httpMaxConnections = "http-max-connections"
    case httpMaxConnectionsPerAddress = "http-max-connections-per-address"
    case httpMaxRequests = "http-max-requests"
    case httpRequestTimeout = "http-request-timeout"
    case maxAnswers = "max-answers"
    case maxTenants = "max-tenants"
    case maxProfiles = "max-profiles"
    case maxReservations = "max-reservations"
    case maxRemembered = "max-remembered"
    case maxAmended = "max-amended"
    case maxCharged = "max-charged"
    case tenantShare = "tenant-share"
    case allTenantsShare = "all-tenants-share"
    case maxConnections = "max-connections"
    case maxConnectionsPerAddress = "max-connections-per-address"
    case maxConcurrentStreams = "max-concurrent-streams"
    case peerMemory = "peer-memory"
    case keepalive
    case connectionIdle = "connection-idle"
    case connectionAge = "connection-age"
    case compression
    case reflection

    var environmentName: String {
        "TOLLGATE_" + rawValue.uppercased().map { $0 == "-" ? "_" : String($0) }.joined()
    }
}
