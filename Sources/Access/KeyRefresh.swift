/// When an issuer's keys are looked at: at once, then every so often, sooner after a failure, and for a key that nobody
/// knows, but then once a minute at most. What was found last stays good meanwhile.
///
/// A value without a clock: instants are milliseconds of any clock that does not go back.
package struct KeyRefresh: Sendable, Equatable {
    /// Between two looks that somebody's token asked for.
    package static let shortest: Int64 = 60_000
    /// After the first failure; twice that after each further one, up to `shortest`.
    package static let firstRetry: Int64 = 5_000

    private let every: Int64
    private var lastTry: Int64?
    private var failures = 0
    private var isUnderWay = false
    private var isWanted = true

    /// - Parameter every: milliseconds between two looks.
    package init(every: Int64) { self.every = max(Self.shortest, every) }

    /// A token names a key that is not there.
    ///
    /// - Returns: whether it is worth while to come again: the keys are being looked at, or will be at once.
    package mutating func want(now: Int64) -> Bool {
        if isUnderWay || isWanted { return true }
        guard let lastTry, now - lastTry < Self.shortest else {
            isWanted = true
            return true
        }
        return false
    }

    package func isDue(now: Int64) -> Bool {
        guard !isUnderWay else { return false }
        guard let lastTry else { return true }
        if isWanted { return true }
        let pause = failures == 0 ? every : Self.pause(failures)
        return now - lastTry >= pause
    }

    private static func pause(_ failures: Int) -> Int64 {
        min(shortest, firstRetry << Int64(min(failures - 1, 8)))
    }

    package mutating func begin(now: Int64) {
        isUnderWay = true
        isWanted = false
        lastTry = now
    }

    package mutating func end(isGood: Bool) {
        isUnderWay = false
        failures = isGood ? 0 : failures + 1
    }
}
