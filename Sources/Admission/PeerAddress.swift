internal import Glibc

/// Whom an address belongs to.
package enum PeerAddress {
    /// The address itself; of IPv6, the network of 64 bits, which is what one customer of a provider has at least.
    package static func group(of address: String) -> String {
        guard address.utf8.contains(UInt8(ascii: ":")) else { return address }
        // A link-local address names its interface behind "%".
        let bare = address.prefix { $0 != "%" }
        var words = (UInt64(0), UInt64(0))
        guard inet_pton(AF_INET6, String(bare), &words) == 1 else { return address }
        let (high, low) = (UInt64(bigEndian: words.0), UInt64(bigEndian: words.1))
        if high == 0, low >> 32 == 0xffff {
            let bytes = (0..<4).reversed().map { String(low >> (8 * UInt64($0)) & 0xff) }
            return bytes.joined(separator: ".")
        }
        if high == 0 { return address }  // the loopback, and what is not routed
        return String(high, radix: 16) + "::/64"
    }
}
