import HTTPTypes
import Hummingbird

/// Headers that the HTTP library has no names for.
extension HTTPFields {
    /// All values of a header that may stand several times; `header` joins them.
    subscript(allOf name: String) -> [String] {
        HTTPField.Name(name).map { self[values: $0] } ?? []
    }

    subscript(header name: String) -> String? {
        get { HTTPField.Name(name).flatMap { self[$0] } }
        set { if let name = HTTPField.Name(name) { self[name] = newValue } }
    }
}

enum HeaderName {
    static let requestID = "x-request-id"
    static let idempotencyKey = "idempotency-key"
    /// Tells the vendor's SDKs not to try a denied request again.
    static let shouldRetry = "x-should-retry"
    /// What the caller's network element should do about a denial.
    static let treatment = "tollgate-treatment"
    /// The answer that a change with this key was given before.
    static let replayed = "idempotency-replayed"
}
