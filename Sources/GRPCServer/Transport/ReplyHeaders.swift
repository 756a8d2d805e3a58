internal import HTTP2

/// The header blocks of a server, made once for the process: nghttp2 reads them in place.
enum ReplyHeaders {
    static let ok = HeaderBlock([(":status", "200"), ("content-type", "application/grpc")])
    static let okGzip = HeaderBlock([
        (":status", "200"), ("content-type", "application/grpc"), ("grpc-encoding", "gzip"),
    ])
    static let okTrailers = HeaderBlock([("grpc-status", "0")])
    static let unsupportedMediaType = HeaderBlock([
        (":status", "415"), ("content-length", "0"),
    ])
    static let methodNotAllowed = HeaderBlock([
        (":status", "405"), ("allow", "POST"), ("content-length", "0"),
    ])

    private static let maximumDetailsBytes = 4 * 1024

    /// The fields of a failed call's status.
    static func fill(_ fields: inout HeaderFields, with failure: GRPCFailure) {
        fields.removeAll()
        let code = failure.code.rawValue
        let digits =
            code >= 10 ? [0x30 + code / 10, 0x30 + code % 10] : [0x30 + code]
        digits.withUnsafeBytes { fields.append(name: "grpc-status", value: $0) }
        if !failure.message.isEmpty {
            GRPCFraming.percentEncode(failure.message).withUnsafeBytes {
                fields.append(name: "grpc-message", value: $0)
            }
        }
        // Details that no client would take in a header list would only lose the status itself.
        if !failure.details.isEmpty, failure.details.count <= maximumDetailsBytes {
            GRPCFraming.base64(failure.details).withUnsafeBytes {
                fields.append(name: "grpc-status-details-bin", value: $0)
            }
        }
    }
}

extension RouteTable {
    /// The session's view of the methods; ids are equal.
    convenience init(
        methods: [MethodDescriptor], echoing: [EchoedField], keeping: [KeptField]
    ) {
        self.init(
            methods.map { method in
                let streams = method.kind == .clientStreaming || method.kind == .bidirectional
                return MethodRoute(
                    path: method.path,
                    maximumBodyBytes: method.maximumRequestBytes + GRPCFraming.prefixBytes,
                    streamsRequests: streams)
            }, echoing: echoing, keeping: keeping)
    }
}
