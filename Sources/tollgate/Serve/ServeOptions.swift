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
            """
            Answers to keyed changes by operators that are remembered for so long, at most; the oldest \
            go first (default 10000).
            """, valueName: "count"))
    var maxAnswers: String?

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
            """
            How long the disk may make no progress before calls are refused that find no room in the \
            journal, 0s to 1h; until then they wait for it (default 5s).
            """, valueName: "duration"))
    var journalStall: String?

    @Option(
        help: .init(
            "Journal after which a checkpoint is made, 1MiB to 1TiB (default 256MiB).",
            valueName: "size"))
    var checkpointEvery: String?

    @Option(
        help: .init(
            """
            How far the wall clock may be from the latest time on record at a start, and leap ahead \
            to be believed by a running service, 1m to 3650d (default 31d).
            """,
            valueName: "duration"))
    var maxClockAdvance: String?

    @Option(
        help: .init(
            """
            Start by the wall clock, however far it is from the time on record: it is right if it is \
            within a day of this instant, like 2026-11-29T12:00:00Z. For one start.
            """,
            valueName: "instant"))
    var acceptClock: String?

    @Flag(
        help:
            "Start empty though the data directory says that its journal has been lost. For one start."
    )
    var acceptEmptyJournal = false

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

    @Option(
        help: .init(
            """
            Proxies whose X-Forwarded-For is believed, as networks with commas between them \
            (default: none).
            """, valueName: "networks"))
    var trustedProxy: String?

    @Option(
        help: .init(
            "How long the head of an HTTP request may take to arrive, 100ms to 1h (default 10s).",
            valueName: "duration"))
    var httpHeadTimeout: String?

    @Option(
        help: .init(
            "How long the body of an HTTP request may take to arrive, 100ms to 1h (default 20s).",
            valueName: "duration"))
    var httpBodyTimeout: String?

    @Option(
        help: .init(
            """
            How long a REST request may be worked on, and wait for the disk, before it is answered \
            with 503, 100ms to 1h (default 30s).
            """, valueName: "duration"))
    var httpRequestTimeout: String?

    @Option(
        help: .init(
            """
            How long an HTTP client may leave 64 KiB of an answer untaken, 100ms to 1h (default \
            30s).
            """, valueName: "duration"))
    var httpAnswerTimeout: String?

    @Option(
        help: .init(
            "How long an HTTP connection may stay without a request, 100ms to 1h (default 60s).",
            valueName: "duration"))
    var httpIdleTimeout: String?

    @Option(
        help: .init(
            """
            HTTP connections at most, 1 to 1000000 (default 1024); fewer where the process may not \
            open as many files.
            """, valueName: "n"))
    var httpMaxConnections: String?

    @Option(
        help: .init(
            """
            HTTP connections of one address at most (default: a quarter of all, and no more than \
            --max-connections-per-address).
            """, valueName: "n"))
    var httpMaxConnectionsPerAddress: String?

    @Option(
        help: .init(
            "HTTP requests that are worked on at one time at most, 1 to 65536 (default 256).",
            valueName: "n"))
    var httpMaxRequests: String?

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

    @Option(
        help: .init(
            """
            Of --max-reservations, holds that were charged at their expiry and are remembered for 24 h, \
            at most; beyond it the oldest are remembered for the retention alone (default 1000000).
            """,
            valueName: "n"))
    var maxCharged: String?

    @Option(
        help: .init(
            """
            Percent of the reservations, keys and watches that one tenant may have when three quarters \
            are in use and its caller's token is for named tenants, 1 to 100 (default 10).
            """,
            valueName: "percent"))
    var tenantShare: String?

    @Option(
        help: .init(
            """
            The same where the caller's token is for all tenants, 1 to 100 (default 100: no matter how \
            much).
            """,
            valueName: "percent"))
    var allTenantsShare: String?

    @Option(
        help: .init(
            """
            gRPC connections at most, 1 to 1000000 (default 10000); fewer where the process may not \
            open as many files.
            """, valueName: "n"))
    var maxConnections: String?

    @Option(
        help: .init(
            "Connections of one address at most, on each port (default 1024).", valueName: "n"))
    var maxConnectionsPerAddress: String?

    @Option(
        help: .init(
            "Concurrent calls on one connection at most, 1 to 65536 (default 256).", valueName: "n")
    )
    var maxConcurrentStreams: String?

    @Option(
        help: .init(
            """
            Bytes that may wait for peers, in and out, over all connections, 16MiB to 1TiB (default \
            256MiB).
            """, valueName: "size"))
    var peerMemory: String?

    @Option(
        help: .init(
            """
            After how long a silence a gRPC peer is asked for a sign of life, which it has 20s to \
            give (default 60s; 0s: never).
            """, valueName: "duration"))
    var keepalive: String?

    @Option(
        help: .init(
            "How long a gRPC connection may stay without a call, 1s to 30d (default 30m).",
            valueName: "duration"))
    var connectionIdle: String?

    @Option(
        help: .init(
            """
            How old a gRPC connection may become before its peer is told to open another, give or \
            take a tenth (default 24h; 0s: as old as it likes).
            """, valueName: "duration"))
    var connectionAge: String?

    @Option(
        help: .init(
            """
            Whose gRPC answers of 1 KiB and more leave compressed: asked, of calls that may come \
            compressed themselves (default); accepted, of all that accept it; off, nobody's.
            """, valueName: "mode"))
    var compression: String?

    @Option(
        help: .init(
            """
            Tells gRPC clients with an access token the descriptors of what is served, on (default) \
            or off.
            """, valueName: "flag"))
    var reflection: String?

    @OptionGroup(title: "TLS") var tls: ServeTLSOptions
    @OptionGroup(title: "Callers") var access: AccessOptions

    /// What the command line named.
    var named: [ServeKey: String] {
        let all: [(ServeKey, String?)] = [
            (.grpcListen, grpcListen), (.httpListen, httpListen), (.dataDirectory, dataDir),
            (.threads, threads), (.durability, durability), (.limitsFile, limits),
            (.insecureNoAuth, insecureNoAuth ? "true" : nil), (.logLevel, logLevel),
            (.drainTimeout, drainTimeout), (.idempotencyRetention, idempotencyRetention),
            (.maxReservationLife, maxReservationLife), (.journalInterval, journalInterval),
            (.journalSegment, journalSegment), (.journalMaximum, journalMaximum),
            (.journalRetention, journalRetention), (.journalStall, journalStall),
            (.checkpointEvery, checkpointEvery),
            (.maxClockAdvance, maxClockAdvance), (.acceptClock, acceptClock),
            (.acceptEmptyJournal, acceptEmptyJournal ? "true" : nil),
            (.auditRetention, auditRetention),
            (.webhookTimeout, webhookTimeout),
            (.webhookBackoff, webhookBackoff), (.webhookConcurrency, webhookConcurrency),
            (.webhookAllowPrivate, webhookAllowPrivate), (.smtpHost, smtpHost),
            (.smtpPort, smtpPort), (.smtpSecurity, smtpSecurity), (.smtpUser, smtpUser),
            (.smtpPasswordFile, smtpPasswordFile), (.smtpFrom, smtpFrom),
            (.smtpCAFile, smtpCAFile), (.brandName, brandName),
            (.brandLogo, brandLogo), (.brandContact, brandContact), (.secureCookie, secureCookie),
            (.trustedProxy, trustedProxy), (.httpHeadTimeout, httpHeadTimeout),
            (.httpBodyTimeout, httpBodyTimeout), (.httpAnswerTimeout, httpAnswerTimeout),
            (.httpIdleTimeout, httpIdleTimeout), (.httpMaxConnections, httpMaxConnections),
            (.httpMaxConnectionsPerAddress, httpMaxConnectionsPerAddress),
            (.httpMaxRequests, httpMaxRequests),
            (.httpRequestTimeout, httpRequestTimeout), (.maxAnswers, maxAnswers),
            (.maxAmended, maxAmended), (.maxCharged, maxCharged),
            (.tenantShare, tenantShare),
            (.allTenantsShare, allTenantsShare), (.maxTenants, maxTenants),
            (.maxProfiles, maxProfiles), (.maxReservations, maxReservations),
            (.maxRemembered, maxRemembered), (.maxConnections, maxConnections),
            (.maxConnectionsPerAddress, maxConnectionsPerAddress),
            (.maxConcurrentStreams, maxConcurrentStreams), (.peerMemory, peerMemory),
            (.keepalive, keepalive), (.connectionIdle, connectionIdle),
            (.connectionAge, connectionAge), (.compression, compression),
            (.reflection, reflection),
        ]
        return Dictionary(
            uniqueKeysWithValues: (all + tls.named + access.named).compactMap { key, value in
                value.map { (key, $0) }
            })
    }
}
