internal import Engine
internal import Glibc
internal import Journal
internal import Limits
internal import Reservations

/// A directory for a journal, removed with the object.
final class JournalDirectory {
    let path: String

    /// - Parameter parent: where it is made.
    init(in parent: String) throws {
        path = "\(parent)/tollgate-journal-\(getpid())"
        guard mkdir(path, 0o700) == 0 else { throw SystemError("cannot make \(path)") }
    }

    deinit {
        if let disk = try? SystemDisk(path: path), let names = try? disk.list() {
            for name in names { unlink("\(path)/\(name)") }
        }
        rmdir(path)
    }

    func open(
        _ capacity: TableCapacity, _ settings: DurabilitySettings
    ) throws -> (engine: Engine, report: RecoveryReport) {
        try Engine.open(
            configuration: EngineConfiguration(capacity: capacity),
            disk: SystemDisk(path: path), settings: settings)
    }

    /// Whether a checkpoint is there.
    func hasCheckpoint() throws -> Bool {
        try SystemDisk(path: path).checkpointNumbers().isEmpty == false
    }
}

extension DurabilitySettings {
    /// Nobody waits, and no checkpoint is made: for filling a journal.
    static var filling: DurabilitySettings {
        var settings = DurabilitySettings()
        settings.answersWait = false
        settings.journal.intervalMilliseconds = 1
        settings.checkpointBytes = .max
        return settings
    }
}

extension Engine {
    /// Makes the tenants of the benchmarks, with four caps each.
    func makeTenants(_ count: Int) throws {
        let limits = TenantLimits(
            monthlySpendNanos: .max / 4, maxExtensions: 1_000_000, maxDIDs: 1_000_000,
            monthlyCallSeconds: 1_000_000_000)
        for index in 0..<count {
            let settings = TenantSettings(id: TableBenchmark.tenantID(index), limits: limits)
            try waitingForRoom { () throws(EngineError) in try setTenant(settings) }
        }
    }

    /// Makes a call of a lane until the ring has room for it.
    func insist(_ call: () -> Failure?) throws {
        while let failure = call() {
            guard failure.code == .unavailable else { throw failure }
            try awaitDurable()
        }
    }
}
