import Limits
import Testing

/// What a record does to states when it is played back.
@Suite struct ReplayTests {
    private static let rules = LimitRules.standard
    private static let spend = rules.mainCounter(of: Resource.spend.index)
    private static let extensions = rules.mainCounter(of: Resource.extensions.index)

    private static func record(
        _ kind: Record.Kind, version: UInt64 = 8, _ change: (inout Record) -> Void = { _ in }
    ) -> Record {
        var record = Record(kind)
        record.version = version
        change(&record)
        return record
    }

    /// A tenant in version 7 that holds 5 and has committed 3 of spend and 2 extensions, with a profile.
    private static func subjects() -> Decide.Subjects {
        var subjects = Decide.Subjects()
        subjects.tenant.version = 7
        subjects.tenant.committed[spend] = 3
        subjects.tenant.committed[extensions] = 2
        subjects.tenant.held[spend] = 5
        subjects.tenant.cycleStart = 100_000
        subjects.tenant.cycleEnd = 200_000
        subjects.profile.committed = 3
        subjects.profile.held = 5
        subjects.profile.dayStart = 86_400_000
        subjects.hasProfile = true
        return subjects
    }

    private static func play(
        _ record: borrowing Record, _ policy: PolicyChange = .none,
        on subjects: inout Decide.Subjects, ended: (borrowing Decide.Subjects) -> Void = { _ in }
    ) -> String? {
        var transition = record.transition
        return subjects.replay(record, &transition, policy, rules, atWindowEnd: ended)
    }

    @Test func versionsHaveAnOrder() {
        #expect(RecordOrder(1, after: 0) == .next && RecordOrder(8, after: 7) == .next)
        #expect(RecordOrder(7, after: 7) == .duplicate && RecordOrder(1, after: 7) == .duplicate)
        #expect(RecordOrder(9, after: 7) == .outOfOrder)
        #expect(RecordOrder(.max, after: .max) == .duplicate)
        #expect(RecordOrder(.max, after: 0) == .outOfOrder)
        #expect(Self.record(.tenantCreated, version: 1).order(after: 0) == .next)
        #expect(Self.record(.tenantCreated, version: 1).order(after: 4) == .duplicate)
        #expect(Self.record(.reserved, version: 1).order(after: 0) == .outOfOrder)
    }

    @Test func whatARecordAddsIsAdded() {
        var subjects = Self.subjects()
        let record = Self.record(.committed) {
            $0.transition.committed.set(Self.spend, 4)
            $0.transition.held.set(Self.spend, -5)
            $0.transition.profileCommitted = 4
            $0.transition.profileHeld = -5
            $0.transition.touchesProfile = true
            $0.transition.events.insert(.suspended)
        }
        #expect(Self.play(record, on: &subjects) == nil)
        #expect(subjects.tenant.version == 8 && subjects.tenant.status == .suspended)
        #expect(subjects.tenant.committed[Self.spend] == 7 && subjects.tenant.held[Self.spend] == 0)
        #expect(subjects.profile.committed == 7 && subjects.profile.held == 0)
    }

    @Test func windowsBeginAnewAndTheirEndIsSeen() {
        var subjects = Self.subjects()
        subjects.tenant.raised = EventSet(.reached, .tenantMonthlySpend)
        let record = Self.record(.charged) {
            $0.openedCycleStart = 200_000
            $0.openedCycleEnd = 300_000
            $0.openedDay = 2 * 86_400_000
            $0.transition.committed.set(Self.spend, 1)
            $0.transition.touchesProfile = true
            $0.transition.profileCommitted = 1
        }
        var ends: [(version: UInt64, spend: Int64, day: Int64)] = []
        let fault = Self.play(record, on: &subjects) {
            ends.append(($0.tenant.version, $0.tenant.committed[Self.spend], $0.profile.committed))
        }
        #expect(fault == nil && ends.count == 1)
        #expect(ends.first.map { $0 == (7, 3, 3) } == true)
        #expect(subjects.tenant.cycleStart == 200_000 && subjects.tenant.cycleEnd == 300_000)
        #expect(subjects.tenant.committed[Self.spend] == 1 && subjects.tenant.held[Self.spend] == 0)
        #expect(subjects.tenant.committed[Self.extensions] == 2, "a count has no cycle")
        #expect(subjects.tenant.raised.isEmpty)
        #expect(subjects.profile.dayStart == 2 * 86_400_000 && subjects.profile.committed == 1)
    }

    @Test func aMovedWindowKeepsWhatCountsInIt() {
        var subjects = Self.subjects()
        let record = Self.record(.windowsMoved) {
            $0.openedCycleStart = 50_000
            $0.openedCycleEnd = 100_000
            $0.openedTenantDayStart = 60_000
            $0.openedTenantDayEnd = 70_000
            $0.openedDay = 43
        }
        let fault = Self.play(record, on: &subjects) { _ in Issue.record("no window has ended") }
        #expect(fault == nil)
        #expect(subjects.tenant.cycleStart == 50_000 && subjects.tenant.cycleEnd == 100_000)
        #expect(subjects.tenant.dayStart == 60_000 && subjects.tenant.dayEnd == 70_000)
        #expect(subjects.tenant.committed[Self.spend] == 3 && subjects.tenant.held[Self.spend] == 5)
        #expect(subjects.profile.dayStart == 43 && subjects.profile.committed == 3)
    }

    @Test(arguments: [
        (committed: Int64(-4), held: Int64(0)), (0, -6), (.max, 0), (0, .max),
    ])
    func aTotalOutOfItsRangeIsCorrupt(_ change: (committed: Int64, held: Int64)) {
        for isProfile in [false, true] {
            var subjects = Self.subjects()
            let record = Self.record(.committed) {
                if isProfile {
                    $0.transition.touchesProfile = true
                    $0.transition.profileCommitted = change.committed
                    $0.transition.profileHeld = change.held
                } else {
                    $0.transition.committed.set(Self.spend, change.committed)
                    $0.transition.held.set(Self.spend, change.held)
                }
            }
            #expect(Self.play(record, on: &subjects) != nil)
        }
        var alone = Self.subjects()
        alone.hasProfile = false
        let record = Self.record(.committed) { $0.transition.touchesProfile = true }
        #expect(Self.play(record, on: &alone) != nil, "it touches a profile that it does not name")
    }

    @Test func whoeverSuspendsOrDeletesEndsTheHolds() {
        var subjects = Self.subjects()
        #expect(Self.play(Self.record(.tenantSuspended), on: &subjects) == nil)
        #expect(subjects.tenant.endsHolds)
        #expect(Self.play(Self.record(.tenantReinstated, version: 9), on: &subjects) == nil)
        #expect(!subjects.tenant.endsHolds)
        #expect(Self.play(Self.record(.tenantClosed, version: 10), on: &subjects) == nil)
        #expect(subjects.tenant.endsHolds && subjects.tenant.status == .closed)
        #expect(Self.play(Self.record(.profileClosed, version: 11), on: &subjects) == nil)
        #expect(subjects.profile.closed)
    }

    @Test func settingsComeWithTheRecord() {
        var subjects = Self.subjects()
        let limits = TenantLimits(monthlySpendNanos: 9, alertThresholdPercent: 50)
        let policy = PolicyChange.tenant(TenantPolicy(limits: limits, onLimit: .block))
        let changed = Self.record(.tenantChanged)
        #expect(Self.play(changed, on: &subjects) != nil, "without its settings")
        #expect(Self.play(changed, policy, on: &subjects) == nil)
        #expect(subjects.tenant.caps[Self.spend] == 9 && subjects.tenant.threshold(0) == 50)
        // The profile raised its alerts under another percent.
        subjects.profile.raised = 1
        let profile = PolicyChange.profile(ProfilePolicy(enabled: true, dailySpendNanos: 4))
        let made = Self.record(.profileChanged, version: 9)
        #expect(Self.play(made, policy, on: &subjects) != nil, "a tenant's settings")
        #expect(Self.play(made, profile, on: &subjects) == nil)
        #expect(subjects.profile.cap == 4 && subjects.profile.enabled)
        #expect(subjects.profile.raised == 0)
    }
}
