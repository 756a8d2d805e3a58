import Glibc
import Journal
package import Limits

extension Lane {
    /// CheckAndReserve. Fills `answer`, or returns why the call failed as a whole; then nothing has changed.
    ///
    /// Linearizes at the head's compare-exchange where it changes something, else at the check of the head after
    /// the last read. Allocates nothing. Expected O(1).
    package func check(_ command: CheckCommand, now: Int64, answer: inout CheckAnswer) -> Failure? {
        guard let tenant = findTenant(command.tenantID) else { return .unknownTenant }
        let keyed = command.idempotencyKey.count > 0 && command.mode != .checkOnly
        var key = KeyRequest()
        if keyed {
            key.hash = table.secret.keyHash(tenant: UInt32(tenant), command.idempotencyKey)
            key.content = contentHash(command)
            key.tenant = tenant
        }
        var slot: Int?
        while true {
            let attempted = attempt(command, tenant, now, &key, keyed, &slot, &answer)
            if attempted == .again { continue }
            if let unused = slot { giveSlot(unused) }
            return attempted == .done ? nil : own.pointee.failure
        }
    }

    /// An attempt at `check`. Leaves in `slot` one that was taken and not used.
    ///
    /// No loop: the compiler would compute in front of it what only rare ways through it need.
    @inline(never)
    private func attempt(
        _ command: CheckCommand, _ tenant: Int, _ now: Int64, _ key: inout KeyRequest,
        _ keyed: Bool, _ slot: inout Int?, _ answer: inout CheckAnswer
    ) -> Attempted {
        guard command.mode == .checkOnly ? canRead : mayReserve else { return fail(noRoom()) }
        let head = open(tenant)
        if own.pointee.subjects.tenant.status == .closed { return fail(.unknownTenant) }
        var isBound = false
        if keyed, let found = table.keys.find(key.hash, content: key.content, now: now) {
            // Else the answer may be one that `own.origin`, for which it waits, does not cover.
            guard isCurrent(tenant, head) else { return .again }
            guard found.same else { return fail(.keyReused) }
            if found.answer.decision == .allowed {
                replay(found.answer, into: &answer)
                return .done
            }
            // A denial bound the key to its content and is no stored answer: this is decided anew.
            isBound = true
        }
        var profile: Int?
        if command.profileID.count > 0 {
            profile = findProfile(command.profileID, of: tenant)
            if profile == nil { return fail(.unknownProfile(command.profileKind)) }
        }
        openProfile(profile)
        guard isCurrent(tenant, head) else { return .again }
        if profile != nil && !isOpenProfile(command.profileKind) {
            return fail(.unknownProfile(command.profileKind))
        }
        begin(now: now)

        let verdict = decide(command, &answer)
        if verdict == .overflow { return fail(.overflow(of: "/quantities")) }
        #if STEP_POINTS
            if InjectedBug.planted == .rollBackRace && verdict == .denied && !keyed {
                takeAndGiveBack(command, tenant, head, now)
            }
        #endif
        let holds = verdict == .allowed && command.mode != .checkOnly && command.mode != .commit
        let keeps = keyed && (verdict == .allowed || !isBound)
        let changes = !own.pointee.transition.isEmpty || keeps || holds || opensWindow
        if changes && command.mode != .checkOnly {
            if holds || keeps, let failure = refusalOfShare(tenant, slot: holds, key: keeps) {
                return fail(failure)
            }
            if holds {
                guard hold(&slot, command, tenant, profile, now, &answer) else {
                    return fail(noSlot)
                }
            }
            answer.tenantStatus =
                own.pointee.transition.events.contains(.suspended)
                ? .suspended : own.pointee.subjects.tenant.status
            if keeps, let failure = remember(answer, &key, now: now) { return fail(failure) }
            step(.dependentsFilled)
            if records { fillRecord(command, verdict: verdict, &key, isKept: keeps, answer) }
            guard swing(tenant, head, now: now) else { return .again }
            if holds {
                startTiming(answer, of: tenant, now: now)
                slot = nil
            }
        } else if !keepsWindows(now: now) {
            return fail(noRoom())
        } else {
            answer.tenantStatus = own.pointee.subjects.tenant.status
        }
        describe(command, now, &answer)
        return .done
    }

    /// Counts the hold that was just made for its tenant, and has its expiry come.
    @inline(always)
    private func startTiming(_ answer: borrowing CheckAnswer, of tenant: Int, now: Int64) {
        table.countSlot(1, of: tenant)
        count(.held)
        step(.notYetTimed)
        wheel.pointee.insert(
            ReservationID(raw: answer.reservationID),
            deadline: min(answer.expiresAt, now + Self.longestWait))
    }

    /// Fills in what an answer says of the tenant's windows and limits.
    @inline(always)
    private func describe(
        _ command: CheckCommand, _ now: Int64, _ answer: inout CheckAnswer
    ) {
        answer.starts = own.pointee.subjects.tenant.starts
        answer.dayStart = own.pointee.subjects.profile.dayStart
        answer.includeLimits = command.includeLimits
        var described = answer.refused.union(answer.warnings)
        if command.includeLimits && !answer.refusedBySuspension {
            described.formUnion(
                Decide.applicable(command.amounts, &own.pointee.subjects, table.rules))
        }
        Decide.describe(
            described, &own.pointee.subjects, table.rules, asOf: windows(now), into: &answer.limits)
    }

    // What an attempt is made of. Calls, since the compiler stops inlining the smallest things in a function that has
    // become too large.

    @inline(never)
    private func decide(
        _ command: CheckCommand, _ answer: inout CheckAnswer
    ) -> Decide.Verdict {
        own.pointee.asked = command.amounts
        return Decide.check(
            &own.pointee.subjects, action: command.action, amounts: &own.pointee.asked,
            minimums: command.minimums, mode: command.mode, table.rules, answer: &answer,
            transition: &own.pointee.transition)
    }

    /// Fills a slot for the hold that was just decided. False: none is left.
    @inline(never)
    private func hold(
        _ taken: inout Int?, _ command: CheckCommand, _ tenant: Int, _ profile: Int?, _ now: Int64,
        _ answer: inout CheckAnswer
    ) -> Bool {
        if taken == nil { taken = takeSlot(now: now) }
        guard let slot = taken else { return false }
        let generation = SlotWord(word: table.slots[slot][Slot.state]).generation
        answer.reservationID = ReservationID(slot: slot, generation: generation).raw
        answer.expiresAt = now + min(Int64(command.ttlMilliseconds), table.capacity.maxLife)
        fill(
            slot, generation: generation, tenant: tenant, profile: profile,
            policy: HoldState.policy(command.action, command.onExpiry, command.overage),
            createdAt: now, takenAt: windows(now), expiresAt: answer.expiresAt)
        return true
    }

    /// Puts what the transition in hand holds into a slot, by resource. Returns the resources, bit `Resource.index`.
    @inline(always)
    private func storeAmounts(_ words: Words) -> UInt64 {
        var resources: UInt64 = 0
        var place = Slot.amounts
        for counter in BitIndexes(own.pointee.transition.held.present & table.rules.mainCounters) {
            precondition(
                place < Slot.amounts + Slot.mostAmounts, "more resources than a slot holds")
            words.setSigned(place, own.pointee.transition.held[counter])
            resources |= 1 &<< UInt64(truncatingIfNeeded: table.rules.resource(of: counter))
            place &+= 1
        }
        return resources
    }

    /// Fills a slot that nobody knows with what the transition in hand holds, to be published with it: at most
    /// `Slot.mostAmounts` resources.
    @inline(always)
    func fill(
        _ slot: Int, generation: UInt64, tenant: Int, profile: Int?, policy: UInt64,
        createdAt: Int64, takenAt: Int64, expiresAt: Int64
    ) {
        let words = table.slots[slot]
        words[Slot.subjects] =
            UInt64(truncatingIfNeeded: tenant)
            | UInt64(truncatingIfNeeded: (profile ?? -1) &+ 1) &<< 32
        words[Slot.policy] =
            policy | storeAmounts(words) &<< 24
            | UInt64(own.pointee.transition.held.present) &<< 32
            | (UInt64(bitPattern: takenAt) / UInt64(bitPattern: Record.quarter)) &<< 40
        words.setSigned(Slot.createdAt, createdAt)
        words.setSigned(Slot.expiresAt, expiresAt)
        words.setSigned(Slot.dayStart, profile == nil ? 0 : own.pointee.subjects.profile.dayStart)
        words[Slot.tenantWindows] = own.pointee.subjects.tenant.starts.word
        words[Slot.forgetting] =
            ForgetTime.unset(SlotWord(generation: generation, phase: .held)).word
        own.pointee.next.flags |= Pending.publication
        own.pointee.next.slot = slot
        own.pointee.next.slotOld = generation &<< 1
        own.pointee.next.slotNew = generation &<< 1 | 1
    }

    #if STEP_POINTS
        /// `InjectedBug.rollBackRace`
        private func takeAndGiveBack(
            _ command: CheckCommand, _ tenant: Int, _ head: Head, _ now: Int64
        ) {
            let decided = own.pointee.transition
            own.pointee.transition = Transition()
            for resource in command.amounts.resources {
                own.pointee.transition.held.set(
                    table.rules.mainCounter(of: resource), command.amounts[resource])
            }
            beginRecord(.denied)
            guard swing(tenant, head, now: now) else { return }
            for _ in 0..<1_000 where own.pointee.subjects.hasProfile == false { sched_yield() }
            while true {
                let head = open(tenant)
                begin(now: now)
                for resource in command.amounts.resources {
                    own.pointee.transition.held.set(
                        table.rules.mainCounter(of: resource), -command.amounts[resource])
                }
                beginRecord(.denied)
                if swing(tenant, head, now: now) { break }
            }
            own.pointee.transition = decided
        }
    #endif

    @inline(never)
    private func fillRecord(
        _ command: CheckCommand, verdict: Decide.Verdict, _ key: inout KeyRequest, isKept: Bool,
        _ answer: CheckAnswer
    ) {
        let kind: Record.Kind =
            verdict == .denied ? .denied : command.mode == .commit ? .charged : .reserved
        beginRecord(kind, key)
        if !isKept { own.pointee.record.forgetKey() }
        own.pointee.record.reservationID = answer.reservationID
        own.pointee.record.expiresAt = answer.expiresAt
        own.pointee.record.action = command.action
        own.pointee.record.mode = command.mode
        own.pointee.record.onExpiry = command.onExpiry
        own.pointee.record.overage = command.overage
        own.pointee.record.asked = command.amounts
        own.pointee.record.decision = answer.decision
        own.pointee.record.treatment = answer.treatment
        own.pointee.record.tenantStatus = answer.tenantStatus
        own.pointee.record.refusedBySuspension = answer.refusedBySuspension
        own.pointee.record.refused = answer.refused
        own.pointee.record.warnings = answer.warnings
        own.pointee.record.text = command.reference
    }

    /// Takes back what an unkeyed CheckAndReserve did whose caller is gone: releases the hold, or reverses the charge
    /// of `Mode.commit` (semantics §3, "Deadlines"). A hold that was charged at its expiry meanwhile is charged nothing in
    /// the end: what that has raised stays raised. Where `lacksRoom` says so it is to be asked again.
    package func withdraw(_ command: CheckCommand, _ answer: CheckAnswer, now: Int64) {
        guard command.idempotencyKey.count == 0, answer.decision == .allowed else { return }
        if answer.reservationID != 0 {
            var released = ReleaseAnswer()
            let failure = release(answer.reservationID, now: now, answer: &released)
            guard failure?.code == .alreadySettled else { return }
            var nothing = own.pointee.hold.total
            for resource in nothing.resources { nothing[resource] = 0 }
            var committed = CommitAnswer()
            // Fails if it was settled by somebody who learnt of it otherwise: that stands.
            _ = commit(
                CommitCommand(reservationID: answer.reservationID, actual: nothing), now: now,
                answer: &committed)
        } else if command.mode == .commit, let tenant = findTenant(command.tenantID) {
            reverse(command, answer, tenant, now: now)
        }
    }

    private func reverse(
        _ command: CheckCommand, _ answer: CheckAnswer, _ tenant: Int, now: Int64
    ) {
        let charged = HoldSegment(
            amounts: command.amounts, dayStart: answer.dayStart, starts: answer.starts)
        let profile =
            command.profileID.count > 0 ? findProfile(command.profileID, of: tenant) : nil
        while true {
            guard isReady else {
                _ = noRoom()
                return
            }
            let head = open(tenant)
            openProfile(profile)
            guard isCurrent(tenant, head) else { continue }
            begin(now: now)
            let verdict = Decide.reverse(
                &own.pointee.subjects, charged, raised: answer.raised, table.rules,
                transition: &own.pointee.transition, closed: &own.pointee.closed)
            guard verdict == .allowed else { return }
            beginRecord(.reversed)
            recordClosedCharges()
            own.pointee.record.action = command.action
            own.pointee.record.asked = command.amounts
            own.pointee.record.tenantStatus =
                own.pointee.transition.events.contains(.reinstated)
                ? .active : own.pointee.subjects.tenant.status
            own.pointee.record.text = command.reference
            if swing(tenant, head, now: now) { return }
        }
    }

    private func replay(_ stored: KeyedAnswer, into answer: inout CheckAnswer) {
        answer.decision = stored.decision
        answer.replayed = true
        answer.refusedBySuspension = false
        answer.refused = []
        answer.warnings = stored.warnings
        answer.reservationID = stored.reservationID
        answer.expiresAt = stored.expiresAt
        answer.granted = stored.granted
        answer.treatment = .none
        answer.tenantStatus = stored.tenantStatus
        answer.limits.present = []
        answer.includeLimits = false
    }

    private func contentHash(_ command: CheckCommand) -> UInt64 {
        var hasher = ContentHasher(table.secret, method: 1)
        hasher.add(command.profileID)
        hasher.add(command.amounts)
        if command.mode == .partial { hasher.add(command.minimums, of: command.amounts) }
        var fields = UInt64(command.action.rawValue) | UInt64(command.mode.rawValue) &<< 8
        // Above the life, which has 27 bits.
        fields |= UInt64(command.profileKind.rawValue) &<< 60
        // What becomes of a hold means nothing where there is none.
        if command.mode != .commit {
            fields |= UInt64(command.onExpiry.rawValue) &<< 16
            fields |= UInt64(command.overage.rawValue) &<< 24
            fields |= UInt64(command.ttlMilliseconds) &<< 32
        }
        hasher.add(fields)
        hasher.add(command.reference)
        return hasher.finish()
    }

    /// GetUsage. Changes nothing.
    package func usage(_ query: UsageQuery, now: Int64, answer: inout UsageAnswer) -> Failure? {
        guard let tenant = findTenant(query.tenantID) else { return .unknownTenant }
        var profile: Int?
        if query.profileID.count > 0 {
            profile = findProfile(query.profileID, of: tenant)
            if profile == nil { return .unknownProfile(query.profileKind) }
        }
        while true {
            guard canRead else { return noRoom() }
            let head = open(tenant)
            openProfile(profile)
            guard isCurrent(tenant, head) else { continue }
            if own.pointee.subjects.tenant.status == .closed { return .unknownTenant }
            if profile != nil && !isOpenProfile(query.profileKind) {
                return .unknownProfile(query.profileKind)
            }
            begin(now: now)
            guard keepsWindows(now: now) else { return noRoom() }
            answer.tenantStatus = own.pointee.subjects.tenant.status
            var set = table.rules.tenantLimits
            if profile != nil {
                set.insert(table.rules.limit(of: own.pointee.subjects.profile.kind))
            }
            Decide.describe(
                set, &own.pointee.subjects, table.rules, asOf: windows(now), into: &answer.limits)
            return nil
        }
    }
}

extension Lane {
    /// Puts an answer under the request's key, undecided until the head is swung. Fails when the budget is spent.
    @inline(always)
    func remember(_ answer: CheckAnswer, _ key: inout KeyRequest, now: Int64) -> Failure? {
        var stored = KeyedAnswer()
        stored.decision = answer.decision
        stored.warnings = answer.warnings
        stored.tenantStatus = answer.tenantStatus
        stored.reservationID = answer.reservationID
        stored.expiresAt = answer.expiresAt
        stored.granted = answer.granted
        return remember(stored, &key, now: now)
    }

    func remember(_ stored: KeyedAnswer, _ key: inout KeyRequest, now: Int64) -> Failure? {
        if key.reference == 0 {
            if key.until == 0 { key.until = now + table.capacity.retention }
            guard
                let index = keySupply.pointee.next(
                    now: now, until: key.until, tenant: key.tenant,
                    isPlayedBack: own.pointee.replays, steps)
            else { return .keysFull }
            key.reference = table.keys.renew(
                index, key.hash, content: key.content, until: key.until, steps)
            table.keys.fill(key.reference, stored)
            table.keys.push(key.reference, key.hash, steps)
            step(.keyPushed)
        } else {
            table.keys.fill(key.reference, stored)
        }
        own.pointee.next.flags |= Pending.hasKey
        own.pointee.next.key = key.reference
        return nil
    }

    /// Puts charges to windows that are over into the record in hand.
    @inline(always)
    func recordClosedCharges() {
        if records && own.pointee.closed.count > 0 {
            own.pointee.record.closed = own.pointee.closed
        }
    }

    /// Starts the record of the operation in hand.
    @inline(always)
    func beginRecord(_ kind: Record.Kind, _ key: KeyRequest = KeyRequest()) {
        guard records else { return }
        own.pointee.record.kind = kind
        own.pointee.record.reservationID = 0
        own.pointee.record.expiresAt = 0
        own.pointee.record.action = .unspecified
        own.pointee.record.mode = .reserve
        own.pointee.record.onExpiry = .release
        own.pointee.record.overage = .record
        own.pointee.record.asked = Amounts()
        own.pointee.record.charged = Amounts()
        own.pointee.record.decision = .allowed
        own.pointee.record.treatment = .none
        own.pointee.record.tenantStatus = .active
        own.pointee.record.refusedBySuspension = false
        own.pointee.record.refused = []
        own.pointee.record.warnings = []
        own.pointee.record.closed.count = 0
        own.pointee.record.keyHigh = key.hash.high
        own.pointee.record.keyLow = key.hash.low
        own.pointee.record.contentHash = key.content
        own.pointee.record.keyUntil = key.until
        own.pointee.record.caller = own.pointee.caller
        own.pointee.record.takenAt = 0
        own.pointee.record.text = BorrowedBytes(start: nil, count: 0)
    }

    /// The numbers of a tenant and of one of its profiles; nil: there is none.
    package func numbers(
        tenantID: BorrowedBytes, profileID: BorrowedBytes
    ) -> (tenant: UInt32, profile: UInt32?)? {
        guard let tenant = findTenant(tenantID) else { return nil }
        let profile = profileID.count > 0 ? findProfile(profileID, of: tenant) : nil
        return (
            UInt32(truncatingIfNeeded: tenant), profile.map { UInt32(truncatingIfNeeded: $0) }
        )
    }

    /// Whether the operation in hand, which has just been decided, raised anything.
    package var hasRaised: Bool { !own.pointee.transition.events.isEmpty }

    /// Puts refusals on record that were counted. False: the journal has no room.
    ///
    /// - Parameter fill: says whose they are, how many, and what the first was about, its trace too; all else is filled
    ///   already.
    package func recordRefusals(now: Int64, _ fill: (inout Record) -> Void) -> Bool {
        guard let ring else { return true }
        guard isReady else { return false }
        beginRecord(.refusals)
        own.pointee.record.transition = Transition()
        own.pointee.record.version = 0
        // Engine time: what was counted is told by it.
        own.pointee.record.time = now
        own.pointee.record.lead = own.pointee.lead
        own.pointee.record.opensNothing()
        own.pointee.record.decision = .denied
        let present = trace
        fill(&own.pointee.record)
        ring.publish(to: ring.write(own.pointee.record))
        own.pointee.record.count = Record.Count()
        trace = present
        return true
    }

    /// Whether what is decided here is recorded at all.
    package var isRecorded: Bool { records }
}
