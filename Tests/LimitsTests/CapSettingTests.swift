import Limits
import Testing

/// A further row of the catalogue is treated like the first: everybody goes through `CapSetting.all`.
@Suite struct CapSettingTests {
    @Test func eachRowOfATenantHasItsCap() {
        for row in LimitKind.catalogue {
            #expect((row.cap != nil) == (row.subject == .tenant))
            if let cap = row.cap { #expect(cap.resource == row.resource) }
        }
        #expect(Set(CapSetting.all.map(\.name)).count == CapSetting.all.count)
    }

    @Test func eachIsSetByItself() {
        for cap in CapSetting.all {
            var limits = TenantLimits()
            limits[cap] = cap.kept(7)
            #expect(limits.cap(cap.resource) == cap.kept(7))
            #expect(cap.configured(cap.kept(7)) == 7 && cap.kept(cap.most) > 0)
            for other in CapSetting.all where other != cap { #expect(limits[other] == nil) }
            limits[cap] = nil
            #expect(limits == TenantLimits())
        }
    }
}
