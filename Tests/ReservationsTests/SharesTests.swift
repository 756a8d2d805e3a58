import Limits
import Testing

@testable import Reservations

/// One tenant's caller does not take everybody's room, and nobody is refused anything while there is enough of it.
@Suite struct SharesTests {
    private static let capacity = TableCapacity(
        tenants: 64, profiles: 64, reservations: 1_024, bodies: 64, keys: 4_096, lanes: 8,
        retention: 1_000)

    private func world(unboundShare: Int = 100) throws -> World {
        var capacity = Self.capacity
        capacity.unboundShare = unboundShare
        let world = try World(capacity: capacity, empty: true)
        for tenant in ["acme", "other"] {
            _ = try world.lanes[0].setTenant(
                tenant, TenantPolicy(limits: TenantLimits()), now: world.now)
        }
        return world
    }

    /// Calls until one is refused. Returns how many were not, and the refusal's code.
    private func count(
        upTo most: Int = 10_000, _ call: (Int) -> Failure?
    ) -> (made: Int, code: ErrorCode?) {
        for made in 0..<most {
            if let failure = call(made) { return (made, failure.code) }
        }
        return (most, nil)
    }

    private func hold(_ world: World, _ tenant: String, by lane: Int = 0) -> Failure? {
        world.lanes[lane].reserve(tenant, Operation.spend(0), now: world.now).failure
    }

    private func charge(
        _ world: World, _ tenant: String, _ key: String, by lane: Int = 0
    ) -> Failure? {
        world.lanes[lane].reserve(
            tenant, Operation.spend(0), key: key, mode: .commit, now: world.now
        ).failure
    }

    @Test func oneTenantLeavesAQuarterOfTheSlots() throws {
        let world = try world()
        for lane in world.lanes { lane.isLimited = true }
        let greedy = count { _ in hold(world, "acme") }
        #expect(greedy.code == .tooManyRequests)
        // Up to the block that the lane keeps.
        #expect((704...768).contains(greedy.made), "\(greedy.made)")
        #expect(world.table.refusedOverShare == 1)
        // On any lane; and only that one tenant.
        #expect(hold(world, "acme", by: 1)?.code == .tooManyRequests)
        let modest = count { hold(world, "other", by: $0 % 2) }
        #expect(modest.made == 103 && modest.code == .tooManyRequests)
        // What is no reservation goes on, and who is bound to nobody.
        #expect(charge(world, "acme", "") == nil)
        world.lanes[0].isLimited = false
        #expect(hold(world, "acme") == nil)
    }

    @Test func roomThatComesBackIsFreeAgain() throws {
        let world = try world()
        let lane = world.lanes[0]
        lane.isLimited = true
        #expect(count { _ in hold(world, "acme") }.code == .tooManyRequests)
        let held = world.table.slots(of: 0)
        // All expire, and are forgotten.
        for _ in 0..<6 {
            world.now += 70_000
            lane.tick(now: world.now)
        }
        #expect(world.table.slots(of: 0) == 0 && held > 700)
        #expect(world.table.slotsInUse <= 128)
        #expect(count(upTo: 500) { _ in hold(world, "acme") }.code == nil)
        #expect(world.table.slots(of: 0) == 500)
    }

    @Test func whoIsBoundToNobodyHasAShareIfItIsGivenOne() throws {
        let free = try world()
        #expect(count { _ in hold(free, "acme") }.code == .unavailable)
        #expect(free.table.slots(of: 0) == 1_024)
        let shared = try world(unboundShare: 80)
        let greedy = count { _ in hold(shared, "acme") }
        #expect(greedy.code == .tooManyRequests && greedy.made == 820)
        #expect(hold(shared, "other") == nil)
    }

    @Test func oneTenantLeavesAQuarterOfTheKeys() throws {
        let world = try world()
        let lane = world.lanes[0]
        lane.isLimited = true
        let greedy = count { charge(world, "acme", "k\($0)") }
        #expect(greedy.code == .tooManyRequests)
        // All of 23 chunks, and the first of the 24th, with which three quarters are in use.
        #expect(greedy.made == 23 * 128 + 1)
        #expect(charge(world, "acme", "") == nil, "without a key it goes on")
        #expect(charge(world, "acme", "k0") == nil, "what is remembered is answered")
        #expect(count(upTo: 409) { charge(world, "other", "k\($0)") }.code == nil)
        // Usage has happened already.
        #expect(count(upTo: 64) { record(world, "acme", "u\($0)") }.code == nil)
        world.now += 4_000
        for _ in 0..<2 { lane.tick(now: world.now) }
        #expect(world.table.keysInUse <= 128)
        #expect(count(upTo: 1_000) { charge(world, "acme", "again \($0)") }.code == nil)
    }

    /// The last keys are RecordUsage's and those of extensions by time alone.
    @Test func reservationsLeaveTheLastKeys() throws {
        let world = try world()
        let id = world.lanes[0].reserve("acme", Operation.spend(1), now: world.now).answer
            .reservationID
        let greedy = count { charge(world, "acme", "k\($0)") }
        #expect(greedy.code == .unavailable)
        #expect(greedy.made == 29 * 128 + 1)
        func extend(_ additional: Amounts, _ key: String) -> Failure? {
            world.lanes[0].extend(id, additional, ttl: 70_000, key: key, now: world.now).failure
        }
        #expect(extend(Operation.spend(1), "e1")?.code == .unavailable)
        #expect(extend(Amounts(), "e2") == nil)
        let recorded = count { record(world, "other", "u\($0)") }
        #expect(recorded.code == .unavailable && recorded.made == 3 * 128 - 2)
    }

    /// The last bodies are for commits of other amounts than held, and extensions by time alone.
    @Test func extensionsLeaveTheLastBodies() throws {
        let world = try world()
        let lane = world.lanes[0]
        let ids = (0..<70).map { _ in
            lane.reserve("acme", Operation.spend(1), now: world.now).answer.reservationID
        }
        let greedy = count(upTo: 70) {
            lane.extend(ids[$0], Operation.spend(1), now: world.now).failure
        }
        #expect(greedy.made == 60 && greedy.code == .unavailable)
        #expect(lane.extend(ids[69], Amounts(), ttl: 80_000, now: world.now).failure == nil)
        var answer = CommitAnswer()
        let command = CommitCommand(reservationID: ids[68], actual: Operation.spend(3))
        #expect(lane.commit(command, now: world.now, answer: &answer) == nil)
        #expect(world.table.bodiesInUse == 62)
    }

    private func record(_ world: World, _ tenant: String, _ key: String) -> Failure? {
        world.lanes[0].record(tenant, Operation.spend(1), key: key, now: world.now).failure
    }
}
