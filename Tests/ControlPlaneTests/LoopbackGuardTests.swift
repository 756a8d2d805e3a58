import HTTPTypes
import Testing

@testable import ControlPlane

/// What a service that asks nobody for a token still refuses.
@Suite struct LoopbackGuardTests {
    private func request(
        _ host: String?, _ method: HTTPRequest.Method = .get, site: String? = nil
    ) -> HTTPRequest {
        var request = HTTPRequest(
            method: method, scheme: "http", authority: host, path: "/v2/tenants")
        if let site { request.headerFields[header: "sec-fetch-site"] = site }
        return request
    }

    @Test(arguments: [
        "localhost", "LocalHost:8080", "127.0.0.1", "127.0.0.1:8080", "127.255.0.9:1", "[::1]:8080",
        "[::1]",
    ])
    func thisMachine(host: String) {
        #expect(LoopbackGuard.refusal(of: request(host)) == nil)
        #expect(LoopbackGuard.refusal(of: request(host, .post, site: "same-origin")) == nil)
    }

    /// A page at a name that its owner has lead here is of one origin with what it asks for.
    @Test(arguments: [
        "evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example",
        "127.1",
        "127.0.0.256", "128.0.0.1", "[::1].evil.example", "[2001:db8::1]:80", "::1", "", ":8080",
    ])
    func anotherName(host: String) {
        #expect(LoopbackGuard.refusal(of: request(host)) != nil)
        #expect(LoopbackGuard.refusal(of: request(host, .post, site: "same-origin")) != nil)
    }

    @Test func anotherSite() {
        #expect(LoopbackGuard.refusal(of: request("localhost", .post, site: "cross-site")) != nil)
        #expect(LoopbackGuard.refusal(of: request("localhost", .get, site: "cross-site")) == nil)
        #expect(LoopbackGuard.refusal(of: request(nil, .post)) == nil, "no browser leaves Host out")
    }

    /// For whom a browser shows a certificate.
    @Test(arguments: [
        (nil, nil, true), ("none", nil, true), ("same-origin", nil, true),
        ("same-origin", "https://Tollgate.example:8080", true),
        (nil, "https://tollgate.example:8080", true),
        ("cross-site", nil, false), ("same-site", nil, false),
        ("cross-site", "https://tollgate.example:8080", false),
        (nil, "https://evil.example", false), ("none", "https://evil.example", false),
        (nil, "https://tollgate.example", false), (nil, "http://tollgate.example:8080", false),
        (nil, "null", false), (nil, "", false),
    ])
    func whoAsksWithACertificate(site: String?, origin: String?, isOwn: Bool) {
        var request = request("tollgate.example:8080", .post, site: site)
        if let origin { request.headerFields[header: "origin"] = origin }
        #expect(BrowserSite.isOwn(request) == isOwn)
    }
}
