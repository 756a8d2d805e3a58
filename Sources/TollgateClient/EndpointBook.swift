internal import NIOCore

/// Which of a client's endpoints are avoided, and until when: a value without I/O or clock.
///
/// An endpoint that could not be reached, dropped a connection without an answer or stopped
/// responding is avoided for a time that doubles with every further failure; once a call is
/// answered there, it is used like any other. If all are avoided, the one whose time ends first is
/// tried anyway, since calls are waiting.
struct EndpointBook {
    private struct Entry {
        var failures = 0
        /// nil: not avoided.
        var avoidedUntil: NIODeadline?
    }

    private var entries: [Entry]
    private let first: TimeAmount
    private let most: TimeAmount

    /// - Parameters:
    ///   - first: How long an endpoint is avoided after its first failure; more than 0.
    ///   - most: How long at most; at least `first`.
    init(count: Int, first: TimeAmount, most: TimeAmount) {
        precondition(count > 0 && first > .zero && most >= first)
        entries = Array(repeating: Entry(), count: count)
        self.first = first
        self.most = most
    }

    /// An endpoint could not be reached, dropped a connection without an answer, or stopped
    /// responding.
    ///
    /// - Parameter jitter: 0 ... 1: shortens the time by up to a fifth, so that clients that fail
    ///   together do not return together.
    mutating func failed(_ endpoint: Int, at now: NIODeadline, jitter: Double) {
        // Connections to one endpoint fail together: only the first failure counts.
        if let until = entries[endpoint].avoidedUntil, now < until { return }
        let doublings = min(entries[endpoint].failures, 30)
        let (product, overflows) = first.nanoseconds.multipliedReportingOverflow(by: 1 << doublings)
        let whole = overflows ? most.nanoseconds : min(product, most.nanoseconds)
        let time = whole - Int64(Double(whole / 5) * min(max(jitter, 0), 1))
        entries[endpoint].failures += 1
        entries[endpoint].avoidedUntil = now + .nanoseconds(time)
    }

    /// A call was answered there.
    mutating func answered(_ endpoint: Int) { entries[endpoint] = Entry() }

    /// Whether it is avoided now.
    func isAvoided(_ endpoint: Int, at now: NIODeadline) -> Bool {
        entries[endpoint].avoidedUntil.map { now < $0 } ?? false
    }

    /// Whether an endpoint other than this one is not avoided.
    func hasBetter(than endpoint: Int, at now: NIODeadline) -> Bool {
        entries.indices.contains { $0 != endpoint && isAvoided($0, at: now) == false }
    }

    /// Where to connect: the first that is not avoided, from `preferred` on, wrapping around.
    ///
    /// - Returns: nil: all are in `tried`.
    func pick(preferred: Int, excluding tried: Set<Int>, at now: NIODeadline) -> Int? {
        let order = entries.indices.map { (preferred + $0) % entries.count }
            .filter { tried.contains($0) == false }
        return order.first { isAvoided($0, at: now) == false }
            ?? order.min {
                (entries[$0].avoidedUntil ?? now) < (entries[$1].avoidedUntil ?? now)
            }
    }
}
