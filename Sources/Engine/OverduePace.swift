import Reservations

/// How an event loop works off what is overdue: in slices, between which it does everything else that has come. A slice
/// lasts as long as everything else took since the one before, within bounds: so however much falls due at once, callers
/// wait about twice as long as without it, and however much callers ask, half of the time is for what is overdue.
///
/// Thread safety: one thread at a time.
package struct OverduePace: Sendable {
    /// Work between two looks at the clock: some 32 expiries.
    package static let piece = 1_024
    /// Nanoseconds.
    static let shortest: UInt64 = 50_000
    static let longest: UInt64 = 500_000
    /// Until the next slice: others get their turn.
    static let turn: UInt64 = 25_000
    /// Until the next slice if the journal has no room before it has done a round.
    static let round: UInt64 = 1_000_000

    /// When the last slice ended, if it left something over.
    private var ended: UInt64?

    package init() {}

    /// Does a slice.
    ///
    /// - Parameters:
    ///   - isTick: time passes for the lane first: to be so every 10 ms.
    ///   - clock: monotonic, nanoseconds.
    /// - Returns: nanoseconds after which the next slice is due; nil: nothing is left over.
    package mutating func slice(
        _ lane: EngineLane, isTick: Bool, clock: () -> UInt64
    ) -> UInt64? {
        let began = clock()
        let others = ended.map { began > $0 ? began - $0 : 0 } ?? 0
        let allowance = min(max(others, Self.shortest), Self.longest)
        var rest = isTick ? lane.tick(limit: Self.piece) : lane.workOff(limit: Self.piece)
        var now = clock()
        while rest == .more, now - began < allowance {
            rest = lane.workOff(limit: Self.piece)
            now = clock()
        }
        ended = rest == .nothing ? nil : now
        switch rest {
        case .nothing: return nil
        case .more: return Self.turn
        case .waitsForJournal:
            lane.awaitRoom()
            return Self.round
        }
    }
}
