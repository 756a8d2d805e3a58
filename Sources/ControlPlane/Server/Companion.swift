package import Access
package import Hummingbird
package import NIOCore

/// What is served beside REST on the same address, under paths of its own: the operator's page.
package protocol Companion: Sendable {
    /// Who a request without a token stands for; nil: nobody. It guards requests that change something against forgery.
    func caller(of request: Request) -> Caller?

    /// Answers a request whose path is none of REST's.
    ///
    /// - Parameter address: the peer's.
    func respond(to request: Request, from address: SocketAddress?) async -> Response

    /// Ends what would not end by itself: the service is stopping.
    func drain()
}
