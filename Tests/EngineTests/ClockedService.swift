import Journal
import Limits
import Reservations
import TestKit
import Testing

@testable import Engine

/// An engine on a simulated disk, and one lane of it.
struct ClockedService {
    let disk: SimulatedDisk
    let clocks: MachineClocks
    let engine: Engine
    let lane: EngineLane
    let report: RecoveryReport

    init(
        _ disk: SimulatedDisk, _ clocks: MachineClocks, accepted: Int64? = nil
    ) throws {
        let capacity = TableCapacity(
            tenants: 16, profiles: 16, reservations: 1_024, bodies: 256, keys: 1_024, lanes: 3)
        (engine, report) = try Engine.simulated(
            capacity, on: disk, clock: clocks.source, segmentBytes: 32 << 10
        ) {
            $0.acceptedClock = accepted
            $1.retention = 0
        }
        lane = try engine.makeLanes(1)[0]
        self.disk = disk
        self.clocks = clocks
    }

    /// With tenant and profile, at a time by both clocks.
    static func make(at time: Int64) throws -> ClockedService {
        let service = try ClockedService(SimulatedDisk(seed: 1), MachineClocks(time))
        try service.configure()
        return service
    }

    /// A tenant "acme" and its messaging profile "sms", both with a cap.
    func configure() throws {
        var tenant = TenantSettings(id: "acme", name: "ACME")
        tenant.limits.monthlySpendNanos = 100
        tenant.limits.autoSuspend = false
        tenant.onLimit = .block
        try engine.setTenant(tenant)
        try engine.setProfile(
            ProfileSettings(
                id: "sms", tenantID: "acme", name: "SMS", dailySpendLimitEnabled: true,
                dailySpendLimitNanos: 10))
        engine.runJournal()
    }

    func spend(
        _ amount: Int64, mode: Mode = .commit, ttl: UInt32 = 600_000, key: String = "",
        onExpiry: ExpiryPolicy = .release
    ) throws -> CheckAnswer {
        lane.beginBatch()
        var answer = CheckAnswer()
        let failure = "acme".withBorrowedBytes { tenant in
            "sms".withBorrowedBytes { profile in
                key.withBorrowedBytes { key in
                    var command = CheckCommand(
                        tenantID: tenant, action: .sendMessage,
                        amounts: Amounts(.spend, amount))
                    command.profileID = profile
                    command.mode = mode
                    command.ttlMilliseconds = ttl
                    command.onExpiry = onExpiry
                    command.idempotencyKey = key
                    return lane.check(command, answer: &answer)
                }
            }
        }
        try #require(failure == nil)
        return answer
    }

    func usage() throws -> (day: LimitState, cycle: LimitState) {
        lane.beginBatch()
        var answer = UsageAnswer()
        let failure = "acme".withBorrowedBytes { tenant in
            "sms".withBorrowedBytes { profile in
                lane.usage(UsageQuery(tenantID: tenant, profileID: profile), answer: &answer)
            }
        }
        try #require(failure == nil)
        return (answer.limits[.profileDailySpend], answer.limits[.tenantMonthlySpend])
    }

    /// Lets time pass as a running service does.
    func pass(_ milliseconds: Int64, inStepsOf most: Int64 = 1_000) {
        var left = milliseconds
        while left > 0 {
            let step = min(left, most)
            clocks.pass(step)
            left -= step
            _ = engine.clock.follow()
            lane.tick()
        }
        engine.runJournal()
    }

    /// Fills the segment, and has a checkpoint made of it.
    func makeCheckpoint() throws {
        var number = 0
        while try !engine.makeCheckpoint() {
            number += 1
            _ = try spend(0, key: "filler \(number)")
            engine.runJournal()
        }
    }

    /// The process is killed and started again: with `leap` the wall clock is set meanwhile.
    func killed(leap: Int64 = 0) throws -> ClockedService {
        let disk = disk.copy()
        disk.crash()
        clocks.leap(leap)
        return try ClockedService(disk, clocks)
    }
}
