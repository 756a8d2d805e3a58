internal import Notation

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

    /// Whether a socket that was bound to this address may have that one, in numbers. A name may have any.
    func mayBe(_ bound: NetworkAddress) -> Bool {
        guard port == 0 || port == bound.port else { return false }
        let isNumeric = host.contains(":") || host.allSatisfy { $0.isNumber || $0 == "." }
        return !isNumeric || host == bound.host
    }

    var isLoopback: Bool { Loopback.contains(host: host) }

    var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
