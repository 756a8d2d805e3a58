import GRDB
import Limits

// How a tenant stands at an instant: a window that is over reads as the empty one that has begun since, though no record
// says so yet.
extension TenantState {
    /// A window as it is on record, Unix milliseconds; 0, 0: it stands, or is no tenant's.
    func bounds(of window: LimitWindow) -> (start: Int64, end: Int64) {
        switch window {
        case .billingCycle: (cycleStart, cycleEnd)
        case .tenantDay: (dayStart, dayEnd)
        case .standing, .utcDay: (0, 0)
        }
    }

    /// Counters whose window is over.
    func endedCounters(_ now: Int64, _ rules: LimitRules) -> UInt8 {
        (cycleEnd <= now ? rules.cyclic : 0) | (dayEnd <= now ? rules.daily : 0)
    }

    /// When the next window ends, Unix milliseconds; `.max`: none does.
    func nextEnd(after now: Int64, _ rules: LimitRules) -> Int64 {
        let cycle = rules.cyclic != 0 && cycleEnd > now ? cycleEnd : .max
        let day = rules.daily != 0 && dayEnd > now ? dayEnd : .max
        return min(cycle, day)
    }

    /// Values of `Schema.limitColumns`: what is committed of each limit; of what is only ever held, that.
    func columns(_ now: Int64, _ rules: LimitRules) -> StatementArguments {
        let ended = endedCounters(now, rules)
        return StatementArguments(
            (0..<LimitKind.counterCount).map { counter -> Int64 in
                if ended.hasBit(counter) { return 0 }
                return rules.heldOnlyCounters.hasBit(counter) ? held[counter] : committed[counter]
            })
    }

    /// How full the fullest limit is: used / cap; a cap of 0 is full. 0: no limits.
    func fullness(_ now: Int64, _ rules: LimitRules) -> Double {
        let ended = endedCounters(now, rules)
        var fullest = 0.0
        for counter in 0..<LimitKind.counterCount where caps[counter] >= 0 {
            let used =
                ended.hasBit(counter) ? 0 : Double(committed[counter]) + Double(held[counter])
            let cap = Double(caps[counter])
            fullest = max(fullest, cap > 0 ? used / cap : 1 + used)
        }
        return fullest
    }
}
