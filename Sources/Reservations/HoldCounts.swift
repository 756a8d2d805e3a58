// What becomes of holds, counted by each lane for itself, so that counting costs a load and a store. Only sums over all
// lanes mean something: what one lane opened another may end.

/// A lane's counts: by the phase that reservations came to (`SlotWord.Phase`), since the process began.
enum HoldCounts: RecordLayout {
    /// Two cache lines, which are fetched together.
    static let words = 16
    /// Holds that were open when the process began, less those of them that its journal ends; signed.
    static let restored = Int(SlotWord.Phase.releasedLate.rawValue) + 1
    static let end = restored + 1
}

/// What has become of holds since the process began.
package struct HoldTotals: Sendable, Equatable {
    /// Open now.
    package var open: Int64 = 0
    package var opened: UInt64 = 0
    package var committed: UInt64 = 0
    /// Commits that came after the expiry.
    package var committedLate: UInt64 = 0
    package var released: UInt64 = 0
    /// Expired, and given back; or ended by an operator's suspension or deletion.
    package var expired: UInt64 = 0
    /// Expired, and charged.
    package var expiredCharged: UInt64 = 0
    /// Settled reservations whose time to be remembered was over.
    package var forgotten: UInt64 = 0
}

extension Lane {
    /// A reservation has come to a phase.
    @inline(__always)
    func count(_ phase: SlotWord.Phase) {
        let counts = table.holdCounts[index]
        let place = Int(truncatingIfNeeded: phase.rawValue)
        counts[place] = counts[place] &+ 1
    }

    /// A hold is made, or ended, that was made before the process began.
    func countRestored(_ change: Int64) {
        let counts = table.holdCounts[index]
        counts.setSigned(HoldCounts.restored, counts.signed(HoldCounts.restored) &+ change)
    }
}

extension ReservationTable {
    /// Any thread; while lanes count, what is true of each at some moment during the call.
    ///
    /// - Complexity: O(lanes)
    package var holdTotals: HoldTotals {
        func sum(_ phase: SlotWord.Phase) -> UInt64 {
            (0..<holdCounts.capacity).reduce(0) { $0 &+ holdCounts[$1][Int(phase.rawValue)] }
        }
        var totals = HoldTotals()
        // What ends is read before what begins: a hold that comes and goes in between is counted as open, and none that is
        // open is missed, but for one whose lane was stopped before it counted it.
        totals.committed = sum(.committed) &+ sum(.committedOther)
        totals.committedLate = sum(.committedLate)
        totals.released = sum(.released)
        totals.expired = sum(.expiredReleased)
        totals.expiredCharged = sum(.expiredCharged)
        totals.forgotten = sum(.free)
        totals.opened = sum(.held)
        let restored = (0..<holdCounts.capacity).reduce(Int64(0)) {
            $0 &+ holdCounts[$1].signed(HoldCounts.restored)
        }
        let ended =
            totals.committed &+ totals.released &+ totals.expired &+ totals.expiredCharged
        totals.open = max(
            0, Int64(bitPattern: totals.opened) &+ restored &- Int64(bitPattern: ended))
        return totals
    }
}
