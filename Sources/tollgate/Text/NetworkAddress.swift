/// `HOST:PORT` as it stands in flags: a name, an IPv4 address or an IPv6 address in brackets.
struct NetworkAddress: Sendable, Equatable, CustomStringConvertible {
    var host: String
    /// 0 ... 65 535; 0: a free one.
    var port: Int

    init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// nil unless the text is `HOST:PORT` or `[IPv6]:PORT`.
    init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"),
            let port = UInt16(text[text.index(after: colon)...])
        else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
            guard host.contains(":") else { return nil }
        } else if host.contains(":") {
            return nil
        }
        guard host.isEmpty == false, host.contains(where: \.isWhitespace) == false else {
            return nil
        }
        self.init(host: String(host), port: Int(port))
    }

    /// The host is `localhost` or a literal address of the loopback range. A name that merely resolves to
    /// loopback does not count: it may resolve otherwise tomorrow.
    var isLoopback: Bool {
        if host == "localhost" || host == "::1" { return true }
        let octets = host.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        return octets.count == 4 && octets.allSatisfy { $0 != nil } && octets[0] == 127
    }

    var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
