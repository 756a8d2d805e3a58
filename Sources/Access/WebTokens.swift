import Crypto
import Foundation
import Synchronization

/// The identity providers that are believed, their keys, and the tokens of theirs that were found good: each is verified
/// once, and remembered by its hash for an hour at most, until it ends, or until issuers or keys change.
///
/// Thread safety: any thread. What is verified holds up nobody else.
package final class WebTokens: Sendable {
    /// How an issuer's keys stand.
    package struct Status: Sendable, Equatable {
        package var issuer: String
        package var keys: Int
        /// Unix milliseconds; nil: never.
        package var lastGood: Int64?
        /// Why the last look failed; nil: it did not.
        package var trouble: String?
    }

    private struct Provider {
        var issuer: Issuer
        var keys: JSONWebKeys?
        var refresh: KeyRefresh
        var lastGood: Int64?
        var trouble: String?
    }

    private struct State {
        var providers: [Provider] = []
        var good: RecentPairs<SHA256Digest, Good>
        /// Whose signature is wrong: by no other keys than the present ones.
        var bad: RecentPairs<SHA256Digest, Bool>
        /// Rises when issuers or keys change.
        var generation: UInt64 = 0
    }

    /// A token that is good, and until when (Unix seconds).
    struct Good {
        var caller: Caller
        var rate: Int?
        var until: Double
    }

    enum Verdict {
        case good(Good)
        case failure(AttemptFailure)
        /// It cannot be told now.
        case later
    }

    /// Tokens that are remembered.
    package static let capacity = 10_000

    private let state = Mutex(
        State(good: RecentPairs(capacity: capacity), bad: RecentPairs(capacity: 1_024)))
    /// Tokens that are looked into a second, over the process; beyond it their bearers are told to come again.
    private let budget = CallerRate(perSecond: 1_000)
    /// And of each address, so that none takes up all of them.
    private let addresses = Mutex(LookBudget())
    private let looks = Atomic<Int>(0)

    package init() {}

    /// Tokens whose signature was verified, since the start.
    // ORDERING: relaxed because it goes with no other data.
    package var verified: Int { looks.load(ordering: .relaxed) }

    package var remembered: Int { state.withLock { $0.good.count } }

    // MARK: Issuers

    /// Takes new issuers over. Keys of those whose place has not changed stay.
    func set(_ issuers: [Issuer]) {
        state.withLock { state in
            state.providers = issuers.map { issuer in
                let same = state.providers.first {
                    $0.issuer.name == issuer.name && $0.issuer.keys == issuer.keys
                }
                var provider = Provider(
                    issuer: issuer, keys: same?.keys,
                    refresh: KeyRefresh(every: issuer.refresh * 1_000))
                provider.lastGood = same?.lastGood
                return provider
            }
            Self.forget(&state)
        }
    }

    var hasIssuers: Bool { state.withLock { !$0.providers.isEmpty } }

    private static func forget(_ state: inout State) {
        state.generation += 1
        state.good.removeAll()
        state.bad.removeAll()
    }

    package var status: [Status] {
        state.withLock { state in
            state.providers.map {
                Status(
                    issuer: $0.issuer.name, keys: $0.keys?.count ?? 0, lastGood: $0.lastGood,
                    trouble: $0.trouble)
            }
        }
    }

    // MARK: Keys

    /// The issuers whose keys are to be looked at now; `keep` or `fail` must follow for each.
    ///
    /// - Parameter now: see `KeyRefresh`.
    package func due(now: Int64) -> [Issuer] {
        state.withLock { state in
            var due: [Issuer] = []
            for index in state.providers.indices
            where state.providers[index].refresh.isDue(now: now) {
                state.providers[index].refresh.begin(now: now)
                due.append(state.providers[index].issuer)
            }
            return due
        }
    }

    /// - Parameters:
    ///   - bytes: the document that was found.
    ///   - at: Unix milliseconds.
    /// - Returns: whether tokens are judged by other keys from now on.
    package func keep(
        _ bytes: [UInt8], of issuer: Issuer, at: Int64
    ) throws(JSONWebKeysError) -> Bool {
        let keys = try JSONWebKeys(bytes)
        return state.withLock { state in
            guard let index = Self.index(of: issuer, state) else { return false }
            let isNew = state.providers[index].keys?.digest != keys.digest
            state.providers[index].keys = keys
            state.providers[index].lastGood = at
            state.providers[index].trouble = nil
            state.providers[index].refresh.end(isGood: true)
            if isNew { Self.forget(&state) }
            return isNew
        }
    }

    /// The keys that were found last stay.
    ///
    /// - Returns: whether it had not failed in this way before.
    @discardableResult
    package func fail(_ reason: String, of issuer: Issuer) -> Bool {
        state.withLock { state in
            guard let index = Self.index(of: issuer, state) else { return false }
            defer { state.providers[index].trouble = reason }
            state.providers[index].refresh.end(isGood: false)
            return state.providers[index].trouble != reason
        }
    }

    private static func index(of issuer: Issuer, _ state: State) -> Int? {
        state.providers.firstIndex {
            $0.issuer.name == issuer.name && $0.issuer.keys == issuer.keys
        }
    }

    // MARK: Tokens

    /// What is known of a token already; nil: nothing.
    ///
    /// - Parameter now: Unix seconds.
    func known(_ token: String, now: Double) -> Good? {
        let digest = SHA256.hash(data: Data(token.utf8))
        return state.withLock { $0.good[digest] }.flatMap { now < $0.until ? $0 : nil }
    }

    /// Judges a token.
    ///
    /// - Parameters:
    ///   - address: the bearer's, without a port; see `PeerAddress.group`.
    ///   - now: Unix seconds.
    ///   - monotonic: nanoseconds.
    func judge(
        _ token: String, from address: String, now: Double, monotonic: UInt64
    ) -> Verdict {
        let digest = SHA256.hash(data: Data(token.utf8))
        let (good, isBad) = state.withLock { ($0.good[digest], $0.bad[digest] ?? false) }
        if let good, now < good.until { return .good(good) }
        if isBad { return .failure(.wrongSignature) }
        guard addresses.withLock({ $0.take(address, now: monotonic) }),
            budget.take(now: monotonic)
        else { return .later }
        let verdict = look(token, digest, now: now, monotonic: monotonic)
        if case .failure(let failure) = verdict, failure.costsALook {
            addresses.withLock { $0.fail(address, now: monotonic) }
        }
        return verdict
    }

    private func look(
        _ token: String, _ digest: SHA256Digest, now: Double, monotonic: UInt64
    ) -> Verdict {
        guard let parsed = JSONWebToken(token) else { return .failure(.malformedToken) }
        guard let algorithm = SignatureAlgorithm(rawValue: parsed.algorithmName) else {
            return .failure(.wrongAlgorithm)
        }
        guard let name = parsed.text("iss") else { return .failure(.unknownIssuer) }
        let (found, generation) = state.withLock { state in
            (
                state.providers.first { $0.issuer.name.utf8.elementsEqual(name.utf8) },
                state.generation
            )
        }
        guard let provider = found else { return .failure(.unknownIssuer) }
        guard provider.issuer.algorithms.contains(algorithm) else {
            return .failure(.wrongAlgorithm)
        }
        let caller: Caller
        let until: Double
        switch provider.issuer.judge(parsed, now: now) {
        case .success(let judged): (caller, until) = judged
        case .failure(let failure): return .failure(failure)
        }
        guard let key = provider.keys?.key(parsed.keyID, for: algorithm) else {
            let comesAgain = wantKeys(of: provider.issuer, monotonic)
            return comesAgain || provider.keys == nil ? .later : .failure(.unknownKey)
        }
        looks.add(1, ordering: .relaxed)
        guard key.verifies(parsed.signature, of: parsed.content, algorithm) else {
            remember(generation) { $0.bad[digest] = true }
            return .failure(.wrongSignature)
        }
        let judged = Good(caller: caller, rate: provider.issuer.rate, until: until)
        remember(generation) { $0.good[digest] = judged }
        return .good(judged)
    }

    /// Keeps what was found out, unless issuers or keys have changed meanwhile.
    private func remember(_ generation: UInt64, _ body: (inout State) -> Void) {
        state.withLock { if $0.generation == generation { body(&$0) } }
    }

    private func wantKeys(of issuer: Issuer, _ monotonic: UInt64) -> Bool {
        state.withLock { state in
            guard let index = Self.index(of: issuer, state) else { return false }
            return state.providers[index].refresh.want(now: Int64(monotonic / 1_000_000))
        }
    }
}
