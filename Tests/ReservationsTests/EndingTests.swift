import Limits
import Testing

@testable import Reservations

/// An operator's suspension or deletion ends a tenant's holds, and charges none of them.
@Suite struct EndingTests {
    private func end(_ world: World, by lane: Int = 1, _ status: TenantStatus = .suspended) throws {
        try world.lanes[lane].setStatus("acme", status, now: world.now)
        #expect(world.lanes[lane].endHolds(of: [0], in: 0..<Int.max, now: world.now) == nil)
    }

    private func usage(_ world: World) -> (committed: [Int64], held: [Int64]) {
        _ = world.lanes[2].open(0)
        let tenant = world.lanes[2].own.pointee.subjects.tenant
        let counters = 0..<LimitKind.counterCount
        return (counters.map { tenant.committed[$0] }, counters.map { tenant.held[$0] })
    }

    @Test(arguments: [TenantStatus.suspended, .closed])
    func allHoldsEndAndNoneIsCharged(_ status: TenantStatus) throws {
        let world = try World()
        let before = usage(world)
        #expect(before.held.reduce(0, +) > 0)
        try end(world, status)
        #expect(usage(world).held.allSatisfy { $0 == 0 })
        #expect(usage(world).committed == before.committed)
        // A hold that was to be charged at its expiry was given back: a commit is late.
        var answer = CommitAnswer()
        let command = CommitCommand(reservationID: world.charging)
        #expect(
            world.lanes[0].commit(command, now: world.now, answer: &answer) == nil && answer.late)
        #expect(usage(world).committed[2] == before.committed[2] + 1)
        var released = ReleaseAnswer()
        #expect(world.lanes[0].release(world.hold, now: world.now, answer: &released) == nil)
        #expect(released.expired)
    }

    /// Whom a limit has suspended an operator may suspend, too.
    @Test func anOperatorEndsTheHoldsOfWhomALimitSuspended() throws {
        let world = try World()
        _ = world.lanes[0].record("acme", Operation.spend(10), now: world.now)
        #expect(try world.lanes[0].status(ofTenant: "acme") == .suspended)
        #expect(world.lanes[1].endHolds(of: [0], in: 0..<Int.max, now: world.now) == nil)
        #expect(usage(world).held[0] == 2, "a limit ends no holds")
        try end(world)
        #expect(usage(world).held.allSatisfy { $0 == 0 })
    }

    /// Where the walk does not come to its end, what is left is given back when it expires.
    @Test func whatIsLeftIsReleasedWhenItExpires() throws {
        let world = try World()
        let before = usage(world)
        try world.lanes[1].setStatus("acme", .suspended, now: world.now)
        world.now += 13_000
        world.lanes[0].pass(to: world.now)
        #expect(usage(world).held.allSatisfy { $0 == 0 })
        #expect(usage(world).committed == before.committed)
    }

    @Test func whatIsHeldAfterReinstatementStays() throws {
        let world = try World()
        try end(world)
        try world.lanes[1].setStatus("acme", .active, now: world.now)
        let held = world.lanes[0].reserve("acme", Operation.spend(1), now: world.now)
        #expect(held.answer.decision == .allowed)
        #expect(world.lanes[1].endHolds(of: [0], in: 0..<Int.max, now: world.now) == nil)
        #expect(usage(world).held.prefix(4) == [1, 0, 0, 0])
    }

    #if STEP_POINTS
        /// A hold whose thread is stopped at any step is refused, or ended with the others.
        @Test func aHoldThatIsJustMadeEndsToo() throws {
            for step in 0... {
                let world = try World()
                var seen = 0
                var held = false
                let lane = world.lanes[0]
                lane.onStep = { _ in
                    defer { seen += 1 }
                    guard seen == step else { return }
                    held = true
                    do { try end(world) } catch { Issue.record(error) }
                }
                _ = lane.reserve("acme", Operation.spend(1), onExpiry: .commit, now: world.now)
                lane.onStep = nil
                guard held else { break }
                #expect(usage(world).held.allSatisfy { $0 == 0 }, "held at \(step)")
                // Its timer changes nothing more.
                let committed = usage(world).committed
                world.now += 70_000
                lane.pass(to: world.now)
                #expect(usage(world).committed == committed, "held at \(step)")
            }
        }

        /// The walk is stopped at any step, and the hold settled meanwhile: one of the two happens.
        @Test func aHoldIsSettledOrEnds() throws {
            for step in 0... {
                let world = try World()
                let lane = world.lanes[1]
                try lane.setStatus("acme", .suspended, now: world.now)
                let before = usage(world)
                var seen = 0
                var held = false
                var answer = CommitAnswer()
                lane.onStep = { _ in
                    defer { seen += 1 }
                    guard seen == step else { return }
                    held = true
                    let command = CommitCommand(reservationID: world.hold)
                    #expect(world.lanes[0].commit(command, now: world.now, answer: &answer) == nil)
                }
                #expect(lane.endHolds(of: [0], in: 0..<Int.max, now: world.now) == nil)
                lane.onStep = nil
                guard held else { break }
                #expect(usage(world).held.allSatisfy { $0 == 0 }, "held at \(step)")
                #expect(usage(world).committed[0] == before.committed[0] + 2, "held at \(step)")
            }
        }
    #endif
}
