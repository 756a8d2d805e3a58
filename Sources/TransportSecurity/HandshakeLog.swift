internal import LogLines
package import Logging
internal import NIOCore
internal import NIOSSL
internal import Synchronization

/// Why a connection did not get through TLS.
enum HandshakeFault: Sendable, Hashable {
    /// The peer spoke something else.
    case plaintext
    /// It spoke TLS, which is not spoken here.
    case tls
    /// It did not name the protocol that is spoken here.
    case noProtocol
    case timedOut
    /// Its certificate is revoked, has ended, or cannot be read.
    case revoked, expired, unreadable
    case failed
}

/// Says in the log why handshakes fail: of each kind one line at most in a while, with the number of those that were
/// not told. Counts them all.
///
/// Thread safety: any thread.
package final class HandshakeLog: Sendable {
    /// Between two lines of a kind.
    static let interval = Duration.seconds(60)
    /// Reasons of which lines are told apart; further ones are one.
    static let mostKinds = 32

    private struct Kind: Hashable {
        let fault: HandshakeFault
        let reason: String
    }
    private let logger: Logger
    private let repeats = RepeatLog(
        interval: HandshakeLog.interval, mostKinds: HandshakeLog.mostKinds,
        rest: Kind(fault: .failed, reason: ""))
    private let failures = Atomic<UInt64>(0)

    package init(_ logger: Logger) { self.logger = logger }

    /// A peer has begun a handshake on a port without TLS.
    ///
    /// - Parameter peer: its address.
    package func tellTLS(peer: String) { tell(.tls, peer: peer) }

    /// Handshakes that failed, ever.
    // ORDERING: relaxed because it stands for nothing else.
    var count: UInt64 { failures.load(ordering: .relaxed) }

    /// - Parameters:
    ///   - peer: its address.
    ///   - reason: of `failed`, one of a few texts.
    func tell(
        _ fault: HandshakeFault, peer: @autoclosure () -> String, reason: String = "",
        subject: String? = nil, now: ContinuousClock.Instant = .now
    ) {
        failures.wrappingAdd(1, ordering: .relaxed)
        guard let count = repeats.note(Kind(fault: fault, reason: reason), now: now) else { return }
        var metadata: Logger.Metadata = ["peer": "\(peer())"]
        if !reason.isEmpty { metadata["reason"] = "\(reason)" }
        if let subject { metadata["subject"] = "\(subject)" }
        if count > 1 { metadata["since_the_last_line"] = "\(count)" }
        logger.warning(Self.message(fault), metadata: metadata)
    }

    /// Somebody who came and went; health checks of load balancers do.
    func tellGone(peer: @autoclosure () -> String) {
        failures.wrappingAdd(1, ordering: .relaxed)
        logger.debug(
            "a peer disconnected during its TLS handshake", metadata: ["peer": "\(peer())"])
    }

    private static func message(_ fault: HandshakeFault) -> Logger.Message {
        switch fault {
        case .plaintext: "a peer does not speak TLS on a TLS port"
        case .tls: "a peer speaks TLS on a plaintext port"
        case .noProtocol:
            "a peer did not offer HTTP/2 (ALPN h2) in its handshake and was disconnected"
        case .timedOut: "a TLS handshake took too long"
        case .revoked: "a client certificate is revoked"
        case .expired: "a client certificate has expired"
        case .unreadable: "a client certificate cannot be read"
        case .failed: "a TLS handshake failed"
        }
    }
}

/// What the TLS library says, in a few words.
enum HandshakeText {
    private static let sentences = [
        "CERTIFICATE_VERIFY_FAILED":
            "its certificate is not from a trusted CA, or not valid",
        "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it presented no certificate",
        "UNSUPPORTED_PROTOCOL": "its TLS version is not supported (1.2 and 1.3 are)",
        "WRONG_VERSION_NUMBER": "it does not speak TLS",
        "HTTP_REQUEST": "it does not speak TLS",
        "NO_SHARED_CIPHER": "no cipher in common",
        "NO_SHARED_GROUP": "no key exchange group in common",
        "TLSV1_ALERT_UNKNOWN_CA": "it does not trust the CA of the server's certificate",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it rejected the server's certificate",
        "SSLV3_ALERT_BAD_CERTIFICATE": "it rejected the server's certificate",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED": "it considers the server's certificate expired",
    ]

    /// One of a bounded number of texts for each kind of error.
    static func reason(_ error: any Error) -> String {
        let text = "\(error)"
        guard let mark = text.firstRange(of: "OPENSSL_internal:") else {
            return "the connection failed"
        }
        let name = text[mark.upperBound...].prefix {
            $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_")
        }
        return sentences[String(name)]
            ?? name.prefix(100).lowercased().split(separator: "_").joined(separator: " ")
    }

    static func isPeerGone(_ error: any Error) -> Bool {
        guard case .handshakeFailed(.sslError(let stack)) = error as? NIOSSLError else {
            return error is IOError || error is ChannelError
        }
        return stack.contains(.eofDuringHandshake)
    }
}
