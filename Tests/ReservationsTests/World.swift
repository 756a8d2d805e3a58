import Limits

@testable import Reservations

/// One billing cycle of 30 days after another; days of UTC.
struct ThirtyDays: WindowSchedules {
    static let length: Int64 = 30 * 86_400_000

    func cycle(schedule: UInt32, containing now: Int64, notBefore: Int64?) -> CycleWindow {
        let start = now - now % Self.length
        return CycleWindow(start: start, end: start + Self.length)
    }

    func day(schedule: UInt32, containing now: Int64, notBefore: Int64?) -> CycleWindow {
        let start = ProfileState.dayStart(of: now)
        return CycleWindow(start: start, end: start + ProfileState.dayLength)
    }
}

/// A small table with three lanes, a tenant "acme" with caps, a profile "sms", one open hold and whatever else can
/// happen to a reservation: those are of DIDs, which have no cap.
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
    /// The answer that the hold was.
    let answer: CheckAnswer
    /// One DID, with the expiry policy COMMIT: open, and expired.
    let charging: UInt64
    let charged: UInt64
    /// One DID each: expired, and released.
    let expired: UInt64
    let released: UInt64
    /// One DID that was charged at once.
    let charge: CheckAnswer
    var now = World.start + 1_000

    init(
        capacity: TableCapacity = TableCapacity(
            tenants: 64, profiles: 64, reservations: 1_024, bodies: 256, keys: 1_024, lanes: 8),
        limits: TenantLimits = World.policy.limits, onLimit: OnLimit = .auto, empty: Bool = false
    ) throws {
        table = try ReservationTable(
            capacity: capacity, schedules: ThirtyDays(), secret: HashSecret(k0: 1, k1: 2))
        let first = try table.makeLane(now: World.start)
        lanes = try (0..<3).map { [table, now] _ in try table.makeLane(now: now) }
        guard !empty else {
            (hold, charging, charged, expired, released) = (0, 0, 0, 0, 0)
            (answer, charge) = (CheckAnswer(), CheckAnswer())
            return
        }
        _ = try first.setTenant("acme", TenantPolicy(limits: limits, onLimit: onLimit), now: now)
        _ = try first.setProfile(
            "sms", of: "acme", ProfilePolicy(enabled: true, dailySpendNanos: 8), now: now)
        var amounts = Amounts(.spend, 2)
        amounts.set(Resource.extensions.index, 1)
        let did = Amounts(.dids, 1)
        func reserve(_ ttl: UInt32, _ onExpiry: ExpiryPolicy, now: Int64) -> UInt64 {
            first.reserve("acme", did, ttl: ttl, onExpiry: onExpiry, now: now).answer.reservationID
        }
        charged = reserve(100, .commit, now: World.start)
        expired = reserve(100, .release, now: World.start)
        released = reserve(100, .release, now: World.start)
        var answer = ReleaseAnswer()
        _ = first.release(released, now: World.start, answer: &answer)
        first.tick(now: World.start + 500)
        charge = first.reserve("acme", did, mode: .commit, now: now).answer
        self.answer = first.reserve("acme", profile: "sms", amounts, ttl: 10_000, now: now).answer
        hold = self.answer.reservationID
        charging = reserve(12_000, .commit, now: now)
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

    /// All of the tenant and its profile as they stand when what these operations made has come up, too, to compare
    /// worlds. A reservation that was decided while a walk went by is found by the next one.
    func state(after operations: [Operation]) -> String {
        let lane = lanes[0]
        let advance = operations.map(\.advance).max() ?? 0
        if advance > 0 {
            for wait in 1...3 { lane.pass(to: now + advance + 300 * Int64(wait)) }
        }
        let own = lane.own
        _ = lane.open(0)
        lane.openProfile(0)
        let tenant = own.pointee.subjects.tenant
        let profile = own.pointee.subjects.profile
        let counters = 0..<LimitKind.counterCount
        let totals = counters.map { "\(tenant.committed[$0])+\(tenant.held[$0])" }
        return
            "\(tenant.status) \(totals.joined(separator: " ")) caps \(counters.map { tenant.caps[$0] })"
            + " cycle \(tenant.cycleStart - World.start)"
            + " day \(tenant.dayStart - World.start) raised \(tenant.raised.rawValue)"
            + " profile \(profile.committed)+\(profile.held) day \(profile.dayStart - World.start)"
            + " \(profile.enabled) \(profile.closed) \(profile.raised)"
            + " tenants \(findable("new", lane))"
    }

    private func findable(_ id: String, _ lane: Lane) -> Bool {
        id.withBorrowedBytes { lane.findTenant($0) != nil }
    }

    /// What must hold at every instant, read by a lane that does nothing else.
    func checkInvariants() -> Bool {
        let lane = lanes[2]
        _ = lane.open(0)
        lane.openProfile(0)
        let subjects = lane.own.pointee.subjects
        return (0..<LimitKind.counterCount).allSatisfy {
            subjects.tenant.committed[$0] >= 0 && subjects.tenant.held[$0] >= 0
        } && subjects.profile.committed >= 0 && subjects.profile.held >= 0
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
