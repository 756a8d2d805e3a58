import Limits
import Testing

@Suite struct TenantStateTests {
    /// What shares a word stays apart, and the epoch of the percent does not come round after 256 changes.
    @Test func theFlagsKeepApart() {
        for epoch: UInt32 in [0, 1, 255, 256, 65_535, 65_536, 0xf_ffff] {
            for schedule: UInt32 in [0, 1, 31_743, 32_767] {
                for endsHolds in [false, true] {
                    var state = TenantState()
                    state.percentEpoch = epoch
                    state.endsHolds = endsHolds
                    state.schedule = schedule
                    state.thresholdPercent = 99
                    state.thresholdRaised = 0xf
                    state.reachedRaised = 0x5
                    state.refusalRaised = 0x9
                    state.suspendedByUsage = true
                    state.status = .suspended
                    #expect(state.percentEpoch == epoch)
                    #expect(state.endsHolds == endsHolds)
                    #expect(state.schedule == schedule)
                    #expect(state.thresholdPercent == 99 && state.thresholdRaised == 0xf)
                    #expect(state.reachedRaised == 0x5 && state.status == .suspended)
                    #expect(state.refusalRaised == 0x9 && state.suspendedByUsage)
                    state.percentEpoch = 0
                    state.endsHolds = false
                    #expect(state.schedule == schedule && state.percentEpoch == 0)
                    #expect(state.refusalRaised == 0x9 && state.suspendedByUsage)
                }
            }
        }
    }

    /// A profile that nothing happened to for 256 changes of the percent has its alerts re-armed all the same.
    @Test func aProfileMissesNoChangeOfThePercent() {
        var tenant = TenantState()
        var profile = ProfileState()
        profile.follow(percentEpoch: tenant.percentEpoch)
        profile.thresholdRaised = true
        for _ in 0..<256 { tenant.percentEpoch += 1 }
        profile.follow(percentEpoch: tenant.percentEpoch)
        #expect(!profile.thresholdRaised)
    }
}
