package import Access
import Crypto
import Foundation
import Limits
import Synchronization

/// A log-in of an operator's.
package struct Session: Sendable {
    /// What the browser's cookie says: 256 random bits.
    package var id: String
    /// What every change must bring along besides the cookie: 256 random bits.
    package var csrf: String
    package var caller: Caller
    /// Unix milliseconds.
    package var expiresAt: Int64
    /// The token authority's, when the token was last seen to be good.
    var generation: UInt64
}

/// The sessions, in memory: they end with the process, with their time, and with the token they came from.
///
/// Thread safety: any thread.
package final class SessionStore: Sendable {
    private let authority: TokenAuthority
    private let life: Int64
    private let maximum: Int
    private let now: @Sendable () -> Int64
    /// By the hash of the id: comparing takes no time that tells of an id.
    private let sessions = Mutex<[String: Session]>([:])

    /// - Parameters:
    ///   - life: milliseconds.
    ///   - now: Unix milliseconds.
    package init(
        _ authority: TokenAuthority, life: Int64, maximum: Int,
        now: @escaping @Sendable () -> Int64
    ) {
        self.authority = authority
        self.life = life
        self.maximum = maximum
        self.now = now
    }

    /// A session of whoever has this token; nil: it is no token that opens the page.
    ///
    /// - Complexity: O(sessions) when there are too many, else O(1).
    package func logIn(token: String) -> Session? {
        // Before the token is looked up: what changes meanwhile is seen later.
        let generation = authority.generation
        guard let admission = authority.admission(secret: token), admission.caller.may(.usePage)
        else { return nil }
        // A token that expires changes no generation: its end is the session's from the beginning.
        let session = Session(
            id: Self.random(), csrf: Self.random(), caller: admission.caller,
            expiresAt: min(now() + life, admission.expiresAt ?? .max), generation: generation)
        sessions.withLock { sessions in
            if sessions.count >= maximum {
                let now = now()
                sessions = sessions.filter { $0.value.expiresAt > now }
            }
            while sessions.count >= maximum,
                let oldest = sessions.min(by: { $0.value.expiresAt < $1.value.expiresAt })
            {
                sessions[oldest.key] = nil
            }
            sessions[Self.hash(session.id)] = session
        }
        return session
    }

    /// The session with this id; nil: there is none any more.
    ///
    /// - Complexity: O(1); O(tokens) once after tokens have changed.
    package func session(_ id: String) -> Session? {
        let key = Self.hash(id)
        guard var session = sessions.withLock({ $0[key] }) else { return nil }
        let generation = authority.generation
        let isGood =
            session.expiresAt > now()
            && (session.generation == generation || isTokenKnown(session.caller))
        guard isGood else {
            sessions.withLock { $0[key] = nil }
            return nil
        }
        if session.generation != generation {
            session.generation = generation
            // Unless it was ended meanwhile.
            sessions.withLock { if $0[key] != nil { $0[key] = session } }
        }
        return session
    }

    package func logOut(_ id: String) { sessions.withLock { $0[Self.hash(id)] = nil } }

    private func isTokenKnown(_ caller: Caller) -> Bool {
        guard let tokens = try? authority.tokens else { return false }
        return tokens.contains { token in
            token.number == caller.number && token.caller == caller
                && token.expiresAt.map { $0 > now() } ?? true
        }
    }

    private static func hash(_ text: String) -> String {
        Data(SHA256.hash(data: Data(text.utf8))).base64EncodedString()
    }

    private static func random() -> String {
        var generator = SystemRandomNumberGenerator()
        let bytes = (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        return Data(bytes).base64EncodedString().replacingOccurrences(of: "+", with: "-")
            .replacingOccurrences(of: "/", with: "_").replacingOccurrences(of: "=", with: "")
    }
}

extension Session {
    /// Whether a text is the session's CSRF token. The time it takes tells nothing of how much of it is right.
    package func allowsChange(with text: String?) -> Bool {
        guard let text else { return false }
        return ConstantTime.areSame(text, csrf)
    }
}

/// Bounds what log-ins that fail leave behind, in the log above all: so many a minute from one address are told.
///
/// Thread safety: any thread.
final class LogInGuard: Sendable {
    private struct Failures {
        var count: Int
        /// Unix milliseconds.
        var since: Int64
    }

    private let maximum: Int
    private let maximumAddresses: Int
    private let failures = Mutex<[String: Failures]>([:])

    init(maximum: Int, maximumAddresses: Int) {
        self.maximum = maximum
        self.maximumAddresses = maximumAddresses
    }

    /// Counts a failure. False: there were too many of this address lately.
    func fail(_ address: String, now: Int64) -> Bool {
        failures.withLock { failures in
            var entry = failures[address] ?? Failures(count: 0, since: now)
            if now - entry.since >= 60_000 { entry = Failures(count: 0, since: now) }
            guard entry.count < maximum else { return false }
            entry.count += 1
            if failures[address] == nil, failures.count >= maximumAddresses,
                let oldest = failures.min(by: { $0.value.since < $1.value.since })
            {
                failures[oldest.key] = nil
            }
            failures[address] = entry
            return true
        }
    }
}
