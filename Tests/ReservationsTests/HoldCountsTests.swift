import Limits
import Testing

@testable import Reservations

@Suite struct HoldCountsTests {
    /// Holds that the slots themselves show as open.
    private func open(_ table: ReservationTable) -> Int64 {
        Int64(
            (0..<table.usedSlots).count { slot in
                let words = table.slots[slot]
                let word = SlotWord(word: words[Slot.state])
                return word.phase == .held && words[Slot.published] == word.generation << 1 | 1
            })
    }

    @Test func everyEndCountsOnce() throws {
        let world = try World(limits: TenantLimits())
        let before = world.table.holdTotals
        #expect(before.open == open(world.table) && before.open > 0)
        let lane = world.lanes[0]
        let ids = (0..<6).map { _ in
            lane.reserve("acme", Amounts(.dids, 1), ttl: 1_000, now: world.now).answer.reservationID
        }
        let charging = lane.reserve(
            "acme", Amounts(.dids, 1), ttl: 1_000, onExpiry: .commit, now: world.now
        ).answer.reservationID
        #expect(world.table.holdTotals.opened == before.opened + 7)
        // Denied, and charged at once: no holds.
        _ = lane.reserve("acme", Amounts(.dids, 1), mode: .commit, now: world.now)
        _ = lane.reserve("acme", Amounts(.dids, 1), mode: .checkOnly, now: world.now)
        #expect(world.table.holdTotals.open == before.open + 7)
        var committed = CommitAnswer()
        var released = ReleaseAnswer()
        // Twice each: the second is a stored answer. Another lane may do it.
        for _ in 0..<2 {
            #expect(
                world.lanes[1].commit(
                    CommitCommand(reservationID: ids[0]), now: world.now, answer: &committed) == nil
            )
            #expect(
                lane.commit(
                    CommitCommand(reservationID: ids[1], actual: Amounts(.dids, 0)), now: world.now,
                    answer: &committed) == nil)
            #expect(world.lanes[1].release(ids[2], now: world.now, answer: &released) == nil)
        }
        // Extended: still open, and still one.
        _ = lane.extend(ids[3], Amounts(.dids, 1), ttl: 60_000, now: world.now)
        var totals = world.table.holdTotals
        #expect(totals.committed == before.committed + 2)
        #expect(totals.released == before.released + 1)
        #expect(totals.open == before.open + 4 && totals.open == open(world.table))
        world.now += 1_100
        lane.tick(now: world.now)
        totals = world.table.holdTotals
        #expect(totals.expired == before.expired + 2)
        #expect(totals.expiredCharged == before.expiredCharged + 1)
        #expect(totals.open == before.open + 1 && totals.open == open(world.table))
        for id in [ids[4], charging] {
            #expect(
                lane.commit(CommitCommand(reservationID: id), now: world.now, answer: &committed)
                    == nil)
            #expect(committed.late)
        }
        totals = world.table.holdTotals
        #expect(totals.committedLate == before.committedLate + 2)
        #expect(totals.open == open(world.table), "a late commit ends no hold that is open")
        // All that is settled is forgotten, once.
        let forgotten = totals.forgotten
        for _ in 0..<40 {
            world.now += 60_000
            for lane in world.lanes { lane.tick(now: world.now) }
        }
        totals = world.table.holdTotals
        #expect(totals.open == 0 && open(world.table) == 0)
        #expect(totals.forgotten >= forgotten + 6)
    }
}
