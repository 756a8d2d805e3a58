package import NIOCore

/// An IP address: 16 bytes, IPv4 ones as IPv6 maps them (::ffff:0:0/96).
package struct IPAddress: Sendable, Hashable, CustomStringConvertible {
    package let bytes: [UInt8]
    /// As it is written.
    package let description: String

    /// nil: not an IP address in its full form.
    package init?(_ text: String) {
        guard let address = try? SocketAddress(ipAddress: text, port: 0) else { return nil }
        self.init(address)
    }

    /// nil: not an IP address, but the path of a socket.
    package init?(_ address: SocketAddress) {
        switch address {
        case .v4(let address):
            // sockaddr_in: family and port, two bytes each, then the address.
            bytes = Self.mapped + withUnsafeBytes(of: address.address) { Array($0[4..<8]) }
        case .v6(let address):
            // sockaddr_in6: family, port and flow label, then the address.
            bytes = withUnsafeBytes(of: address.address) { Array($0[8..<24]) }
        case .unixDomainSocket: return nil
        }
        description = address.ipAddress ?? ""
    }

    private init(v4 bytes: ArraySlice<UInt8>) {
        self.bytes = Self.mapped + bytes
        description = bytes.map(String.init).joined(separator: ".")
    }

    private static let mapped = [UInt8](repeating: 0, count: 10) + [0xff, 0xff]

    /// Whether it leads to the public network and nowhere else (IANA's special-purpose registries, RFC 6890). An IPv6
    /// address that carries an IPv4 one is judged by that.
    package var isPublic: Bool {
        if Network.mapped.contains(self) {
            return !Network.specialIPv4.contains { $0.contains(self) }
        }
        // NAT64 and 6to4.
        if Network.translated.contains(self) { return IPAddress(v4: bytes[12...]).isPublic }
        if Network.sixToFour.contains(self) { return IPAddress(v4: bytes[2..<6]).isPublic }
        return Network.globalIPv6.contains(self)
            && !Network.specialIPv6.contains { $0.contains(self) }
    }
}

/// A range of addresses that begin alike: CIDR.
package struct Network: Sendable, Equatable {
    private let start: [UInt8]
    private let bits: Int

    /// "10.0.0.0/8" or "fc00::/7"; an address alone is a network of one. nil: neither.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = parts.first.flatMap({ IPAddress(String($0)) }) else { return nil }
        let isIPv4 = !parts[0].contains(":")
        let width = isIPv4 ? 32 : 128
        let length = parts.count == 2 ? Int(parts[1]) : width
        guard let length, (0...width).contains(length) else { return nil }
        start = address.bytes
        bits = isIPv4 ? 96 + length : length
    }

    private init(fixed text: StaticString) {
        guard let network = Network("\(text)") else {
            preconditionFailure("a network that is written in the code is one")
        }
        self = network
    }

    package func contains(_ address: IPAddress) -> Bool {
        for index in 0..<16 {
            let rest = bits - 8 * index
            if rest <= 0 { return true }
            let mask: UInt8 = rest >= 8 ? 0xff : ~(0xff >> UInt8(rest))
            if (address.bytes[index] ^ start[index]) & mask != 0 { return false }
        }
        return true
    }

    static let mapped = Network(fixed: "::ffff:0:0/96")
    static let translated = Network(fixed: "64:ff9b::/96")
    static let sixToFour = Network(fixed: "2002::/16")
    static let globalIPv6 = Network(fixed: "2000::/3")

    static let specialIPv4: [Network] = [
        Network(fixed: "0.0.0.0/8"), Network(fixed: "10.0.0.0/8"), Network(fixed: "100.64.0.0/10"),
        Network(fixed: "127.0.0.0/8"), Network(fixed: "169.254.0.0/16"),
        // Looks public, but is a cloud's own host for its guests' metadata.
        Network(fixed: "168.63.129.16/32"),
        Network(fixed: "172.16.0.0/12"), Network(fixed: "192.0.0.0/24"),
        Network(fixed: "192.0.2.0/24"), Network(fixed: "192.88.99.0/24"),
        Network(fixed: "192.168.0.0/16"), Network(fixed: "198.18.0.0/15"),
        Network(fixed: "198.51.100.0/24"), Network(fixed: "203.0.113.0/24"),
        Network(fixed: "224.0.0.0/4"), Network(fixed: "240.0.0.0/4"),
    ]

    static let specialIPv6: [Network] = [
        Network(fixed: "2001::/23"), Network(fixed: "2001:db8::/32"), Network(fixed: "3fff::/20"),
    ]
}
