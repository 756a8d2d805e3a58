import Access
import Engine
import Events
import Testing

@testable import Projection

/// What settings and rows keep stays the same bytes: journals and files of earlier versions hold them.
@Suite struct KeptBytesTests {
    private let endpoint = WebhookEndpoint(
        id: "1", url: "https://example.com/a?b=\"é\"", description: "x",
        eventTypes: [.tenantSuspended],
        createdAt: 1, updatedAt: 2)
    private let kept = #"""
        {"createdAt":1,"description":"x","enabled":true,"eventTypes":["tenant.suspended"],"failoverURL":"",\#
        "id":"1","updatedAt":2,"url":"https://example.com/a?b=\"é\""}
        """#

    @Test func endpoints() throws {
        #expect(try SettingValue.encode(endpoint) == kept)
        #expect(try SettingValue.decode(WebhookEndpoint.self, kept) == endpoint)
    }

    /// With slashes escaped and members in any order, as they were written once.
    @Test func formerTokens() throws {
        let text = #"""
            {"scope":"check","id":"6d0f9e36-0000-0000-0000-000000000000","tenantIDs":[],"name":"a",\#
            "createdAt":7,"hash":"a\/b=","rate":null}
            """#
        let token = try SettingValue.decode(AccessToken.self, text)
        #expect(token.hash == "a/b=" && token.expiresAt == nil && token.rate == nil)
        #expect(token.number == 0x6d0f_9e36_0000_0000)
    }

    @Test func secretsAreNotShown() {
        var endpoint = endpoint
        endpoint.secret = "whsec_1"
        let value = try? SettingValue.encode(endpoint)
        #expect(RecipientIndex.kept(WebhookEndpoint.settingPrefix + "1", value ?? "") == kept)
        #expect(RecipientIndex.kept("other", kept) == nil)
        let fields = RecipientIndex.fields(kept)
        #expect(fields["enabled"] == "true" && fields["createdAt"] == "1")
        #expect(fields["eventTypes"] == "tenant.suspended")
        #expect(fields["url"] == endpoint.url && fields["failoverURL"] == "")
        #expect(RecipientIndex.fields(nil).isEmpty && RecipientIndex.fields("[]").isEmpty)
    }

    @Test func readings() {
        let reading = LimitReading(
            name: "tenant_dids", cap: 3, committed: -1, held: 0, asked: 2, percent: 80,
            windowStart: 0, resetsAt: 0)
        let text = AuditCoding.text([reading, reading])
        let one = #"""
            {"name":"tenant_dids","cap":3,"committed":-1,"held":0,"asked":2,"percent":80,\#
            "windowStart":0,"resetsAt":0}
            """#
        #expect(text == "[\(one),\(one)]")
        #expect(AuditCoding.readings(text) == [reading, reading])
        #expect(AuditCoding.readings("{") == [] && AuditCoding.readings(nil) == [])
    }
}
