import Limits
import Testing

@testable import Access

/// Names in certificates.
@Suite struct CertificateRuleTests {
    private let rules = CertificateRules([
        CertificateRule(name: "spiffe://example.org/ns/calls/*", scopes: .viewer),
        CertificateRule(
            name: "spiffe://example.org/ns/calls/switch", scopes: .check, tenants: ["acme"]),
        CertificateRule(name: "Billing.Example.org", scopes: .reports),
    ])

    private func scopes(dns: [String] = [], _ uris: String...) -> Scopes? {
        rules.rule(CertificateNames(dnsNames: dns, uris: uris))?.rule.scopes
    }

    @Test func names() {
        #expect(scopes("spiffe://example.org/ns/calls/switch") == .check)
        #expect(scopes("spiffe://example.org/ns/calls/other") == .viewer)
        #expect(scopes("spiffe://example.org/ns/calls/other/deep") == .viewer)
        #expect(scopes(dns: ["x", "billing.example.org"]) == .reports)
        // Exact names before patterns, wherever they stand.
        #expect(
            scopes("spiffe://example.org/ns/calls/a", "spiffe://example.org/ns/calls/switch")
                == .check)
        for stranger in [
            "spiffe://example.org/ns/calls/", "spiffe://example.org/ns/calls",
            "spiffe://example.org/ns/callsx/switch", "spiffe://example.org.evil/ns/calls/switch",
            "SPIFFE://example.org/ns/calls/switch", "spiffe://example.org/ns/calls/../admin",
            "spiffe://example.org/ns/calls/./x", "billing.example.org", "",
        ] { #expect(scopes(stranger) == nil, "\(stranger)") }
        // A URI's word is no DNS name, and the other way round.
        #expect(scopes(dns: ["spiffe://example.org/ns/calls/switch"]) == nil)
        #expect(scopes(dns: ["*.example.org", "example.org"]) == nil && scopes() == nil)
    }

    /// Against the list, read from its beginning.
    @Test func theOrderIsThatOfTheList() {
        var state: UInt64 = 11
        func pick(_ names: [String]) -> String {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return names[Int(state >> 33) % names.count]
        }
        let dns = ["a.example", "A.example", "b.example", "caf\u{e9}", "cafe\u{301}"]
        let uris = ["x://a/b", "x://a/c", "x://a/b/c", "x://a/..", "x://b/b"]
        let patterns = ["x://a/*", "x://a/b/*", "x://b/*"]
        for _ in 0..<2_000 {
            let list = (0..<6).map { _ in
                CertificateRule(name: pick(dns + uris + patterns), scopes: .check)
            }
            let names = CertificateNames(
                dnsNames: [pick(dns), pick(dns)], uris: [pick(uris), pick(uris)])
            func fits(_ rule: CertificateRule) -> Bool {
                if rule.name.hasSuffix("/*") {
                    return names.uris.contains {
                        $0.hasPrefix(rule.name.dropLast()) && !$0.hasSuffix("/..")
                    }
                }
                if !rule.name.contains("://") {
                    return names.dnsNames.contains {
                        $0.lowercased().hasSameBytes(as: rule.name.lowercased())
                    }
                }
                return names.uris.contains { $0.hasSameBytes(as: rule.name) }
            }
            let exact = list.first { !$0.name.hasSuffix("/*") && fits($0) }
            let expected = exact ?? list.first { fits($0) }
            #expect(CertificateRules(list).rule(names)?.rule == expected)
        }
    }

    @Test func callersAreTheSameEverywhere() throws {
        let found = try #require(
            rules.rule(
                CertificateNames(dnsNames: [], uris: ["spiffe://example.org/ns/calls/switch"])))
        let caller = found.rule.caller(found.name)
        #expect(caller.name == found.name && caller.tenants == ["acme"] && caller.number != 0)
        #expect(caller.number == CallerNumber.of("certificate", found.name))
        #expect(caller.number != CallerNumber.of("certificate", "billing.example.org"))
        #expect(CallerNumber.of("a", "bc") != CallerNumber.of("ab", "c"))
    }
}
