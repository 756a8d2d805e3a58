internal import ArgumentParser

/// The flags of `tollgate serve`. All are texts here: one place parses them, whoever said them.
struct ServeOptions: ParsableArguments {
    @Option(
        help: .init(
            "Where gRPC listens (default 127.0.0.1:50051; port 0: a free one).",
            valueName: "host:port"))
    var grpcListen: String?

    @Option(
        help: .init(
            "Where HTTP listens: REST (default 127.0.0.1:8080; port 0: a free one).",
            valueName: "host:port"))
    var httpListen: String?

    @Option(help: .init("Where the journal lives (default tollgate-data).", valueName: "dir"))
    var dataDir: String?

    @Option(help: .init("Event loops, 1 to 62 (default: the number of cores).", valueName: "n"))
    var threads: String?

    @Option(
        help: .init(
            """
            When an answer leaves: sync, once it is on disk (default); interval, at once: a crash of \
            the process or the machine may lose what was answered within --journal-interval and the \
            syncs before and after it; memory, at once, and nothing is kept.
            """,
            valueName: "mode"))
    var durability: String?

    @Option(
        help: .init(
            "Settings as YAML, with these flags' names as keys (environment TOLLGATE_CONFIG).",
            valueName: "file"))
    var config: String?

    @Option(
        help: .init(
            "Tenants, messaging profiles and defaults as YAML (docs/limits-file.md).",
            valueName: "file"))
    var limits: String?

    @Flag(
        help:
            "Serve everyone without access tokens; accepted on loopback only."
    )
    var insecureNoAuth = false

    @Option(
        help: .init(
            "debug, info, notice, warning or error (default info); logs go to standard error.",
            valueName: "level"))
    var logLevel: String?

    @Option(
        help: .init(
            "How long SIGTERM lets running calls finish, 0s to 1h (default 10s).",
            valueName: "duration"))
    var drainTimeout: String?

    @Option(
        help: .init(
            "How long idempotency keys and settled reservations are remembered, 1s to 24h (default 15m).",
            valueName: "duration"))
    var idempotencyRetention: String?

    @Option(
        help: .init(
            "How long a reservation may live in all, extensions included, 1s to 30d (default 24h).",
            valueName: "duration"))
    var maxReservationLife: String?

    @Option(
        help: .init(
            """
            With --durability interval: how long the journal collects between two writes, 1ms to \
            10s (default 10ms).
            """,
            valueName: "duration"))
    var journalInterval: String?

    @Option(
        help: .init(
            "Size of a journal segment, 1MiB to 4GiB (default 64MiB).", valueName: "size"))
    var journalSegment: String?

    @Option(
        help: .init(
            "Disk that all segments may take; beyond it requests are refused (default 64GiB).",
            valueName: "size"))
    var journalMaximum: String?

    @Option(
        help: .init(
            "How long segments are kept that nobody needs any more (default 1h).",
            valueName: "duration"))
    var journalRetention: String?

    @Option(
        help: .init(
            "Journal after which a checkpoint is made, 1MiB to 1TiB (default 256MiB).",
            valueName: "size"))
    var checkpointEvery: String?

    @Option(
        help: .init(
            "How long the audit log is kept, 1d to 3650d (default 400d).", valueName: "duration"))
    var auditRetention: String?

    @Option(
        help: .init(
            "How long a webhook may take, 100ms to 1m (default 2s).", valueName: "duration"))
    var webhookTimeout: String?

    @Option(
        help: .init(
            """
            Between the first and the second attempt of a webhook, 10ms to 1h; five times that \
            before the third (default 1s).
            """,
            valueName: "duration"))
    var webhookBackoff: String?

    @Option(help: .init("Webhooks underway at a time, 1 to 1024 (default 64).", valueName: "n"))
    var webhookConcurrency: String?

    @Option(
        help: .init(
            "Private networks that webhooks may reach, like 10.1.0.0/16,127.0.0.1/32 (default: none).",
            valueName: "cidr,..."))
    var webhookAllowPrivate: String?

    @Option(help: .init("Mail server for alerts (default: none, no e-mail).", valueName: "host"))
    var smtpHost: String?

    @Option(help: .init("Its port (default 587).", valueName: "port"))
    var smtpPort: String?

    @Option(help: .init("none, starttls (default) or tls.", valueName: "mode"))
    var smtpSecurity: String?

    @Option(help: .init("User of the mail server (default: no log-in).", valueName: "name"))
    var smtpUser: String?

    @Option(help: .init("File with that user's password.", valueName: "file"))
    var smtpPasswordFile: String?

    @Option(help: .init("Address that mails come from.", valueName: "address"))
    var smtpFrom: String?

    @Option(
        help: .init(
            "Certificates that the mail server is checked against (default: the system's).",
            valueName: "file"))
    var smtpCAFile: String?

    @Option(help: .init("Whom mails and pages speak for (default Tollgate).", valueName: "name"))
    var brandName: String?

    @Option(
        help: .init("What stands beside the logo on pages (default: the name).", valueName: "text"))
    var brandLogo: String?

    @Option(
        help: .init(
            "Where suspended tenants turn to: a mail address, a phone number or a URL.",
            valueName: "contact"))
    var brandContact: String?

    @Option(
        help: .init(
            "Log-in cookies go over TLS only, true or false (default): set it behind a proxy that speaks TLS.",
            valueName: "flag"))
    var secureCookie: String?

    @Option(help: .init("Tenants at most, 1 to 16000000 (default 1000000).", valueName: "n"))
    var maxTenants: String?

    @Option(
        help: .init("Messaging profiles at most, 1 to 16000000 (default 1000000).", valueName: "n"))
    var maxProfiles: String?

    @Option(
        help: .init(
            "Reservations, open or remembered, at most (default 20000000; 128 bytes each when used).",
            valueName: "n"))
    var maxReservations: String?

    @Option(
        help: .init(
            "Idempotency keys remembered at most (default 10000000; 96 bytes each when used).",
            valueName: "n"))
    var maxRemembered: String?

    @Option(
        help: .init(
            """
            Reservations extended, or committed with other amounts than held, at most (default \
            4000000; 256 bytes each when used).
            """,
            valueName: "n"))
    var maxAmended: String?

    @Option(help: .init("Connections at most, 1 to 1000000 (default 10000).", valueName: "n"))
    var maxConnections: String?

    @Option(help: .init("Connections from one address at most (default 1024).", valueName: "n"))
    var maxConnectionsPerAddress: String?

    @Option(
        help: .init(
            "Concurrent calls on one connection at most, 1 to 65536 (default 256).", valueName: "n")
    )
    var maxConcurrentStreams: String?

    /// What the command line named.
    var named: [ServeKey: String] {
        let all: [(ServeKey, String?)] = [
            (.grpcListen, grpcListen), (.httpListen, httpListen), (.dataDirectory, dataDir),
            (.threads, threads), (.durability, durability), (.limitsFile, limits),
            (.insecureNoAuth, insecureNoAuth ? "true" : nil), (.logLevel, logLevel),
            (.drainTimeout, drainTimeout), (.idempotencyRetention, idempotencyRetention),
            (.maxReservationLife, maxReservationLife), (.journalInterval, journalInterval),
            (.journalSegment, journalSegment), (.journalMaximum, journalMaximum),
            (.journalRetention, journalRetention), (.checkpointEvery, checkpointEvery),
            (.auditRetention, auditRetention),
            (.webhookTimeout, webhookTimeout),
            (.webhookBackoff, webhookBackoff), (.webhookConcurrency, webhookConcurrency),
            (.webhookAllowPrivate, webhookAllowPrivate), (.smtpHost, smtpHost),
            (.smtpPort, smtpPort), (.smtpSecurity, smtpSecurity), (.smtpUser, smtpUser),
            (.smtpPasswordFile, smtpPasswordFile), (.smtpFrom, smtpFrom),
            (.smtpCAFile, smtpCAFile), (.brandName, brandName),
            (.brandLogo, brandLogo), (.brandContact, brandContact), (.secureCookie, secureCookie),
            (.maxAmended, maxAmended), (.maxTenants, maxTenants),
            (.maxProfiles, maxProfiles), (.maxReservations, maxReservations),
            (.maxRemembered, maxRemembered), (.maxConnections, maxConnections),
            (.maxConnectionsPerAddress, maxConnectionsPerAddress),
            (.maxConcurrentStreams, maxConcurrentStreams),
        ]
        return Dictionary(
            uniqueKeysWithValues: all.compactMap { key, value in
                value.map { (key, $0) }
            })
    }
}
