import Limits
import Testing

/// A further row of the catalogue is treated like the first: everybody goes through `CapSetting.all`.
@Suite struct CapSettingTests {
    @Test func eachRowHasItsCap() {
        for row in LimitKind.catalogue {
            #expect(row.cap.kind == row.kind && row.kind.row === row)
            #expect((row.cap.toggle != nil) == (row.subject != .tenant))
        }
        #expect(CapSetting.all.map(\.kind) == LimitSubject.tenant.limits.map(\.kind))
        #expect(Set(CapSetting.all.map(\.name)).count == CapSetting.all.count)
    }

    @Test func eachIsSetByItself() {
        for cap in CapSetting.all {
            var limits = TenantLimits()
            limits[cap] = cap.kept(7)
            #expect(limits[cap.kind] == cap.kept(7))
            #expect(cap.configured(cap.kept(7)) == 7 && cap.kept(cap.most) > 0)
            for other in CapSetting.all where other != cap { #expect(limits[other] == nil) }
            limits[cap] = nil
            #expect(limits == TenantLimits())
        }
    }
}
