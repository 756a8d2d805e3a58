internal import Glibc
internal import NIOCore
package import NIOSSL

/// What went wrong with TLS, as one sentence.
///
/// BoringSSL tells by the names of its reasons alone: they are looked for in what it says.
package enum TLSText {
    /// Why there is no connection to `endpoint`; nil: not because of TLS.
    ///
    /// - Parameter certificate: The one that the service showed, if it did.
    package static func failure(
        _ error: any Error, endpoint: String, certificate: NIOSSLCertificate? = nil
    ) -> String? {
        switch error {
        case let error as NIOSSLExtraError where error == .failedToValidateHostname:
            return otherHost(endpoint)
        case let error as NIOSSLExtraError where error == .serverHostnameImpossibleToMatch:
            return "The certificate of \(endpoint) is not trusted: the host name cannot be matched"
        case NIOSSLError.unableToValidateCertificate, NIOSSLError.cannotFindPeerIP:
            return otherHost(endpoint)
        case NIOSSLError.noCertificateToValidate:
            return "\(endpoint) presented no certificate"
        case NIOSSLError.handshakeFailed(let cause):
            return handshakeFailure("\(cause)", endpoint, certificate)
        case let error as BoringSSLError:
            return handshakeFailure("\(error)", endpoint, certificate)
        case is NIOSSLError, is NIOSSLExtraError:
            return "TLS with \(endpoint) failed\(reason("\(error)").map { ": \($0)" } ?? "")"
        default:
            return nil
        }
    }

    /// Why the service ended a connection that had been made; nil: not because of TLS.
    package static func refusal(_ error: any Error, endpoint: String) -> String? {
        switch error {
        case let error as BoringSSLError: alert("\(error)", endpoint)
        case NIOSSLError.uncleanShutdown: nil
        case is NIOSSLError: alert("\(error)", endpoint)
        default: nil
        }
    }

    private static func handshakeFailure(
        _ text: String, _ endpoint: String, _ certificate: NIOSSLCertificate?
    ) -> String {
        if text.contains("CERTIFICATE_VERIFY_FAILED") {
            return "The certificate of \(endpoint) is not trusted: \(distrust(certificate))"
        }
        if text.contains("WRONG_VERSION_NUMBER") || text.contains("HTTP_REQUEST") {
            return "\(endpoint) does not speak TLS"
        }
        if text.contains("NO_APPLICATION_PROTOCOL") { return noHTTP2(endpoint) }
        if text.contains("PROTOCOL_VERSION") || text.contains("UNSUPPORTED_PROTOCOL") {
            return "\(endpoint) supports neither TLS 1.2 nor 1.3"
        }
        if text.contains("EOF during handshake") {
            return "\(endpoint) closed the connection during the TLS handshake"
        }
        return alert(text, endpoint)
            ?? "The TLS handshake with \(endpoint) failed\(reason(text).map { ": \($0)" } ?? "")"
    }

    /// The name that BoringSSL gives its reason, in words: "no shared cipher"; nil: there is none in the text.
    package static func reason(_ text: String) -> String? {
        let mark = "OPENSSL_internal:"
        guard let place = text.firstRange(of: mark) else { return nil }
        let name = text[place.upperBound...].prefix {
            $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_")
        }
        guard !name.isEmpty else { return nil }
        return name.prefix(100).lowercased().split(separator: "_").joined(separator: " ")
    }

    package static func otherHost(_ endpoint: String) -> String {
        "The certificate of \(endpoint) is not trusted: it is for another host"
    }

    package static func noHTTP2(_ endpoint: String) -> String {
        "\(endpoint) speaks TLS, but not HTTP/2 (ALPN \"h2\"): is this its gRPC address?"
    }

    /// What the service said of this client's certificate.
    private static func alert(_ text: String, _ endpoint: String) -> String? {
        guard text.contains("ALERT") else { return nil }
        if text.contains("CERTIFICATE_REQUIRED") {
            return "\(endpoint) requires a client certificate"
        }
        let reasons = [
            ("UNKNOWN_CA", "unknown issuer"),
            ("CERTIFICATE_EXPIRED", "expired"),
            ("CERTIFICATE_REVOKED", "revoked"),
            ("CERTIFICATE_UNKNOWN", "not accepted"),
            ("UNSUPPORTED_CERTIFICATE", "unsupported certificate type"),
            ("BAD_CERTIFICATE", "invalid certificate"), ("ACCESS_DENIED", "access denied"),
        ]
        if let (_, reason) = reasons.first(where: { text.contains($0.0) }) {
            return "\(endpoint) rejected the client certificate: \(reason)"
        }
        // Whoever wants a certificate in TLS 1.2, or speaks no TLS but knows it when it comes, says no more than this.
        if text.contains("HANDSHAKE_FAILURE") {
            return
                "\(endpoint) rejected the TLS handshake: it may not use TLS, or it may require a client certificate"
        }
        return nil
    }

    private static func distrust(_ certificate: NIOSSLCertificate?) -> String {
        guard let certificate else {
            return "it was not issued by a trusted CA, or it has expired"
        }
        let now = time(nil)
        if certificate.notValidAfter < now { return "it has expired" }
        if certificate.notValidBefore > now { return "it is not valid yet" }
        return "it was not issued by a trusted CA"
    }
}
