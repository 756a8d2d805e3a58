internal import NIOCore

/// Whether a call should be tried at all after consecutive failures: a value without I/O or clock.
///
/// While it is closed, every call is tried. It opens after `threshold` consecutive failures, each
/// of a call that began after the previous failure. While it is open, no call is tried for a time;
/// then one call at a time is tried, as a trial. A trial that is answered closes it, one that fails
/// opens it for twice the time. Concurrent calls that fail when a connection is lost count as one.
struct CircuitBreaker {
    enum State: Equatable {
        case closed
        case open(until: NIODeadline)
        /// A trial is in progress; after this time it counts as lost, and another may start.
        case trying(until: NIODeadline)
    }

    private let threshold: Int
    private let first: TimeAmount
    private let most: TimeAmount
    private(set) var state = State.closed
    /// Consecutive ones.
    private(set) var failures = 0
    private var lastFailure = NIODeadline.uptimeNanoseconds(0)
    /// How long it will be open the next time.
    private var pause: TimeAmount

    /// - Parameters:
    ///   - threshold: Consecutive failures that open it; 1 or more.
    ///   - first: How long it is open the first time; more than 0.
    ///   - most: How long at most; at least `first`.
    init(threshold: Int, first: TimeAmount, most: TimeAmount) {
        precondition(threshold > 0 && first > .zero && most >= first)
        self.threshold = threshold
        self.first = first
        self.most = most
        pause = first
    }

    /// Nothing has failed since the last answer: `admits` need not be called.
    var isUndisturbed: Bool { failures == 0 && state == .closed }

    /// Whether a call may be tried now. If so, call `answered` or `failed` after it, or `withdrawn`
    /// if it says nothing about the service.
    mutating func admits(at now: NIODeadline) -> Bool {
        switch state {
        case .closed: return true
        case .open(let until), .trying(let until):
            guard now >= until else { return false }
            state = .trying(until: now + most)
            return true
        }
    }

    /// When the next call may be tried; nil: now.
    var nextTrial: NIODeadline? {
        switch state {
        case .closed: nil
        case .open(let until), .trying(let until): until
        }
    }

    /// The service answered, even if with an error.
    mutating func answered() {
        state = .closed
        failures = 0
        pause = first
    }

    /// The service did not answer, or said that it is unavailable.
    ///
    /// - Parameter begun: When the call began.
    /// - Returns: true: it has opened.
    mutating func failed(begun: NIODeadline, at now: NIODeadline) -> Bool {
        guard failures == 0 || begun >= lastFailure else { return false }
        lastFailure = now
        if failures < .max { failures += 1 }
        switch state {
        case .closed:
            if failures < threshold { return false }
            open(at: now)
            return true
        case .trying:
            open(at: now)
            return true
        // A call that began before it opened.
        case .open: return false
        }
    }

    /// A call has ended without saying anything about the service: its task was cancelled.
    mutating func withdrawn(at now: NIODeadline) {
        if case .trying = state { state = .open(until: now) }
    }

    private mutating func open(at now: NIODeadline) {
        state = .open(until: now + pause)
        pause = min(most, pause + pause)
    }
}
