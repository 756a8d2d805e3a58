internal import TollgateClient

/// Reads the usage of all tenants and profiles: before the run as the tally's beginning, after it as its proof.
struct UsageReader {
    /// What was read for one tenant.
    private struct Reading: Sendable {
        var tenant: Int
        var status: TenantStatus?
        /// The tenant's own limits, by `Resource.index`.
        var limits: [Int: LimitReport]
        var profiles: [LimitReport?]
    }

    let client: TollgateClient
    let population: Population
    private static let concurrency = 64

    /// A ledger that begins with the present usage.
    func open() async throws -> Ledger {
        let none = LimitTally(cap: nil, isBlocking: false, committed: 0, held: 0, windowStart: 0)
        var tenants = Array(
            repeating: none, count: population.tenantCount * ResourceAmounts.scalarCount)
        var profiles = Array(
            repeating: none, count: population.tenantCount * population.profilesPerTenant)
        var isSuspended = Array(repeating: false, count: population.tenantCount)
        try await forEach { reading in
            isSuspended[reading.tenant] = reading.status == .suspended
            for (resource, report) in reading.limits {
                tenants[reading.tenant * ResourceAmounts.scalarCount + resource] = LimitTally(
                    report)
            }
            for (number, report) in reading.profiles.enumerated() {
                guard let report else { continue }
                profiles[reading.tenant * population.profilesPerTenant + number] =
                    LimitTally(report)
            }
        }
        return Ledger(
            population: population, tenants: tenants, profiles: profiles, isSuspended: isSuspended)
    }

    /// Compares the ledger with the usage that the service reports now.
    func close(_ ledger: inout Ledger) async throws {
        try await forEach { reading in
            for (resource, report) in reading.limits {
                ledger.compare(.tenant(reading.tenant, resource: resource), with: report)
            }
            for (number, report) in reading.profiles.enumerated() {
                guard let report else { continue }
                let profile = reading.tenant * population.profilesPerTenant + number
                ledger.compare(.profile(profile), with: report)
            }
        }
    }

    /// Reads all, a few at a time.
    private func forEach(_ body: (Reading) -> Void) async throws {
        try await withThrowingTaskGroup(of: Reading.self) { group in
            var next = 0
            while next < min(Self.concurrency, population.tenantCount) {
                let tenant = next
                group.addTask { try await read(tenant) }
                next += 1
            }
            while let reading = try await group.next() {
                body(reading)
                if next < population.tenantCount {
                    let tenant = next
                    group.addTask { try await read(tenant) }
                    next += 1
                }
            }
        }
    }

    private func read(_ tenant: Int) async throws -> Reading {
        var reading = Reading(tenant: tenant, limits: [:], profiles: [])
        let id = population.tenantID(tenant)
        for number in 0..<population.profilesPerTenant {
            let answer = try await client.usage(
                UsageRequest(
                    tenantID: id, messagingProfileID: population.profileID(tenant, number)))
            reading.status = answer.tenantStatus
            var profile: LimitReport?
            for report in answer.limits {
                guard let kind = report.limit else { continue }
                if kind.row.subject != .tenant {
                    profile = report
                } else if Ledger.judges(kind) {
                    reading.limits[kind.row.resource.index] = report
                }
            }
            reading.profiles.append(profile)
        }
        return reading
    }
}

extension LimitTally {
    init(_ report: LimitReport) {
        self.init(
            cap: report.cap, isBlocking: report.isBlocking, committed: report.committed,
            held: report.held, windowStart: report.windowStartMilliseconds)
    }
}
