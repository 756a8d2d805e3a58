package import Limits

extension Lane {
    /// Where an operation on a reservation starts: its slot in one instant with its tenant.
    struct OpenSlot {
        var slot: Int
        var word: SlotWord
        var tenant: Int
        var head: Head
    }

    /// Reads a reservation, its tenant and its profile in one instant: `own.hold` and `own.subjects`, windows as they
    /// stand. nil: unknown or forgotten.
    @inline(always)
    func openReservation(_ raw: UInt64) -> OpenSlot? {
        let id = ReservationID(raw: raw)
        guard id.slot >= 0, id.slot < table.slots.capacity, id.generation != 0,
            id.generation <= ReservationID.lastGeneration
        else { return nil }
        let words = table.slots[id.slot]
        while true {
            guard SlotWord(word: words[Slot.state]).generation == id.generation else { return nil }
            let subjects = words[Slot.subjects]
            let tenant = Int(truncatingIfNeeded: subjects & 0xffff_ffff)
            let profile = Int(truncatingIfNeeded: subjects &>> 32) &- 1
            guard tenant < table.tenantCells.capacity, profile < table.profileCells.capacity,
                tenant < table.tenantCount
            else { return nil }
            let head = open(tenant)
            // The predecessor is complete now: what is not visible yet was never decided.
            let word = SlotWord(word: words[Slot.state])
            guard word.generation == id.generation, word.phase != .free,
                words[Slot.published] == id.generation &<< 1 | 1
            else { return nil }
            own.pointee.reservationTenant = tenant
            openProfile(profile < 0 ? nil : profile)
            loadHold(words, word, hasProfile: profile >= 0)
            // The slot may have begun this life after its subjects were read: then they were another's.
            guard isCurrent(tenant, head), words[Slot.state] == word.word,
                words[Slot.subjects] == subjects
            else { continue }
            return OpenSlot(slot: id.slot, word: word, tenant: tenant, head: head)
        }
    }

    /// The ids of the tenant and the profile (or none) of the reservation that this lane's last commit,
    /// release or extend was about; they stay where they are as long as the table lives.
    package var reservationSubjects: (tenantID: BorrowedBytes, profileID: BorrowedBytes) {
        let none = BorrowedBytes(start: nil, count: 0)
        guard let tenant = own.pointee.reservationTenant else { return (none, none) }
        let cell = table.tenantCells[tenant].advanced(CellID.firstWord)
        var profileID = none
        if own.pointee.subjects.hasProfile {
            let cell = table.profileCells[own.pointee.profile].advanced(CellID.firstWord)
            profileID = CellID.bytes(cell, table.longIDs)
        }
        return (CellID.bytes(cell, table.longIDs), profileID)
    }

    /// Copies a reservation into `own.hold`.
    func loadHold(_ words: Words, _ word: SlotWord, hasProfile: Bool) {
        let policy = words[Slot.policy]
        // In place: a segment is large.
        own.pointee.hold.first.amounts = Amounts()
        own.pointee.hold.first.amounts.present = UInt8(truncatingIfNeeded: policy &>> 24) & 0x3f
        var place = Slot.amounts
        for resource in own.pointee.hold.first.amounts.resources {
            own.pointee.hold.first.amounts[resource] = words.signed(place)
            place = min(place &+ 1, Slot.amounts + Slot.mostAmounts - 1)
        }
        own.pointee.hold.first.counters = UInt8(truncatingIfNeeded: policy &>> 32)
        own.pointee.hold.first.dayStart = words.signed(Slot.dayStart)
        own.pointee.hold.first.starts = WindowStarts(word: words[Slot.tenantWindows])
        own.pointee.hold.moreCount = 0
        own.pointee.hold.createdAt = words.signed(Slot.createdAt)
        own.pointee.hold.expiresAt = words.signed(Slot.expiresAt)
        own.pointee.hold.policy = policy & 0xff_ffff
        own.pointee.hold.hasProfile = hasProfile
        if let body = word.body, word.holdsBody { loadSegments(table.bodies[body]) }
    }

    private func loadSegments(_ body: Words) {
        own.pointee.hold.expiresAt = body.signed(Body.expiresAt)
        let count = min(Int(truncatingIfNeeded: body[Body.segmentCount]), HoldState.maxSegments)
        own.pointee.hold.moreCount = max(0, count - 1)
        for segment in 0..<max(1, count) {
            own.pointee.hold[segment] = Body.segment(body, segment)
        }
    }

    /// Swings the head with the slot moving on to another phase. The body that the slot no longer names is given back.
    @inline(always)
    func settle(_ open: OpenSlot, _ phase: SlotWord.Phase, body: Int?, now: Int64) -> Bool {
        settle(open, as: open.word.next(phase, body: body), now: now)
    }

    @inline(always)
    func settle(_ open: OpenSlot, as word: SlotWord, now: Int64) -> Bool {
        own.pointee.next.flags |= Pending.swing
        own.pointee.next.slot = open.slot
        own.pointee.next.slotOld = open.word.word
        own.pointee.next.slotNew = word.word
        if records {
            own.pointee.record.reservationID =
                ReservationID(slot: open.slot, generation: open.word.generation).raw
            own.pointee.record.action = own.pointee.hold.action
            // Of engine time as it was then, which is not the present lead's.
            own.pointee.record.takenAt =
                Int64(truncatingIfNeeded: table.slots[open.slot][Slot.policy] &>> 40)
                &* Record.quarter
        }
        step(.dependentsFilled)
        guard swing(open.tenant, open.head, now: now) else { return false }
        if let old = open.word.body, old != word.body { table.giveBody(old, steps) }
        // An extended hold is still one.
        if word.phase != .held { count(word.phase) }
        return true
    }

    // MARK: Release

    /// Release. Linearizes as `check`.
    package func release(_ id: UInt64, now: Int64, answer: inout ReleaseAnswer) -> Failure? {
        release(id, nil, now: now, answer: &answer)
    }

    /// As above.
    ///
    /// - Parameter key: as of `CommitCommand`.
    package func release(
        _ id: UInt64, key: BorrowedBytes, now: Int64, answer: inout ReleaseAnswer
    ) -> Failure? {
        guard key.count > 0 else { return release(id, nil, now: now, answer: &answer) }
        var keyed = SettlementKey(bytes: key)
        return withUnsafeMutablePointer(to: &keyed) {
            release(id, $0, now: now, answer: &answer)
        }
    }

    @inline(__always)
    private func release(
        _ id: UInt64, _ key: UnsafeMutablePointer<SettlementKey>?, now: Int64,
        answer: inout ReleaseAnswer
    ) -> Failure? {
        answer = ReleaseAnswer()
        while true {
            switch attemptRelease(id, key, now: now, answer: &answer) {
            case .done: return nil
            case .failed: return own.pointee.failure
            case .again: continue
            }
        }
    }

    /// An attempt at `release`.
    @inline(never)
    private func attemptRelease(
        _ id: UInt64, _ key: UnsafeMutablePointer<SettlementKey>?, now: Int64,
        answer: inout ReleaseAnswer
    ) -> Attempted {
        guard isReady else { return fail(noRoom()) }
        guard let open = openReservation(id) else { return fail(.unknownReservation) }
        var finding = KeyFinding.none
        if let key {
            finding = find(key.pointee.bytes, &key.pointee.request, open, method: 5, now: now)
            if finding == .moved { return .again }
            if finding == .reused { return fail(.keyReused) }
        }
        if open.word.phase == .held {
            begin(now: now)
            Decide.release(
                &own.pointee.subjects, &own.pointee.hold, table.rules,
                transition: &own.pointee.transition)
            if let failure = beginRelease(.released, key, finding, open, now: now) {
                return fail(failure)
            }
            let swung = settle(open, .released, body: open.word.body, now: now)
            return swung ? .done : .again
        }
        return releaseSettled(open, key, finding, now: now, answer: &answer)
    }

    /// Begins a release's record, with its key if it has one.
    @inline(__always)
    private func beginRelease(
        _ kind: Record.Kind, _ key: UnsafeMutablePointer<SettlementKey>?, _ finding: KeyFinding,
        _ open: OpenSlot, now: Int64
    ) -> Failure? {
        guard let key else {
            beginRecord(kind)
            return nil
        }
        if finding == .new, let failure = bind(&key.pointee.request, open, now: now) {
            return failure
        }
        beginRecord(kind, key.pointee.request)
        return nil
    }

    // MARK: Keys

    /// A settlement's key, and what is known of it.
    private struct SettlementKey {
        var bytes: BorrowedBytes
        var request = KeyRequest()
    }

    /// What a settlement's key is to it.
    private enum KeyFinding {
        /// It has none, or one that is bound to it already.
        case none, bound
        /// To be bound to it.
        case new
        /// Another content's.
        case reused
        /// The tenant has moved on meanwhile.
        case moved
    }

    /// Looks a settlement's key up. Its content is method and reservation: what it comes to the reservation knows.
    @inline(never)
    private func find(
        _ bytes: BorrowedBytes, _ key: inout KeyRequest, _ open: OpenSlot, method: UInt64,
        now: Int64
    ) -> KeyFinding {
        if key.reference == 0 {
            key.hash = table.secret.keyHash(tenant: UInt32(open.tenant), bytes)
            var hasher = ContentHasher(table.secret, method: method)
            hasher.add(ReservationID(slot: open.slot, generation: open.word.generation).raw)
            key.content = hasher.finish()
            key.tenant = open.tenant
        }
        guard let found = table.keys.find(key.hash, content: key.content, now: now) else {
            return .new
        }
        guard isCurrent(open.tenant, open.head) else { return .moved }
        return found.same ? .bound : .reused
    }

    /// Binds a key to the settlement in hand.
    @inline(never)
    private func bind(_ key: inout KeyRequest, _ open: OpenSlot, now: Int64) -> Failure? {
        var stored = KeyedAnswer()
        stored.decision = .allowed
        stored.reservationID =
            ReservationID(slot: open.slot, generation: open.word.generation).raw
        return remember(stored, &key, now: now)
    }

    /// Release of what is settled or expired: nothing is freed.
    @inline(never)
    private func releaseSettled(
        _ open: OpenSlot, _ key: UnsafeMutablePointer<SettlementKey>?, _ finding: KeyFinding,
        now: Int64, answer: inout ReleaseAnswer
    ) -> Attempted {
        switch open.word.phase {
        case .released:
            answer.replayed = true
            return .done
        case .releasedLate:
            answer.replayed = true
            answer.expired = true
            return .done
        case .expiredReleased:
            begin(now: now)
            if let failure = beginRelease(.releasedLate, key, finding, open, now: now) {
                return fail(failure)
            }
            guard settle(open, .releasedLate, body: open.word.body, now: now) else { return .again }
            answer.expired = true
            return .done
        case .free: return fail(.unknownReservation)
        default: return fail(Failure(.alreadySettled))
        }
    }

    // MARK: Commit

    /// Commit, in time or late. Linearizes as `check`.
    package func commit(_ command: CommitCommand, now: Int64, answer: inout CommitAnswer)
        -> Failure?
    {
        var body: Int?
        defer { if let unused = body { table.giveBody(unused, steps) } }
        var key = KeyRequest()
        while true {
            guard isReady else { return noRoom() }
            guard let open = openReservation(command.reservationID) else {
                return .unknownReservation
            }
            var finding = KeyFinding.none
            if command.idempotencyKey.count > 0 {
                finding = find(command.idempotencyKey, &key, open, method: 4, now: now)
                if finding == .moved { continue }
                if finding == .reused { return .keyReused }
            }
            guard let phase = open.word.phase.holdPhase else {
                guard let result = commitSettled(command, open, answer: &answer) else { continue }
                // Another amount under the same key is another content.
                return result != nil && finding == .bound ? .keyReused : result
            }
            begin(now: now)
            let settlement = Decide.commit(
                &own.pointee.subjects, &own.pointee.hold, phase: phase, actual: command.actual,
                table.rules, transition: &own.pointee.transition, closed: &own.pointee.closed)
            switch settlement.verdict {
            case .exceedsHold: return Failure(.exceedsReservation, pointer: "/actual")
            case .overflow: return .overflow(of: "/actual")
            case .belowZero: return .belowZero(of: "/actual")
            case .allowed, .denied: break
            }
            let late = phase != .open
            let total = own.pointee.hold.total
            let asked = command.actual.isEmpty ? total : command.actual
            let asHeld = !late && asked.sameAmounts(as: total)
            if !asHeld {
                if body == nil { body = table.takeBody(steps) }
                guard let body else { return .tableFull }
                fill(
                    body, held: total, asked: asked, charged: settlement.committed,
                    uncharged: settlement.uncharged)
            }
            let suspends = own.pointee.transition.events.contains(.suspended)
            let status =
                suspends ? TenantStatus.suspended : own.pointee.subjects.tenant.status
            if finding == .new, let failure = bind(&key, open, now: now) { return failure }
            beginRecord(late ? .committedLate : .committed, key)
            describe(settlement, asked: asHeld ? Amounts() : asked, phase, status)
            let next = open.word.settled(
                late ? .committedLate : asHeld ? .committed : .committedOther,
                body: asHeld ? open.word.body : body, warnings: settlement.reached,
                tenantStatus: status)
            guard settle(open, as: next, now: now) else { continue }
            // What an earlier attempt took stays for `defer` to give back.
            if !asHeld { body = nil }
            answer.committed = settlement.committed
            answer.uncharged = settlement.uncharged
            answer.late = late
            answer.replayed = false
            answer.warnings = settlement.reached
            answer.tenantStatus = status
            Decide.describe(
                settlement.reached, &own.pointee.subjects, table.rules, asOf: windows(now),
                into: &answer.limits)
            return nil
        }
    }

    private func describe(
        _ settlement: Decide.Settlement, asked: Amounts, _ phase: Decide.HoldPhase,
        _ status: TenantStatus
    ) {
        guard records else { return }
        own.pointee.record.asked = asked
        if phase == .expiredCharged { own.pointee.record.onExpiry = .commit }
        if !settlement.uncharged.isEmpty { own.pointee.record.charged = settlement.committed }
        own.pointee.record.warnings = settlement.reached
        own.pointee.record.tenantStatus = status
        recordClosedCharges()
    }

    /// Fills a body that nobody knows with what a commit came to.
    func fill(
        _ body: Int, held: Amounts, asked: Amounts, charged: Amounts, uncharged: Amounts
    ) {
        let words = table.bodies[body]
        Body.store(held, to: words, at: Body.held)
        Body.store(asked, to: words, at: Body.asked)
        Body.store(charged, to: words, at: Body.charged)
        Body.store(uncharged, to: words, at: Body.uncharged)
    }

    /// A commit of what was settled: of what was committed the same answer, or 49203. nil: the slot changed meanwhile.
    private func commitSettled(
        _ command: CommitCommand, _ open: OpenSlot, answer: inout CommitAnswer
    ) -> Failure?? {
        switch open.word.phase {
        case .committed, .committedOther, .committedLate: break
        case .released, .releasedLate: return .some(Failure(.alreadySettled))
        default: return .some(.unknownReservation)
        }
        var asked = own.pointee.hold.total
        var held = asked
        var committed = asked
        var uncharged = Amounts()
        if open.word.phase != .committed, let body = open.word.body {
            let words = table.bodies[body]
            held = Body.amounts(words, at: Body.held)
            asked = Body.amounts(words, at: Body.asked)
            committed = Body.amounts(words, at: Body.charged)
            uncharged = Body.amounts(words, at: Body.uncharged)
            guard table.slots[open.slot][Slot.state] == open.word.word else { return nil }
        }
        // What is only ever held was freed, whatever else was asked.
        for resource in BitIndexes(table.rules.heldOnly) {
            asked[resource] = 0
            held[resource] = 0
            committed[resource] = 0
        }
        guard (command.actual.isEmpty ? held : command.actual).sameAmounts(as: asked) else {
            return .some(Failure(.alreadySettled))
        }
        answer.committed = committed
        answer.uncharged = uncharged
        answer.late = open.word.phase == .committedLate
        answer.replayed = true
        answer.warnings = open.word.warnings
        answer.tenantStatus = open.word.tenantStatus
        answer.limits.present = []
        return .some(nil)
    }
}

extension SlotWord.Phase {
    /// Where a commit finds the hold; nil: it is settled, or gone.
    @inline(always)
    var holdPhase: Decide.HoldPhase? {
        switch self {
        case .held: .open
        case .expiredReleased: .expiredReleased
        case .expiredCharged: .expiredCharged
        default: nil
        }
    }
}

extension SlotWord {
    /// Whether the body is a hold's segments (not a settlement).
    @inline(always)
    var holdsBody: Bool {
        switch phase {
        case .held, .released, .releasedLate, .committed, .expiredReleased, .expiredCharged: true
        default: false
        }
    }
}
