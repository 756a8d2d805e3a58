import Limits
import Testing

@Suite struct TenantStateTests {
    /// What shares a word stays apart, and the epoch of the percent does not come round after 256 changes.
    @Test func theFlagsKeepApart() {
        for epoch: UInt32 in [0, 1, 255, 256, 0xffff_ffff] {
            for schedule: UInt32 in [0, 1, 31_743, 32_767] {
                for endsHolds in [false, true] {
                    var state = TenantState()
                    state.percentEpoch = epoch
                    state.endsHolds = endsHolds
                    state.schedule = schedule
                    state.setThreshold(0, 99)
                    for level in 1..<4 { state.setThreshold(level, UInt8(90 + level)) }
                    state.suspendedByUsage = true
                    state.status = .suspended
                    #expect(state.percentEpoch == epoch)
                    #expect(state.endsHolds == endsHolds)
                    #expect(state.schedule == schedule)
                    #expect((0..<4).map { state.threshold($0) } == [99, 91, 92, 93])
                    #expect(state.hasFurtherThresholds && state.suspendedByUsage)
                    #expect(state.status == .suspended)
                    state.percentEpoch = 0
                    state.endsHolds = false
                    #expect(state.schedule == schedule && state.percentEpoch == 0)
                    for level in 1..<4 { state.setThreshold(level, 0) }
                    #expect(!state.hasFurtherThresholds && state.threshold(0) == 99)
                    #expect(state.schedule == schedule && state.suspendedByUsage)
                }
            }
        }
    }

    /// A profile that nothing happened to for 256 changes of the percent has its alerts re-armed all the same.
    @Test func aProfileMissesNoChangeOfThePercent() {
        var tenant = TenantState()
        var profile = ProfileState()
        profile.follow(percentEpoch: tenant.percentEpoch)
        profile.raised = 1
        for _ in 0..<256 { tenant.percentEpoch += 1 }
        profile.follow(percentEpoch: tenant.percentEpoch)
        #expect(profile.raised == 0)
    }

    /// Room of two segments is one where it counts in the same totals, whatever other windows did meanwhile.
    @Test func segmentsJoinWhereTheyCountAlike() {
        let rules = LimitRules.standard
        func segment(
            _ resource: Resource, cycle: Int64, day: Int64, without: LimitKind? = nil
        ) -> HoldSegment {
            var counters = rules.counters(of: resource.index)
            if let counter = without.flatMap({ rules.counter(of: $0) }) {
                counters &= ~(1 << UInt8(counter))
            }
            return HoldSegment(
                amounts: Amounts(resource, 1), counters: counters, dayStart: 0,
                starts: WindowStarts(cycle: cycle * 86_400_000, day: day * 86_400_000))
        }
        func mayJoin(_ one: HoldSegment, _ other: HoldSegment) -> Bool {
            one.mayJoin(other, rules) && other.mayJoin(one, rules)
        }
        let spend = segment(.spend, cycle: 30, day: 31)
        #expect(mayJoin(spend, spend))
        #expect(!mayJoin(spend, segment(.spend, cycle: 30, day: 32)))
        #expect(!mayJoin(spend, segment(.spend, cycle: 60, day: 31)))
        let seconds = segment(.callSeconds, cycle: 30, day: 31)
        #expect(mayJoin(seconds, segment(.callSeconds, cycle: 30, day: 40)))
        #expect(!mayJoin(seconds, segment(.callSeconds, cycle: 60, day: 31)))
        // Standing counts have no window; joined with what has one they go by that.
        let dids = segment(.dids, cycle: 30, day: 31)
        #expect(mayJoin(dids, segment(.extensions, cycle: 60, day: 62)))
        #expect(!mayJoin(dids, segment(.spend, cycle: 30, day: 32)))
        // A hold of before the daily limit was added counts in the month alone.
        let old = segment(.spend, cycle: 30, day: 31, without: .tenantDailySpend)
        #expect(!mayJoin(old, spend) && mayJoin(old, dids))
    }
}
