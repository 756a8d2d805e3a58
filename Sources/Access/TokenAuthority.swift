import Crypto
package import Engine
import Foundation
import JSON
package import Limits
import Notation
import Synchronization

/// Somebody who was let in.
package struct Admission: Sendable {
    package var caller: Caller
    /// When what let them in ends, Unix milliseconds; nil: never.
    package var expiresAt: Int64?
    /// How fast they may call; nil: as fast as they like.
    package var rate: CallerRate?

    package init(caller: Caller, expiresAt: Int64? = nil, rate: CallerRate? = nil) {
        self.caller = caller
        self.expiresAt = expiresAt
        self.rate = rate
    }
}

/// Who somebody is.
package enum Verdict: Sendable {
    case admitted(Admission)
    /// Nobody; the failure is counted.
    case nobody
    /// It cannot be told now: they may come again.
    case later
}

/// What a connection's certificate, which its issuer's bundle vouches for, calls its owner.
package struct CertificateNames: Sendable, Equatable {
    package var dnsNames: [String]
    package var uris: [String]

    package init(dnsNames: [String], uris: [String]) {
        self.dnsNames = dnsNames
        self.uris = uris
    }
}

/// Knows who a caller is: by an access token of ours, by a web token of an issuer, by a certificate.
///
/// Thread safety: any thread. A token that was revoked is unknown to every call that starts after `revoke` has returned.
package final class TokenAuthority: Sendable {
    private final class Known: Sendable {
        let id: String
        let admission: Admission
        /// Unix minutes; 0: never.
        let lastUse: Atomic<Int64>

        init(id: String, admission: Admission, lastUse: Int64) {
            self.id = id
            self.admission = admission
            self.lastUse = Atomic(lastUse)
        }
    }

    private let engine: Engine
    /// What calls look up: held for no longer than that takes.
    private let known: Mutex<[String: Known]>
    /// Held by who creates or revokes, while the journal takes it.
    private let changing = Mutex(())
    private let changes = Atomic<UInt64>(1)
    /// Everybody may do everything (`--insecure-no-auth`).
    package let isOpen: Bool
    /// Calls a second of a caller that nothing else says of; nil: no bound.
    private let rate: Int?
    private let wall: @Sendable () -> Double
    private let monotonic: @Sendable () -> UInt64

    /// Who is known by others' word.
    package let webTokens = WebTokens()
    private let rules = Mutex(CertificateRules())
    private let strangers: Mutex<KnownByName>
    package let attempts = AttemptLog()
    private let hurries = Atomic<Int>(0)

    /// - Parameters:
    ///   - rate: calls a second of each caller, unless its token, issuer or rule says another; nil: no bound.
    ///   - wall: Unix seconds by the wall clock, which issuers' tokens go by.
    ///   - monotonic: nanoseconds.
    /// - Throws: a setting of a token's cannot be read.
    package init(
        _ engine: Engine, isOpen: Bool, rate: Int? = nil,
        wall: @escaping @Sendable () -> Double = { Date.now.timeIntervalSince1970 },
        monotonic: @escaping @Sendable () -> UInt64 = { MonotonicClock.now }
    ) throws {
        self.engine = engine
        self.isOpen = isOpen
        self.rate = rate
        self.wall = wall
        self.monotonic = monotonic
        var known: [String: Known] = [:]
        let uses = engine.settings(prefix: AccessToken.usePrefix)
        for token in try Self.tokens(engine) {
            let lastUse = uses[AccessToken.usePrefix + token.id].flatMap { Int64($0) }
            known[token.hash] = Self.known(token, rate, lastUse: lastUse ?? 0)
        }
        self.known = Mutex(known)
        strangers = Mutex(KnownByName(engine))
    }

    private static func known(_ token: AccessToken, _ rate: Int?, lastUse: Int64 = 0) -> Known {
        let perSecond = token.rate ?? rate
        let admission = Admission(
            caller: token.caller, expiresAt: token.expiresAt,
            rate: perSecond.map { CallerRate(perSecond: $0) })
        return Known(id: token.id, admission: admission, lastUse: lastUse)
    }

    /// Rises with every change: what was found out under an earlier number may be wrong.
    package var generation: UInt64 { changes.load(ordering: .acquiring) }

    private func noteChange() { changes.add(1, ordering: .acquiringAndReleasing) }

    /// All tokens that were made and not revoked, oldest first.
    package var tokens: [AccessToken] {
        get throws { try Self.tokens(engine) }
    }

    private static func tokens(_ engine: Engine) throws -> [AccessToken] {
        try engine.settings(prefix: AccessToken.settingPrefix).values
            .map { try SettingValue.decode(AccessToken.self, $0) }
            .sorted { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }
    }

    // MARK: Who it is

    /// Who sends a value of `Authorization`: "Bearer SECRET", the scheme in any case; else, where there is none, the
    /// owner of the connection's certificate. What fails is counted.
    ///
    /// - Parameters:
    ///   - authorization: empty: there is none. If there is one it alone counts, be it good or not.
    ///   - certificate: of the connection; nil: it has none.
    ///   - address: the peer's, without a port.
    package func judge(
        authorization: String, certificate: CertificateNames? = nil, from address: String
    ) -> Verdict {
        if isOpen { return .admitted(Admission(caller: .anyone)) }
        let result: Result<Admission, AttemptFailure>
        if authorization.isEmpty {
            result = certificate.map(admission) ?? .failure(.noToken)
        } else if let secret = Self.secret(authorization) {
            if JSONWebToken.isLike(secret) {
                switch judge(webToken: secret, from: address) {
                case .success(let found): result = .success(found)
                case .failure(let failure): result = .failure(failure)
                case nil: return .later
                }
            } else {
                result = admission(own: secret)
            }
        } else {
            result = .failure(.malformedToken)
        }
        switch result {
        case .success(let admission): return .admitted(admission)
        case .failure(let failure):
            attempts.note(failure, from: address, now: engine.clock.now)
            return .nobody
        }
    }

    private static func secret(_ authorization: String) -> String? {
        let parts = authorization.split(separator: " ", maxSplits: 1)
        guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
        return parts[1].trimmingCharacters(in: .whitespaces)
    }

    /// nil: not now.
    private func judge(
        webToken: String, from address: String
    ) -> Result<Admission, AttemptFailure>? {
        let now = wall()
        if let good = webTokens.known(webToken, now: now) { return .success(admission(good)) }
        guard webTokens.hasIssuers else { return .failure(.unknownIssuer) }
        switch webTokens.judge(webToken, from: address, now: now, monotonic: monotonic()) {
        case .good(let good): return .success(admission(good))
        case .failure(let failure): return .failure(failure)
        case .later: return nil
        }
    }

    private func admission(_ good: WebTokens.Good) -> Admission {
        Admission(
            caller: good.caller, expiresAt: Int64(good.until * 1_000),
            rate: met(good.caller, rate: good.rate))
    }

    private func admission(_ names: CertificateNames) -> Result<Admission, AttemptFailure> {
        let rules = rules.withLock { $0 }
        guard let (rule, name) = rules.rule(names) else { return .failure(.unknownCertificate) }
        let caller = rule.caller(name)
        return .success(Admission(caller: caller, rate: met(caller, rate: rule.rate)))
    }

    /// Whoever is known by others' word has come: their name is to be put on record, and their bucket is theirs.
    private func met(_ caller: Caller, rate own: Int?) -> CallerRate? {
        let now = monotonic()
        return strangers.withLock { $0.meet(caller, perSecond: own ?? rate, now: now) }
    }

    private func admission(own secret: String) -> Result<Admission, AttemptFailure> {
        let hash = Self.hash(secret)
        guard let found = known.withLock({ $0[hash] }) else { return .failure(.unknownToken) }
        let now = engine.clock.now
        if let expiresAt = found.admission.expiresAt, expiresAt <= now {
            return .failure(.expiredToken)
        }
        // ORDERING: relaxed because it goes with no other data.
        let minute = now / 60_000
        if found.lastUse.load(ordering: .relaxed) < minute {
            found.lastUse.store(minute, ordering: .relaxed)
        }
        return .success(found.admission)
    }

    /// Who a value of `Authorization` stands for, as far as it takes no long work to tell; nil: nobody, or not known yet.
    /// Nothing is counted.
    package func caller(authorization: String) -> Caller? {
        if isOpen { return .anyone }
        guard let secret = Self.secret(authorization) else { return nil }
        if JSONWebToken.isLike(secret) { return webTokens.known(secret, now: wall())?.caller }
        return caller(secret: secret)
    }

    /// Who a secret stands for; nil: nobody. O(1), one SHA-256.
    package func caller(secret: String) -> Caller? { admission(secret: secret)?.caller }

    /// Who has a secret of ours; nil: nobody. O(1), one SHA-256: what is compared is the hash, of which nobody can choose
    /// the first bytes, so that the time it takes tells nothing of a secret.
    package func admission(secret: String) -> Admission? {
        if isOpen { return Admission(caller: .anyone) }
        return try? admission(own: secret).get()
    }

    // MARK: Others' word

    /// Takes over whose word counts. Who was known by the word of somebody who is not there any more is nobody then.
    package func set(_ identities: Identities) {
        webTokens.set(identities.issuers)
        let rules = CertificateRules(identities.certificates)
        self.rules.withLock { $0 = rules }
        noteChange()
    }

    /// What was found at an issuer's.
    ///
    /// - Returns: whether tokens are judged by other keys from now on.
    package func keep(
        _ bytes: [UInt8], of issuer: Issuer
    ) throws(JSONWebKeysError) -> Bool {
        let isNew = try webTokens.keep(bytes, of: issuer, at: engine.clock.now)
        if isNew { noteChange() }
        return isNew
    }

    // MARK: Counting

    /// A call was refused because its caller is too fast.
    package func noteHurry() { hurries.add(1, ordering: .relaxed) }

    /// Such calls since the start.
    package var hurried: Int { hurries.load(ordering: .relaxed) }

    /// What failed in the minute that is over; nil: none is over, or nothing did. Put on record for the audit log: once a
    /// minute at most, however much there was.
    ///
    /// - Parameter isLast: the service stops: what there is of this minute is told.
    package func keepAttempts(isLast: Bool = false) -> FailedAttempts.Minute? {
        let now = isLast ? .max : engine.clock.now
        guard let minute = attempts.collect(now: now) else { return nil }
        let kept: JSON = [
            "attempts": .integer(minute.count), "addresses": .integer(minute.addresses),
            "since": .string(Instant.wholeSeconds(minute.first)),
            "until": .string(Instant.wholeSeconds(minute.last)),
            "most": .array(minute.lines.map { .string($0) }),
        ]
        // Where there is no room for it, the log has it.
        try? engine.setSetting(FailedAttempts.setting, kept.text)
        return minute
    }

    // MARK: Last use

    /// When tokens were last used, to the minute, by their ids, Unix milliseconds; those that never were are not there.
    package var lastUses: [String: Int64] {
        let all = known.withLock { Array($0.values) }
        return all.reduce(into: [:]) { uses, known in
            let minute = known.lastUse.load(ordering: .relaxed)
            if minute > 0 { uses[known.id] = minute * 60_000 }
        }
    }

    /// Puts on record who was here: when tokens were last used, and the names of who is known by others' word. To be
    /// called about once a minute, by one thread at a time; what is not written then is written the next time.
    ///
    /// - Complexity: O(tokens); a record for each that was used since.
    package func keepUses() {
        for (id, use) in lastUses {
            let setting = AccessToken.usePrefix + id
            let minute = "\(use / 60_000)"
            guard engine.setting(setting) != minute else { continue }
            changing.withLock { _ in
                // It may have been revoked meanwhile.
                guard engine.setting(AccessToken.settingPrefix + id) != nil else { return }
                try? engine.setSetting(setting, minute)
            }
        }
        for identity in strangers.withLock({ $0.takeNew() }) {
            guard let value = try? SettingValue.encode(identity) else { continue }
            try? engine.setSetting(identity.setting, value)
        }
    }

    // MARK: Changes

    /// Makes a token. The secret is returned once and cannot be had again.
    ///
    /// - Throws: `.conflict`: a token with this id already exists.
    /// - Parameters:
    ///   - id: nil: makes one.
    ///   - tenantIDs: the tenants that it is for; empty: all. Of scope `tenant` exactly one.
    ///   - expiresAt: Unix milliseconds; nil: never.
    ///   - rate: calls a second; nil: as the service's setting says.
    ///   - secret: one that `makeSecret` made; nil: makes one.
    package func create(
        id: String? = nil, name: String, scopes: Scopes, tenantIDs: [String],
        expiresAt: Int64? = nil, rate: Int? = nil, secret: String? = nil,
        by requester: Requester = .nobody
    ) throws(EngineError) -> (token: AccessToken, secret: String) {
        let secret = secret ?? Self.makeSecret()
        let token = AccessToken(
            id: id ?? UUID().uuidString.lowercased(), name: name, scopes: scopes,
            tenantIDs: tenantIDs, hash: Self.hash(secret), createdAt: engine.clock.now,
            expiresAt: expiresAt, rate: rate)
        guard let encoded = try? SettingValue.encode(token) else {
            throw EngineError(.invalid, "the token cannot be stored")
        }
        let setting = AccessToken.settingPrefix + token.id
        // One step: whoever finds the setting and revokes the token comes after it.
        try changing.withLock { (_) throws(EngineError) in
            // The one that is there would go on opening doors, and be in no list.
            guard engine.setting(setting) == nil else {
                throw EngineError(.conflict, "a token with this id already exists")
            }
            try engine.setSetting(setting, encoded, by: requester)
            known.withLock { $0[token.hash] = Self.known(token, self.rate) }
        }
        noteChange()
        return (token, secret)
    }

    /// - Parameter scope: by itself; see `Scopes.init(alone:)`.
    package func create(
        id: String? = nil, name: String, scope: Caller.Scope, tenantIDs: [String],
        expiresAt: Int64? = nil, secret: String? = nil, by requester: Requester = .nobody
    ) throws(EngineError) -> (token: AccessToken, secret: String) {
        try create(
            id: id, name: name, scopes: Scopes(alone: scope), tenantIDs: tenantIDs,
            expiresAt: expiresAt, secret: secret, by: requester)
    }

    /// 256 random bits as a text that can stand in a header.
    package static func makeSecret() -> String {
        var generator = SystemRandomNumberGenerator()
        let bytes = (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        return "tg_"
            + Data(bytes).base64EncodedString().replacingOccurrences(of: "+", with: "-")
            .replacingOccurrences(of: "/", with: "_").replacingOccurrences(of: "=", with: "")
    }

    /// Takes a token back. False: there is none with that id.
    package func revoke(_ id: String, by requester: Requester = .nobody) throws -> Bool {
        let isRevoked = try changing.withLock { _ in
            guard let token = try tokens.first(where: { $0.id == id }) else { return false }
            try engine.setSetting(AccessToken.settingPrefix + id, "", by: requester)
            known.withLock { $0[token.hash] = nil }
            // Without room it stays, and says nothing of anybody.
            try? engine.setSetting(AccessToken.usePrefix + id, "", by: requester)
            return true
        }
        if isRevoked { noteChange() }
        return isRevoked
    }

    private static func hash(_ secret: String) -> String {
        Data(SHA256.hash(data: Data(secret.utf8))).base64EncodedString()
    }
}
