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
}
