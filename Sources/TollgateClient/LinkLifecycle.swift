internal import NIOCore

/// One TCP connection of a client, from the moment that it stands to its end: how much is open on it, whether the peer is
/// still there, and why it ended. A state machine without I/O or clock.
struct LinkLifecycle {
    enum Phase: Equatable {
        case open
        /// It was asked to close, and is not gone yet.
        case closing(End)
        case closed(End)
    }

    /// Why a link ended.
    enum End: Equatable {
        /// The peer closed it, or the network did, or its TLS broke.
        case lost
        /// The peer left a question unanswered.
        case silent
        /// Nobody wants it any more, or the session is over.
        case ended
    }

    /// What is to be done.
    struct Actions: OptionSet {
        let rawValue: UInt8

        static let ping = Actions(rawValue: 1)
        /// Close it, and tell what is open that nothing more will come.
        static let close = Actions(rawValue: 2)
        /// Its endpoint is to be avoided: it is silent.
        static let avoid = Actions(rawValue: 4)
    }

    /// With a peer that let a deadline pass: shorter than usual, as it costs the calls that follow.
    static let patienceAfterDeadline = TimeAmount.seconds(5)
    /// How long a peer may say nothing at all before a deadline that passes is held against it, not against the deadline.
    static let silence = TimeAmount.milliseconds(50)

    private(set) var phase = Phase.open
    private(set) var openStreams = 0
    /// The peer has answered a call since it was last avoided.
    private(set) var hasAnswered = false
    private var keepalive: Keepalive
    /// Since when the peer has said nothing while it owes an answer; nil: it owes none.
    private var unansweredSince: NIODeadline?
    /// When the timer goes off that has been set.
    private var timerDue = NIODeadline.distantFuture

    init(keepalive: Keepalive) { self.keepalive = keepalive }

    var isOpen: Bool { phase == .open }

    /// Why it ended or ends; nil: it does not.
    var end: End? {
        switch phase {
        case .open: nil
        case .closing(let end), .closed(let end): end
        }
    }

    // MARK: What happens

    /// A stream was begun.
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
            // A peer need not say anything to streams that were given up.
            if keepalive.isAsking == false { unansweredSince = nil }
        }
    }

    /// Something was read.
    mutating func heard(at now: NIODeadline) {
        keepalive.heard(at: now)
        unansweredSince = openStreams > 0 ? now : nil
    }

    /// A call was answered. True: for the first time since the peer was avoided, or at all.
    mutating func answered() -> Bool {
        guard hasAnswered == false else { return false }
        hasAnswered = true
        return true
    }

    /// The deadlines of calls have passed, which are still open: is anybody there at all?
    mutating func expired(at now: NIODeadline) -> Actions {
        guard isOpen else { return [] }
        var actions: Actions = []
        if let unansweredSince, now - unansweredSince >= Self.silence {
            actions = .avoid
            hasAnswered = false
        }
        return actions.union(act(keepalive.ask(at: now, patience: Self.patienceAfterDeadline)))
    }

    /// The timer went off.
    mutating func timerWentOff(at now: NIODeadline) -> Actions {
        timerDue = .distantFuture
        guard isOpen else { return [] }
        return act(keepalive.look(at: now))
    }

    /// When a timer is to be set, in the place of the one that was; nil: there is no need. One that goes off too early sets
    /// itself again, so that a read need not move it.
    mutating func timerToSet() -> NIODeadline? {
        guard isOpen, let due = keepalive.nextLook, due < timerDue else { return nil }
        timerDue = due
        return due
    }

    /// It is not wanted any more, or is no good.
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
