import Access
import Crypto
import Engine
import Events
import Foundation
import HTTPTypes
import JSON
import Limits
import Synchronization

/// The answers to changes that carried an `Idempotency-Key`, as settings of the service in the journal. Before a change
/// is made its key is put on record with its content, and ids that it makes are made of the key: whatever a crash leaves
/// behind, a repeat makes nothing twice. An answer is kept sealed (`AnswerSeal`): the journal does not hold the secret of a
/// token that was made.
///
/// Thread safety: any thread.
final class StoredAnswers: Sendable {
    private struct Kept: Codable {
        /// Of method, path and body.
        var content: String
        /// Life time, Unix milliseconds: no step of the wall clock forgets answers.
        var at: Int64
        /// Engine time, Unix milliseconds: what is older was not made under this; nil: of an earlier version.
        var began: Int64?
        /// How many settings hold the answer; nil: there is none yet.
        var parts: Int?
    }

    private struct State {
        /// Oldest first.
        var kept: [(name: String, at: Int64)] = []
        /// Keys that are worked on, and who waits for them.
        var turns: [String: [CheckedContinuation<Void, Never>]] = [:]
    }

    /// Bytes of one setting that an answer may take.
    private static let partBytes = 3_900

    private let engine: Engine
    private let key: SymmetricKey
    private let retention: Int64
    private let maximum: Int
    private let state = Mutex(State())

    /// - Parameters:
    ///   - key: what answers are sealed with; under another one those that are kept cannot be given again.
    ///   - retention: how long an answer is kept, milliseconds.
    ///   - maximum: how many are kept; the oldest go first.
    init(_ engine: Engine, key: SymmetricKey, retention: Int64, maximum: Int) {
        self.engine = engine
        self.key = key
        self.retention = retention
        self.maximum = maximum
        let found = engine.settings(prefix: StoredAnswer.settingPrefix)
        let kept = found.compactMap { name, value -> (name: String, at: Int64)? in
            if Self.answer(ofPart: name) != nil { return nil }
            return (try? SettingValue.decode(Kept.self, value)).map { (name, $0.at) }
        }
        state.withLock { $0.kept = kept.sorted { ($0.at, $0.name) < ($1.at, $1.name) } }
        // What a crash has left of answers that are not kept.
        let names = Set(kept.map(\.name))
        for part in found.keys {
            guard let answer = Self.answer(ofPart: part), !names.contains(answer) else { continue }
            // Without room, the next start.
            try? engine.setSetting(part, "")
        }
    }

    /// Of a setting that holds a part of an answer, the answer's name; nil: it is none.
    private static func answer(ofPart name: String) -> String? {
        guard let slash = name.dropFirst(StoredAnswer.settingPrefix.count).lastIndex(of: "/")
        else { return nil }
        return String(name[..<slash])
    }

    /// Makes a change once, however often it is asked for with the same key.
    ///
    /// - Throws: `APIError` 49201 for another content under the key; 10012 for a change that was made and whose answer
    ///   cannot be opened.
    func once(
        _ key: String, _ exchange: Exchange, of route: Route,
        _ handler: (Exchange) async throws -> Reply
    ) async throws -> Reply {
        let identity = KeyedCaller(key, exchange)
        let content = Self.content(exchange, route)
        await begin(identity.name)
        defer { end(identity.name) }
        let present = try self.present(identity.name)
        let time = engine.clock.time
        let begun =
            present ?? Kept(content: content, at: time.lives, began: time.windows)
        if let present {
            guard present.content == content else { throw Self.reused }
            if let parts = present.parts {
                guard let reply = seal(identity, exchange).open(text(identity.name, parts)) else {
                    throw Self.sealed
                }
                return reply
            }
        } else {
            try note(identity.name, begun, exchange)
        }
        var attempt = exchange
        attempt.seed = identity.seed
        attempt.begunAt = begun.began ?? 0
        attempt.isRepeated = present != nil
        do {
            let reply = try await handler(attempt)
            keep(reply, identity, begun, exchange)
            return reply
        } catch {
            // Nothing was done: the key is free.
            if let status = (error as? APIError)?.status, status < 500 {
                try? remove(identity.name, exchange)
            }
            throw error
        }
    }

    private static var reused: APIError {
        APIError(ErrorKind(.keyReused), nil, at: .parameter("Idempotency-Key"))
    }

    /// What was asked for is done, and is not done again.
    private static var sealed: APIError {
        APIError(
            .duplicate,
            "The request with this idempotency key was carried out, but its answer can no longer be read: it was given to another token, or the service's key has changed",
            at: .parameter("Idempotency-Key"))
    }

    private func seal(_ caller: KeyedCaller, _ exchange: Exchange) -> AnswerSeal {
        AnswerSeal(key, caller, authorization: exchange.headers[.authorization] ?? "")
    }

    // MARK: Content

    private static func content(_ exchange: Exchange, _ route: Route) -> String {
        var hash = SHA256()
        for text in [
            route.method.rawValue, route.path,
            exchange.parameters.sorted { $0.key < $1.key }.map(\.value).joined(separator: "\0"),
            exchange.query, exchange.headers[.ifMatch] ?? "",
        ] {
            hash.update(data: Data(text.utf8))
            hash.update(data: [UInt8(0xFF)])
        }
        let body = (try? JSONParser.parse(exchange.body))?.sorted.encoded ?? exchange.body
        hash.update(data: body)
        return Data(hash.finalize()).base64EncodedString()
    }

    // MARK: Settings

    /// What is known of a key; nil: nothing, or not any more.
    private func present(_ name: String) throws -> Kept? {
        guard let value = engine.setting(name) else { return nil }
        let kept = try SettingValue.decode(Kept.self, value)
        return engine.clock.life - kept.at < retention ? kept : nil
    }

    private func text(_ name: String, _ parts: Int) -> String {
        (0..<parts).map { engine.setting("\(name)/\($0)") ?? "" }.joined()
    }

    /// Puts on record that a change is to be made.
    private func note(_ name: String, _ kept: Kept, _ exchange: Exchange) throws {
        try makeRoom(now: kept.at, exchange)
        // An older one of the same key.
        try remove(name, exchange)
        try engine.setSetting(name, SettingValue.encode(kept), by: exchange.requester)
        state.withLock { state in
            state.kept.removeAll { $0.name == name }
            state.kept.append((name, kept.at))
        }
    }

    private func makeRoom(now: Int64, _ exchange: Exchange) throws {
        let old = state.withLock { state in
            let surplus = max(0, state.kept.count + 1 - maximum)
            let expired = state.kept.prefix { now - $0.at >= retention }.count
            return state.kept.prefix(max(surplus, min(expired, 16))).map(\.name)
        }
        for name in old { try remove(name, exchange) }
    }

    private func remove(_ name: String, _ exchange: Exchange) throws {
        // The name first: an answer that is found is whole.
        if engine.setting(name) != nil {
            try engine.setSetting(name, "", by: exchange.requester)
        }
        state.withLock { $0.kept.removeAll { $0.name == name } }
        // Whether it says so or not: one that could not be kept as a whole has parts too. The last goes first, so that
        // they are found by the first as long as there are any.
        var parts = 0
        while engine.setting("\(name)/\(parts)") != nil { parts += 1 }
        for part in (0..<parts).reversed() {
            try engine.setSetting("\(name)/\(part)", "", by: exchange.requester)
        }
    }

    /// What cannot be kept is made again of what it made, should somebody ask.
    private func keep(
        _ reply: Reply, _ identity: KeyedCaller, _ begun: Kept, _ exchange: Exchange
    ) {
        guard var rest = seal(identity, exchange).close(reply)?[...] else { return }
        do {
            var parts = 0
            while !rest.isEmpty {
                try engine.setSetting(
                    "\(identity.name)/\(parts)", String(rest.prefix(Self.partBytes)),
                    by: exchange.requester)
                rest = rest.dropFirst(Self.partBytes)
                parts += 1
            }
            var kept = begun
            kept.parts = parts
            try engine.setSetting(
                identity.name, SettingValue.encode(kept), by: exchange.requester)
        } catch {}
    }

    // MARK: Turns

    /// Two requests with one key are worked on one after the other.
    private func begin(_ name: String) async {
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state in
                guard state.turns[name] != nil else {
                    state.turns[name] = []
                    return true
                }
                state.turns[name]?.append(continuation)
                return false
            }
            if isFree { continuation.resume() }
        }
    }

    private func end(_ name: String) {
        let next = state.withLock { state -> CheckedContinuation<Void, Never>? in
            guard let waiting = state.turns[name], !waiting.isEmpty else {
                state.turns[name] = nil
                return nil
            }
            return state.turns[name]?.removeFirst()
        }
        next?.resume()
    }
}
