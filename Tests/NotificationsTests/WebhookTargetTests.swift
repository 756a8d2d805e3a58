import Dispatch
import Synchronization
import Testing

@testable import Notifications

@Suite struct WebhookTargetTests {
    @Test(arguments: [
        "1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0",
        "192.0.1.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "168.63.129.17",
        "2606:4700:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
        "2002:808:808::1",
    ])
    func publicAddresses(text: String) throws {
        #expect(try #require(IPAddress(text)).isPublic)
    }

    @Test(arguments: [
        "0.0.0.0", "0.255.255.255", "10.0.0.1", "10.255.255.255", "100.64.0.0", "100.127.255.255",
        "127.0.0.1", "127.255.255.255", "169.254.169.254", "172.16.0.0", "172.31.255.255",
        "192.0.0.192", "192.0.2.1", "192.168.0.1", "198.18.0.0", "198.19.255.255", "198.51.100.7",
        "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
        "100.100.100.200", "168.63.129.16", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
        "::127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808",
        "2002:7f00:1::1", "2002:a00:1::", "fe80::1", "febf::1", "fec0::1", "fc00::1",
        "fd00:ec2::254", "ff02::1", "100::1", "2001::1", "2001:db8::1", "3fff::1",
    ])
    func addressesThatAreNotPublic(text: String) throws {
        #expect(try !#require(IPAddress(text)).isPublic)
    }

    @Test func networks() throws {
        let network = try #require(Network("10.1.128.0/17"))
        #expect(network.contains(try #require(IPAddress("10.1.128.0"))))
        #expect(network.contains(try #require(IPAddress("::ffff:10.1.255.255"))))
        #expect(!network.contains(try #require(IPAddress("10.1.127.255"))))
        #expect(!network.contains(try #require(IPAddress("10.2.128.0"))))
        #expect(try #require(Network("::1")).contains(try #require(IPAddress("::1"))))
        for text in [
            "", "10.0.0.0/33", "10.0.0.0/-1", "::/129", "10.0/8", "host", "10.0.0.0/x", "/8",
        ] {
            #expect(Network(text) == nil, "\(text)")
        }
    }

    @Test(arguments: [
        "https://example.com", "http://example.com:8080/a?b=c", "https://[2606:4700::1]/x",
        "HTTPS://Example.COM/", "http://10.0.0.1/",
    ])
    func urlsThatCanBe(text: String) { #expect(WebhookTarget.fault(of: text) == nil) }

    @Test(arguments: [
        "", "example.com", "ftp://example.com", "https://", "https:///x", "https://u@example.com",
        "https://u:p@example.com", "https://example.com:0", "https://example.com:65536",
        "https://example.com/#f", "https://ex%61mple.com/", "https://b\u{fc}cher.example/",
        "https://example.com/caf\u{e9}", "https://example.com/cafe\u{301}",
        "https://example.com/a b",
        "https://example.com\r\nX: y", "http+unix://%2Ftmp%2Fs/", "unix:/tmp/s",
        "https://example.com/" + String(repeating: "x", count: 1_005),
    ])
    func urlsThatCannotBe(text: String) { #expect(WebhookTarget.fault(of: text) != nil) }

    @Test func everyAddressOfANameIsJudged() async throws {
        let resolver: Resolver = { _ in ["8.8.8.8", "127.0.0.1"].compactMap { IPAddress($0) } }
        await #expect(throws: WebhookTarget.Refusal.self) {
            _ = try await WebhookTarget("http://a.example/", allowed: [], resolver: resolver)
        }
        await #expect(throws: WebhookTarget.Refusal.self) {
            _ = try await WebhookTarget("http://a.example/", allowed: []) { _ in [] }
        }
        let allowed = [try #require(Network("127.0.0.0/8"))]
        let second = try await WebhookTarget(
            "http://a.example/", allowed: allowed, turn: 3, resolver: resolver)
        #expect(second.address.description == "127.0.0.1" && second.host == "a.example")
    }

    private static let found = ["8.8.8.8"].compactMap { IPAddress($0) }

    /// Names whose servers hang have a few threads, and do not wait for more; others are looked up meanwhile.
    @Test(.timeLimit(.minutes(1)), arguments: [true, false])
    func namesThatHangLeaveThreadsToOthers(isSlow: Bool) async throws {
        let hangs = Mutex(false)
        let asked = Mutex(0)
        let end = DispatchSemaphore(value: 0)
        let lookups = Lookups(slow: .seconds(isSlow ? -1 : 3_600)) { host in
            guard host.hasPrefix("dead") else { return Self.found }
            if hangs.withLock({ $0 }) {
                asked.withLock { $0 += 1 }
                end.wait()
            }
            if !isSlow { throw WebhookTarget.Refusal(description: "no") }
            return Self.found
        }
        let dead = (0..<40).map { "dead\($0).example" }
        for name in dead { _ = try? await lookups.addresses(of: name) }
        hangs.withLock { $0 = true }
        // The same name waits for its own look-up, however it is written, and takes no thread.
        let waiting = dead.prefix(Lookups.mostTroubled).flatMap { [$0, $0.uppercased()] }
            .map { name in Task { try? await lookups.addresses(of: name) } }
        while asked.withLock({ $0 < Lookups.mostTroubled }) { await Task.yield() }
        for name in dead.dropFirst(Lookups.mostTroubled) {
            await #expect(throws: WebhookTarget.Refusal.self) {
                try await lookups.addresses(of: name)
            }
        }
        for number in 0..<100 {
            #expect(try await lookups.addresses(of: "well\(number).example") == Self.found)
        }
        #expect(asked.withLock { $0 } == Lookups.mostTroubled)
        for _ in 0..<100 { end.signal() }
        for task in waiting { #expect(await task.value == (isSlow ? Self.found : nil)) }
        // There is room again.
        _ = try? await lookups.addresses(of: dead[30])
        #expect(asked.withLock { $0 } == Lookups.mostTroubled + 1)
    }

    /// However many names hang of which nothing is known: those that were quick have threads of their own.
    @Test(.timeLimit(.minutes(1))) func newNamesThatHangLeaveThreadsToOthers() async throws {
        let asked = Mutex(0)
        let end = DispatchSemaphore(value: 0)
        let lookups = Lookups(slow: .seconds(3_600)) { host in
            if host.hasPrefix("dead") {
                asked.withLock { $0 += 1 }
                end.wait()
            }
            return Self.found
        }
        #expect(try await lookups.addresses(of: "well.example") == Self.found)
        let waiting = (0..<100).map { number in
            Task { try await lookups.addresses(of: "dead\(number).example") }
        }
        while asked.withLock({ $0 < Lookups.threadCount }) { await Task.yield() }
        #expect(try await lookups.addresses(of: "well.example") == Self.found)
        for _ in 0..<100 { end.signal() }
        for task in waiting { #expect(try await task.value == Self.found) }
    }

    /// Spellings that only a resolver understands.
    @Test(arguments: [
        "http://127.1/", "http://0x7f.1/", "http://2130706433/", "http://[::1]/",
        "http://0/", "http://[::ffff:7f00:1]/",
    ])
    func otherSpellingsOfLoopback(text: String) async {
        await #expect(throws: WebhookTarget.Refusal.self) {
            _ = try await WebhookTarget(
                text, allowed: [], resolver: WebhookTarget.systemResolver)
        }
    }
}
