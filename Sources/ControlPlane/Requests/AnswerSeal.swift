import Access
import Crypto
import Events
import Foundation
import HTTPTypes
import NIOCore

/// An idempotency key of a caller's: what its answer is kept under, and what ids are made of.
///
/// It depends on nothing that may be lost or renewed, so that no repeat is ever taken for something new.
struct KeyedCaller {
    /// The caller's number, and the key.
    fileprivate let bytes: Data
    /// What ids are made of.
    let seed: [UInt8]
    fileprivate let hash: Data

    init(_ key: String, _ exchange: Exchange) {
        bytes = Data("\(exchange.caller.number)\0".utf8) + Data(key.utf8)
        seed = Array(SHA256.hash(data: bytes))
        hash = Data(SHA256.hash(data: Data(seed)).prefix(16))
    }

    /// Of the setting.
    var name: String {
        StoredAnswer.settingPrefix
            + hash.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}

/// What one answer is sealed with (ChaCha20-Poly1305): the service's key, the idempotency key, and the caller's token where
/// it has one. Whoever has the journal lacks the first, which is all that is secret of a caller who is known by a
/// certificate or a session; whoever has the whole data directory lacks the token.
struct AnswerSeal {
    private let secret: SymmetricKey

    /// - Parameter authorization: the value of the header; empty: there is none.
    init(_ key: SymmetricKey, _ caller: KeyedCaller, authorization: String) {
        let token = Data(SHA256.hash(data: Data(authorization.utf8)))
        secret = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: key, salt: caller.hash,
            info: Data("tollgate stored answer".utf8) + token + caller.bytes, outputByteCount: 32)
    }

    /// Base64; nil: what the answer says beside its body cannot be kept.
    func close(_ reply: Reply) -> String? {
        let tag = reply.headers[.eTag] ?? ""
        let text = Data(tag.utf8) + [0x0A] + Data(reply.body.readableBytesView)
        return try? ChaChaPoly.seal(text, using: secret).combined.base64EncodedString()
    }

    /// nil: it was sealed with something else.
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
