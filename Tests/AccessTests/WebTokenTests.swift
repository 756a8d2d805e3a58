import Crypto
import CryptoExtras
import Engine
import Foundation
import JSON
import Limits
import Testing

@testable import Access

/// Web tokens of an identity provider's.
@Suite struct WebTokenTests {
    /// A provider with keys of every kind.
    struct Provider: Sendable {
        let p256 = P256.Signing.PrivateKey()
        let p384 = P384.Signing.PrivateKey()
        let p521 = P521.Signing.PrivateKey()
        let ed25519 = Curve25519.Signing.PrivateKey()
        let rsa: _RSA.Signing.PrivateKey

        init() throws { rsa = try _RSA.Signing.PrivateKey(keySize: .bits2048) }

        static func text(_ data: some Sequence<UInt8>) -> String {
            Data(data).base64EncodedString().replacingOccurrences(of: "+", with: "-")
                .replacingOccurrences(of: "/", with: "_").replacingOccurrences(of: "=", with: "")
        }

        private static func curve(_ id: String, _ name: String, _ point: Data) -> [String: String] {
            let half = point.count / 2
            return [
                "kty": "EC", "crv": name, "kid": id, "use": "sig", "x": text(point.prefix(half)),
                "y": text(point.suffix(half)),
            ]
        }

        var keys: [[String: String]] {
            get throws {
                let numbers = try rsa.publicKey.getKeyPrimitives()
                return [
                    Self.curve("p256", "P-256", p256.publicKey.rawRepresentation),
                    Self.curve("p384", "P-384", p384.publicKey.rawRepresentation),
                    Self.curve("p521", "P-521", p521.publicKey.rawRepresentation),
                    [
                        "kty": "OKP", "crv": "Ed25519", "kid": "ed",
                        "x": Self.text(ed25519.publicKey.rawRepresentation),
                    ],
                    [
                        "kty": "RSA", "kid": "rsa", "n": Self.text(numbers.modulus),
                        "e": Self.text(numbers.publicExponent),
                    ],
                    // What is passed over: another use, a kind that nobody knows.
                    ["kty": "oct", "kid": "secret", "k": "AAAA"],
                ]
            }
        }

        func document(_ keys: [[String: String]]? = nil) throws -> [UInt8] {
            Array(try JSONSerialization.data(withJSONObject: ["keys": keys ?? self.keys]))
        }

        func sign(_ content: Data, _ algorithm: String) throws -> Data {
            switch algorithm {
            case "ES256": try p256.signature(for: content).rawRepresentation
            case "ES384": try p384.signature(for: content).rawRepresentation
            case "ES512": try p521.signature(for: content).rawRepresentation
            case "EdDSA": try ed25519.signature(for: content)
            case "RS256":
                try rsa.signature(for: SHA256.hash(data: content), padding: .insecurePKCS1v1_5)
                    .rawRepresentation
            case "RS384":
                try rsa.signature(for: SHA384.hash(data: content), padding: .insecurePKCS1v1_5)
                    .rawRepresentation
            case "RS512":
                try rsa.signature(for: SHA512.hash(data: content), padding: .insecurePKCS1v1_5)
                    .rawRepresentation
            case "PS256":
                try rsa.signature(for: SHA256.hash(data: content), padding: .PSS).rawRepresentation
            case "PS384":
                try rsa.signature(for: SHA384.hash(data: content), padding: .PSS).rawRepresentation
            case "PS512":
                try rsa.signature(for: SHA512.hash(data: content), padding: .PSS).rawRepresentation
            case "HS256":
                // With the public key as the secret: what a careless verifier takes.
                Data(
                    HMAC<SHA256>.authenticationCode(
                        for: content,
                        using: SymmetricKey(data: Data(rsa.publicKey.pemRepresentation.utf8))))
            default: Data(count: 32)
            }
        }

        static let kids = [
            "ES256": "p256", "ES384": "p384", "ES512": "p521", "EdDSA": "ed", "RS256": "rsa",
            "RS384": "rsa", "RS512": "rsa", "PS256": "rsa", "PS384": "rsa", "PS512": "rsa",
        ]

        /// - Parameter header: members that are added; null: left out.
        func token(
            _ algorithm: String = "ES256", header: [String: Any] = [:],
            _ claims: [String: Any] = [:]
        ) throws -> String {
            var head: [String: Any] = ["alg": algorithm, "typ": "JWT"]
            head["kid"] = Self.kids[algorithm] ?? "rsa"
            var body: [String: Any] = [
                "iss": "https://id.example.com", "aud": "tollgate", "sub": "switch-1",
                "exp": 1_000_600, "scope": "openid check", "tenants": ["acme"],
            ]
            head.merge(header) { $1 }
            body.merge(claims) { $1 }
            func part(_ members: [String: Any]) throws -> String {
                Self.text(
                    try JSONSerialization.data(
                        withJSONObject: members.filter { !($0.value is NSNull) }))
            }
            let content = "\(try part(head)).\(try part(body))"
            return "\(content).\(Self.text(try sign(Data(content.utf8), algorithm)))"
        }
    }

    static let now: Double = 1_000_000
    static let issuer = Issuer(
        name: "https://id.example.com", audiences: ["other", "tollgate"],
        keys: .file("keys.json"), scopes: [.check, .tenant, .viewer])

    /// Making keys takes a while.
    private static let providers = (0..<2).compactMap { _ in try? Provider() }
    private let provider: Provider
    private let stranger: Provider
    private let tokens = WebTokens()

    init() throws {
        provider = try #require(Self.providers.first)
        stranger = try #require(Self.providers.last)
        try set(Self.issuer)
    }

    private func set(_ issuer: Issuer) throws {
        tokens.set([issuer])
        _ = tokens.due(now: 0)
        _ = try tokens.keep(provider.document(), of: issuer, at: 1)
    }

    private func judge(
        _ token: String, from address: String = "192.0.2.1", now: Double = now,
        monotonic: UInt64 = 59_000_000_000
    ) -> String {
        switch tokens.judge(token, from: address, now: now, monotonic: monotonic) {
        case .good(let good):
            let tenants = good.caller.tenants.map { $0.map(\.text).sorted().joined(separator: " ") }
            return "\(good.caller.scopes.names.joined(separator: " ")) of \(tenants ?? "all")"
        case .failure(let failure): return failure.rawValue
        case .later: return "later"
        }
    }

    @Test(arguments: SignatureAlgorithm.allCases) func algorithms(_ algorithm: SignatureAlgorithm)
        throws
    {
        let name = algorithm.rawValue
        let token = try provider.token(name)
        #expect(judge(token) == "check of acme")
        // The same words by somebody else.
        #expect(judge(try stranger.token(name)) == "wrong signature")
        // Another key of ours that is named.
        for (other, kid) in Provider.kids where kid != Provider.kids[name] {
            #expect(
                judge(try provider.token(name, header: ["kid": kid])) != "check of acme", "\(other)"
            )
        }
        // A bit of the signature, and of what was signed.
        let parts = token.split(separator: ".")
        let altered = try provider.token(name, ["tenants": ["other"]]).split(separator: ".")
        #expect(judge("\(parts[0]).\(altered[1]).\(parts[2])") == "wrong signature")
    }

    @Test func algorithmsThatAreNone() throws {
        for name in ["none", "None", "HS256", "HS384", "ES256K", "", "es256"] {
            #expect(judge(try provider.token(name)) == "algorithm not allowed")
        }
        // Without a signature it is not even a token.
        let parts = try provider.token("none").split(separator: ".")
        #expect(judge("\(parts[0]).\(parts[1]).") == "malformed token")
    }

    @Test func theIssuersOwnList() throws {
        var issuer = Self.issuer
        issuer.algorithms = [.es256]
        try set(issuer)
        #expect(judge(try provider.token("ES256")) == "check of acme")
        #expect(judge(try provider.token("RS256")) == "algorithm not allowed")
    }

    struct Case: CustomTestStringConvertible, Sendable {
        var name: String
        var claims: @Sendable () -> [String: Any]
        var expected: String
        var testDescription: String { name }

        init(
            _ name: String, _ expected: String,
            _ claims: @autoclosure @escaping @Sendable () -> [String: Any]
        ) {
            self.name = name
            self.expected = expected
            self.claims = claims
        }
    }

    static let cases: [Case] = [
        Case("another issuer", "unknown issuer", ["iss": "https://evil.example.com"]),
        Case("a longer issuer", "unknown issuer", ["iss": "https://id.example.com/"]),
        Case("no issuer", "unknown issuer", ["iss": NSNull()]),
        Case("anwrong audience", "wrong audience", ["aud": "tollgate2"]),
        Case("no audience", "wrong audience", ["aud": NSNull()]),
        Case("an audience of many", "check of acme", ["aud": ["x", "tollgate"]]),
        Case("an audience that is a number", "wrong audience", ["aud": 5]),
        Case("ended", "expired token", ["exp": 999_940]),
        Case("ended within the leeway", "check of acme", ["exp": 999_941]),
        Case("a fraction of a second", "check of acme", ["exp": 999_940.5]),
        Case("no end", "malformed token", ["exp": NSNull()]),
        Case("an end that is a text", "malformed token", ["exp": "1000600"]),
        Case("an end that is true", "malformed token", ["exp": true]),
        Case("not yet", "not valid yet", ["nbf": 1_000_061]),
        Case("within the leeway", "check of acme", ["nbf": 1_000_060]),
        Case("of the future", "not valid yet", ["iat": 1_000_061]),
        Case("a beginning that is a text", "not valid yet", ["nbf": "0"]),
        Case("no scope", "no scope", ["scope": NSNull()]),
        Case("other scopes", "no scope", ["scope": "openid checks"]),
        Case("more than the issuer may", "check of acme", ["scope": "admin operator check"]),
        Case("nothing that the issuer may", "no scope", ["scope": "admin"]),
        Case("a list of scopes", "check tenant of acme", ["scope": ["tenant", "check"]]),
        Case("a scope that is a number", "no scope", ["scope": 1]),
        Case("no tenant", "no tenant", ["tenants": NSNull()]),
        Case("an empty list of tenants", "no tenant", ["tenants": [] as [String]]),
        Case("a tenant that is a number", "no tenant", ["tenants": [1]]),
        Case("a tenant as a text", "check of acme", ["tenants": "acme"]),
        Case("two tenants", "check of acme other", ["tenants": ["other", "acme"]]),
        Case(
            "two tenants of scope tenant", "no tenant",
            [
                "scope": "tenant", "tenants": ["other", "acme"],
            ]),
        Case("a viewer of a tenant", "no tenant", ["scope": "viewer"]),
        Case("a viewer", "viewer of all", ["scope": "viewer", "tenants": NSNull()]),
        Case(
            "too many tenants", "no tenant",
            [
                "tenants": (0..<257).map { "\($0)" }
            ]),
    ]

    @Test(arguments: cases) func claims(_ one: Case) throws {
        #expect(judge(try provider.token("EdDSA", one.claims())) == one.expected)
    }

    @Test func namesOfClaims() throws {
        var issuer = Self.issuer
        issuer.scopeClaim = "realm_access.roles"
        issuer.tenantClaim = "https://example.com/tenants"
        issuer.scopePrefix = "tollgate:"
        try set(issuer)
        let token = try provider.token(
            "ES256",
            [
                "realm_access": ["roles": ["admin", "tollgate:check", "check"]],
                "https://example.com/tenants": ["umbrella"], "scope": "tollgate:viewer",
            ])
        #expect(judge(token) == "check of umbrella")
    }

    @Test func allTenants() throws {
        var issuer = Self.issuer
        issuer.mayNameNoTenant = true
        try set(issuer)
        #expect(judge(try provider.token("ES256", ["tenants": NSNull()])) == "check of all")
        let tenant = try provider.token("ES256", ["tenants": NSNull(), "scope": "tenant"])
        #expect(judge(tenant) == "no tenant")
    }

    @Test func deniedTokens() throws {
        let token = try provider.token("ES256", ["jti": "stolen"])
        #expect(judge(token) == "check of acme")
        var issuer = Self.issuer
        issuer.deniedTokens = ["stolen"]
        tokens.set([issuer])
        #expect(judge(token) == "denied token")
        #expect(judge(try provider.token("ES256", ["jti": "other"])) == "check of acme")
    }

    @Test func whatIsNoToken() throws {
        let good = try provider.token()
        let parts = good.split(separator: ".")
        func encoded(_ text: String) -> String { Provider.text(Array(text.utf8)) }
        let headers = [
            "[]", "{}", "{\"alg\":1}", "{\"alg\":\"ES256\",\"crit\":[\"b64\"]}", "\u{ff}",
            String(repeating: "[", count: 5_000),
        ]
        for header in headers {
            #expect(judge("\(encoded(header)).\(parts[1]).\(parts[2])") == "malformed token")
        }
        for token in [
            "..", "a.b.c", "\(good)=", "\(good).x", " \(good)", "\(parts[0])..\(parts[2])",
            "\(parts[0]).\(encoded("[1]")).\(parts[2])",
            "\(parts[0]).\(encoded(String(repeating: "{\"a\":", count: 1_000))).\(parts[2])",
            good + String(repeating: "A", count: JSONWebToken.maximumBytes),
        ] { #expect(judge(token) == "malformed token") }
    }

    // MARK: Keys

    @Test func aKeyThatNobodyKnows() throws {
        let token = try provider.token("ES256", header: ["kid": "next"])
        // Keys were read at 0: not again within the minute.
        #expect(judge(token) == "unknown key")
        #expect(tokens.due(now: 59_999).isEmpty)
        #expect(judge(token, monotonic: 60_000_000_000) == "later", "the keys will be looked at")
        #expect(tokens.due(now: 60_000) == [Self.issuer])
        var keys = try provider.keys
        keys[0]["kid"] = "next"
        #expect(try tokens.keep(provider.document(keys), of: Self.issuer, at: 2))
        #expect(judge(token, monotonic: 61_000_000_000) == "check of acme")
        // The key's former name is nobody's.
        #expect(judge(try provider.token("ES256"), monotonic: 61_000_000_000) == "unknown key")
    }

    @Test func withoutANameTheOnlyKeyThatFits() throws {
        #expect(judge(try provider.token("ES256", header: ["kid": NSNull()])) == "check of acme")
        var second = try stranger.keys[0]
        second["kid"] = "p256-b"
        _ = try tokens.keep(provider.document(provider.keys + [second]), of: Self.issuer, at: 2)
        #expect(judge(try provider.token("ES256", header: ["kid": NSNull()])) == "unknown key")
    }

    @Test func withoutKeysTheyMayComeAgain() throws {
        let other = WebTokens()
        other.set([Self.issuer])
        let token = try provider.token()
        guard case .later = other.judge(token, from: "", now: Self.now, monotonic: 1) else {
            Issue.record("nobody knows yet")
            return
        }
        #expect(other.due(now: 0).count == 1)
        #expect(other.fail("no answer", of: Self.issuer))
        #expect(!other.fail("no answer", of: Self.issuer))
        #expect(other.status.first?.trouble == "no answer")
        guard case .later = other.judge(token, from: "", now: Self.now, monotonic: 1) else {
            Issue.record("nobody knows yet")
            return
        }
    }

    @Test func theLastGoodKeysStay() throws {
        _ = tokens.due(now: 700_000)
        #expect(throws: JSONWebKeysError.self) {
            try tokens.keep(Array("{}".utf8), of: Self.issuer, at: 2)
        }
        #expect(tokens.fail("not JSON", of: Self.issuer))
        #expect(judge(try provider.token()) == "check of acme")
        #expect(tokens.status.first?.lastGood == 1)
    }

    @Test func documents() throws {
        let keys = try provider.keys
        #expect(try JSONWebKeys(provider.document()).count == 5)
        var weak = try _RSA.Signing.PrivateKey(unsafeKeySize: .init(bitCount: 1_024)).publicKey
            .getKeyPrimitives()
        var rsa = keys[4]
        rsa["n"] = Provider.text(weak.modulus)
        var encryption = keys[0]
        encryption["use"] = "enc"
        var mismatched = keys[0]
        mismatched["alg"] = "RS256"
        var off = keys[0]
        off["y"] = off["x"]
        weak = try provider.rsa.publicKey.getKeyPrimitives()
        var huge = keys[4]
        huge["n"] = Provider.text(weak.modulus + weak.modulus + weak.modulus)
        for unusable in [rsa, encryption, mismatched, off, huge, ["kty": "EC"], [:]] {
            #expect(throws: JSONWebKeysError.self) {
                try JSONWebKeys(provider.document([unusable]))
            }
            #expect(try JSONWebKeys(provider.document([unusable, keys[0]])).count == 1)
        }
        for text in ["", "[]", "{\"keys\":{}}", "{\"keys\":[]}", "\u{0}"] {
            #expect(throws: JSONWebKeysError.self) { try JSONWebKeys(Array(text.utf8)) }
        }
        #expect(throws: JSONWebKeysError.self) {
            try JSONWebKeys([UInt8](repeating: 32, count: JSONWebKeys.maximumBytes + 1))
        }
        let many = try provider.document(Array(repeating: keys[0], count: 1_000))
        #expect(try JSONWebKeys(many).count == JSONWebKeys.maximumKeys)
    }

    // MARK: Once

    @Test func aTokenIsVerifiedOnce() throws {
        let token = try provider.token("ES256", ["exp": 1_000_030])
        for _ in 0..<10 { #expect(judge(token) == "check of acme") }
        #expect(tokens.verified == 1 && tokens.remembered == 1)
        // Until it ends.
        #expect(judge(token, now: 1_000_089) == "check of acme")
        #expect(judge(token, now: 1_000_090) == "expired token")
        #expect(tokens.verified == 1)
        // A wrong one too.
        let wrong = try stranger.token()
        for _ in 0..<10 { #expect(judge(wrong) == "wrong signature") }
        #expect(tokens.verified == 2)
    }

    @Test func nothingIsBelievedForMoreThanAnHour() throws {
        let token = try provider.token("ES256", ["exp": 9_000_000])
        #expect(judge(token) == "check of acme")
        #expect(judge(token, now: Self.now + 3_599) == "check of acme" && tokens.verified == 1)
        #expect(judge(token, now: Self.now + 3_600) == "check of acme" && tokens.verified == 2)
    }

    @Test func anIssuerThatIsGone() throws {
        let token = try provider.token()
        #expect(judge(token) == "check of acme")
        tokens.set([])
        #expect(judge(token) == "unknown issuer" && tokens.remembered == 0)
    }

    @Test func aKeyThatIsTakenBack() throws {
        let token = try provider.token()
        #expect(judge(token) == "check of acme")
        _ = try tokens.keep(
            provider.document(Array(provider.keys.dropFirst())), of: Self.issuer, at: 2)
        #expect(judge(token) == "unknown key")
    }

    @Test func theWorkIsBounded() throws {
        let busy = (0..<2_000).count { number in
            let token = "a.b.\(Provider.text([UInt8].random(8)))"
            return judge(token, from: "\(number % 100)") == "later"
        }
        #expect(busy == 1_000)
    }

    /// Whoever is told to come again all the time takes nobody else's looks.
    @Test func oneAddressLeavesOthersTheirs() throws {
        let other = WebTokens()
        other.set([Self.issuer])
        let token = try provider.token()
        for _ in 0..<5_000 {
            _ = other.judge(token, from: "192.0.2.1", now: Self.now, monotonic: 1)
        }
        let issuer = Self.issuer
        _ = other.due(now: 0)
        _ = try other.keep(provider.document(), of: issuer, at: 1)
        func verdict(_ address: String) -> String {
            switch other.judge(token, from: address, now: Self.now, monotonic: 1) {
            case .good: "good"
            case .failure(let failure): failure.rawValue
            case .later: "later"
            }
        }
        #expect(verdict("192.0.2.1") == "later" && verdict("192.0.2.2") == "good")
    }

    /// A neighbour who fails holds nobody up who is known, nor for long who is not.
    @Test func oneWhoFailsKeepsNobodyOut() throws {
        let known = try provider.token()
        #expect(judge(known) == "check of acme")
        let failed = (0..<200).count { judge("a.b.\($0)") == "malformed token" }
        #expect(failed == LookBudget.failures)
        let new = try provider.token("EdDSA")
        #expect(judge(known) == "check of acme" && judge(new) == "later")
        #expect(judge(new, monotonic: 59_300_000_000) == "check of acme")
        // What is known to be bad costs no look.
        let bad = try stranger.token()
        #expect(judge(bad, monotonic: 70_000_000_000) == "wrong signature")
        for _ in 0..<200 { #expect(judge(bad, monotonic: 70_000_000_000) == "wrong signature") }
    }

    // MARK: What it may hold

    @Test(arguments: [0, 1]) func partsAreBounded(part: Int) throws {
        let parts = try provider.token().split(separator: ".").map { String($0) }
        func reads(_ more: String) -> Bool {
            let members =
                part == 0
                ? "\"alg\":\"ES256\",\"kid\":\"p256\"" : "\"iss\":\"https://id.example.com\""
            var made = parts
            made[part] = Provider.text(Array("{\(members),\"more\":\(more)}".utf8))
            return JSONWebToken(made.joined(separator: ".")) != nil
        }
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        func list(_ count: Int, _ value: String) -> String {
            "[" + Array(repeating: value, count: count).joined(separator: ",") + "]"
        }
        let deepest = JSONWebToken.bounds.depth
        #expect(reads(nested(deepest - 1)) && !reads(nested(deepest)))
        #expect(reads(list(500, "1")) && !reads(list(520, "1")))
        #expect(reads(list(500, "{}")) && !reads(list(520, "{}")))
        // Brackets within texts are none, whatever stands before them.
        #expect(reads(#""[[[[[[[[[[\"[[[[[[[[[[\\""#))
        #expect(!reads(#"["\\",[[[[[[[["\""]]]]]]]]]"#))
    }

    @Test func valuesOfClaims() throws {
        let parts = try provider.token().split(separator: ".")
        for (text, value) in [
            ("true", true), ("false", false), ("1", 1), ("0", 0), ("-1.5e2", .number("-1.5e2")),
            ("null", .null), (#""1""#, "1"), ("[]", []),
            (#"[true,{"a":[0]}]"#, [true, ["a": [0]]]),
        ] as [(String, JSON)] {
            let claims = Provider.text(Array("{\"a\":\(text)}".utf8))
            #expect(JSONWebToken("\(parts[0]).\(claims).\(parts[2])")?.claims == ["a": value])
        }
    }

    /// Another encoding is no way around the bounds.
    @Test func partsAreUTF8() throws {
        let parts = try provider.token().split(separator: ".").map { String($0) }
        let claims = #"{"iss":"https://id.example.com"}"#
        for encoding in [String.Encoding.utf16LittleEndian, .utf16BigEndian, .utf32LittleEndian] {
            let bytes = try #require(claims.data(using: encoding))
            #expect(JSONWebToken("\(parts[0]).\(Provider.text(bytes)).\(parts[2])") == nil)
        }
    }

    // MARK: Names

    @Test func namesAreFitToBeSeen() throws {
        func name(_ subject: String) throws -> String? {
            let token = try provider.token("ES256", ["sub": subject])
            guard
                case .good(let good) = tokens.judge(
                    token, from: "", now: Self.now, monotonic: 59_000_000_000)
            else { return nil }
            return good.caller.name
        }
        #expect(try name("ann") == "ann (https://id.example.com)")
        #expect(
            try name("a\u{1b}[2J\u{202e}b\u{2028}\u{200f}\n")
                == "a?[2J?b???" + " (https://id.example.com)")
        // By bytes: however little it looks like.
        let long = try #require(try name("e" + String(repeating: "\u{301}", count: 500)))
        #expect(long.utf8.count == 127 + " (https://id.example.com)".utf8.count)
        let rule = CertificateRule(name: "spiffe://a/*", scopes: .check)
        #expect(rule.caller("spiffe://a/\u{7}b").name == "spiffe://a/?b")
        let far = rule.caller("spiffe://a/" + String(repeating: "\u{1f600}", count: 100)).name
        #expect((253...256).contains(far.utf8.count))
    }
}

extension [UInt8] {
    fileprivate static func random(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in .random(in: .min ... .max) }
    }
}
