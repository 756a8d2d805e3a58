package import Journal
package import Limits

/// Where a tenant's windows come from. Asked only when the present one is over or the schedule was set anew.
package protocol WindowSchedules: Sendable {
    /// The cycle of a schedule that holds an instant. `notBefore` is the end of the tenant's present cycle, or nil:
    /// the new one starts there or later (semantics §2). All Unix milliseconds.
    func cycle(schedule: UInt32, containing now: Int64, notBefore: Int64?) -> CycleWindow
    /// The day, in the schedule's time zone, that holds an instant; the rest as above.
    func day(schedule: UInt32, containing now: Int64, notBefore: Int64?) -> CycleWindow
}

/// The lock-free table of tenants, messaging profiles, reservations and idempotency keys.
///
/// **The unit of atomicity is the tenant**: no limit spans tenants. A tenant's *head* word names an immutable *node*:
/// all counters, caps, latches, status and windows in one version, and what that version still has to do to its
/// *dependent records* (the profile's node, the reservation's slot, the key's entry).
///
/// **An operation** (`Lane`):
/// 1. reads the head, copies the node, and reads the head again: unchanged means that the copy is one version;
/// 2. completes what the node says about dependent records, unless its author did (idempotent compare-exchanges, each from
///    the exact old word to the exact new one, so that a late helper's attempt fails);
/// 3. reads the dependent records it needs and checks the head once more: everything read is from one instant;
/// 4. decides (`Limits.Decide`, pure) and writes the successor into a node, a profile node, a slot and a key entry
///    that nobody else uses;
/// 5. swings the head by one compare-exchange: **the linearization point**. The loser starts again at 1;
/// 6. completes its own dependent records and says so in the cell.
///
/// An operation that changes nothing ends at 3, its linearization point being that check.
///
/// **Memory is never reclaimed, it changes hands.** Who swings a head gives one buffer and gets the one that was
/// there: nodes in all = tenants + lanes. Readers may copy a buffer that is being rewritten; the head check then
/// discards the copy. So there are no epochs, no hazard pointers, no grace periods, and a thread that stops for
/// ever keeps one buffer. This is the large load-linked/store-conditional by buffer exchange of Anderson and Moir
/// ("Universal constructions for large objects", 1995), with helping as in Barnes' and Harris–Fraser–Pratt's
/// multi-word operations.
///
/// **Progress.** Lock-free: a failed swing means that another operation on the same tenant succeeded. No operation
/// waits for a thread; completing another's dependent records takes at most four compare-exchanges.
///
/// **ABA.** A head carries 40 bits of version, a slot 24 bits of generation and 14 of sequence, a key reference 32
/// bits of generation: docs/decisions/0002 says of each counter how long it lasts and what comes then.
///
/// **Invariants** (asserted in production where they are cheap): (1) used ≤ cap for each blocking limit, except as
/// semantics §3 allows; (2) counters are never negative (`Transition.apply`); (3) a profile's node, a slot and a key
/// entry change only by the completion of their tenant's transitions; (4) a buffer is in one place: a head, or a
/// lane's spare.
// SAFETY: all shared state is in atomics (`Words`); what is not shared belongs to lanes.
package final class ReservationTable: @unchecked Sendable {
    package let capacity: TableCapacity
    let rules = LimitRules.standard
    let secret: HashSecret
    let schedules: any WindowSchedules
    /// Where lanes put their records, one for each lane; empty: nothing is recorded.
    package let rings: [RecordRing]

    let tenantCells: Region<TenantCell>
    let tenantNodes: Region<TenantNode>
    let profileCells: Region<ProfileCell>
    let profileNodes: Region<ProfileNode>
    let slots: Region<Slot>
    let bodies: Region<Body>
    let longIDs: Region<CacheLine>
    let keys: KeyMemory
    let keyShares: KeyShares
    let chargedMemory: ChargedMemory
    let tenants: Directory<TenantCell>
    let profiles: Directory<ProfileCell>

    /// Shared counters, a cache line each.
    private let counters: Region<CacheLine>
    enum Counter: Int, CaseIterable {
        case tenants, tenantNodes, profiles, profileNodes, slots, freeSlots, freeBodies, bodies
        case keyChunks, longIDs, lanes, timerChunks, idleTimerChunks, freeTimerChunks, walker
        /// The latest generation of any slot before this process; 0: none.
        case generationFloor
        /// Slots that have come to their last generation.
        case spentSlots
        /// Free slots in the shared stack.
        case sharedSlots
        /// Bodies that are in use.
        case usedBodies
        /// What is scarce: see `Pressure`.
        case pressure
        /// Chunks of keys that count for somebody, and where the next look at them begins.
        case countedChunks, chunkCursor
        /// Requests refused because their tenant had more than its share.
        case overShare
        /// `ChargedMemory.count`
        case rememberedCharged
        /// How far the latest quarter of an hour's ended windows have been judged: see `Lane+Rollover`.
        case rollover
    }
    func counter(_ counter: Counter) -> Words { counters[counter.rawValue] }

    /// Blocks of free slots, a list through `Slot.link` each.
    let freeSlots: SharedStack<Slot>
    private let freeBodies: SharedStack<Body>
    let timers: TimerPool

    /// Heartbeats of lanes, see `Heartbeat`.
    let heartbeats: Region<CacheLine>
    /// What lanes count of holds.
    let holdCounts: Region<HoldCounts>

    /// Reserves the address space. Fails when the system refuses it or a bound is out of range.
    package init(
        capacity: TableCapacity, schedules: any WindowSchedules,
        secret: HashSecret = .random()
    ) throws(TableError) {
        precondition(
            LimitKind.allCases.allSatisfy { $0.index < SlotWord.limitCapacity },
            "a settled slot has a bit for each limit")
        let buffers = Head.maxBuffers - capacity.lanes
        guard (1...buffers).contains(capacity.tenants), (1...buffers).contains(capacity.profiles)
        else { throw TableError.invalid("tenants and profiles: 1 ... \(buffers)") }
        guard (64...0xffff_fffe).contains(capacity.reservations), capacity.keys > 0,
            (1...SlotWord.maxBodies).contains(capacity.bodies),
            (1...Origin.maxLanes).contains(capacity.lanes),
            capacity.retention > 0, capacity.maxLife >= 1_000, capacity.ringWords >= 0,
            (1...100).contains(capacity.tenantShare), (1...100).contains(capacity.unboundShare)
        else { throw TableError.invalid("capacity out of range") }
        self.capacity = capacity
        self.schedules = schedules
        self.secret = secret
        tenantCells = try Region(capacity: capacity.tenants)
        tenantNodes = try Region(capacity: capacity.tenants + capacity.lanes)
        profileCells = try Region(capacity: capacity.profiles)
        profileNodes = try Region(capacity: capacity.profiles + capacity.lanes)
        slots = try Region(capacity: capacity.reservations)
        bodies = try Region(capacity: capacity.bodies)
        longIDs = try Region(capacity: capacity.tenants + capacity.profiles)
        keys = try KeyMemory(capacity: capacity.keys)
        counters = try Region(capacity: Counter.allCases.count)
        heartbeats = try Region(capacity: capacity.lanes)
        holdCounts = try Region(capacity: capacity.lanes)
        let line = { [counters] (counter: Counter) in counters[counter.rawValue] }
        freeSlots = SharedStack(
            head: line(.freeSlots), records: slots, link: Slot.block, indexBits: 32)
        freeBodies = SharedStack(
            head: line(.freeBodies), records: bodies, link: Body.link, indexBits: 24)
        chargedMemory = try ChargedMemory(
            budget: capacity.charged, retention: capacity.retention, total: line(.rememberedCharged)
        )
        keyShares = try KeyShares(
            keys, tenants: capacity.tenants, counted: line(.countedChunks),
            cursor: line(.chunkCursor), used: line(.keyChunks), pressure: line(.pressure))
        timers = try TimerPool(
            capacity: capacity, fresh: line(.timerChunks), free: line(.idleTimerChunks),
            head: line(.freeTimerChunks))
        tenants = try Directory(cells: tenantCells, longIDs: longIDs)
        profiles = try Directory(cells: profileCells, longIDs: longIDs)
        rings = (0..<(capacity.ringWords > 0 ? capacity.lanes : 0)).map { _ in
            RecordRing(capacity: capacity.ringWords)
        }
    }

    deinit {
        tenantCells.unmap()
        tenantNodes.unmap()
        profileCells.unmap()
        profileNodes.unmap()
        slots.unmap()
        bodies.unmap()
        longIDs.unmap()
        counters.unmap()
        heartbeats.unmap()
        holdCounts.unmap()
        timers.chunks.unmap()
        keys.unmap()
        keyShares.unmap()
        chargedMemory.unmap()
        tenants.deallocate()
        profiles.deallocate()
        for ring in rings { ring.deallocate() }
    }

    /// Tenants that exist, closed ones included.
    package var tenantCount: Int { Int(counter(.tenants)[0]) }

    /// The same of profiles.
    package var profileCount: Int { Int(counter(.profiles)[0]) }

    /// Says that a slot was in use before this process: the next reservation in any slot gets a later generation.
    func noteUsed(_ slot: Int, generation: UInt64) {
        let used = counter(.slots)
        used[0] = max(used[0], UInt64((slot / FreeSlots.blockSize + 1) * FreeSlots.blockSize))
        let floor = counter(.generationFloor)
        floor[0] = max(floor[0], generation)
    }

    /// No reservation gets this generation of its slot, or an earlier one.
    package var passedOverGeneration: UInt64 { counter(.generationFloor)[0] }

    /// Has no reservation from now on get this generation, or an earlier one. Before there are requests.
    package func passOverGenerations(upTo generation: UInt64) {
        let floor = counter(.generationFloor)
        floor[0] = max(floor[0], min(generation, ReservationID.lastGeneration))
    }

    // MARK: Bodies

    /// Takes a body from the shared stack, or a fresh one; nil when all are in use. Lock-free.
    ///
    /// - Parameter sparing: what settlements need is left to them.
    func takeBody(sparing: Bool = false, _ steps: Steps) -> Int? {
        let used = counter(.usedBodies)
        let reserve = sparing ? capacity.bodies / Pressure.reservePart : 0
        guard Int(Int64(bitPattern: used[0])) < capacity.bodies - reserve else { return nil }
        guard let body = freeBodies.pop(steps) ?? freshBody() else { return nil }
        _ = used.add(0, 1)
        return body
    }

    private func freshBody() -> Int? {
        guard counter(.bodies)[0] < capacity.bodies else { return nil }
        let fresh = Int(counter(.bodies).add(0, 1))
        return fresh < capacity.bodies ? fresh : nil
    }

    /// Gives a body back that no slot names any more.
    func giveBody(_ index: Int, _ steps: Steps) {
        _ = counter(.usedBodies).add(0, .max)
        freeBodies.push(index, steps)
    }

    // MARK: Dependent records

    /// Completes what a version of a tenant says about its dependent records: anybody, any number of times, at any later
    /// time. Each compare-exchange goes from the exact old word, so only the first of each does anything.
    @inline(never)
    func complete(_ pending: Pending, _ steps: Steps) {
        #if STEP_POINTS
            if InjectedBug.planted == .lostDependent { return }
        #endif
        steps(.helping)
        if pending.flags & Pending.hasProfile != 0 {
            _ = profileCells[pending.profile].compareExchange(
                ProfileCell.head, pending.profileOld, pending.profileNew)
            steps(.helpedProfile)
        }
        if pending.flags & Pending.publication != 0 {
            _ = slots[pending.slot].compareExchange(
                Slot.published, pending.slotOld, pending.slotNew)
            steps(.helpedSlot)
        } else if pending.flags & Pending.swing != 0 {
            _ = slots[pending.slot].compareExchange(Slot.state, pending.slotOld, pending.slotNew)
            steps(.helpedSlot)
        }
        if pending.flags & Pending.hasKey != 0 {
            keys.reveal(pending.key)
            steps(.helpedKey)
        }
    }
}
