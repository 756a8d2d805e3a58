import Limits

@testable import Reservations

/// An operation of a world, and its answer as text without what depends on memory (ids).
struct Operation: Sendable, CustomStringConvertible {
    let name: String
    /// How far it lets time pass, milliseconds.
    var advance: Int64 = 0
    let run: @Sendable (World, Lane) -> String
    var description: String { name }

    static func text(_ failure: Failure?, _ answer: CheckAnswer) -> String {
        if let failure { return "failed \(failure.code)" }
        return
            "\(answer.decision) suspended=\(answer.refusedBySuspension) refused=\(answer.refused.rawValue)"
            + " warnings=\(answer.warnings.rawValue) granted=\(answer.granted[.spend])"
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
            release(lane, world.hold, now: world.now)
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
        Operation(name: "expire the hold", advance: 11_000) { world, lane in
            lane.pass(to: world.now + 11_000)
            return "ticked"
        },
    ]

    /// What happens to reservations after their time, and to tenants and profiles.
    static let late: [Operation] = [
        Operation(name: "expire with COMMIT", advance: 13_000) { world, lane in
            lane.pass(to: world.now + 13_000)
            return "ticked"
        },
        Operation(name: "forget", advance: 901_000) { world, lane in
            lane.pass(to: world.now + 901_000)
            return "ticked"
        },
        Operation(name: "commit late") { world, lane in
            commit(lane, world.expired, Amounts(.dids, 2), now: world.now)
        },
        Operation(name: "commit late what was charged") { world, lane in
            commit(lane, world.charged, spend(7), now: world.now)
        },
        Operation(name: "release after expiry") { world, lane in
            release(lane, world.expired, now: world.now)
        },
        Operation(name: "release after the charge") { world, lane in
            release(lane, world.charged, now: world.now)
        },
        Operation(name: "release again") { world, lane in
            release(lane, world.released, now: world.now)
        },
        Operation(name: "withdraw the hold") { world, lane in
            "acme".withBorrowedBytes { tenant in
                let command = CheckCommand(
                    tenantID: tenant, action: .charge, amounts: spend(2, extensions: 1))
                lane.withdraw(command, world.answer, now: world.now)
            }
            return "withdrawn"
        },
        Operation(name: "withdraw the charge") { world, lane in
            "acme".withBorrowedBytes { tenant in
                var command = CheckCommand(
                    tenantID: tenant, action: .charge, amounts: Amounts(.dids, 1))
                command.mode = .commit
                lane.withdraw(command, world.charge, now: world.now)
            }
            return "withdrawn"
        },
        Operation(name: "take two DIDs away") { world, lane in
            let (failure, answer) = lane.record("acme", Amounts(.dids, -2), now: world.now)
            if let failure { return "failed \(failure.code)" }
            return "recorded \(answer.warnings.rawValue) \(answer.tenantStatus)"
        },
        Operation(name: "close the tenant") { world, lane in
            let done: Void? = try? lane.setStatus("acme", .closed, now: world.now)
            return "closed \(done != nil)"
        },
        Operation(name: "close the profile") { world, lane in
            let done: Void? = try? lane.closeProfile("sms", now: world.now)
            return "closed \(done != nil)"
        },
        check("reserve in the next cycle") {
            $1.reserve("acme", profile: "sms", spend(6), now: $0.now + ThirtyDays.length)
        },
        Operation(name: "make a tenant") { world, lane in
            let policy = TenantPolicy(limits: TenantLimits(maxDIDs: 1))
            let result = try? lane.setTenant("new", policy, now: world.now)
            return "created=\(result?.created ?? false)"
        },
        check("use the new tenant") {
            $1.reserve("new", Amounts(.dids, 1), mode: .commit, now: $0.now)
        },
        Operation(name: "make a profile") { world, lane in
            let policy = ProfilePolicy(enabled: true, dailySpendNanos: 3)
            let result = try? lane.setProfile("new", of: "acme", policy, now: world.now)
            return "created=\(result?.created ?? false)"
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
        commit(lane, world.hold, actual, now: world.now)
    }

    private static func commit(_ lane: Lane, _ id: UInt64, _ actual: Amounts, now: Int64) -> String
    {
        var answer = CommitAnswer()
        let command = CommitCommand(reservationID: id, actual: actual)
        let failure = lane.commit(command, now: now, answer: &answer)
        if let failure { return "failed \(failure.code)" }
        return "committed \(answer.committed[.spend]) \(answer.committed[.extensions])"
            + " late=\(answer.late) replayed=\(answer.replayed)"
            + " warnings=\(answer.warnings.rawValue) \(answer.tenantStatus)"
    }

    private static func release(_ lane: Lane, _ id: UInt64, now: Int64) -> String {
        var answer = ReleaseAnswer()
        let failure = lane.release(id, now: now, answer: &answer)
        if let failure { return "failed \(failure.code)" }
        return "released replayed=\(answer.replayed) expired=\(answer.expired)"
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
