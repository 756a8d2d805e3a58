internal import NIOCore

/// One TCP connection of a client, from when it is made to its end: how many streams are open,
/// whether the peer is alive, and why it ended. A state machine without I/O or clock.
struct LinkLifecycle {
    enum Phase: Equatable {
        case open
        /// It is closing and not gone yet.
        case closing(End)
        case closed(End)
    }

    /// Why a link ended.
    enum End: Equatable {
        /// The peer closed it, or the network did, or its TLS broke.
        case lost
        /// The peer did not answer a PING.
        case silent
        /// It is no longer needed, or the session is over.
        case ended
    }

    /// What to do.
    struct Actions: OptionSet {
        let rawValue: UInt8

        static let ping = Actions(rawValue: 1)
        /// Close it, and fail the open streams.
        static let close = Actions(rawValue: 2)
        /// Avoid its endpoint: it does not respond.
        static let avoid = Actions(rawValue: 4)
    }

    /// How long a PING may take after a deadline has passed: shorter than usual, since later calls
    /// suffer.
    static let patienceAfterDeadline = TimeAmount.seconds(5)
    /// How long a peer must have sent nothing at all for a passed deadline to count as its failure;
    /// with less, the deadline may have been too short.
    static let silence = TimeAmount.milliseconds(50)

    private(set) var phase = Phase.open
    private(set) var openStreams = 0
    /// The peer has answered a call since it was last avoided.
    private(set) var hasAnswered = false
    private var keepalive: Keepalive
    /// Since when the peer has sent nothing while an answer is outstanding; nil: none is.
    private var unansweredSince: NIODeadline?
    /// When the timer that was set fires.
    private var timerDue = NIODeadline.distantFuture

    init(keepalive: Keepalive) { self.keepalive = keepalive }

    var isOpen: Bool { phase == .open }

    /// Why it has ended or is ending; nil: it is open.
    var end: End? {
        switch phase {
        case .open: nil
        case .closing(let end), .closed(let end): end
        }
    }

    // MARK: Events

    /// A stream has begun.
    mutating func began(at now: NIODeadline) {
        openStreams += 1
        if openStreams == 1 { keepalive.becameBusy(at: now) }
        if unansweredSince == nil { unansweredSince = now }
    }

    /// A stream has ended.
    mutating func ended() {
        precondition(openStreams > 0, "no stream ends twice")
        openStreams -= 1
        if openStreams == 0 {
            keepalive.becameIdle()
            // A peer need not answer streams that were cancelled.
            if keepalive.isAsking == false { unansweredSince = nil }
        }
    }

    /// Something was read.
    mutating func heard(at now: NIODeadline) {
        keepalive.heard(at: now)
        unansweredSince = openStreams > 0 ? now : nil
    }

    /// A call was answered. True: for the first time, or the first time since the peer was avoided.
    mutating func answered() -> Bool {
        guard hasAnswered == false else { return false }
        hasAnswered = true
        return true
    }

    /// The deadlines of open calls have passed: check whether the peer is alive.
    mutating func expired(at now: NIODeadline) -> Actions {
        guard isOpen else { return [] }
        var actions: Actions = []
        if let unansweredSince, now - unansweredSince >= Self.silence {
            actions = .avoid
            hasAnswered = false
        }
        return actions.union(act(keepalive.ask(at: now, patience: Self.patienceAfterDeadline)))
    }

    /// The timer has fired.
    mutating func timerWentOff(at now: NIODeadline) -> Actions {
        timerDue = .distantFuture
        guard isOpen else { return [] }
        return act(keepalive.look(at: now))
    }

    /// When to set the timer for, replacing the previous one; nil: no change. A timer that fires
    /// too early is set again, so that a read need not move it.
    mutating func timerToSet() -> NIODeadline? {
        guard isOpen, let due = keepalive.nextLook, due < timerDue else { return nil }
        timerDue = due
        return due
    }

    /// It is no longer needed, or does not work.
    mutating func close(_ end: End) -> Actions {
        guard isOpen else { return [] }
        phase = .closing(end)
        return .close
    }

    /// It is gone.
    mutating func gone() {
        switch phase {
        case .open: phase = .closed(.lost)
        case .closing(let end): phase = .closed(end)
        case .closed: break
        }
    }

    private mutating func act(_ action: Keepalive.Action) -> Actions {
        switch action {
        case .wait: []
        case .ping: .ping
        case .giveUp: close(.silent).union(.avoid)
        }
    }
}
