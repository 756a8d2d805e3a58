import Limits
import Testing

@testable import Reservations

@Suite struct ExpiryTests {
    @Test(arguments: [1_000, 1_001, 2_049, 59_999, 600_000, 3_600_000, 86_400_000] as [Int64])
    func neverEarlyAndSoonAfter(_ ttl: Int64) throws {
        let world = try World(limits: TenantLimits())
        let lane = world.lanes[0]
        let start = world.now
        let id = lane.reserve("acme", Operation.spend(5), ttl: UInt32(ttl), now: start).answer
            .reservationID
        let command = CommitCommand(reservationID: id)
        // The lane that made the world's own hold has stopped; it is expired by the walk.
        for now in [start + ttl / 2, start + ttl - 1] {
            lane.pass(to: now)
            world.now = now
            #expect(world.usage().contains("+\(now < start + 10_300 ? 7 : 5)"), "at \(now - start)")
        }
        world.now = start + ttl + 2 * TimerWheel.tickMilliseconds
        lane.tick(now: world.now)
        var answer = CommitAnswer()
        #expect(lane.commit(command, now: world.now, answer: &answer) == nil)
        #expect(answer.late)
    }

    @Test func chargesWhereThePolicySaysSo() throws {
        let world = try World(limits: TenantLimits())
        let lane = world.lanes[0]
        let id = lane.reserve(
            "acme", Operation.spend(5), ttl: 1_000, onExpiry: .commit, now: world.now
        ).answer.reservationID
        world.now += 1_100
        lane.tick(now: world.now)
        #expect(world.usage().hasPrefix("active 0+2 5+2"))
        var released = ReleaseAnswer()
        #expect(
            lane.release(id, now: world.now, answer: &released)?.code == .alreadySettled)
        // The late commit replaces the provisional charge, once.
        var answer = CommitAnswer()
        let command = CommitCommand(reservationID: id, actual: Operation.spend(3))
        #expect(lane.commit(command, now: world.now, answer: &answer) == nil)
        #expect(answer.late && !answer.replayed)
        #expect(world.usage().hasPrefix("active 0+2 3+2"))
        #expect(lane.commit(command, now: world.now, answer: &answer) == nil)
        #expect(answer.late && answer.replayed)
        let other = CommitCommand(reservationID: id, actual: Operation.spend(4))
        #expect(lane.commit(other, now: world.now, answer: &answer)?.code == .alreadySettled)
        #expect(world.usage().hasPrefix("active 0+2 3+2"))
    }

    /// The lane that made a hold never ticks again: the others expire it within a second.
    @Test func aStoppedLaneDelaysNoExpiry() throws {
        let world = try World(limits: TenantLimits())
        _ = world.lanes[1].reserve("acme", Operation.spend(5), ttl: 1_000, now: world.now)
        let due = world.now + 1_000
        while world.now < due + 1_000 {
            world.now += 10
            world.lanes[0].tick(now: world.now)
            if world.now < due { #expect(world.usage().contains("+7"), "never early") }
        }
        #expect(world.usage().hasPrefix("active 0+2 0+2"))
    }

    @Test func anExtensionMovesTheExpiry() throws {
        let world = try World(limits: TenantLimits())
        let lane = world.lanes[0]
        let id = lane.reserve("acme", Operation.spend(5), ttl: 1_000, now: world.now).answer
            .reservationID
        world.now += 900
        let extended = lane.extend(id, Amounts(), ttl: 5_000, now: world.now)
        #expect(extended.answer.expiresAt == world.now + 5_000)
        world.now += 4_990
        lane.tick(now: world.now)
        #expect(world.usage().contains("+7"))
        world.now += 30
        lane.tick(now: world.now)
        #expect(world.usage().hasPrefix("active 0+2 0+2"))
        #expect(
            lane.extend(id, Amounts(), ttl: 5_000, now: world.now).failure?.code
                == .reservationExpired)
    }

    /// A clock that was moved by years, or a process that slept for them: nothing is walked tick by tick.
    @Test func aLeapOfTheClock() throws {
        let world = try World(limits: TenantLimits())
        let lane = world.lanes[0]
        for ttl in [1_000, 90_000, 3_600_000, 86_400_000] as [UInt32] {
            _ = lane.reserve("acme", Operation.spend(1), ttl: ttl, now: world.now)
        }
        world.now += 3_600_000 / 2
        lane.pass(to: world.now)
        #expect(
            world.usage().contains("0+2 0+0"), "the hour and the day are held: \(world.usage())")
        world.now += 20 * 365 * 86_400_000
        lane.tick(now: world.now)
        lane.tick(now: world.now + 16)
        #expect(world.usage().hasPrefix("active 0+0 0+0"))
    }

    @Test func aReservationLivesNoLongerThanItsLife() throws {
        let world = try World(
            capacity: TableCapacity(
                tenants: 8, profiles: 8, reservations: 1_024, bodies: 64, keys: 128, lanes: 8,
                maxLife: 10_000),
            limits: TenantLimits())
        let lane = world.lanes[0]
        let made = world.now
        let id = lane.reserve("acme", Operation.spend(5), ttl: 8_000, now: made).answer
            .reservationID
        world.now += 5_000
        let extended = lane.extend(id, Amounts(), ttl: 60_000, now: world.now)
        #expect(extended.answer.expiresAt == made + 10_000)
    }

    /// Room that counts in no day and no cycle is one, however many of them go by.
    @Test func standingCountsAreExtendedOnManyDays() throws {
        let world = try World(
            capacity: TableCapacity(
                tenants: 8, profiles: 8, reservations: 1_024, bodies: 64, keys: 128, lanes: 8,
                maxLife: 90 * 86_400_000),
            limits: TenantLimits(), empty: true)
        let lane = world.lanes[0]
        _ = try lane.setTenant("acme", TenantPolicy(limits: TenantLimits()), now: world.now)
        func held() -> Int64 {
            var answer = UsageAnswer()
            let failure = "acme".withBorrowedBytes { tenant in
                lane.usage(
                    UsageQuery(tenantID: tenant, profileID: .none), now: world.now, answer: &answer)
            }
            #expect(failure == nil)
            return answer.limits[.tenantDIDs].held
        }
        let day: UInt32 = 86_400_000
        let id = lane.reserve("acme", Amounts(.dids, 1), ttl: 2 * day, now: world.now).answer
            .reservationID
        for days in 1...40 {
            world.now += Int64(day)
            let extended = lane.extend(id, Amounts(.dids, 1), ttl: 2 * day, now: world.now)
            #expect(extended.failure == nil && extended.answer.decision == .allowed, "\(days)")
            #expect(held() == Int64(days + 1))
        }
        var answer = ReleaseAnswer()
        #expect(lane.release(id, now: world.now, answer: &answer) == nil)
        #expect(held() == 0)
    }

    /// The entries of a coarse bucket are moved to finer ones a part at a time, and none comes up early or twice.
    @Test func aCoarseBucketIsMovedInParts() throws {
        let world = try World()
        let (count, limit) = (20_000, 100)
        var wheel = TimerWheel(pool: world.table.timers, now: 0)
        // All in one bucket of the second level, due at two instants.
        for index in 1...count {
            wheel.insert(
                ReservationID(raw: UInt64(index)), deadline: index % 2 == 0 ? 3_000 : 3_500)
        }
        var due: [UInt64] = []
        var calls = 0
        var times: [Int64] = []
        for now: Int64 in [2_999, 3_499, 4_000] {
            var isDone = false
            while !isDone {
                calls += 1
                isDone = wheel.advance(to: now, limit: limit, while: { true }) { id, _ in
                    due.append(id.raw)
                    return 1
                }
                #expect(calls < 2 * count)
                if calls >= 2 * count { return }
            }
            times.append(Int64(due.count))
        }
        #expect(times == [0, Int64(count / 2), Int64(count)])
        #expect(Set(due).count == count && due[..<(count / 2)].allSatisfy { $0 % 2 == 0 })
        // Each call moves 8 entries for each piece of work, or works one off.
        #expect(calls >= count / (8 * limit) + count / limit)
        wheel.clear()
        wheel.deallocate()
    }

    /// After a long stop the entries are placed anew a part at a time: none comes up early, late or twice, whatever else
    /// happens before all have been placed.
    @Test func aLongStopIsCaughtUpWithInParts() throws {
        let world = try World()
        let (count, limit) = (20_000, 100)
        var wheel = TimerWheel(pool: world.table.timers, now: 0)
        var deadlines: [UInt64: Int64] = [:]
        func insert(_ raw: UInt64, _ deadline: Int64) {
            deadlines[raw] = deadline
            wheel.insert(ReservationID(raw: raw), deadline: deadline)
        }
        // None of them is due by the end of the stop.
        let stop: Int64 = 700_000
        for index in 1...count {
            insert(UInt64(index), stop + 1 + Int64(index) * Int64(index) % 3_000_000)
        }
        var due: Set<UInt64> = []
        func advance(to now: Int64) -> Bool {
            wheel.advance(to: now, limit: limit, while: { true }) { id, _ in
                let deadline = deadlines[id.raw] ?? .max
                if deadline > now || !due.insert(id.raw).inserted {
                    Issue.record("\(id.raw), due at \(deadline), came up at \(now)")
                }
                return 1
            }
        }
        func finish(_ now: Int64) -> Int {
            for calls in 1...2 * count where advance(to: now) { return calls }
            return .max
        }
        #expect(!advance(to: stop))
        #expect(due.isEmpty)
        // What is made meanwhile, and time that goes on.
        insert(1_000_000, stop + 20)
        insert(1_000_001, stop + 4_000_000)
        // Each call moves 8 entries for each piece of work.
        #expect(finish(stop + 40) >= count / (8 * limit) - 1)
        #expect(due.contains(1_000_000))
        #expect(deadlines.allSatisfy { $0.value > stop + 24 || due.contains($0.key) })
        // Another stop, in the middle of which there is yet another.
        #expect(!advance(to: stop + 1_000_000))
        #expect(finish(stop + 5_000_000) < .max)
        #expect(due.count == deadlines.count)
        wheel.clear()
        wheel.deallocate()
    }
}
