import Access
import Crypto
import Engine
import Events
import HTTPTypes
import JSON
import Limits
import Projection
import Synchronization
import Testing

@testable import ControlPlane

/// `Idempotency-Key` on changes of the control plane.
@Suite struct StoredAnswerTests {
    /// Every POST of operators that makes something.
    static let creations: [(path: String, body: String, other: String)] = [
        ("/v2/tenants", #"{"name":"One"}"#, #"{"name":"Two"}"#),
        ("/v2/tenants", #"{"id":"own","name":"One"}"#, #"{"id":"own","name":"Two"}"#),
        (
            "/v2/messaging_profiles", #"{"tenant_id":"acme","name":"One"}"#,
            #"{"tenant_id":"acme","name":"Two"}"#
        ),
        (
            "/v2/outbound_voice_profiles", #"{"tenant_id":"acme","name":"One"}"#,
            #"{"tenant_id":"acme","name":"Two"}"#
        ),
        (
            "/v2/tokens", #"{"name":"One","scope":"operator"}"#,
            #"{"name":"Two","scope":"operator"}"#
        ),
        (
            "/v2/webhook_endpoints", #"{"url":"https://a.example/h"}"#,
            #"{"url":"https://b.example/h"}"#
        ),
        ("/v2/email_recipients", #"{"address":"a@b.example"}"#, #"{"address":"c@b.example"}"#),
    ]

    private static func count(_ rest: RESTHarness) -> Int {
        rest.engine.tenantCount
            + rest.engine.settings(prefix: "").keys.filter {
                !$0.hasPrefix(StoredAnswer.settingPrefix)
            }.count
    }

    /// A messaging profile whose answer takes more than one part.
    private static let long =
        #"{"tenant_id":"acme","name":"n","number_pool_settings":{"a":"\#(String(repeating: "x", count: 2_900))"}}"#

    /// One answer is remembered.
    private static var forgetful: RESTSettings {
        var settings = RESTSettings()
        settings.maximumAnswers = 1
        return settings
    }

    /// Has another key take the place of the one that is remembered.
    private static func forget(_ rest: RESTHarness, token: String? = nil) async throws {
        let other = try await rest(
            .post, "/v2/tenants", "{}", token: token, headers: ["idempotency-key": "other"])
        try #require(other.status == 200)
    }

    /// As if the process had ended before answers were kept.
    private static func loseAnswers(_ rest: RESTHarness) throws {
        for name in rest.engine.settings(prefix: StoredAnswer.settingPrefix).keys.sorted() {
            if name.hasSuffix("/0") {
                try rest.engine.setSetting(name, "")
            } else {
                let value = rest.engine.setting(name) ?? ""
                try rest.engine.setSetting(name, value.replacing(#","parts":1"#, with: ""))
            }
        }
    }

    /// Settings that are no answers.
    private static func made(_ rest: RESTHarness) -> [String: String] {
        rest.engine.settings(prefix: "").filter { !$0.key.hasPrefix(StoredAnswer.settingPrefix) }
    }

    /// Taken from the routes: no POST is without, and what `creations` holds is all of them.
    @Test func everyPostTakesAKey() async throws {
        let event = Event(
            id: "e", kind: .profileLimitReached, occurredAt: 0, tenantID: "acme", tenantName: "",
            profileID: "", profileName: "", reason: "")
        let row = DeliveryRow(
            id: 1, event: event, channel: .email(address: "a@b.example"), status: .failed,
            attempts: [], createdAt: 0, nextAttemptAt: nil)
        let rest = try RESTHarness(projection: FixedReadModel(deliveryRow: row))
        try await rest.furnish()
        var ids = ["tenants": "acme", "webhook_deliveries": "1"]
        for (collection, body) in [
            ("webhook_endpoints", #"{"url":"https://a.example/h"}"#),
            ("email_recipients", #"{"address":"a@b.example"}"#),
        ] { ids[collection] = try await rest(.post, "/v2/\(collection)", body).id }
        let routes = RESTRoutes.all(rest.server.core).filter { $0.method == .post }
        for (number, route) in routes.enumerated() where route.right != .charge {
            let collection = String(route.path.split(separator: "/")[1])
            let path = route.path.replacing("{id}", with: ids[collection] ?? "")
            // The tenant of the examples is there already.
            let body = route.operation.body?.example.text
                .replacing(#""id":"acme""#, with: #""id":"other""#)
            let key: KeyValuePairs = ["idempotency-key": "k-\(number)"]
            let first = try await rest(.post, path, body, headers: key)
            #expect(first.status == 200, "\(path) \(first.body)")
            #expect(first[header: "idempotency-replayed"] == nil)
            let second = try await rest(.post, path, body, headers: key)
            #expect(second.status == 200 && second.body == first.body, "\(path) \(second.body)")
            #expect(second[header: "idempotency-replayed"] == "true", "\(path)")
        }
        let creations = routes.filter {
            $0.right != .charge && !$0.path.contains("/actions/")
        }
        #expect(Set(creations.map(\.path)) == Set(Self.creations.map(\.path)))
    }

    @Test func aRepeatMakesNothingAndIsAnsweredAlike() async throws {
        for (path, body, other) in Self.creations {
            let rest = try RESTHarness()
            try rest.engine.setTenant(TenantSettings(id: "acme"))
            let key: KeyValuePairs = ["idempotency-key": "k-1"]
            let first = try await rest(.post, path, body, headers: key)
            #expect(first.status == 200, "\(path) \(first.body)")
            let made = Self.count(rest)
            let second = try await rest(.post, path, body, headers: key)
            #expect(second.status == 200 && second.body == first.body, "\(path) \(second.body)")
            #expect(second[header: "etag"] == first[header: "etag"])
            #expect(first[header: "idempotency-replayed"] == nil)
            #expect(second[header: "idempotency-replayed"] == "true")
            let spaced = body.replacing(":", with: " : ").replacing("https : ", with: "https:")
            #expect(try await rest(.post, path, spaced, headers: key).body == first.body)
            let reused = try await rest(.post, path, other, headers: key)
            #expect(reused.errors == ["49201 Idempotency-Key"], "\(path) \(reused.body)")
            #expect(Self.count(rest) == made)
            // Another key is another change.
            let fresh = try await rest(
                .post, path, other.replacing("own", with: "new"),
                headers: ["idempotency-key": "k-2"])
            #expect(fresh.status == 200, "\(path) \(fresh.body)")
        }
    }

    /// Whatever an action did stays as it was, though it has been changed since.
    @Test func actionsAreCarriedOutOnce() async throws {
        let rest = try RESTHarness()
        try await rest.furnish()
        let key: KeyValuePairs = ["idempotency-key": "s"]
        let suspend = "/v2/tenants/acme/actions/suspend"
        let first = try await rest(.post, suspend, #"{"reason":"fraud"}"#, headers: key)
        #expect(first.data["status"] == "suspended")
        #expect(
            try await rest(
                .post, "/v2/tenants/acme/actions/reinstate", headers: ["idempotency-key": "r"]
            )
            .status == 200)
        let again = try await rest(.post, suspend, #"{"reason":"fraud"}"#, headers: key)
        #expect(again.body == first.body)
        #expect(try rest.engine.status(ofTenant: "acme") == .active)
        // The same key for another tenant or action is another content.
        #expect(
            try await rest(.post, "/v2/tenants/acme/actions/reinstate", headers: key).errors
                == ["49201 Idempotency-Key"])
        let counts: KeyValuePairs = ["idempotency-key": "c"]
        let path = "/v2/tenants/acme/actions/set_counts"
        let set = try await rest(.post, path, #"{"dids":7}"#, headers: counts)
        #expect(set.status == 200)
        _ = try await rest(.post, path, #"{"dids":3}"#)
        #expect(try await rest(.post, path, #"{"dids":7}"#, headers: counts).body == set.body)
        #expect(try await rest(.get, "/v2/tenants/acme/usage").body.contains(#""committed":3"#))
    }

    /// A key belongs to its caller; a failure is no answer.
    @Test func keysAreTheCallers() async throws {
        let rest = try RESTHarness(isOpen: false)
        let (_, ann) = try rest.authority.create(name: "a", scope: .operator, tenantIDs: [])
        let (_, bob) = try rest.authority.create(name: "b", scope: .operator, tenantIDs: [])
        let key: KeyValuePairs = ["idempotency-key": "k"]
        let wrong = try await rest(.post, "/v2/tenants", #"{"nam":1}"#, token: ann, headers: key)
        #expect(wrong.status == 422)
        let first = try await rest(.post, "/v2/tenants", "{}", token: ann, headers: key)
        let second = try await rest(.post, "/v2/tenants", "{}", token: bob, headers: key)
        #expect(first.status == 200 && second.status == 200)
        #expect(first.data["id"] != second.data["id"])
        #expect(rest.engine.tenantCount == 2)
        for bad in ["", String(repeating: "k", count: 129), "\"k"] {
            let refused = try await rest(
                .post, "/v2/tenants", "{}", token: ann, headers: ["idempotency-key": bad])
            #expect(refused.errors == ["10015 Idempotency-Key"], "\(bad)")
        }
        let twice = try await rest(
            .post, "/v2/tenants", "{}", token: ann,
            headers: ["idempotency-key": "a", "idempotency-key": "b"])
        #expect(twice.status == 400)
    }

    @Test func manyAtOnceMakeOne() async throws {
        let rest = try RESTHarness()
        let bodies = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<16 {
                group.addTask {
                    try await rest(.post, "/v2/tenants", "{}", headers: ["idempotency-key": "k"])
                        .body
                }
            }
            return try await group.reduce(into: Set<String>()) { $0.insert($1) }
        }
        #expect(bodies.count == 1 && rest.engine.tenantCount == 1)
    }

    /// The process ended between a change and the record of its answer: the repeat finds what was made.
    @Test func whatWasMadeBeforeACrashIsFound() async throws {
        for (path, body, other) in Self.creations {
            let rest = try RESTHarness()
            try rest.engine.setTenant(TenantSettings(id: "acme"))
            let key: KeyValuePairs = ["idempotency-key": "k"]
            let first = try await rest(.post, path, body, headers: key)
            let made = Self.count(rest)
            try Self.loseAnswers(rest)
            let reused = try await rest(.post, path, other, headers: key)
            #expect(reused.errors == ["49201 Idempotency-Key"])
            let again = try await rest(.post, path, body, headers: key)
            #expect(again.status == 200, "\(path) \(again.body)")
            #expect(again.data["id"] == first.data["id"], "\(path)")
            #expect(Self.count(rest) == made, "\(path)")
        }
    }

    /// The first attempt made nothing, and somebody else made something of that id: the repeat says so, unless it is
    /// what it would have made.
    @Test func whatOthersMadeIsNotTheAnswer() async throws {
        for path in ["/v2/tenants", "/v2/messaging_profiles"] {
            let rest = try RESTHarness()
            try rest.engine.setTenant(TenantSettings(id: "acme"))
            let owner = path == "/v2/tenants" ? "" : #","tenant_id":"acme""#
            let body = #"{"id":"own","name":"One"\#(owner)}"#
            let key: KeyValuePairs = ["idempotency-key": "k"]
            #expect(try await rest(.post, path, body, headers: key).status == 200)
            try Self.loseAnswers(rest)
            let changed = try await rest(.patch, path + "/own", #"{"name":"Two"}"#)
            #expect(changed.status == 200)
            let again = try await rest(.post, path, body, headers: key)
            #expect(again.status == 409 && again.errors == ["10012 /id"], "\(path) \(again.body)")
            #expect(again[header: "x-should-retry"] == "false")
            #expect(try await rest(.get, path + "/own").data["name"] == "Two")
        }
    }

    /// Ids are made of keys, and outlive them: what a key made that is forgotten stays as it is.
    @Test func aForgottenKeyReplacesNothing() async throws {
        for (path, body, other) in Self.creations.suffix(3) {
            let rest = try RESTHarness(settings: Self.forgetful)
            let key: KeyValuePairs = ["idempotency-key": "k"]
            let first = try await rest(.post, path, body, headers: key)
            #expect(first.status == 200, "\(path) \(first.body)")
            let answer = rest.engine.settings(prefix: StoredAnswer.settingPrefix)
            try await Self.forget(rest)
            let made = Self.made(rest)
            for content in [body, other, body] {
                let again = try await rest(.post, path, content, headers: key)
                #expect(again.status == 409, "\(path) \(again.body)")
                #expect(again.errors == ["10012 Idempotency-Key"])
                #expect(again[header: "x-should-retry"] == "false")
            }
            #expect(Self.made(rest) == made, "\(path)")
            // The same, had the process ended before it could refuse.
            for (name, value) in answer where !name.hasSuffix("/0") {
                let began = #""began":\#(rest.engine.clock.now + 1)"#
                try rest.engine.setSetting(name, value.replacing(#/"began":\d+/#, with: began))
            }
            try Self.loseAnswers(rest)
            #expect(try await rest(.post, path, body, headers: key).status == 409, "\(path)")
            #expect(Self.made(rest) == made, "\(path)")
            let gone = try await rest(.delete, "\(path)/\(first.id)")
            #expect(gone.status == 200)
            let anew = try await rest(.post, path, body, headers: key)
            #expect(anew.status == 200 && anew.id == first.id, "\(path) \(anew.body)")
        }
    }

    @Test func aRevokedTokenOfAForgottenKeyIsNobodys() async throws {
        let rest = try RESTHarness(isOpen: false, settings: Self.forgetful)
        let (_, ann) = try rest.authority.create(name: "a", scope: .operator, tenantIDs: [])
        let body = #"{"name":"One","scope":"operator"}"#
        func create() async throws -> RESTHarness.Answer {
            try await rest(
                .post, "/v2/tokens", body, token: ann, headers: ["idempotency-key": "k"])
        }
        let first = try await create()
        try await Self.forget(rest, token: ann)
        _ = try await create()
        #expect(try await rest(.delete, "/v2/tokens/\(first.id)", token: ann).status == 200)
        #expect(rest.authority.caller(secret: first.secret) == nil)
        let second = try await create()
        #expect(second.id == first.id && second.secret != first.secret)
        #expect(rest.authority.caller(secret: first.secret) == nil)
        #expect(rest.authority.caller(secret: second.secret) != nil)
    }

    /// A repeat whose first attempt made the last token that there may be takes that one's place.
    @Test func theLastTokenIsMadeAgain() async throws {
        var settings = RESTSettings()
        settings.maximumTokens = 1
        let rest = try RESTHarness(settings: settings)
        let key: KeyValuePairs = ["idempotency-key": "k"]
        let body = #"{"name":"One","scope":"operator"}"#
        let first = try await rest(.post, "/v2/tokens", body, headers: key)
        try Self.loseAnswers(rest)
        let again = try await rest(.post, "/v2/tokens", body, headers: key)
        #expect(again.status == 200 && again.id == first.id, "\(again.body)")
        #expect(try rest.authority.tokens.count == 1)
    }

    /// What receivers hold is the secret before: a repeat must not put another one between.
    @Test func aSecretIsRotatedOnce() async throws {
        let rest = try RESTHarness(settings: Self.forgetful)
        let made = try await rest(.post, "/v2/webhook_endpoints", #"{"url":"https://a.example/"}"#)
        func endpoint() throws -> WebhookEndpoint {
            let value = rest.engine.setting(WebhookEndpoint.settingPrefix + made.id)
            return try SettingValue.decode(WebhookEndpoint.self, try #require(value))
        }
        func rotate(_ key: String, at tag: String? = nil) async throws -> RESTHarness.Answer {
            try await rest(
                .post, "/v2/webhook_endpoints/\(made.id)/actions/rotate_secret",
                headers: ["idempotency-key": key, "if-match": tag ?? "*"])
        }
        let tag = try #require(made[header: "etag"])
        let first = try await rotate("k", at: tag)
        #expect(first.status == 200 && first.secret != made.secret)
        try Self.loseAnswers(rest)
        let again = try await rotate("k", at: tag)
        #expect(again.status == 200 && again.secret == first.secret, "\(again.body)")
        #expect(try endpoint().formerSecret == made.secret)
        // A key that is forgotten is a new one.
        try await Self.forget(rest)
        #expect(try await rotate("k", at: tag).status == 412)
        let next = try await rotate("k")
        #expect(next.status == 200 && next.secret != first.secret)
        #expect(try endpoint().formerSecret == first.secret)
    }

    /// The journal holds no secret that its answer told.
    @Test func secretsAreSealed() async throws {
        let rest = try RESTHarness()
        let made = try await rest(
            .post, "/v2/tokens", #"{"name":"t","scope":"operator"}"#,
            headers: ["idempotency-key": "k"])
        guard case .string(let secret) = made.data["secret"] else {
            Issue.record("there is no secret")
            return
        }
        for (name, value) in rest.engine.settings(prefix: "") {
            #expect(!value.contains(secret), "\(name)")
        }
        #expect(rest.authority.caller(secret: secret) != nil)
    }

    /// Nobody has a token here, as with certificates and sessions: the idempotency key is all that callers send.
    @Test func answersAreGivenAgainAfterARestart() async throws {
        let answerKey = SymmetricKey(size: .bits256)
        for (path, body, _) in Self.creations {
            let before = try RESTHarness(answerKey: answerKey)
            try before.engine.setTenant(TenantSettings(id: "acme"))
            let key: KeyValuePairs = ["idempotency-key": "k"]
            let first = try await before(.post, path, body, headers: key)
            #expect(first.status == 200, "\(path) \(first.body)")
            let after = try RESTHarness(engine: before.engine, answerKey: answerKey)
            let again = try await after(.post, path, body, headers: key)
            #expect(again.status == 200 && again.body == first.body, "\(path) \(again.body)")
            #expect(again[header: "idempotency-replayed"] == "true")
        }
    }

    /// Who has the journal and the idempotency key, or has lost the service's key, opens nothing: what was done is neither
    /// told nor done again.
    @Test func withoutTheServicesKeyAnAnswerStaysShut() async throws {
        for (path, body, other) in Self.creations {
            let before = try RESTHarness()
            try before.engine.setTenant(TenantSettings(id: "acme"))
            let key: KeyValuePairs = ["idempotency-key": "k"]
            let first = try await before(.post, path, body, headers: key)
            #expect(first.status == 200, "\(path) \(first.body)")
            let made = Self.made(before)
            let after = try RESTHarness(engine: before.engine)
            for _ in 0..<2 {
                let again = try await after(.post, path, body, headers: key)
                #expect(again.status == 409, "\(path) \(again.body)")
                #expect(again.errors == ["10012 Idempotency-Key"])
                #expect(again[header: "x-should-retry"] == "false")
                #expect(first.secret.isEmpty || !again.body.contains(first.secret))
            }
            let reused = try await after(.post, path, other, headers: key)
            #expect(reused.errors == ["49201 Idempotency-Key"], "\(path) \(reused.body)")
            #expect(Self.made(before) == made, "\(path)")
        }
    }

    @Test func withoutTheServicesKeyAnActionIsNotRepeated() async throws {
        let before = try RESTHarness()
        try await before.furnish()
        let suspend = "/v2/tenants/acme/actions/suspend"
        let body = #"{"reason":"fraud"}"#
        let key: KeyValuePairs = ["idempotency-key": "s"]
        #expect(try await before(.post, suspend, body, headers: key).status == 200)
        #expect(try await before(.post, "/v2/tenants/acme/actions/reinstate").status == 200)
        let after = try RESTHarness(engine: before.engine)
        let again = try await after(.post, suspend, body, headers: key)
        #expect(again.errors == ["10012 Idempotency-Key"], "\(again.body)")
        #expect(try after.engine.status(ofTenant: "acme") == .active)
        // A key of its own is a change of its own.
        let next = try await after(.post, suspend, body, headers: ["idempotency-key": "t"])
        #expect(next.data["status"] == "suspended")
    }

    /// An answer to somebody with a token is for that token alone: the whole of the data directory does not open it.
    @Test func anAnswerToATokenIsForThatToken() throws {
        let content = Exchange(
            parameters: [:], query: "", headers: [:], body: [],
            caller: Caller(number: 7, name: "ann", scope: .operator))
        let caller = KeyedCaller("k", content)
        let key = SymmetricKey(size: .bits256)
        func seal(_ authorization: String, _ key: SymmetricKey) -> AnswerSeal {
            AnswerSeal(key, caller, authorization: authorization)
        }
        let sealed = try #require(seal("Bearer a", key).close(Reply(["secret": "s"])))
        #expect(seal("Bearer a", key).open(sealed)?.body == Reply(["secret": "s"]).body)
        for other in ["", "Bearer b", "Bearer a "] {
            #expect(seal(other, key).open(sealed) == nil, "\(other)")
        }
        #expect(seal("Bearer a", SymmetricKey(size: .bits256)).open(sealed) == nil)
        let foreign = KeyedCaller("k2", content)
        #expect(AnswerSeal(key, foreign, authorization: "Bearer a").open(sealed) == nil)
        #expect(seal("Bearer a", key).open(String(sealed.dropLast(8))) == nil)
    }

    @Test func answersAreBoundedAndForgotten() async throws {
        var settings = RESTSettings()
        settings.maximumAnswers = 4
        let rest = try RESTHarness(settings: settings)
        for number in 0..<10 {
            let made = try await rest(
                .post, "/v2/tenants", #"{"id":"t\#(number)"}"#,
                headers: ["idempotency-key": "k\(number)"])
            #expect(made.status == 200)
        }
        #expect(rest.engine.settings(prefix: StoredAnswer.settingPrefix).count == 8)
        let last = try await rest(
            .post, "/v2/tenants", #"{"id":"t9"}"#, headers: ["idempotency-key": "k9"])
        #expect(last.status == 200)
        settings.answerRetention = 0
        let short = try RESTHarness(settings: settings)
        for _ in 0..<3 {
            let made = try await short(
                .post, "/v2/tenants", "{}", headers: ["idempotency-key": "k"])
            // An id that was made of a key is the key's as long as what it names.
            #expect(made.status == 200 || made.errors == ["10012 /id"])
        }
        #expect(short.engine.tenantCount == 1)
    }

    /// How long answers are kept is how long ago they were given, whatever the wall clock does.
    @Test func noStepOfTheClockForgetsAnswers() async throws {
        let clock = MachineClocks()
        let engineClock = EngineClock(clock.source)
        let rest = try RESTHarness(clock: engineClock)
        let retention = RESTSettings().answerRetention
        let key: KeyValuePairs = ["idempotency-key": "k"]
        func create() async throws -> RESTHarness.Answer {
            try await rest(.post, "/v2/tenants", #"{"id":"own"}"#, headers: key)
        }
        let first = try await create()
        let before = engineClock.now
        clock.wall.add(10 * retention, ordering: .relaxed)
        _ = engineClock.follow()
        clock.pass(EngineClock.patience)
        _ = engineClock.follow()
        #expect(engineClock.now - before > 9 * retention)
        #expect(try await create().body == first.body)
        clock.wall.subtract(20 * retention, ordering: .relaxed)
        _ = engineClock.follow()
        #expect(try await create().body == first.body)
        clock.pass(retention)
        #expect(try await create().errors == ["10012 /id"])
    }

    /// No part of an answer outlives it.
    @Test func answersGoWithAllTheirParts() async throws {
        let clock = MachineClocks()
        let rest = try RESTHarness(clock: EngineClock(clock.source))
        try rest.engine.setTenant(TenantSettings(id: "acme"))
        func kept() -> [String] {
            rest.engine.settings(prefix: StoredAnswer.settingPrefix).keys.sorted()
        }
        for number in 0..<17 {
            _ = try await rest(
                .post, "/v2/tenants", "{}", headers: ["idempotency-key": "k\(number)"])
        }
        let long = try await rest(
            .post, "/v2/messaging_profiles", Self.long, headers: ["idempotency-key": "k"])
        #expect(long.status == 200 && kept().count > 36)
        // More of them are over than are removed at a time, and the long one is the newest.
        clock.pass(RESTSettings().answerRetention)
        let short = try await rest(.post, "/v2/tenants", "{}", headers: ["idempotency-key": "k"])
        #expect(short.status == 200)
        #expect(kept().count == 4, "\(kept())")
    }

    /// The process ended while an answer was removed, or the journal had no room for all of it.
    @Test func leftoversAreSweptAtAStart() async throws {
        let rest = try RESTHarness()
        try rest.engine.setTenant(TenantSettings(id: "acme"))
        func kept() -> [String: String] {
            rest.engine.settings(prefix: StoredAnswer.settingPrefix)
        }
        _ = try await rest(.post, "/v2/tenants", "{}", headers: ["idempotency-key": "whole"])
        let whole = kept()
        #expect(whole.count == 2)
        _ = try await rest(
            .post, "/v2/messaging_profiles", Self.long, headers: ["idempotency-key": "k"])
        let name = try #require(
            kept().keys.first {
                whole[$0] == nil && !$0.dropFirst(StoredAnswer.settingPrefix.count).contains("/")
            })
        try rest.engine.setSetting(name, "")
        #expect(kept().count > 3)
        _ = StoredAnswers(
            rest.engine, key: SymmetricKey(size: .bits256), retention: 900_000, maximum: 100)
        #expect(kept() == whole)
    }

    /// Long answers too.
    @Test func longAnswersAreKept() async throws {
        let rest = try RESTHarness()
        try rest.engine.setTenant(TenantSettings(id: "acme"))
        let body = Self.long
        let key: KeyValuePairs = ["idempotency-key": "k"]
        let first = try await rest(.post, "/v2/messaging_profiles", body, headers: key)
        #expect(first.status == 200)
        #expect(rest.engine.settings(prefix: StoredAnswer.settingPrefix).count > 2)
        let again = try await rest(.post, "/v2/messaging_profiles", body, headers: key)
        #expect(again.body == first.body && again[header: "idempotency-replayed"] == "true")
    }
}

extension RESTHarness.Answer {
    fileprivate var id: String { text("id") }
    fileprivate var secret: String { text("secret") }

    /// Empty: there is none.
    private func text(_ name: String) -> String {
        if case .string(let text) = data[name] { text } else { "" }
    }
}
