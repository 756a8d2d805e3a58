import Limits

// An operator's suspension or deletion of a tenant ends the tenant's open holds as expired with RELEASE, whatever their
// `on_expiry`: its transition says so in the tenant's state (`TenantState.endsHolds`), and a walk over the slots brings
// it about. From the transition on the tenant gets no more holds, and what it had been given before is found, since
// whoever reads the tenant completes what was decided before. Where the walk does not come to its end (a crash, no room
// in the journal), each hold that is left is released when it expires, and the next start walks again. Before a tenant
// is reinstated a walk has come to its end: afterwards nothing tells what it left from what was made since.
extension Lane {
    /// Ends the open holds, in a stretch of the slots, of tenants whose holds end.
    ///
    /// - Parameter tenants: the numbers of the tenants to look for.
    /// - Returns: the first slot of the stretch that was not looked at, the journal having no room; nil: all were.
    /// - Complexity: O(stretch)
    package func endHolds(
        of tenants: Set<Int>, in stretch: Range<Int>, now: Int64
    ) -> Int? {
        for slot in stretch.clamped(to: 0..<table.usedSlots) {
            let words = table.slots[slot]
            let word = SlotWord(word: words[Slot.state])
            guard word.phase == .held,
                tenants.contains(Int(truncatingIfNeeded: words[Slot.subjects] & 0xffff_ffff))
            else { continue }
            guard endHold(slot, word, now: now) else { return slot }
        }
        return nil
    }

    /// Whether a tenant's holds end. On the lane of the configuration, which alone changes that.
    package func endsHolds(of tenant: Int) -> Bool { standing(of: tenant).endsHolds }

    /// False: the journal has no room.
    private func endHold(_ slot: Int, _ word: SlotWord, now: Int64) -> Bool {
        let id = ReservationID(slot: slot, generation: word.generation)
        while true {
            guard isReady else { return false }
            guard let open = openReservation(id.raw), open.word.phase == .held,
                own.pointee.subjects.tenant.endsHolds
            else { return true }
            begin(now: now)
            Decide.release(
                &own.pointee.subjects, &own.pointee.hold, table.rules,
                transition: &own.pointee.transition)
            beginRecord(.expired)
            if settle(open, .expiredReleased, body: open.word.body, now: now) { return true }
        }
    }
}

extension ReservationTable {
    /// The tenants whose holds end. Before there are requests, or of tenants that do not change meanwhile.
    ///
    /// - Complexity: O(tenants)
    package var tenantsThatEndHolds: Set<Int> {
        var found: Set<Int> = []
        var state = TenantState()
        for tenant in 0..<tenantNumbers {
            let head = tenantCells[tenant][TenantCell.head]
            guard head != 0 else { continue }
            TenantNode.load(tenantNodes[Head(word: head).buffer], into: &state)
            if state.endsHolds { found.insert(tenant) }
        }
        return found
    }
}
