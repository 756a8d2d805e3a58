import HTTP2

@testable import GRPCServer

/// What the connection does when something happens, and what is asked of it.
extension CallWorld {
    mutating func arrive(_ events: StreamEvents) {
        guard let arrival = life?.arrived(events) else { return }
        switch arrival {
        case .nothing, .writable: break
        case .begin:
            life = nil
            isNew = true
        case .take: take()
        case .overflow: fail()
        }
        if events.contains(.overflow), let life {
            expect(life.isOver || !life.takesRequests, "more is taken than a request may have")
        }
    }

    mutating func resume() {
        isPutOff = false
        if kind == .clientStreaming || kind == .bidirectional { return take() }
        guard let actions = life?.resume() else { return }
        perform(actions)
        // It is decided with what was done of it.
        owesWithdrawal = false
        isNew = true
    }

    /// The one request of a unary call.
    mutating func decide(_ answer: CallAnswer) {
        isNew = false
        switch answer {
        case .ok, .packed, .failed, .late:
            told += 1
            isReleased = true
        case .parked, .failedParked:
            life = .parked(answer == .parked ? nil : Self.failure, isPacked: false)
            parked.append(Parked())
        case .putOff:
            life = .putOff(kind)
            (isPutOff, owesWithdrawal) = (true, true)
        }
    }

    mutating func open(isTaken: Bool) {
        isNew = false
        if kind != .serverStreaming, !isTaken {
            told += 1
            isReleased = true
            return
        }
        life = .stream(kind)
        isKnown = isTaken
        if !isTaken, let actions = life?.refused() { return perform(actions, failed: true) }
        if kind != .clientStreaming, life?.start() == true { heads += 1 }
        rest()
    }

    // MARK: Requests of a stream

    mutating func take() {
        while !isPutOff, let life, life.takesRequests,
            Int(life.parkedAnswers) < Self.mostUnanswered, isReleased == false
        {
            guard let next = inbox.first else { return runDry() }
            if next == .putOff {
                // The next time there is room.
                inbox[0] = .ok
                isPutOff = true
                return
            }
            inbox.removeFirst()
            undecided += 1
            if next == .late {
                undecided -= 1
                finish(failed: true)
            } else {
                let hasFailed = next == .failed || next == .failedParked
                file(hasFailed, isParked: next == .parked || next == .failedParked)
            }
        }
    }

    mutating func file(_ hasFailed: Bool, isParked: Bool) {
        let bytes = hasFailed ? 0 : 1
        guard let filing = life?.decided(hasFailed ? Self.failure : nil, isParked: isParked) else {
            return
        }
        undecided -= 1
        self.hasFailed = self.hasFailed || hasFailed
        if kind == .clientStreaming, isParked { mustWait = true }
        switch filing {
        case .leaves:
            expect(parked.isEmpty, "an answer overtakes those that are parked")
            expect(kind == .bidirectional && !isParked, "an answer leaves that should not")
        case .waits:
            expect(isParked, "an answer waits for nothing")
            parked.append(Parked(beside: bytes))
            beside += bytes
        case .follows:
            expect(!parked.isEmpty && !isParked, "an answer stands behind none")
            parked[parked.count - 1].messages += 1
            parked[parked.count - 1].beside += bytes
            beside += bytes
        case .none:
            expect(kind == .clientStreaming && !hasFailed, "an answer is lost")
        case .ends(let actions):
            expect(hasFailed && !isParked, "a call ends that goes on")
            perform(actions, failed: true)
        }
    }

    mutating func runDry() {
        guard let conclusion = life?.ranDry(isCutShort: isCutShort) else { return }
        switch conclusion {
        case .nothing:
            expect(end == nil || !parked.isEmpty, "the end is not seen")
        case .cutShort:
            expect(isCutShort, "cut short that is whole")
            fail()
        case .finish:
            expect(kind == .bidirectional && end != nil && parked.isEmpty, "ended too soon")
            expect(!isCutShort, "the last request is lost")
            finish(failed: false)
        case .ask(let waits): ask(waits: waits)
        }
    }

    mutating func ask(waits: Bool) {
        expect(kind == .clientStreaming && end != nil && parked.isEmpty, "asked too soon")
        expect(!isAsked && !isCutShort, "asked twice, or without the last request")
        expect(waits == mustWait, "it waits for nothing, or not for its requests")
        isAsked = true
        let answer = end ?? .ok
        if answer == .late, !waits { return finish(failed: true) }
        let isParked = waits || answer == .parked || answer == .failedParked
        let hasFailed = answer == .failed || answer == .failedParked
        guard let actions = life?.concluded(hasFailed ? Self.failure : nil, isParked: isParked)
        else {
            return
        }
        self.hasFailed = hasFailed
        if isParked { parked.append(Parked()) }
        expect(isParked == actions.isEmpty, "parked, or not, against the service's word")
        perform(actions, failed: hasFailed)
    }

    // MARK: Answers that are parked

    mutating func releaseAnswer(isLate: Bool = false) {
        let answer = parked.removeFirst()
        let isGone = isReset || isCut
        let isDue = !isGone && !isLate && told == 0
        let before = life
        let release = life?.release(
            UInt32(answer.messages), isGone: isGone, isLate: isLate, resumesAt: Self.resumesAt)
        guard let before, let release else { return expect(false, "an answer of no call") }
        switch release.outcome {
        case .leave: expect(isDue, "an answer leaves that is not to")
        case .late: expect(!isGone && isLate && told == 0, "late, or told so twice")
        case .gone: expect(isGone || before.isOver, "nobody waits for it?")
        }
        if release.actions.contains(.move) {
            expect(release.outcome == .leave, "bytes of an answer that does not leave")
            expect(!isAsked || hasFailed, "it stands in the output already")
            isUnsent = answer.beside > 0
        } else {
            expect(answer.beside == 0 || release.outcome != .leave, "bytes are left behind")
        }
        beside -= answer.beside
        if release.outcome == .leave, !parked.isEmpty {
            expect(!release.actions.contains(.tellService), "the end overtakes an answer")
        }
        perform(release.actions, failed: release.outcome == .late || release.failure != nil)
    }

    // MARK: Ends

    mutating func finish(failed: Bool) {
        guard let actions = life?.finish(failed: failed) else { return }
        perform(actions, failed: failed)
    }

    mutating func fail() {
        guard let actions = life?.fail(Self.failure) else { return }
        hasFailed = true
        perform(actions, failed: true)
    }

    mutating func close() {
        isClosed = true
        guard life != nil else {
            isNew = false
            return release()
        }
        if let actions = life?.closed() { perform(actions) }
    }

    mutating func rest() {
        if isLeaving, life?.owesNothing == true { finish(failed: true) }
    }

    mutating func release() {
        expect(!isReleased, "a stream is released twice")
        isReleased = true
    }

    mutating func tell(keep: Bool) {
        expect(told == 0, "told twice")
        told += 1
        isUnsent = false
        if !keep { release() }
    }

    mutating func perform(_ actions: CallLifecycle.Actions, failed: Bool = false) {
        expect(actions.isEmpty || life != nil, "something is to be done about no call")
        let keep = actions.contains(.keep)
        expect(!keep || !actions.contains(.forget), "kept for nothing")
        if actions.contains(.withdrawRequest) {
            expect(owesWithdrawal, "taken back twice")
            (owesWithdrawal, isPutOff) = (false, false)
        }
        if actions.contains(.start) {
            heads += 1
            expect(!failed, "a head before a status alone")
        }
        if actions.contains(.forget) {
            expect(parked.isEmpty, "forgotten while answers are parked")
            life = nil
        }
        if actions.contains(.answer) {
            expect(heads == 0 && kind == .unary && !failed, "answered like a unary call")
            tell(keep: false)
        }
        if actions.contains(.refuse) {
            expect(heads == 0 && failed, "refused after the head, or without a reason")
            tell(keep: keep)
        }
        if actions.contains(.finish) {
            expect(heads == 1, "trailers without a head")
            expect(failed || !hasFailed, "OK instead of a failure")
            tell(keep: keep)
        }
        if actions.contains(.release) { release() }
        if actions.contains(.tellService) {
            expect(isKnown, "the service knows nothing of it")
            toldService += 1
        }
        if actions.contains(.push) { isUnsent = false }
        if actions.contains(.take) { take() }
        if actions.contains(.rest) { rest() }
    }
}
