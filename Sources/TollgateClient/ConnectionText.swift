internal import Glibc
internal import NIOCore
internal import NIOPosix
package import NIOSSL
internal import ServerTrust

/// Why a connection did not come about.
package enum ConnectionText {
    /// One sentence.
    ///
    /// - Parameters:
    ///   - endpoint: `HOST:PORT`.
    ///   - certificate: The one that the service showed, if it did.
    package static func failure(
        _ error: any Error, endpoint: String, certificate: NIOSSLCertificate? = nil
    ) -> String {
        TLSText.failure(error, endpoint: endpoint, certificate: certificate)
            ?? "There is no connection to \(endpoint): \(reason(error))"
    }

    /// Words behind a colon.
    package static func reason(_ error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            if let cause = error.connectionErrors.first?.error { return reason(cause) }
            return "the name leads to no address"
        case let error as IOError: return reason(code: error.errnoCode)
        case is SocketAddressError: return "the name leads to no address"
        case ChannelError.connectTimeout: return "nobody answered in time"
        default: return "\(error)"
        }
    }

    private static func reason(code: Int32) -> String {
        switch code {
        case ECONNREFUSED: "nobody listens there"
        case ECONNRESET, EPIPE: "the other side broke off the connection"
        case EHOSTUNREACH, ENETUNREACH, ENETDOWN, EHOSTDOWN: "no way leads there"
        case ETIMEDOUT: "nobody answered in time"
        case EADDRINUSE: "the port is in use by another process"
        case EADDRNOTAVAIL: "this machine does not have the address"
        case EACCES, EPERM: "this user may not use the port"
        case EMFILE, ENFILE: "too many files are open"
        case EAFNOSUPPORT: "this machine does not speak that protocol"
        default: String(cString: strerror(code))
        }
    }
}
