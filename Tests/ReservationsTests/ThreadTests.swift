import Foundation
import Limits
import Synchronization
import Testing

@testable import Reservations

/// Real threads on one table. Run under the thread sanitizer: `swift test --package-path Tools/Core --sanitize=thread`.
@Suite struct ThreadTests {
    // SAFETY: each lane is handed to one thread; the table is made for sharing.
    struct Handover<T>: @unchecked Sendable { let value: T }

    static func threads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
        let done = DispatchGroup()
        for index in 0..<count {
            done.enter()
            Thread.detachNewThread {
                body(index)
                done.leave()
            }
        }
        done.wait()
    }

    /// Many callers on one cap: what is admitted is exactly the cap.
    @Test func exactlyTheCap() throws {
        let cap: Int64 = 20_000
        let world = try World(
            capacity: TableCapacity(
                tenants: 8, profiles: 8, reservations: 100_000, bodies: 64, keys: 100_000, lanes: 16
            ),
            limits: TenantLimits(maxExtensions: cap))
        let lanes = try (0..<4).map { _ in Handover(value: try world.table.makeLane(now: world.now))
        }
        let now = world.now
        let admitted = Atomic<Int64>(0)
        Self.threads(4) { index in
            var mine: Int64 = 0
            for call in 0..<10_000 {
                let key = call % 3 == 0 ? "\(index)-\(call)" : ""
                let result = lanes[index].value.reserve(
                    "acme", Amounts(.extensions, 1), key: key, now: now)
                if result.failure == nil && result.answer.decision == .allowed { mine += 1 }
            }
            admitted.wrappingAdd(mine, ordering: .relaxed)
        }
        // One extension is held by the world's own hold.
        #expect(admitted.load(ordering: .relaxed) == cap - 1)
        #expect(world.usage().contains("0+\(cap)"))
    }

    /// One key from all threads at once: decided once, replayed to all others.
    @Test func oneKeyIsDecidedOnce() throws {
        let world = try World(limits: TenantLimits())
        let lanes = try (0..<4).map { _ in Handover(value: try world.table.makeLane(now: world.now))
        }
        let now = world.now
        for round in 0..<200 {
            let fresh = Atomic<Int>(0)
            let ids = (0..<4).map { _ in Atomic64() }
            Self.threads(4) { index in
                let result = lanes[index].value.reserve(
                    "acme", Operation.spend(1), key: "round-\(round)", mode: .commit, now: now)
                if !result.answer.replayed { fresh.wrappingAdd(1, ordering: .relaxed) }
                ids[index].value.store(result.failure == nil ? 1 : 0, ordering: .relaxed)
            }
            #expect(fresh.load(ordering: .relaxed) == 1)
            #expect(ids.allSatisfy { $0.value.load(ordering: .relaxed) == 1 })
        }
        #expect(world.usage().hasPrefix("active 0+2 200+2"))
    }

    final class Atomic64: Sendable { let value = Atomic<Int>(0) }

    /// Reserve, extend, commit, release and time at once: everything that was held is settled, and the sum is right.
    @Test func theBooksBalance() throws {
        let world = try World(
            capacity: TableCapacity(
                tenants: 8, profiles: 8, reservations: 100_000, bodies: 10_000, keys: 100_000,
                lanes: 16, retention: 1_000),
            limits: TenantLimits())
        let lanes = try (0..<3).map { _ in Handover(value: try world.table.makeLane(now: world.now))
        }
        let start = world.now
        let charged = Atomic<Int64>(0)
        Self.threads(3) { index in
            let lane = lanes[index].value
            var mine: Int64 = 0
            for call in 0..<3_000 {
                let now = start + Int64(call)
                if call % 16 == 0 { lane.tick(now: now) }
                let (failure, answer) = lane.reserve(
                    "acme", profile: call % 2 == 0 ? "sms" : "", mode(call), ttl: 1_000, now: now)
                guard failure == nil, answer.decision == .allowed else { continue }
                if call % 5 == 0 {
                    _ = lane.extend(answer.reservationID, Operation.spend(2), now: now)
                }
                var released = ReleaseAnswer()
                var committed = CommitAnswer()
                switch call % 4 {
                case 0: _ = lane.release(answer.reservationID, now: now, answer: &released)
                case 1:
                    let command = CommitCommand(reservationID: answer.reservationID)
                    if lane.commit(command, now: now, answer: &committed) == nil {
                        mine += committed.committed[.spend]
                    }
                case 2:
                    let command = CommitCommand(
                        reservationID: answer.reservationID, actual: Operation.spend(7))
                    if lane.commit(command, now: now, answer: &committed) == nil {
                        mine += committed.committed[.spend]
                    }
                default: break
                }
            }
            charged.wrappingAdd(mine, ordering: .relaxed)
            for later in stride(from: 3_000, through: 20_000, by: 500) {
                lane.tick(now: start + Int64(later))
            }
        }
        world.now = start + 30_000
        for lane in lanes { lane.value.tick(now: world.now) }
        for _ in 0..<100 { world.lanes[0].tick(now: world.now) }
        #expect(world.usage().contains("\(charged.load(ordering: .relaxed))+0"), "\(world.usage())")
    }

    private func mode(_ call: Int) -> Amounts { Operation.spend(1 + Int64(call % 3)) }

    /// Two lanes on two threads fill the table and let it go, over and over: no slot, no key is lost or given twice.
    @Test func slotsAndKeysGoRound() throws {
        let world = try World(
            capacity: TableCapacity(
                tenants: 8, profiles: 8, reservations: 4_096, bodies: 1_024, keys: 4_096, lanes: 8,
                retention: 1_000),
            limits: TenantLimits())
        let lanes = world.lanes.map { Handover(value: $0) }
        let start = world.now
        let made = (0..<2).map { _ in Atomic64() }
        Self.threads(2) { index in
            let lane = lanes[index].value
            for round in 0..<12 {
                let now = start + Int64(round) * 20_000
                for call in 0..<4_000 {
                    let (failure, answer) = lane.reserve(
                        "acme", Operation.spend(1), key: "\(index)-\(round)-\(call)", ttl: 1_000,
                        now: now)
                    guard failure == nil, !answer.replayed else { continue }
                    made[index].value.wrappingAdd(1, ordering: .relaxed)
                    if call % 3 == 0 {
                        _ = lane.extend(answer.reservationID, Operation.spend(1), now: now)
                    }
                }
                for later in stride(from: 0, to: 20_000, by: 10) {
                    lane.tick(now: now + Int64(later))
                }
            }
        }
        // The thread whose time is ahead can have all that is settled by then.
        let sum = made.reduce(0) { $0 + $1.value.load(ordering: .relaxed) }
        #expect(sum > 6 * 4_096)
        world.now = start + 300_000
        for _ in 0..<200 {
            world.now += 10
            for lane in world.lanes { lane.tick(now: world.now) }
        }
        #expect(world.usage().hasPrefix("active 0+0 0+0"))
        for _ in 0..<200 {
            world.now += 10
            for lane in world.lanes { lane.tick(now: world.now) }
        }
        #expect(world.table.takenSlots() == 0)
        #expect(world.table.freeSlotsAreDistinct(in: world.lanes))
    }

    /// One thread makes reservations and stops now and then, as if the system had stopped it; the other takes over
    /// while it goes on again.
    @Test func takingOverUnderLoad() throws {
        let world = try World(
            capacity: TableCapacity(
                tenants: 8, profiles: 8, reservations: 16_384, bodies: 1_024, keys: 1_024, lanes: 8,
                retention: 500),
            limits: TenantLimits())
        let lanes = world.lanes.map { Handover(value: $0) }
        let clock = Atomic<Int64>(world.now)
        let done = Atomic<Bool>(false)
        Self.threads(2) { index in
            let lane = lanes[index].value
            if index == 0 {
                while !done.load(ordering: .acquiring) {
                    lane.tick(now: clock.wrappingAdd(10, ordering: .relaxed).newValue)
                }
            } else {
                for call in 0..<60_000 {
                    let now = clock.load(ordering: .relaxed)
                    _ = lane.reserve("acme", Operation.spend(1), ttl: 1_000, now: now)
                    // Its clock runs away from it between two ticks, so that it is found silent.
                    if call % 1_000 == 0 { lane.tick(now: now) }
                }
                done.store(true, ordering: .releasing)
            }
        }
        world.now = clock.load(ordering: .relaxed)
        for _ in 0..<400 {
            world.now += 10
            for lane in world.lanes { lane.tick(now: world.now) }
        }
        #expect(world.usage().hasPrefix("active 0+0 0+0"))
        #expect(world.table.takenSlots() == 0)
        #expect(world.table.freeSlotsAreDistinct(in: world.lanes))
    }

    /// From 16 directory slots on, two threads: every tenant is found at once and for ever; the longest call is told.
    @Test func growthStopsNobody() throws {
        let count = 20_000
        let table = try ReservationTable(
            capacity: TableCapacity(
                tenants: 2 * count, profiles: 16, reservations: 1_024, bodies: 16, keys: 128,
                lanes: 8),
            schedules: ThirtyDays())
        let now = World.start
        let lanes = try (0..<2).map { _ in Handover(value: try table.makeLane(now: now)) }
        let missing = Atomic<Int>(0)
        let longest = Atomic<Int>(0)
        Self.threads(2) { index in
            let lane = lanes[index].value
            for number in 0..<count {
                // Every other id is made by both threads.
                let id = number % 2 == 0 ? "shared-\(number)" : "own-\(index)-\(number)"
                let began = ContinuousClock.now
                _ = try? lane.setTenant(id, TenantPolicy(limits: TenantLimits()), now: now)
                let micros = Int((ContinuousClock.now - began) / .microseconds(1))
                longest.max(micros, ordering: .relaxed)
                if lane.reserve(id, Operation.spend(0), mode: .checkOnly, now: now).failure != nil {
                    missing.wrappingAdd(1, ordering: .relaxed)
                }
            }
        }
        #expect(missing.load(ordering: .relaxed) == 0)
        for number in 0..<count {
            for index in 0..<2 {
                let id = number % 2 == 0 ? "shared-\(number)" : "own-\(index)-\(number)"
                let result = lanes[0].value.reserve(
                    id, Operation.spend(0), mode: .checkOnly, now: now)
                #expect(result.failure == nil)
            }
        }
        print(
            "growth to \(count * 3 / 2) tenants: longest call \(longest.load(ordering: .relaxed)) µs"
        )
    }
}
