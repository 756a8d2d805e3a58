internal import HTTP2

/// How many messages go each way.
package enum MethodKind: Sendable {
    case unary
    /// Many requests, one answer after the client's half-close.
    case clientStreaming
    /// One request, answers pushed by the service whenever it has any.
    case serverStreaming
    /// One answer to each request, in order.
    case bidirectional
}

/// A method as the transport must know it. Its id is its index in the server's list.
package struct MethodDescriptor: Sendable {
    /// "/package.Service/Method".
    package var path: String
    package var kind: MethodKind
    /// Bytes of one request message, and of what it unfolds to if it is compressed; a larger one is RESOURCE_EXHAUSTED.
    package var maximumRequestBytes: Int
    /// Everybody may call it: a call of it does not show who the peer is.
    package var isOpen: Bool

    package init(
        path: String, kind: MethodKind = .unary, maximumRequestBytes: Int = 64 * 1024,
        isOpen: Bool = false
    ) {
        self.path = path
        self.kind = kind
        self.maximumRequestBytes = maximumRequestBytes
        self.isOpen = isOpen
    }
}

/// gRPC status codes.
package enum GRPCCode: UInt8, Sendable {
    case ok, cancelled, unknown, invalidArgument, deadlineExceeded, notFound, alreadyExists
    case permissionDenied, resourceExhausted, failedPrecondition, aborted, outOfRange
    case unimplemented, `internal`, unavailable, dataLoss, unauthenticated

    /// As specifications write it: "DEADLINE_EXCEEDED".
    package var name: String { Self.names[Int(rawValue)] }

    private static let names = [
        "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
        "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
        "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
        "UNAUTHENTICATED",
    ]
}

/// A call that ends with a status other than OK. A class, so that the common outcome stays one word.
package final class GRPCFailure: Sendable {
    package let code: GRPCCode
    /// For people; percent-encoded on the wire.
    package let message: String
    /// A serialized google.rpc.Status for `grpc-status-details-bin`; empty: none.
    package let details: [UInt8]
    /// Nobody knows who the caller is: its connection earns nothing by this call.
    package let isStrangers: Bool

    /// - Parameter isStrangers: nil: if the code says so.
    package init(
        _ code: GRPCCode, _ message: String, details: [UInt8] = [], isStrangers: Bool? = nil
    ) {
        self.code = code
        self.message = message
        self.details = details
        self.isStrangers = isStrangers ?? (code == .unauthenticated)
    }
}

/// What became of a request. Either may have to wait for the disk: see `CallContext.park`.
package enum ServiceOutcome {
    /// The answer stands in the response buffer.
    case done
    /// The call (with all its messages) ends with a status.
    case failed(GRPCFailure)
    /// There is no room to decide it, or the rest of it, now: the same request is handed over again when `hasRoom` says
    /// so, unless its deadline passes first. What stands in the response buffer stays, and so does `progress`. Not for
    /// `halfClosed`.
    case putOff
}

/// Names one call of one event loop. A plain value of 16 bytes; it names nothing any more once the
/// call is over.
package struct CallToken: Hashable, Sendable {
    let connection: UInt32
    let connectionGeneration: UInt32
    let stream: StreamHandle
}

/// What became of a message pushed on a server stream.
package enum PushResult: Sendable {
    case sent
    /// Too much waits already; nothing was encoded, `streamWritable` follows when there is room.
    case congested
    /// The call is over.
    case gone
}
