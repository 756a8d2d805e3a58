import HTTPTypes
import Testing

@testable import ControlPlane

/// What a service that asks nobody for a token still refuses.
@Suite struct OpenDoorTests {
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
        #expect(OpenDoor.refusal(of: request(host)) == nil)
        #expect(OpenDoor.refusal(of: request(host, .post, site: "same-origin")) == nil)
    }

    /// A page at a name that its owner has lead here is of one origin with what it asks for.
    @Test(arguments: [
        "evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example",
        "127.1",
        "127.0.0.256", "128.0.0.1", "[::1].evil.example", "[2001:db8::1]:80", "::1", "", ":8080",
    ])
    func anotherName(host: String) {
        #expect(OpenDoor.refusal(of: request(host)) != nil)
        #expect(OpenDoor.refusal(of: request(host, .post, site: "same-origin")) != nil)
    }

    @Test func anotherSite() {
        #expect(OpenDoor.refusal(of: request("localhost", .post, site: "cross-site")) != nil)
        #expect(OpenDoor.refusal(of: request("localhost", .get, site: "cross-site")) == nil)
        #expect(OpenDoor.refusal(of: request(nil, .post)) == nil, "no browser leaves Host out")
    }
}
