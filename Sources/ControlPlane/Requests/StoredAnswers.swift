import Access
import Crypto
import Engine
import Events
import Foundation
import HTTPTypes
import Limits
import NIOCore
import Synchronization

/// The answers to changes that carried an `Idempotency-Key`, as settings of the service in the journal. Before a change
/// is made its key is put on record with its content, and ids that it makes are made of the key: whatever a crash leaves
/// behind, a repeat makes nothing twice. An answer is kept sealed with what only its caller knows: the journal does not
/// hold the secret of a token that was made.
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
    private let retention: Int64
    private let maximum: Int
    private let state = Mutex(State())

    /// - Parameters:
    ///   - retention: how long an answer is kept, milliseconds.
    ///   - maximum: how many are kept; the oldest go first.
    init(_ engine: Engine, retention: Int64, maximum: Int) {
        self.engine = engine
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
    /// - Throws: `APIError` 49201 for another content under the key.
    func once(
        _ key: String, _ exchange: Exchange, of route: Route,
        _ handler: (Exchange) async throws -> Reply
    ) async throws -> Reply {
        let identity = Identity(key, exchange)
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
                guard let reply = identity.open(text(identity.name, parts)) else {
                    throw Self.reused
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
        try engine.setSetting(name, SettingValue.encode(kept), by: exchange.caller.number)
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
            try engine.setSetting(name, "", by: exchange.caller.number)
        }
        state.withLock { $0.kept.removeAll { $0.name == name } }
        // Whether it says so or not: one that could not be kept as a whole has parts too. The last goes first, so that
        // they are found by the first as long as there are any.
        var parts = 0
        while engine.setting("\(name)/\(parts)") != nil { parts += 1 }
        for part in (0..<parts).reversed() {
            try engine.setSetting("\(name)/\(part)", "", by: exchange.caller.number)
        }
    }

    /// What cannot be kept is made again of what it made, should somebody ask.
    private func keep(
        _ reply: Reply, _ identity: Identity, _ begun: Kept, _ exchange: Exchange
    ) {
        guard var rest = identity.seal(reply)?[...] else { return }
        do {
            var parts = 0
            while !rest.isEmpty {
                try engine.setSetting(
                    "\(identity.name)/\(parts)", String(rest.prefix(Self.partBytes)),
                    by: exchange.caller.number)
                rest = rest.dropFirst(Self.partBytes)
                parts += 1
            }
            var kept = begun
            kept.parts = parts
            try engine.setSetting(
                identity.name, SettingValue.encode(kept), by: exchange.caller.number)
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

/// A caller's key: what its answer is kept under, and sealed with.
private struct Identity {
    /// Of the setting; it tells nothing of the key.
    let name: String
    /// What ids are made of.
    let seed: [UInt8]
    private let secret: SymmetricKey

    init(_ key: String, _ exchange: Exchange) {
        let own = Data("\(exchange.caller.number)\0".utf8) + Data(key.utf8)
        seed = Array(SHA256.hash(data: own))
        let hash = Data(SHA256.hash(data: Data(seed)).prefix(16))
        name =
            StoredAnswer.settingPrefix
            + hash.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        let known = own + Data((exchange.headers[.authorization] ?? "").utf8)
        secret = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: known), salt: hash,
            info: Data("tollgate stored answer".utf8), outputByteCount: 32)
    }

    /// Base64; nil: what the answer says beside its body cannot be kept.
    func seal(_ reply: Reply) -> String? {
        let tag = reply.headers[.eTag] ?? ""
        let text = Data(tag.utf8) + [0x0A] + Data(reply.body.readableBytesView)
        return try? ChaChaPoly.seal(text, using: secret).combined.base64EncodedString()
    }

    /// nil: another caller's.
    func open(_ text: String) -> Reply? {
        guard let data = Data(base64Encoded: text),
            let box = try? ChaChaPoly.SealedBox(combined: data),
            let plain = try? ChaChaPoly.open(box, using: secret),
            let end = plain.firstIndex(of: 0x0A)
        else { return nil }
        let tag = String(decoding: plain[..<end], as: UTF8.self)
        var reply = Reply(stored: Array(plain[(end + 1)...]))
        if !tag.isEmpty { reply.headers[.eTag] = tag }
        reply.headers[header: HeaderName.replayed] = "true"
        return reply
    }
}

extension JSON {
    /// The members of each object in the order of their names.
    var sorted: JSON {
        switch self {
        case .array(let values): .array(values.map(\.sorted))
        case .object(let members):
            .object(
                members.map { Member(name: $0.name, value: $0.value.sorted) }
                    .sorted { $0.name < $1.name })
        case .null, .bool, .number, .string: self
        }
    }
}
