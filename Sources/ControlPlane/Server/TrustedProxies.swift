import HTTPTypes
import Hummingbird
package import NIOCore
package import Notifications

/// Proxies that are believed when they say whose request they hand on (`--trusted-proxy`).
package struct TrustedProxies: Sendable {
    private let networks: [Network]

    package init(_ networks: [Network] = []) { self.networks = networks }

    package func contains(_ address: SocketAddress) -> Bool {
        IPAddress(address).map(contains) ?? false
    }

    private func contains(_ address: IPAddress) -> Bool {
        networks.contains { $0.contains(address) }
    }

    /// Where a request comes from: the nearest address in `X-Forwarded-For` that is none of the proxies'; empty: nobody
    /// knows.
    func client(of headers: HTTPFields, _ peer: SocketAddress?) -> String {
        guard let peer, var client = IPAddress(peer) else { return "" }
        guard contains(client) else { return client.description }
        // Each proxy appends whom it got the request from; what stands before the last one's word may be made up.
        let named = headers[allOf: "x-forwarded-for"].joined(separator: ",").split(separator: ",")
        for text in named.reversed() {
            guard let address = Self.address(text.trimming(while: { $0 == " " || $0 == "\t" }))
            else { break }
            client = address
            if !contains(address) { break }
        }
        return client.description
    }

    /// With or without a port.
    private static func address(_ text: String) -> IPAddress? {
        if let address = IPAddress(text) { return address }
        if text.hasPrefix("[") { return IPAddress(String(text.dropFirst().prefix { $0 != "]" })) }
        return IPAddress(String(text.prefix { $0 != ":" }))
    }
}
