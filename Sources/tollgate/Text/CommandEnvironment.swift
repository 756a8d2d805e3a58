internal import CommandIO

/// The names of the environment variables that commands look at.
enum CommandEnvironment {
    /// Says which names of ours mean nothing: a misspelt one must not silently leave a default in force.
    static func warnOfUnknown() {
        for name in unknown(in: EnvironmentVariables.all) {
            StandardError.print("unknown environment variable \(name)", .warning)
        }
    }

    static func unknown(in environment: [String: String]) -> [String] {
        environment.keys.filter { $0.hasPrefix(prefix) && !isKnown($0) }.sorted()
    }

    private static let prefix = "TOLLGATE_"

    private static let known = Set(
        SettingsCatalogue.rows.map(\.variable)
            + [
                "CONFIG", "ENDPOINT", "URL", "TOKEN", "TLS", "CA", "CERTIFICATE", "CERTIFICATE_KEY",
                "SERVER_NAME",
            ].map { prefix + $0 } + [RunningService.variable]
            // What the scripts and tests of this repository look at.
            + [
                "BINARY", "BINARIES", "CONFIGURATION", "SCRATCH", "KILLS", "SEED", "SEEDS",
                "STATES",
                "ALL_BITS", "FUZZ_SEEDS", "FAULTS", "PLANT", "SOAK_SECONDS", "SOAK_RATE",
            ].map { prefix + $0 })

    private static func isKnown(_ name: String) -> Bool {
        // A service that is called tollgate puts the last three into each container of a Kubernetes namespace.
        known.contains(name) || name.hasPrefix(prefix + "TEST_") || name == prefix + "PORT"
            || name.hasPrefix(prefix + "PORT_") || name.hasPrefix(prefix + "SERVICE_")
    }
}
