internal import ArgumentParser

/// The flags of `tollgate serve` that say who callers are, and how fast they may call.
struct AccessOptions: ParsableArguments {
    @Option(
        help: .init(
            """
            Issuers of web tokens (JWT) and names in certificates whose word counts, as YAML \
            (docs/authorization.md); SIGHUP reads it again.
            """, valueName: "file"))
    var identities: String?

    @Option(
        help: .init(
            """
            Calls a second that one caller may make, unless its token says another number, 1 to \
            1000000 (default: no bound).
            """, valueName: "n"))
    var callerRate: String?

    /// What the command line named.
    var named: [(ServeKey, String?)] {
        [(.identitiesFile, identities), (.callerRate, callerRate)]
    }
}
