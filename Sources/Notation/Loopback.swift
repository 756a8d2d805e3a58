/// Hosts that are this machine, whatever names mean elsewhere.
package enum Loopback {
    /// Whether a host is `localhost`, `::1` (with or without brackets), or a literal address of 127.0.0.0/8.
    ///
    /// A name that merely resolves to loopback does not count: it may resolve otherwise tomorrow.
    package static func contains(host: some StringProtocol) -> Bool {
        if host == "::1" || host == "[::1]" || host.lowercased() == "localhost" { return true }
        let octets = host.split(separator: ".", omittingEmptySubsequences: false)
        guard octets.count == 4, UInt8(octets[0]) == 127 else { return false }
        return octets.allSatisfy { octet in
            octet.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
                && UInt8(octet) != nil
        }
    }

    /// Whether the host of an authority, with or without a port, is this machine.
    package static func contains(authority: String) -> Bool {
        if authority.hasPrefix("[::1]:") { return true }
        if authority.hasPrefix("[") { return contains(host: authority) }
        return contains(host: authority.prefix { $0 != ":" })
    }
}
