import Limits
import Testing

@testable import Reservations

/// Holds that were charged at their expiry: remembered for a day, within a budget of their own.
@Suite struct ChargedTests {
    private static let hour: Int64 = 3_600_000

    private func world(charged: Int = 100, retention: Int64 = 1_000) throws -> World {
        var capacity = TableCapacity(
            tenants: 64, profiles: 64, reservations: 1_024, bodies: 64, keys: 128, lanes: 8,
            retention: retention)
        capacity.charged = charged
        let world = try World(capacity: capacity, empty: true)
        _ = try world.lanes[0].setTenant(
            "acme", TenantPolicy(limits: TenantLimits()), now: world.now)
        return world
    }

    /// A hold that has just been charged, its retention over.
    private func charged(_ world: World, _ onExpiry: ExpiryPolicy = .commit) -> UInt64 {
        let id = world.lanes[0].reserve(
            "acme", Operation.spend(5), ttl: 1_000, onExpiry: onExpiry, now: world.now
        ).answer.reservationID
        pass(world, 1_100)
        pass(world, 1_100)
        return id
    }

    private func pass(_ world: World, _ time: Int64) {
        world.now += time
        world.lanes[0].tick(now: world.now)
    }

    private func commit(_ world: World, _ id: UInt64, _ amount: Int64 = 3) -> ErrorCode? {
        var answer = CommitAnswer()
        let command = CommitCommand(reservationID: id, actual: Operation.spend(amount))
        let failure = world.lanes[1].commit(command, now: world.now, answer: &answer)
        if failure == nil { #expect(answer.late) }
        return failure?.code
    }

    @Test func aChargedHoldIsRememberedForADay() throws {
        let world = try world()
        let ids = (0..<3).map { _ in charged(world) }
        let released = charged(world, .release)
        #expect(commit(world, released) == .notFound)
        #expect(world.table.chargedRemembered == 3)
        for _ in 0..<12 { pass(world, Self.hour) }
        #expect(commit(world, ids[0]) == nil)
        for _ in 0..<11 { pass(world, Self.hour) }
        #expect(commit(world, ids[1]) == nil)
        // What was committed is remembered as any other, and counts no more.
        pass(world, ChargedMemory.look + 1_000)
        #expect(world.table.chargedRemembered == 1)
        for _ in 0..<2 { pass(world, Self.hour) }
        #expect(commit(world, ids[0]) == .notFound)
        #expect(commit(world, ids[2]) == .notFound)
        #expect(world.table.chargedRemembered == 0)
        #expect(world.table.slots(of: 0) == 0)
    }

    private func committedSpend(_ world: World) -> Int64 {
        let lane = world.lanes[2]
        _ = lane.open(0)
        return lane.own.pointee.subjects.tenant.committed[Resource.spend.index]
    }

    private func withdraw(_ world: World, _ answer: CheckAnswer) {
        "acme".withBorrowedBytes { tenantID in
            let command = CheckCommand(
                tenantID: tenantID, action: .unspecified, amounts: Operation.spend(5))
            world.lanes[0].withdraw(command, answer, now: world.now)
        }
    }

    /// The caller had no answer before the hold was charged: in the end it is charged nothing.
    @Test func aChargedHoldIsWithdrawn() throws {
        let world = try world(retention: Self.hour)
        let answer = world.lanes[0].reserve(
            "acme", Operation.spend(5), ttl: 1_000, onExpiry: .commit, now: world.now
        ).answer
        for _ in 0..<2 { pass(world, 1_100) }
        #expect(committedSpend(world) == 5)
        for _ in 0..<2 {
            withdraw(world, answer)
            #expect(committedSpend(world) == 0)
        }
        var committed = CommitAnswer()
        let command = CommitCommand(
            reservationID: answer.reservationID, actual: Operation.spend(0))
        let again = world.lanes[1].commit(command, now: world.now, answer: &committed)
        #expect(again == nil && committed.replayed && committed.late)
    }

    /// Somebody who learnt of it otherwise has committed it: that stands.
    @Test func whatWasCommittedIsNotWithdrawn() throws {
        let world = try world(retention: Self.hour)
        let answer = world.lanes[0].reserve(
            "acme", Operation.spend(5), ttl: 1_000, onExpiry: .commit, now: world.now
        ).answer
        for _ in 0..<2 { pass(world, 1_100) }
        #expect(commit(world, answer.reservationID) == nil)
        withdraw(world, answer)
        #expect(committedSpend(world) == 3)
    }

    @Test func beyondTheBudgetTheOldestGo() throws {
        let world = try world(charged: 10)
        var ids: [UInt64] = []
        for _ in 0..<15 {
            ids.append(charged(world))
            pass(world, 1_000_000)
        }
        pass(world, ChargedMemory.look + 1_000)
        pass(world, 1_000)
        #expect(world.table.chargedRemembered == 10)
        #expect(ids.map { commit(world, $0) == nil } == ids.indices.map { $0 >= 5 })
    }

    /// Many at once are of one age: some of them go, none before its retention.
    @Test func aBudgetIsKeptAmongEquals() throws {
        let world = try world(charged: 10, retention: 60_000)
        let ids = (0..<40).map { _ in
            world.lanes[0].reserve(
                "acme", Operation.spend(5), ttl: 1_000, onExpiry: .commit, now: world.now
            ).answer.reservationID
        }
        for _ in 0..<60 { pass(world, 1_000) }
        var released = ReleaseAnswer()
        for id in ids {
            #expect(
                world.lanes[1].release(id, now: world.now, answer: &released)?.code
                    == .alreadySettled)
        }
        for _ in 0..<8 { pass(world, ChargedMemory.look) }
        #expect(world.table.chargedRemembered == 10)
        #expect(ids.count { commit(world, $0) == nil } == 10)
    }

    @Test func withoutABudgetTheRetentionIsAll() throws {
        let world = try world(charged: 0)
        let id = charged(world)
        pass(world, 1_000)
        #expect(commit(world, id) == .notFound)
    }

    /// The lane that charged it has stopped: another one remembers it, and forgets it.
    @Test func aStoppedLaneForgetsNothing() throws {
        let world = try world()
        let id = charged(world)
        for _ in 0..<4 {
            world.now += 1_000
            world.lanes[1].pass(to: world.now)
        }
        for _ in 0..<20 {
            world.now += Self.hour
            world.lanes[1].tick(now: world.now)
        }
        #expect(world.table.chargedRemembered == 1)
        for _ in 0..<5 {
            world.now += Self.hour
            world.lanes[1].tick(now: world.now)
        }
        #expect(world.table.chargedRemembered == 0)
        #expect(commit(world, id) == .notFound)
    }
}
