import Events
import Limits
import Testing

@testable import Projection

/// What lines of the audit log keep of the events of a transition.
@Suite struct AuditCodingTests {
    @Test func kindsAreKeptAsBits() {
        for kind in Event.Kind.allCases {
            #expect(AuditCoding.bits([kind]).nonzeroBitCount == 1)
            #expect(AuditCoding.kinds(AuditCoding.bits([kind])) == [kind])
        }
        #expect(AuditCoding.kinds(AuditCoding.bits(Event.Kind.allCases)) == Event.Kind.inOrder)
        #expect(AuditCoding.kinds(0).isEmpty)
    }

    @Test(arguments: [TraceID(high: 1, low: 0xff), TraceID(high: .max, low: 0)])
    func tracesAreKeptAsBytes(_ trace: TraceID) {
        let data = AuditCoding.data(trace)
        #expect(
            data?.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
                == "\(trace)")
        #expect(AuditCoding.trace(data) == trace)
        #expect(AuditCoding.trace(data?.dropLast()) == nil)
        #expect(AuditCoding.data(nil) == nil && AuditCoding.trace(nil) == nil)
    }

    /// Lines of earlier files: a bit for each limit, of the window that is open, the one that ended, and refusals.
    @Test func formerLinesRead() {
        #expect(AuditCoding.kinds(1 << 4) == [.tenantThresholdReached])
        #expect(
            AuditCoding.kinds(1 << 12 | 1 << 17) == [
                .profileThresholdReached, .profileLimitReached,
            ])
        #expect(AuditCoding.kinds(1 << 26 | 1 << 10) == [.tenantLimitReached, .tenantSuspended])
        #expect(
            AuditCoding.kinds(1 << 11 | 1 << 16) == [.tenantThresholdReached, .tenantReinstated])
    }

    @Test func eventsOfATransitionAreListedOnce() {
        var events = EventSet(.threshold, .tenantDIDs)
        events.insert(.threshold, .tenantMonthlySpend)
        events.insert(.endedReached, .profileDailySpend)
        events.insert(.refusal, .tenantExtensions)
        events.formUnion(.suspended)
        #expect(
            Event.Kind.list(events) == [
                .tenantThresholdReached, .profileLimitReached, .tenantLimitReached,
                .tenantSuspended,
            ])
    }
}
