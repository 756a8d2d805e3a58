import Limits
import Testing

@testable import Reservations

/// What one lane took and needs no longer, another one can have.
@Suite struct SharingTests {
    static func world(
        reservations: Int = 1_024, bodies: Int = 1_024, keys: Int = 1_024, lanes: Int = 8
    ) throws -> World {
        try World(
            capacity: TableCapacity(
                tenants: 16, profiles: 16, reservations: reservations, bodies: bodies, keys: keys,
                lanes: lanes, retention: 1_000),
            limits: TenantLimits())
    }

    /// Reserves until the table is full; settles half by release, the rest expires.
    static func fill(_ lane: Lane, now: Int64) -> Int {
        var made = 0
        while true {
            let (failure, answer) = lane.reserve(
                "acme", Operation.spend(1), ttl: 1_000, now: now)
            guard failure == nil else { return made }
            made += 1
            var released = ReleaseAnswer()
            if made % 2 == 0 { _ = lane.release(answer.reservationID, now: now, answer: &released) }
        }
    }

    @Test func slotsGoRound() throws {
        let world = try Self.world()
        // One block is the stopped lane's that made the world's own hold.
        let all = 1_024 - FreeSlots.blockSize
        for round in 0..<6 {
            let lane = world.lanes[round % 3]
            let made = Self.fill(lane, now: world.now)
            // Each of the three lanes may keep what is left of a block.
            #expect(made >= all - 2 * FreeSlots.blockSize, "round \(round)")
            #expect(made <= 1_024)
            for _ in 0..<400 {
                world.now += 10
                for lane in world.lanes { lane.tick(now: world.now) }
            }
        }
        #expect(world.usage().hasPrefix("active 0+0 0+0"))
    }

    @Test func keysGoRound() throws {
        let world = try Self.world()
        for round in 0..<6 {
            let lane = world.lanes[round % 3]
            var stored = 0
            while lane.record("acme", Operation.spend(0), key: "\(round)-\(stored)", now: world.now)
                .failure == nil
            {
                stored += 1
            }
            // Each of the other lanes may keep the chunk that it is filling.
            #expect(stored >= 1_024 - 2 * KeyMemory.chunkEntries, "round \(round)")
            #expect(stored <= 1_024)
            let retry = lane.record(
                "acme", Operation.spend(0), key: "\(round)-0", now: world.now + 900)
            #expect(retry.failure == nil && retry.answer.replayed, "nothing is forgotten early")
            world.now += 1_000 + KeyShares.clockMargin + 1
        }
    }

    /// A lane that retired, or stopped for ever: others time its reservations and have its slots when they are
    /// forgotten.
    @Test(arguments: [false, true])
    func theSlotsOfAStoppedLane(_ retires: Bool) throws {
        let world = try Self.world()
        let made = Self.fill(world.lanes[0], now: world.now)
        #expect(made == 1_024 - FreeSlots.blockSize)
        let id = ReservationID(slot: 1_000, generation: 1).raw
        var answer = CommitAnswer()
        if retires { world.lanes[0].retire() }
        for _ in 0..<200 {
            world.now += 10
            world.lanes[1].tick(now: world.now)
        }
        #expect(world.usage().hasPrefix("active 0+2 0+2"), "expired")
        let late = CommitCommand(reservationID: id, actual: Operation.spend(3))
        let failure = world.lanes[2].commit(late, now: world.now, answer: &answer)
        #expect(failure != nil || answer.late)
        for _ in 0..<200 {
            world.now += 10
            world.lanes[1].tick(now: world.now)
        }
        #expect(
            world.lanes[2].commit(late, now: world.now, answer: &answer)?.code == .notFound,
            "forgotten")
        let again = Self.fill(world.lanes[2], now: world.now)
        #expect(again >= made - 2 * FreeSlots.blockSize)
        // The stopped lane goes on: it finds nothing that is its own, and works.
        let count = world.table.takenSlots()
        world.lanes[0].tick(now: world.now)
        #expect(world.table.takenSlots() == count)
    }

    /// While half of the timers' memory is in use, a lane times what it makes, and what a stopped lane made expires
    /// because it is walked again and again; it is taken over, and forgotten, once there is room.
    @Test func timersThatAreNearlyFull() throws {
        let world = try Self.world()
        let (stopped, living) = (world.lanes[0], world.lanes[1])
        for _ in 0..<300 {
            #expect(
                stopped.reserve("acme", Operation.spend(1), ttl: 1_000, now: world.now).failure
                    == nil)
        }
        stopped.retire()
        var taken: [Int] = []
        while world.table.timers.hasRoomToSpare { taken.append(world.table.timers.take()) }
        // Each in a bucket of its own, where the finest level has them.
        for index in 0..<300 {
            let ttl = UInt32(1_000 + 8 * index)
            #expect(
                living.reserve("acme", Operation.spend(1), ttl: ttl, now: world.now).failure == nil)
        }
        for _ in 0..<500 {
            world.now += 10
            living.tick(now: world.now)
        }
        #expect(world.usage().hasPrefix("active 0+2 0+2"), "all have expired")
        #expect(world.table.takenSlots() > 300, "the stopped lane's are not forgotten")
        for chunk in taken { world.table.timers.give(chunk) }
        for _ in 0..<500 {
            world.now += 10
            living.tick(now: world.now)
        }
        #expect(world.table.takenSlots() < 10, "now they are")
    }

    /// The lane that stopped comes back in the middle of a walk: nothing is lost, nothing is in two places.
    @Test func aLaneComesBack() throws {
        let world = try Self.world(reservations: 8_192)
        let (stopped, walker) = (world.lanes[0], world.lanes[1])
        let made = Self.fill(stopped, now: world.now)
        #expect(made > 8_000)
        // A stretch is 1024 slots.
        for _ in 0..<35 {
            world.now += 10
            walker.tick(now: world.now)
        }
        for _ in 0..<2_000 {
            world.now += 10
            stopped.tick(now: world.now)
            walker.tick(now: world.now)
        }
        #expect(world.usage().hasPrefix("active 0+0 0+0"))
        #expect(world.table.takenSlots() == 0)
        #expect(world.table.freeSlotsAreDistinct(in: [stopped, walker] + [world.lanes[2]]))
        let again = Self.fill(stopped, now: world.now)
        #expect(again > 7_800)
    }

    /// A lane that makes a reservation after it was walked beats first, so that it is walked again when it stops.
    @Test func whatAStoppedLaneMakesLaterIsTimedToo() throws {
        let world = try Self.world()
        let (stopped, walker) = (world.lanes[0], world.lanes[1])
        _ = stopped.reserve("acme", Operation.spend(5), ttl: 1_000, now: world.now)
        for _ in 0..<200 {
            world.now += 10
            walker.tick(now: world.now)
        }
        #expect(world.usage().hasPrefix("active 0+2 0+2"))
        _ = stopped.reserve("acme", Operation.spend(5), ttl: 1_000, now: world.now)
        #expect(world.usage().hasPrefix("active 0+2 0+7"))
        for _ in 0..<200 {
            world.now += 10
            walker.tick(now: world.now)
        }
        #expect(world.usage().hasPrefix("active 0+2 0+2"))
    }

    /// The walker stops in the middle of its walk: another one takes it up.
    @Test func aWalkerStops() throws {
        let world = try Self.world(reservations: 8_192)
        _ = Self.fill(world.lanes[0], now: world.now)
        for _ in 0..<33 {
            world.now += 10
            world.lanes[1].tick(now: world.now)
        }
        for _ in 0..<400 {
            world.now += 10
            world.lanes[2].tick(now: world.now)
        }
        #expect(world.usage().hasPrefix("active 0+2 0+2"))
    }

    /// Recovery fills slots that belong to no lane; the lanes share them at start.
    @Test func lanesAdoptRecoveredSlots() throws {
        let world = try Self.world()
        let old = world.table
        _ = Self.fill(world.lanes[0], now: world.now)
        let world2 = try Recovered(copying: old, lanes: 3, now: world.now)
        #expect(world2.table.takenSlots() == old.takenSlots())
        for lane in world2.lanes { lane.adoptSlots(sharedBy: 3, now: world.now) }
        #expect(world2.table.freeSlotsAreDistinct(in: world2.lanes))
        for _ in 0..<400 {
            world.now += 10
            for lane in world2.lanes { lane.tick(now: world.now) }
        }
        // The world's own two holds live for 10 s and more.
        #expect(world2.table.takenSlots() == 2)
        #expect(world2.table.freeSlotsAreDistinct(in: world2.lanes))
    }
}

/// A table whose slots were filled without a lane, as by recovery: the totals and tenants of another one.
struct Recovered {
    let table: ReservationTable
    let lanes: [Lane]

    init(copying old: ReservationTable, lanes: Int, now: Int64) throws {
        table = try ReservationTable(
            capacity: old.capacity, schedules: ThirtyDays(), secret: HashSecret(k0: 1, k1: 2))
        let first = try table.makeLane(now: now)
        first.retire()
        _ = try first.setTenant("acme", TenantPolicy(limits: TenantLimits()), now: now)
        _ = try first.setProfile(
            "sms", of: "acme", ProfilePolicy(enabled: true, dailySpendNanos: 8), now: now)
        // What the holds hold.
        let used = Int(old.counter(.slots)[0])
        let oldNode = old.tenantNodes[Head(word: old.tenantCells[0][TenantCell.head]).buffer]
        let node = table.tenantNodes[Head(word: table.tenantCells[0][TenantCell.head]).buffer]
        var (before, state) = (TenantState(), TenantState())
        TenantNode.load(oldNode, into: &before)
        TenantNode.load(node, into: &state)
        state.held = before.held
        TenantNode.store(&state, to: node)
        let profile = table.profileNodes[
            Head(word: table.profileCells[0][ProfileCell.head]).buffer]
        profile.setSigned(2, 2)
        for slot in 0..<used {
            for word in 0..<12 { table.slots[slot][word] = old.slots[slot][word] }
        }
        table.counter(.slots)[0] = UInt64(used)
        self.lanes = try (0..<lanes).map { [table] _ in try table.makeLane(now: now) }
    }
}

extension ReservationTable {
    /// Slots that are no free ones, but for charged holds that are remembered for their day.
    func takenSlots() -> Int {
        (0..<min(Int(counter(.slots)[0]), slots.capacity)).count {
            SlotWord(word: slots[$0][Slot.state]).phase != .free
                && !ForgetTime(word: slots[$0][Slot.forgetting]).isRemembered
        }
    }

    /// Whether the free slots of all lists, and those that are in use, are each slot once.
    func freeSlotsAreDistinct(in lanes: [Lane]) -> Bool {
        var seen: Set<Int> = []
        var distinct = true
        func follow(_ first: UInt64, _ count: Int?) {
            var link = first
            var length = 0
            while link != 0 {
                if !seen.insert(Int(link) - 1).inserted {
                    distinct = false
                    return
                }
                length += 1
                link = slots[Int(link) - 1][Slot.link]
            }
            if let count, length != count { distinct = false }
        }
        for lane in lanes {
            follow(UInt64(lane.own.pointee.freeSlots.first), lane.own.pointee.freeSlots.count)
            follow(UInt64(lane.own.pointee.freeSlots.spare), nil)
        }
        var block = counter(.freeSlots)[0] & 0xffff_ffff
        while block != 0 && distinct {
            follow(block, Int(freeSlots.note(Int(block) - 1)))
            block = slots[Int(block) - 1][Slot.block] & 0xffff_ffff
        }
        return distinct && seen.allSatisfy { slots[$0][Slot.owner] == 0 }
    }
}
