import Journal
package import Limits

/// One thread's access to a `ReservationTable`: its calls run to completion on the calling thread and never wait.
///
/// A lane is used by one thread at a time. It owns what no other thread touches: spare buffers, free slots, key
/// entries, the timers of the reservations it made.
package final class Lane {
    package let table: ReservationTable
    package let index: Int
    /// The lane's own state, outside the object so that no access pays for exclusivity checks.
    let own: UnsafeMutablePointer<Own>
    let wheel: UnsafeMutablePointer<TimerWheel>
    let keySupply: UnsafeMutablePointer<KeySupply>
    /// Where the lane's records go; nil: nowhere.
    let ring: RecordRing?

    #if STEP_POINTS
        /// A test's hook: called at every step point of this lane's operations.
        package var onStep: ((StepPoint) -> Void)?
    #endif

    struct Own {
        var subjects = Decide.Subjects()
        /// The profile's head in the present snapshot.
        var profileHead: UInt64 = 0
        var profile = 0
        var openedCycle = false
        var openedTenantDay = false
        /// The profile's.
        var openedDay = false
        /// What the present version of the tenant leaves to be done.
        var found = Pending()
        /// What the version that is being made leaves to be done.
        var next = Pending()
        var transition = Transition()
        /// What a CheckAndReserve asks for.
        var asked = Amounts()
        var hold = HoldState(first: .none)
        var closed = ClosedCharges()
        var record = Record(.reserved)
        /// On whose behalf operations are done: `Record.caller`.
        var caller: UInt64 = 0
        /// Whether that is somebody who is bound to tenants.
        var isLimited = false
        /// See `Lane.lead`.
        var lead: Int64 = 0
        /// The time that this lane last put on record, and where; `.min`: never.
        var marked = TimeMark()
        /// Where the windows that the present answer shows are on record; nil: with the state, or it shows none.
        var shown: UInt64?
        /// Something was asked since `tick` last looked.
        var hasAnswered = false
        /// Where the record of the present snapshot stands.
        var origin = Origin.none
        /// Records are being played back: they are on disk already.
        var replays = false
        /// Of what is played back, settled reservations with bodies that are forgotten without a record, the next one
        /// last; looked for where bodies are scarce.
        var forgetting: [ReplayedBody] = []
        var spareNode: Int
        var spareProfileNode: Int
        var freeSlots = FreeSlots()
        /// The writer's last movement in the ring that was seen, and words of expiries on record since.
        var expiryRound: UInt64 = 0
        var expiryWords = 0
        /// Words that must be free in the ring for what settles or records: two records and what is left of the expiries'
        /// share.
        var settlementRoom = 0
        /// The same for what asks for room: it leaves the last part of the ring to those.
        var reservationRoom = 0
        /// Subjects that this lane has claimed and not looked at yet (`Lane+Rollover`).
        var rollover = 0..<0
        /// Holds that this lane has expired.
        var expired = 0
        /// Whether this lane has ever timed a reservation.
        var hasTimed = false
        /// The tenant of the reservation that was opened last.
        var reservationTenant: Int?
        var walk: Walk
        /// Why the last attempt failed.
        var failure: Failure?
        /// The last call did nothing for want of room in the journal.
        var lacksRoom = false
    }

    /// What an attempt at an operation came to. A byte: a failure itself is large, and copied where there is one.
    enum Attempted {
        case done
        /// Another operation was first.
        case again
        /// See `own.failure`.
        case failed
    }

    @inline(never)
    func fail(_ failure: Failure) -> Attempted {
        own.pointee.failure = failure
        return .failed
    }

    init(
        _ table: ReservationTable, index: Int, spareNode: Int, spareProfileNode: Int, now: Int64
    ) {
        self.table = table
        self.index = index
        own = .allocate(capacity: 1)
        own.initialize(
            to: Own(
                spareNode: spareNode, spareProfileNode: spareProfileNode,
                walk: Walk(lanes: table.capacity.lanes)))
        wheel = .allocate(capacity: 1)
        wheel.initialize(to: TimerWheel(pool: table.timers, now: now))
        keySupply = .allocate(capacity: 1)
        keySupply.initialize(
            to: KeySupply(table.keys, table.keyShares, used: table.counter(.keyChunks)))
        table.heartbeats[index].setSigned(Heartbeat.time, now)
        ring = table.rings.isEmpty ? nil : table.rings[index]
        keepRoom(forExpiries: (ring?.capacity ?? 0) / Self.expiryShare)
    }

    deinit {
        own.pointee.walk.deallocate()
        wheel.pointee.deallocate()
        wheel.deinitialize(count: 1)
        wheel.deallocate()
        keySupply.deinitialize(count: 1)
        keySupply.deallocate()
        own.deinitialize(count: 1)
        own.deallocate()
    }

    @inline(always)
    func step(_ point: @autoclosure () -> StepPoint) {
        #if STEP_POINTS
            onStep?(point())
        #endif
    }

    /// The step points of shared memory, while it works for this lane.
    @inline(always)
    var steps: Steps {
        #if STEP_POINTS
            Steps(onStep)
        #else
            Steps()
        #endif
    }

    /// On whose behalf the following operations are done: the number of an access token; 0: nobody's.
    package var caller: UInt64 {
        get { own.pointee.caller }
        set { own.pointee.caller = newValue }
    }

    /// The trace that the following operations are a part of; nil: none. Whoever sets it takes it back after them.
    package var trace: TraceID? {
        // In the record all the time: no operation pays for it.
        get { own.pointee.record.trace }
        set { own.pointee.record.trace = newValue }
    }

    /// Whether the following operations are done on behalf of somebody who may act for some tenants only: then these
    /// have their shares (`TableCapacity.tenantShare`).
    package var isLimited: Bool {
        get { own.pointee.isLimited }
        set { own.pointee.isLimited = newValue }
    }

    // MARK: Steps of an operation

    /// Steps 1 and 2: a consistent copy of the tenant's node in `own.subjects.tenant`, its dependent records complete.
    @inline(always)
    func open(_ tenant: Int) -> Head {
        let cell = table.tenantCells[tenant]
        var word = cell[TenantCell.head]
        while true {
            let node = table.tenantNodes[Head(word: word).buffer]
            TenantNode.load(node, into: &own.pointee.subjects.tenant)
            let completed = cell[TenantCell.completed] == own.pointee.subjects.tenant.version
            if !completed { TenantNode.load(node, into: &own.pointee.found) }
            let origin = ring == nil ? Origin.none : Origin(word: node[TenantNode.origin])
            step(.headRead)
            let again = cell[TenantCell.head]
            if again == word {
                own.pointee.origin = origin
                if !completed { completePredecessor(origin) }
                step(.predecessorCompleted)
                return Head(word: word)
            }
            word = again
        }
    }

    /// The record first: whoever reads a dependent record by itself (a listing) sees nothing whose record nobody published.
    @inline(never)
    private func completePredecessor(_ origin: Origin) {
        appendPredecessor(origin)
        table.complete(own.pointee.found, steps)
    }

    /// Sees to it that the record of the version that was found is published by somebody: nothing that depends on a
    /// version is published before it, whatever its author does. There must be room (`isReady`).
    private func appendPredecessor(_ origin: Origin) {
        guard let ring, origin != .none, origin.lane != index else { return }
        #if STEP_POINTS
            if InjectedBug.planted == .lostPredecessor { return }
        #endif
        if let end = ring.copyUnpublished(from: table.rings[origin.lane], at: origin.position) {
            ring.publish(to: end)
            step(.recordPublished)
        }
    }

    // MARK: Durability

    /// Of the ring's words, the part that what asks for room leaves to what gives it back or says what has happened:
    /// Commit, Release, Extend by time alone, RecordUsage. While the disk stalls, these go on for longer.
    static var settlementShare: Int { 8 }

    /// Whether there is room for the record of a request and for its predecessor's. To be asked before every attempt:
    /// afterwards it is too late to refuse.
    @inline(always)
    var isReady: Bool {
        guard let ring else { return true }
        return ring.hasRoom(own.pointee.settlementRoom) && ring.isOpen
    }

    /// The same for a request that asks for room.
    @inline(always)
    var mayReserve: Bool {
        guard let ring else { return true }
        return ring.hasRoom(own.pointee.reservationRoom) && ring.isOpen
    }

    /// Keeps words of the ring for expiries.
    func keepRoom(forExpiries words: Int) {
        own.pointee.settlementRoom = 2 * RecordWords.most + words
        own.pointee.reservationRoom =
            own.pointee.settlementRoom + (ring?.capacity ?? 0) / Self.settlementShare
    }

    /// Whether there is room for a predecessor's record: reading goes on while the disk is full.
    @inline(always)
    var canRead: Bool { ring?.hasRoom(RecordWords.most) ?? true }

    /// Whether operations are recorded.
    @inline(always)
    var records: Bool { ring != nil }

    /// Whether something that this lane published is not on disk yet, or what it builds upon may not be.
    package var hasUnwritten: Bool { ring.map { $0.end != $0.settled } ?? false }

    /// Starts a call: its answer reflects nothing yet.
    package func beginCall() {
        own.pointee.origin = .none
        own.pointee.shown = nil
        own.pointee.hasAnswered = true
        own.pointee.lacksRoom = false
    }

    /// Whether the last call did nothing because the journal had no room.
    package var lacksRoom: Bool { own.pointee.lacksRoom }

    /// Whether any call would find room now.
    package var hasRoom: Bool { mayReserve }

    /// Up to where this lane's records are on disk: what rises as long as the disk does its work.
    package var durablePosition: UInt64 { ring?.durable ?? 0 }

    /// The failure of a call that did nothing for want of room. It reflects nothing, and so waits for nothing.
    @inline(never)
    func noRoom() -> Failure {
        own.pointee.lacksRoom = true
        own.pointee.origin = .none
        own.pointee.shown = nil
        return .journalFull
    }

    /// Whether the answer or failure of the last call reflects a version whose record, or another that it builds upon,
    /// may not be on disk yet, or shows a window that is not.
    package var answerWaits: Bool {
        if let shown = own.pointee.shown, let ring, ring.durable <= shown { return true }
        let origin = own.pointee.origin
        return origin != .none && table.rings[origin.lane].settled <= origin.position
    }

    /// Copies a profile's node into `own.subjects.profile`; consistent if the tenant's head is unchanged afterwards.
    @inline(always)
    func openProfile(_ profile: Int?) {
        guard let profile else {
            own.pointee.subjects.hasProfile = false
            return
        }
        let word = table.profileCells[profile][ProfileCell.head]
        own.pointee.profile = profile
        own.pointee.profileHead = word
        ProfileNode.load(
            table.profileNodes[Head(word: word).buffer], into: &own.pointee.subjects.profile)
        own.pointee.subjects.hasProfile = true
    }

    /// Step 3: whether everything that was read since `open` is from one instant.
    @inline(always)
    func isCurrent(_ tenant: Int, _ head: Head) -> Bool {
        let current = table.tenantCells[tenant][TenantCell.head] == head.word
        if current { step(.snapshotTaken) }
        return current
    }

    /// Starts the windows that hold engine time, in the copies, and clears the transition.
    @inline(always)
    func begin(now: Int64) {
        let now = windows(now)
        own.pointee.transition = Transition()
        own.pointee.next.flags = 0
        own.pointee.openedCycle = false
        own.pointee.openedTenantDay = false
        own.pointee.openedDay = false
        if now >= own.pointee.subjects.tenant.cycleEnd { openCycle(now: now) }
        if now >= own.pointee.subjects.tenant.dayEnd { openTenantDay(now: now) }
        if own.pointee.subjects.hasProfile {
            own.pointee.subjects.profile.follow(
                percentEpoch: own.pointee.subjects.tenant.percentEpoch)
            if now &- own.pointee.subjects.profile.dayStart >= ProfileState.dayLength {
                openDay(now: now)
            }
        }
    }

    /// Whether a window begins with the operation in hand: then it is a transition, and judges the one that ends.
    @inline(always)
    var opensWindow: Bool {
        own.pointee.openedCycle || own.pointee.openedTenantDay || own.pointee.openedDay
    }

    @inline(never)
    private func openDay(now: Int64) {
        own.pointee.transition.raise(
            Decide.alerts(
                ofDayOf: own.pointee.subjects.profile, own.pointee.subjects.tenant, table.rules),
            own.pointee.subjects.profile, table.rules)
        own.pointee.subjects.profile.openDay(ProfileState.dayStart(of: now))
        own.pointee.openedDay = true
    }

    @inline(never)
    private func openCycle(now: Int64) {
        judgeWindow(table.rules.cyclic)
        let cycle = table.schedules.cycle(
            schedule: own.pointee.subjects.tenant.schedule, containing: now,
            notBefore: own.pointee.subjects.tenant.cycleEnd)
        own.pointee.subjects.tenant.openCycle(start: cycle.start, end: cycle.end, table.rules)
        own.pointee.openedCycle = true
    }

    @inline(never)
    private func openTenantDay(now: Int64) {
        judgeWindow(table.rules.daily)
        let day = table.schedules.day(
            schedule: own.pointee.subjects.tenant.schedule, containing: now,
            notBefore: own.pointee.subjects.tenant.dayEnd)
        own.pointee.subjects.tenant.openDay(start: day.start, end: day.end, table.rules)
        own.pointee.openedTenantDay = true
    }

    /// Raises what is due of a window that ends.
    private func judgeWindow(_ counters: UInt8) {
        own.pointee.transition.raise(
            Decide.alerts(ofWindowOf: own.pointee.subjects.tenant, counters, table.rules),
            own.pointee.subjects.profile, table.rules)
    }

    /// Steps 4 and 5: applies the transition to the copies, writes them to spare buffers and swings the head.
    /// False: another operation was first; start again.
    ///
    /// The caller has put slot and key into `own.next` and kind and content into `own.record`.
    @inline(never)
    func swing(_ tenant: Int, _ head: Head, now: Int64) -> Bool {
        own.pointee.transition.apply(
            to: &own.pointee.subjects.tenant, &own.pointee.subjects.profile, table.rules)
        return swingApplied(tenant, head, now: now)
    }

    /// The same where the transition has been applied to the copies.
    @inline(__always)
    func swingApplied(_ tenant: Int, _ head: Head, now: Int64) -> Bool {
        let touchesProfile =
            own.pointee.subjects.hasProfile
            && (own.pointee.transition.touchesProfile || own.pointee.openedDay)
        let version = own.pointee.subjects.tenant.version
        if touchesProfile {
            let spare = own.pointee.spareProfileNode
            ProfileNode.store(&own.pointee.subjects.profile, to: table.profileNodes[spare])
            own.pointee.next.flags |= Pending.hasProfile
            own.pointee.next.profile = own.pointee.profile
            own.pointee.next.profileOld = own.pointee.profileHead
            own.pointee.next.profileNew = Head(version: version, buffer: spare).word
        }
        let node = table.tenantNodes[own.pointee.spareNode]
        TenantNode.store(&own.pointee.subjects.tenant, to: node)
        TenantNode.store(&own.pointee.next, to: node)
        let recordEnd = records ? describe(tenant, version: version, now: now, node) : nil
        step(.nodeWritten)
        let desired = Head(version: version, buffer: own.pointee.spareNode)
        var head = head
        #if STEP_POINTS
            if InjectedBug.planted == .doubleGrant {
                head = Head(word: table.tenantCells[tenant][TenantCell.head])
            }
        #endif
        guard table.tenantCells[tenant].compareExchange(TenantCell.head, head.word, desired.word)
        else { return false }
        own.pointee.spareNode = head.buffer
        step(.headSwung)
        if let ring, let recordEnd {
            ring.publish(to: recordEnd)
            step(.recordPublished)
        }
        finish(tenant, version: version)
        return true
    }

    /// Step 6, by the author: what `ReservationTable.complete` does, and the buffers taken over. Others may have gone
    /// further by any number of operations, so that each step is a compare-exchange from the exact old word.
    @inline(always)
    private func finish(_ tenant: Int, version: UInt64) {
        let flags = own.pointee.next.flags
        if flags & Pending.hasProfile != 0 {
            // Losing means that somebody completed it; the old buffer is out of use either way.
            _ = table.profileCells[own.pointee.next.profile].compareExchange(
                ProfileCell.head, own.pointee.next.profileOld, own.pointee.next.profileNew)
            own.pointee.spareProfileNode = Head(word: own.pointee.next.profileOld).buffer
            step(.profileSwung)
        }
        if flags & Pending.publication != 0 {
            #if STEP_POINTS
                if InjectedBug.planted == .overwrittenLife {
                    table.slots[own.pointee.next.slot][Slot.published] = own.pointee.next.slotNew
                }
            #endif
            // Losing means that somebody completed it: the slot may have come to the end of this life, and begun others.
            _ = table.slots[own.pointee.next.slot].compareExchange(
                Slot.published, own.pointee.next.slotOld, own.pointee.next.slotNew)
            step(.slotUpdated)
        } else if flags & Pending.swing != 0 {
            _ = table.slots[own.pointee.next.slot].compareExchange(
                Slot.state, own.pointee.next.slotOld, own.pointee.next.slotNew)
            step(.slotUpdated)
        }
        if flags & Pending.hasKey != 0 {
            table.keys.reveal(own.pointee.next.key)
            step(.keyUpdated)
        }
        // Plain: a version that is no longer the tenant's says nothing, and costs whoever comes next a look.
        table.tenantCells[tenant][TenantCell.completed] = version
        step(.completed)
    }

    /// Completes the record with what `swing` knows, writes it behind what the ring has published, and its place into
    /// the node. Returns the position behind it; nil: nothing is recorded.
    @inline(never)
    private func describe(_ tenant: Int, version: UInt64, now: Int64, _ node: Words) -> UInt64? {
        guard let ring else { return nil }
        if own.pointee.replays {
            node[TenantNode.origin] = Origin.none.word
            return nil
        }
        own.pointee.record.tenant = UInt32(truncatingIfNeeded: tenant)
        own.pointee.record.profile =
            own.pointee.subjects.hasProfile
            ? UInt32(truncatingIfNeeded: own.pointee.profile) : nil
        own.pointee.record.version = version
        own.pointee.record.time = windows(now)
        own.pointee.record.lead = own.pointee.lead
        own.pointee.record.transition = own.pointee.transition
        own.pointee.record.opensNothing()
        if opensWindow { describeWindows() }
        own.pointee.origin = Origin(lane: index, position: ring.end)
        node[TenantNode.origin] = own.pointee.origin.word
        return ring.write(own.pointee.record)
    }

    @inline(never)
    private func describeWindows() {
        if own.pointee.openedCycle {
            own.pointee.record.openedCycleStart = own.pointee.subjects.tenant.cycleStart
            own.pointee.record.openedCycleEnd = own.pointee.subjects.tenant.cycleEnd
        }
        if own.pointee.openedTenantDay {
            own.pointee.record.openedTenantDayStart = own.pointee.subjects.tenant.dayStart
            own.pointee.record.openedTenantDayEnd = own.pointee.subjects.tenant.dayEnd
        }
        if own.pointee.openedDay {
            own.pointee.record.openedDay = own.pointee.subjects.profile.dayStart
        }
    }

    // MARK: Look-ups

    /// The tenant's number, or nil.
    @inline(never)
    func findTenant(_ id: BorrowedBytes) -> Int? {
        table.tenants.find(id, hash: table.secret.directoryHash(id))
    }

    /// The profile's number if it exists and belongs to the tenant.
    @inline(never)
    func findProfile(_ id: BorrowedBytes, of tenant: Int) -> Int? {
        guard let profile = table.profiles.find(id, hash: table.secret.directoryHash(id)),
            table.profileCells[profile][ProfileCell.tenant] == UInt64(tenant)
        else { return nil }
        return profile
    }

    /// Whether the profile in hand is there for requests that name one of a kind.
    @inline(always)
    func isOpenProfile(_ kind: ProfileKind) -> Bool {
        !own.pointee.subjects.profile.closed && own.pointee.subjects.profile.kind == kind
    }
}

extension Failure {
    static let tableFull = Failure(
        .unavailable,
        detail: "The maximum number of reservations is reached; settle some or try again later")
    static let idsSpent = Failure(
        .unavailable,
        detail:
            "All reservation ids of this data directory are used up; export the settings to a new one"
    )
    static let journalFull = Failure(
        .unavailable, detail: "The journal has no room: its disk is full, failed or too slow")
    static let keysFull = Failure(
        .unavailable, detail: "The maximum number of remembered idempotency keys is reached")
    static func overflow(of field: StaticString) -> Failure {
        Failure(.badField, pointer: field, detail: "A total would exceed 64 bits")
    }
    static func belowZero(of field: StaticString) -> Failure {
        Failure(.badField, pointer: field, detail: "The total would become negative")
    }
    static let unknownTenant = Failure(.notFound, pointer: "/tenant_id", detail: "No such tenant")
    static func unknownProfile(_ kind: ProfileKind) -> Failure {
        switch kind {
        case .messaging:
            Failure(.notFound, pointer: kind.idPointer, detail: "No such messaging profile")
        case .voice:
            Failure(.notFound, pointer: kind.idPointer, detail: "No such outbound voice profile")
        }
    }
    static let unknownReservation = Failure(
        .notFound, pointer: "/reservation_id", detail: "No such reservation")
    static let keyReused = Failure(.keyReused, pointer: "/idempotency_key")
}
