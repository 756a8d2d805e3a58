internal import Glibc
internal import NIOCore
internal import NIOPosix
package import NIOSSL

/// Why a connection could not be made, in words.
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
            ?? "Cannot connect to \(endpoint): \(reason(error))"
    }

    /// Words behind a colon. They never have a library's own way of writing an error out.
    package static func reason(_ error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            if let cause = error.connectionErrors.first?.error { return reason(cause) }
            return "the name does not resolve"
        case let error as IOError: return reason(code: error.errnoCode)
        case is SocketAddressError: return "the name does not resolve"
        case ChannelError.connectTimeout: return "the connection timed out"
        default: return "the connection was closed"
        }
    }

    /// - Parameter code: `errno`.
    package static func reason(code: Int32) -> String {
        switch code {
        case ECONNREFUSED: "connection refused"
        case ECONNRESET, EPIPE: "the peer closed the connection"
        case EHOSTUNREACH, ENETUNREACH, ENETDOWN, EHOSTDOWN: "the host is unreachable"
        case ETIMEDOUT: "the connection timed out"
        case EADDRINUSE: "the port is in use by another process"
        case EADDRNOTAVAIL: "the address is not available on this machine"
        case EACCES, EPERM: "permission denied"
        case EMFILE, ENFILE: "too many open files"
        case EAFNOSUPPORT: "the address family is not supported"
        default: String(cString: strerror(code))
        }
    }
}
