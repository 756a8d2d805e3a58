import Limits

@testable import Reservations

/// One billing cycle of 30 days after another.
struct ThirtyDays: CycleSchedules {
    static let length: Int64 = 30 * 86_400_000

    func cycle(schedule: UInt32, containing now: Int64, notBefore: Int64?) -> CycleWindow {
        let start = now - now % Self.length
        return CycleWindow(start: start, end: start + Self.length)
    }
}

/// A small table with three lanes, a tenant "acme" with caps, a profile "sms" and one open hold.
final class World {
    /// The first instant of a cycle and of a day.
    static let start: Int64 = 600 * ThirtyDays.length

    static let policy = TenantPolicy(
        limits: TenantLimits(
            monthlySpendNanos: 10, maxExtensions: 3, alertThresholdPercent: 80, autoSuspend: true))
    static let loweredPolicy = TenantPolicy(
        limits: TenantLimits(monthlySpendNanos: 5, maxExtensions: 3, autoSuspend: true))

    let table: ReservationTable
    let lanes: [Lane]
    /// An open hold of 2 spend and 1 extension with profile "sms", made by a lane that has stopped since.
    let hold: UInt64
    var now = World.start + 1_000

    init(
        capacity: TableCapacity = TableCapacity(
            tenants: 64, profiles: 64, reservations: 1_024, bodies: 256, keys: 1_024, lanes: 8),
        limits: TenantLimits = World.policy.limits,
        onLimit: OnLimit = .auto, empty: Bool = false
    ) throws {
        table = try ReservationTable(
            capacity: capacity, schedules: ThirtyDays(), secret: HashSecret(k0: 1, k1: 2))
        let first = try table.makeLane(now: now)
        lanes = try (0..<3).map { [table, now] _ in try table.makeLane(now: now) }
        guard !empty else {
            hold = 0
            return
        }
        _ = try first.setTenant("acme", TenantPolicy(limits: limits, onLimit: onLimit), now: now)
        _ = try first.setProfile(
            "sms", of: "acme", ProfilePolicy(enabled: true, dailySpendNanos: 8), now: now)
        var amounts = Amounts(.spend, 2)
        amounts.set(Resource.extensions.index, 1)
        hold =
            first.reserve("acme", profile: "sms", amounts, ttl: 10_000, now: now).answer
            .reservationID
    }

    /// Totals as GetUsage gives them, to compare worlds.
    func usage(by lane: Int = 0) -> String {
        var answer = UsageAnswer()
        let failure = "acme".withBorrowedBytes { tenant in
            "sms".withBorrowedBytes { profile in
                lanes[lane].usage(
                    UsageQuery(tenantID: tenant, profileID: profile), now: now, answer: &answer)
            }
        }
        guard failure == nil else { return "usage failed" }
        let states = LimitKind.allCases.map { kind in
            "\(answer.limits[kind].committed)+\(answer.limits[kind].held)"
        }
        return "\(answer.tenantStatus) \(states.joined(separator: " "))"
    }

    /// What must hold at every instant.
    func checkInvariants() -> Bool {
        var answer = UsageAnswer()
        let failure = "acme".withBorrowedBytes { tenant in
            "sms".withBorrowedBytes { profile in
                lanes[2].usage(
                    UsageQuery(tenantID: tenant, profileID: profile), now: now, answer: &answer)
            }
        }
        guard failure == nil else { return false }
        return LimitKind.allCases.allSatisfy { kind in
            let state = answer.limits[kind]
            return state.committed >= 0 && state.held >= 0
        }
    }
}

extension Lane {
    /// Ticks up to an instant, as often as a walk over a small table needs to come to its end and what it found to be
    /// done: one tick says that it begins, one walks, and what was overdue comes up with the third.
    func pass(to now: Int64) {
        for ticks in (0..<4).reversed() { tick(now: now - Int64(ticks) * 10) }
    }

    /// CheckAndReserve with Swift strings.
    func reserve(
        _ tenant: String, profile: String = "", _ amounts: Amounts, key: String = "",
        mode: Mode = .reserve, minimums: Amounts = Amounts(), ttl: UInt32 = 60_000,
        onExpiry: ExpiryPolicy = .release, overage: OveragePolicy = .record, now: Int64
    ) -> (failure: Failure?, answer: CheckAnswer) {
        var answer = CheckAnswer()
        let failure = tenant.withBorrowedBytes { tenantID in
            profile.withBorrowedBytes { profileID in
                key.withBorrowedBytes { keyBytes in
                    var command = CheckCommand(
                        tenantID: tenantID, action: .charge, amounts: amounts)
                    command.profileID = profileID
                    command.idempotencyKey = keyBytes
                    command.mode = mode
                    command.minimums = minimums
                    command.ttlMilliseconds = ttl
                    command.onExpiry = onExpiry
                    command.overage = overage
                    return check(command, now: now, answer: &answer)
                }
            }
        }
        return (failure, answer)
    }

    func record(
        _ tenant: String, profile: String = "", _ amounts: Amounts, key: String = "", now: Int64
    )
        -> (failure: Failure?, answer: RecordAnswer)
    {
        var answer = RecordAnswer()
        let failure = tenant.withBorrowedBytes { tenantID in
            profile.withBorrowedBytes { profileID in
                key.withBorrowedBytes { keyBytes in
                    var command = RecordCommand(tenantID: tenantID, amounts: amounts)
                    command.profileID = profileID
                    command.idempotencyKey = keyBytes
                    return record(command, now: now, answer: &answer)
                }
            }
        }
        return (failure, answer)
    }

    func extend(_ id: UInt64, _ additional: Amounts, ttl: UInt32 = 0, key: String = "", now: Int64)
        -> (failure: Failure?, answer: ExtendAnswer)
    {
        var answer = ExtendAnswer()
        let failure = key.withBorrowedBytes { keyBytes in
            var command = ExtendCommand(reservationID: id)
            command.additional = additional
            command.ttlMilliseconds = ttl
            command.idempotencyKey = keyBytes
            return extend(command, now: now, answer: &answer)
        }
        return (failure, answer)
    }
}

/// An operation of a world, and its answer as text without what depends on memory (ids).
struct Operation: Sendable, CustomStringConvertible {
    let name: String
    let run: @Sendable (World, Lane) -> String
    var description: String { name }

    static func text(_ failure: Failure?, _ answer: CheckAnswer) -> String {
        if let failure { return "failed \(failure.code)" }
        return
            "\(answer.decision) suspended=\(answer.refusedBySuspension) refused=\(answer.refused.rawValue)"
            + " warnings=\(answer.warnings.rawValue) granted=\(answer.granted.spendNanos)"
            + " replayed=\(answer.replayed) held=\(answer.reservationID != 0) \(answer.tenantStatus)"
    }

    static func spend(_ amount: Int64, extensions: Int64? = nil) -> Amounts {
        var amounts = Amounts(.spend, amount)
        if let extensions { amounts.set(Resource.extensions.index, extensions) }
        return amounts
    }

    /// Of each kind, some that compete for the same room and some that could be refused by another limit only.
    static let all: [Operation] = [
        check("reserve 6 with the profile: fits once") {
            $1.reserve("acme", profile: "sms", spend(6), now: $0.now)
        },
        check("reserve 2 without a profile") { $1.reserve("acme", spend(2), now: $0.now) },
        check("fits spend, never extensions") {
            $1.reserve("acme", spend(1, extensions: 4), now: $0.now)
        },
        check("one extension") {
            $1.reserve("acme", Amounts(.extensions, 1), now: $0.now)
        },
        check("keyed") { $1.reserve("acme", profile: "sms", spend(3), key: "k", now: $0.now) },
        check("keyed, other content") { $1.reserve("acme", spend(4), key: "k", now: $0.now) },
        check("commit at once: trips the cap") {
            $1.reserve("acme", spend(8), mode: .commit, now: $0.now)
        },
        check("partial") {
            $1.reserve("acme", profile: "sms", spend(20), mode: .partial, now: $0.now)
        },
        check("check only") {
            $1.reserve("acme", profile: "sms", spend(5), mode: .checkOnly, now: $0.now)
        },
        Operation(name: "commit the hold") { world, lane in
            commit(world, lane, Amounts())
        },
        Operation(name: "commit the hold with more") { world, lane in
            commit(world, lane, spend(5, extensions: 1))
        },
        Operation(name: "release the hold") { world, lane in
            var answer = ReleaseAnswer()
            let failure = lane.release(world.hold, now: world.now, answer: &answer)
            if let failure { return "failed \(failure.code)" }
            return "released replayed=\(answer.replayed) expired=\(answer.expired)"
        },
        extend("extend by 1", key: ""),
        extend("extend by 1, keyed", key: "e"),
        Operation(name: "record 1 with the profile") { world, lane in
            let (failure, answer) = lane.record("acme", profile: "sms", spend(1), now: world.now)
            if let failure { return "failed \(failure.code)" }
            return "recorded \(answer.warnings.rawValue) \(answer.tenantStatus)"
        },
        Operation(name: "lower the cap") { world, lane in
            let result = try? lane.setTenant("acme", World.loweredPolicy, now: world.now)
            return "changed \(result?.overBy.values.sorted() ?? [-1])"
        },
        Operation(name: "disable the profile") { world, lane in
            let policy = ProfilePolicy(enabled: false, dailySpendNanos: 8)
            let result = try? lane.setProfile("sms", of: "acme", policy, now: world.now)
            return "changed \(result?.overBy.values.sorted() ?? [-1])"
        },
        Operation(name: "suspend") { world, lane in
            let done: Void? = try? lane.setStatus("acme", .suspended, now: world.now)
            return "suspended \(done != nil)"
        },
        Operation(name: "expire the hold") { world, lane in
            lane.pass(to: world.now + 11_000)
            return "ticked"
        },
    ]

    private static func check(
        _ name: String,
        _ run: @escaping @Sendable (World, Lane) -> (failure: Failure?, answer: CheckAnswer)
    ) -> Operation {
        Operation(name: name) { world, lane in
            let result = run(world, lane)
            return text(result.failure, result.answer)
        }
    }

    private static func commit(_ world: World, _ lane: Lane, _ actual: Amounts) -> String {
        var answer = CommitAnswer()
        let command = CommitCommand(reservationID: world.hold, actual: actual)
        let failure = lane.commit(command, now: world.now, answer: &answer)
        if let failure { return "failed \(failure.code)" }
        return "committed \(answer.committed.spendNanos) \(answer.committed.extensions)"
            + " late=\(answer.late) replayed=\(answer.replayed)"
            + " warnings=\(answer.warnings.rawValue) \(answer.tenantStatus)"
    }

    private static func extend(_ name: String, key: String) -> Operation {
        Operation(name: name) { world, lane in
            let (failure, answer) = lane.extend(
                world.hold, spend(1), ttl: 90_000, key: key, now: world.now)
            if let failure { return "failed \(failure.code)" }
            return "\(answer.decision) suspended=\(answer.refusedBySuspension)"
                + " refused=\(answer.refused.rawValue) replayed=\(answer.replayed)"
                + " expires=\(answer.expiresAt - world.now)"
        }
    }
}
