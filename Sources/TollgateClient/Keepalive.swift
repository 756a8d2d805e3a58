internal import NIOCore

/// Decides when to send a keepalive PING, and when the peer is gone; a state machine without I/O or
/// clock.
///
/// Anything read shows that the peer is alive, the answer to a PING included. A PING is sent if
/// streams are open and nothing has been read for `interval`, or earlier if there is reason for
/// doubt (`ask`).
struct Keepalive {
    enum Action {
        /// Nothing to do before `nextLook`.
        case wait
        /// Send a PING.
        case ping
        /// The peer has not answered a PING in time: close the connection.
        case giveUp
    }

    /// nil: only when `ask` is called.
    private let interval: TimeAmount?
    private let timeout: TimeAmount
    private var isBusy = false
    /// When something was last read or, if that is later, the first of the open streams began.
    private var quietSince = NIODeadline.uptimeNanoseconds(0)
    /// By when the outstanding PING must be answered; nil: there is none.
    private var answerDue: NIODeadline?

    init(interval: TimeAmount?, timeout: TimeAmount) {
        self.interval = interval
        self.timeout = timeout
    }

    /// A PING is outstanding.
    var isAsking: Bool { answerDue != nil }

    /// When to call `look`; nil: no need.
    var nextLook: NIODeadline? {
        if let answerDue { return answerDue }
        guard isBusy, let interval else { return nil }
        return quietSince + interval
    }

    /// The first stream was opened.
    mutating func becameBusy(at now: NIODeadline) {
        isBusy = true
        quietSince = now
    }

    /// The last open stream has ended.
    mutating func becameIdle() { isBusy = false }

    /// Something was read.
    mutating func heard(at now: NIODeadline) {
        quietSince = now
        answerDue = nil
    }

    /// There is reason to doubt that the peer is alive.
    ///
    /// - Parameter patience: How long its answer may take; `timeout` if that is shorter.
    mutating func ask(at now: NIODeadline, patience: TimeAmount) -> Action {
        let due = now + min(patience, timeout)
        guard let answerDue else {
            self.answerDue = due
            return .ping
        }
        self.answerDue = min(answerDue, due)
        return .wait
    }

    /// What to do now.
    mutating func look(at now: NIODeadline) -> Action {
        if let answerDue { return answerDue <= now ? .giveUp : .wait }
        guard let nextLook, nextLook <= now else { return .wait }
        return ask(at: now, patience: timeout)
    }
}
