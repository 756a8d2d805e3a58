internal import NIOCore

/// Decides when to ask whether a peer is still there, and when it is gone; a state machine without I/O or clock.
///
/// Whatever is read counts as a sign of life, the answer to a PING included. It asks while streams are open and nothing
/// has been read for `interval`; and earlier, when somebody has a reason to doubt (`ask`).
struct Keepalive {
    enum Action {
        /// Nothing to do before `nextLook`.
        case wait
        /// Send a PING.
        case ping
        /// The peer has left a PING unanswered for too long: close the connection.
        case giveUp
    }

    /// nil: only when `ask` is called.
    private let interval: TimeAmount?
    private let timeout: TimeAmount
    private var isBusy = false
    /// When something was last read or, if that is later, the first of the open streams began.
    private var quietSince = NIODeadline.uptimeNanoseconds(0)
    /// When the PING that is under way must have been answered; nil: none is.
    private var answerDue: NIODeadline?

    init(interval: TimeAmount?, timeout: TimeAmount) {
        self.interval = interval
        self.timeout = timeout
    }

    /// A PING is under way.
    var isAsking: Bool { answerDue != nil }

    /// When to call `look`; nil: no need.
    var nextLook: NIODeadline? {
        if let answerDue { return answerDue }
        guard isBusy, let interval else { return nil }
        return quietSince + interval
    }

    /// Streams are open, where there was none.
    mutating func becameBusy(at now: NIODeadline) {
        isBusy = true
        quietSince = now
    }

    /// No stream is open any more.
    mutating func becameIdle() { isBusy = false }

    /// Something was read.
    mutating func heard(at now: NIODeadline) {
        quietSince = now
        answerDue = nil
    }

    /// There is a reason to doubt that the peer is there.
    ///
    /// - Parameter patience: For its answer; `timeout` if that is less.
    mutating func ask(at now: NIODeadline, patience: TimeAmount) -> Action {
        let due = now + min(patience, timeout)
        guard let answerDue else {
            self.answerDue = due
            return .ping
        }
        self.answerDue = min(answerDue, due)
        return .wait
    }

    /// What there is to do by now.
    mutating func look(at now: NIODeadline) -> Action {
        if let answerDue { return answerDue <= now ? .giveUp : .wait }
        guard let nextLook, nextLook <= now else { return .wait }
        return ask(at: now, patience: timeout)
    }
}
