package import Access
package import Hummingbird

/// What is served beside REST on the same address, under paths of its own: the operator's page.
package protocol PageResponder: Sendable {
    /// Who a request without a token stands for; nil: nobody. It guards requests that change something against forgery.
    func caller(of request: Request) -> Caller?

    /// Answers a request whose path is none of REST's.
    ///
    /// - Parameter address: the peer's, behind proxies that are trusted; empty: nobody knows.
    func respond(to request: Request, from address: String) async -> Response

    /// Called once, before the first request.
    ///
    /// - Parameter port: where it is reached.
    func listens(on port: Int?)

    /// Ends what would not end by itself: the service is stopping.
    func drain()
}
