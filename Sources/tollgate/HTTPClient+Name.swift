internal import AsyncHTTPClient
internal import Foundation
internal import ServerTrust

extension HTTPClient.Configuration {
    /// Has a server's certificate bear the host of a URL where that is a name.
    mutating func requireName(of url: URLComponents?) {
        guard url?.scheme?.lowercased() == "https", let host = url?.host, !host.contains(":"),
            !TLSNames.isAddress(host)
        else { return }
        http1_1ConnectionDebugInitializer = { TLSNames.check(host, of: $0) }
        http2ConnectionDebugInitializer = { TLSNames.check(host, of: $0) }
    }
}
