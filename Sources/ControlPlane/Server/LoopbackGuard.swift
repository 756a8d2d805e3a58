import HTTPTypes
import Notation

/// What keeps other sites out of a service that asks nobody for a token (`--insecure-no-auth`), which listens on
/// loopback only. Whoever sits at the machine may do everything; a page that they happen to look at may not.
enum LoopbackGuard {
    /// Why a request must not be obeyed; nil: it may.
    static func refusal(of request: HTTPRequest) -> String? {
        // A name that somebody else gives out can lead here (DNS rebinding): for a browser this is then their site.
        if let host = request.authority, !Loopback.contains(authority: host) {
            return "Without authentication, the Host header must be localhost, 127.0.0.1 or [::1]"
        }
        let site = request.headerFields[header: "sec-fetch-site"] ?? "none"
        if request.method != .get, request.method != .head, site != "none", site != "same-origin" {
            return "Cross-site requests are refused"
        }
        return nil
    }
}

/// Who has a browser ask.
enum BrowserSite {
    /// Whether nothing in a request over TLS says that another site asks: older browsers say `Origin` alone.
    static func isOwn(_ request: HTTPRequest) -> Bool {
        let site = request.headerFields[header: "sec-fetch-site"] ?? "none"
        guard site == "none" || site == "same-origin" else { return false }
        guard let origin = request.headerFields[header: "origin"] else { return true }
        return origin.lowercased() == "https://\(request.authority ?? "")".lowercased()
    }
}
