import Testing

@testable import Notation

@Suite("Hosts that are this machine")
struct LoopbackTests {
    @Test(arguments: [
        "localhost", "LocalHost", "127.0.0.1", "127.255.255.254", "::1", "[::1]",
    ])
    func areHere(host: String) {
        #expect(Loopback.contains(host: host))
        if host.contains("::"), !host.hasPrefix("[") { return }
        #expect(Loopback.contains(authority: host))
        #expect(Loopback.contains(authority: "\(host):8080"))
    }

    @Test(arguments: [
        "", "0.0.0.0", "128.0.0.1", "127.0.0", "127.0.0.1.", "127.0.0.1.evil.example",
        "127.0.0.256",
        "+127.0.0.1", "127.0.0.+1", "127.0.0.-0", "١٢٧.0.0.1", "localhost.evil.example", "::",
        "[::]",
        "[::1].evil.example", "evil.example", "[::2]", "::ffff:127.0.0.1",
    ])
    func areElsewhere(host: String) {
        #expect(!Loopback.contains(host: host))
        #expect(!Loopback.contains(authority: host))
        #expect(!Loopback.contains(authority: "\(host):8080"))
    }

    /// In an authority an address of IPv6 has brackets.
    @Test func aBareAddressIsNoAuthority() {
        #expect(!Loopback.contains(authority: "::1"))
    }
}
