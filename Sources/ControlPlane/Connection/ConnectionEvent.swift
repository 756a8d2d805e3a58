/// The request's body ended before its time; whoever reads it must not take it for a whole one.
struct PeerFault: Error {
    /// What the connection has answered the peer; nil: the peer is gone, or was answered before.
    var answer: APIError?
}

/// What the responder tells the connection: outbound events.
enum ConnectionEvent: Sendable {
    /// A peer that waits for it is asked to send the body.
    case bodyIsWanted
    /// The peer has shown who it is.
    case peerIsKnown
}
