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
            return "The certificate of \(endpoint) is not trusted: the name cannot stand in one"
        case NIOSSLError.unableToValidateCertificate, NIOSSLError.cannotFindPeerIP:
            return otherHost(endpoint)
        case NIOSSLError.noCertificateToValidate:
            return "\(endpoint) shows no certificate"
        case NIOSSLError.handshakeFailed(let cause):
            return handshakeFailure("\(cause)", endpoint, certificate)
        case let error as BoringSSLError:
            return handshakeFailure("\(error)", endpoint, certificate)
        case is NIOSSLError, is NIOSSLExtraError:
            return "TLS with \(endpoint) failed: \(error)"
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
            return "\(endpoint) speaks neither TLS 1.2 nor 1.3"
        }
        if text.contains("EOF during handshake") {
            return "\(endpoint) broke off the TLS handshake"
        }
        return alert(text, endpoint) ?? "The TLS handshake with \(endpoint) failed: \(text)"
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
            return "\(endpoint) asks for a client certificate"
        }
        let reasons = [
            ("UNKNOWN_CA", "it does not know who issued it"),
            ("CERTIFICATE_EXPIRED", "it has expired"),
            ("CERTIFICATE_REVOKED", "it was revoked"),
            ("CERTIFICATE_UNKNOWN", "it cannot use it"),
            ("UNSUPPORTED_CERTIFICATE", "it takes none of its kind"),
            ("BAD_CERTIFICATE", "it is not acceptable"), ("ACCESS_DENIED", "it has no access"),
        ]
        if let (_, reason) = reasons.first(where: { text.contains($0.0) }) {
            return "\(endpoint) refuses this client's certificate: \(reason)"
        }
        // Whoever wants a certificate in TLS 1.2, or speaks no TLS but knows it when it comes, says no more than this.
        if text.contains("HANDSHAKE_FAILURE") {
            return
                "\(endpoint) refuses the TLS handshake: it may not speak TLS, or ask for a client certificate"
        }
        return nil
    }

    private static func distrust(_ certificate: NIOSSLCertificate?) -> String {
        guard let certificate else {
            return "no root that is trusted has issued it, or it has expired"
        }
        let now = time(nil)
        if certificate.notValidAfter < now { return "it has expired" }
        if certificate.notValidBefore > now { return "it is not valid yet" }
        return "no root that is trusted has issued it"
    }
}
