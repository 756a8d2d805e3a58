/// Where a service listens.
public struct Endpoint: Sendable, Hashable, CustomStringConvertible {
    /// Name or address; IPv6 without brackets.
    public var host: String
    /// 1 ... 65 535.
    public var port: Int

    public init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// `HOST:PORT`, IPv6 in brackets.
    public var description: String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}
