import Limits

// Nobody takes everybody's room. Anybody may have what is free. When three quarters of the slots or of the keys are in
// use, a caller that is bound to tenants gets more for one of them only while that tenant has less than its share; a
// caller for all tenants is refused nothing, unless it was given a share too. So one tenant's caller comes as far as
// three quarters, and the others go on.
//
// What gives room back, or records what has happened already, draws on a reserve that reservations leave: of the
// journal's rings (`Lane.settlementShare`), of keys (RecordUsage, Extend by time alone) and of bodies (Commit of other
// amounts, Extend by time alone). Slots are reservations' alone.
//
// Slots are counted by tenant in a word of the cell, which an operation writes to in any case; keys by the chunk
// (`KeyShares`).
extension ReservationTable {
    /// Slots that are in use, and those that lanes keep at hand.
    package var slotsInUse: Int {
        let free = Int(Int64(bitPattern: counter(.sharedSlots)[0]))
        return max(0, min(Int(counter(.slots)[0]), slots.capacity) - free)
    }

    /// Keys that are remembered, and those that lanes keep at hand.
    package var keysInUse: Int { keyShares.counted * KeyMemory.chunkEntries }

    /// Holds that were charged at their expiry and are remembered beyond the retention.
    package var chargedRemembered: Int { chargedMemory.count }

    package var bodiesInUse: Int { max(0, Int(Int64(bitPattern: counter(.usedBodies)[0]))) }

    package var slotsAreScarce: Bool { counter(.pressure)[0] & Pressure.slots != 0 }
    package var keysAreScarce: Bool { counter(.pressure)[0] & Pressure.keys != 0 }

    /// Requests that were refused because their tenant had more than its share.
    package var refusedOverShare: UInt64 { counter(.overShare)[0] }

    /// Slots that a tenant's reservations are in, open or remembered.
    package func slots(of tenant: Int) -> Int {
        // Below zero while a thread that made a reservation is stopped before it counts it.
        max(0, Int(Int32(truncatingIfNeeded: tenantCells[tenant][TenantCell.use] &>> 32)))
    }

    @inline(always)
    func countSlot(_ change: Int64, of tenant: Int) {
        guard tenant < tenantCells.capacity else { return }
        _ = tenantCells[tenant].add(TenantCell.use, UInt64(bitPattern: change) &<< 32)
    }

    func noteSlotPressure() {
        Pressure.set(
            Pressure.slots, slotsInUse * 4 >= capacity.reservations * 3, in: counter(.pressure))
    }
}

extension Lane {
    /// Why a request may not take a slot or a key for a tenant; nil: it may.
    @inline(always)
    func refusalOfShare(_ tenant: Int, slot: Bool, key: Bool) -> Failure? {
        let pressure = table.counter(.pressure)[0]
        return pressure == 0 ? nil : refusal(tenant, slot: slot, key: key, pressure)
    }

    @inline(never)
    private func refusal(_ tenant: Int, slot: Bool, key: Bool, _ pressure: UInt64) -> Failure? {
        if let failure = overShare(tenant, slot: slot, key: key, pressure) {
            _ = table.counter(.overShare).add(0, 1)
            return failure
        }
        return key && pressure & Pressure.keyReserve != 0 ? .keysFull : nil
    }

    private func overShare(
        _ tenant: Int, slot: Bool, key: Bool, _ pressure: UInt64
    ) -> Failure? {
        let capacity = table.capacity
        let percent = own.pointee.isLimited ? capacity.tenantShare : capacity.unboundShare
        guard percent < 100 else { return nil }
        if slot && pressure & Pressure.slots != 0
            && table.slots(of: tenant) * 100 >= capacity.reservations * percent
        {
            return .tooManyReservations
        }
        if key && pressure & Pressure.keys != 0
            && table.keyShares.keys(of: tenant) * 100 >= capacity.keys * percent
        {
            return .tooManyKeys
        }
        return nil
    }
}

extension Failure {
    static let tooManyReservations = Failure(
        .tooManyRequests,
        detail: "The tenant has used its share of the reservations, and few are left")
    static let tooManyKeys = Failure(
        .tooManyRequests,
        detail: "The tenant has used its share of the idempotency keys, and few are left")
}
