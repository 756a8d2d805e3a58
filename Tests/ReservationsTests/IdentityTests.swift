import Limits
import Testing

@testable import Reservations

/// A reservation id is given to one reservation, whatever was refused in between, and never to another.
@Suite struct IdentityTests {
    private func world(
        reservations: Int = 256, keys: Int = 128, retention: Int64 = 1_000
    ) throws -> World {
        let world = try World(
            capacity: TableCapacity(
                tenants: 64, profiles: 64, reservations: reservations, bodies: 8, keys: keys,
                lanes: 8, retention: retention),
            empty: true)
        _ = try world.lanes[0].setTenant(
            "acme", TenantPolicy(limits: TenantLimits()), now: world.now)
        return world
    }

    /// Holds as many as there is room for.
    private func fill(_ world: World, _ lane: Lane) -> [UInt64] {
        var ids: [UInt64] = []
        while true {
            let made = lane.reserve("acme", Operation.spend(0), now: world.now)
            guard made.failure == nil else { return ids }
            ids.append(made.answer.reservationID)
        }
    }

    private func generation(_ id: UInt64) -> UInt64 { ReservationID(raw: id).generation }

    /// Whether a refusal says that it is for want of ids.
    private func saysIDs(_ failure: Failure?) -> Bool {
        guard let failure else { return false }
        return "\(failure.detail)".split(separator: " ").contains("ids")
    }

    /// A hold takes its slot before its key is remembered: where no key can be remembered, it gives the slot back.
    @Test func refusedHoldsSpendNoIDs() throws {
        let world = try world()
        let lane = world.lanes[0]
        let first = lane.reserve("acme", Operation.spend(1), now: world.now).answer.reservationID
        var stored = 0
        while lane.reserve(
            "acme", Operation.spend(0), key: "k\(stored)", mode: .commit, now: world.now
        ).failure == nil {
            stored += 1
        }
        for number in 0..<1_000 {
            let refused = lane.reserve(
                "acme", Operation.spend(1), key: "refused \(number)", now: world.now)
            #expect(refused.failure?.code == .unavailable)
        }
        let next = lane.reserve("acme", Operation.spend(1), now: world.now).answer.reservationID
        #expect(next != first)
        #expect(generation(next) == generation(first), "each is the first of its slot")
    }

    /// Lives of one slot through to its last: each has another id, and then there are none, which is said.
    @Test func aSlotEndsWithItsLastID() throws {
        let world = try world(reservations: 128)
        let lane = world.lanes[0]
        let table = world.table
        table.passOverGenerations(upTo: ReservationID.lastGeneration - 3)
        var ids: Set<UInt64> = []
        for life in 0..<3 {
            let made = fill(world, lane)
            #expect(made.count == 128, "life \(life)")
            for id in made {
                #expect(id >> 56 == 0)
                #expect(ids.insert(id).inserted)
            }
            forget(made, in: world)
        }
        let refused = lane.reserve("acme", Operation.spend(0), now: world.now).failure
        #expect(refused?.code == .unavailable)
        #expect(saysIDs(refused))
        // No walk brings a spent slot back.
        world.lanes[1].pass(to: world.now + 400)
        #expect(world.lanes[1].reserve("acme", Operation.spend(0), now: world.now).failure != nil)
    }

    /// Nothing is left above the floor: refused in the first place, and no slot is lost by it.
    @Test func aSpentTableRefuses() throws {
        let world = try world()
        world.table.passOverGenerations(upTo: .max)
        for _ in 0..<500 {
            let refused = world.lanes[0].reserve("acme", Operation.spend(0), now: world.now)
            #expect(saysIDs(refused.failure))
        }
        let charge = world.lanes[0].reserve(
            "acme", Operation.spend(1), mode: .commit, now: world.now)
        #expect(charge.failure == nil, "what needs no id goes on")
    }

    private func forget(_ ids: [UInt64], in world: World) {
        var answer = ReleaseAnswer()
        for id in ids {
            #expect(world.lanes[0].release(id, now: world.now, answer: &answer) == nil)
        }
        for _ in 0..<2 {
            world.now += 2 * MemoryTests.minute
            world.lanes[0].tick(now: world.now)
        }
    }

    #if STEP_POINTS
        /// A hold that is refused after a stop of any length at any step gives its slot back, once: to its own lane, or
        /// to the one that has taken it over meanwhile.
        @Test(arguments: [0, 1_000, 5_000] as [Int64])
        func aRefusedHoldLosesNoSlot(_ stop: Int64) throws {
            for step in 0... {
                let world = try world(reservations: 256, retention: 1_000)
                let lane = world.lanes[0]
                var seen = 0
                var held = false
                lane.onStep = { _ in
                    defer { seen += 1 }
                    guard seen == step else { return }
                    held = true
                    // Whatever was decided is out of date, and the next decision is a denial.
                    try? world.lanes[1].setStatus("acme", .suspended, now: world.now)
                    world.now += stop
                    if stop > 0 { world.lanes[1].pass(to: world.now) }
                }
                let first = lane.reserve("acme", Operation.spend(1), now: world.now)
                lane.onStep = nil
                guard held else { break }
                try world.lanes[1].setStatus("acme", .active, now: world.now)
                for _ in 0..<4 {
                    world.now += 70_000
                    for lane in world.lanes { lane.tick(now: world.now) }
                }
                let ids = fill(world, lane) + fill(world, world.lanes[1])
                #expect(Set(ids).count == 256 && ids.count == 256, "held at \(step)")
                #expect(!ids.contains(first.answer.reservationID), "held at \(step)")
            }
        }
    #endif
}
