internal import HTTP2
internal import Wire

/// The header fields common to all of a client's calls to an endpoint, one block for each method.
final class RequestHeaders: Sendable {
    private let blocks: [HeaderBlock]

    init(_ configuration: ClientConfiguration, _ endpoint: Endpoint) {
        let scheme = configuration.tls == nil ? "http" : "https"
        blocks = LimitServiceMethod.allCases.map { method in
            var fields = [
                (name: ":method", value: "POST"), (name: ":scheme", value: scheme),
                (name: ":path", value: "\(method.path)"),
                (name: ":authority", value: "\(endpoint)"),
                (name: "te", value: "trailers"),
                (name: "content-type", value: "application/grpc"),
                (name: "user-agent", value: "tollgate-swift/0.1.0"),
            ]
            if let token = configuration.token {
                fields.append((name: "authorization", value: "Bearer \(token)"))
            }
            if configuration.acceptsCompression {
                fields.append((name: "grpc-accept-encoding", value: "gzip"))
            }
            // Small messages are still sent uncompressed: each message has a flag.
            if configuration.compressesRequestsFrom != nil {
                fields.append((name: "grpc-encoding", value: "gzip"))
            }
            if configuration.deniesAsFailures {
                fields.append((name: "tollgate-deny", value: "status"))
            }
            return HeaderBlock(fields)
        }
    }

    /// The fields of a method. Valid as long as this object lives.
    func view(_ method: LimitServiceMethod) -> HeaderView {
        blocks[LimitServiceMethod.allCases.firstIndex(of: method) ?? 0].view
    }
}
