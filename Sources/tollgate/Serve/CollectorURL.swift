internal import Foundation

/// Where a collector takes traces: `--otlp-endpoint`.
struct CollectorURL: Sendable, Equatable {
    /// With the path of traces.
    let traces: String
    /// For logs: without a path, which may be a secret.
    let place: String
    let parts: URLComponents

    /// nil: no http or https URL, or one with a user, a query or a fragment.
    init?(_ text: String) {
        guard var parts = URLComponents(string: text), let scheme = parts.scheme?.lowercased(),
            ["http", "https"].contains(scheme), let host = parts.host, !host.isEmpty,
            parts.user == nil, parts.password == nil, parts.query == nil, parts.fragment == nil
        else { return nil }
        place = "\(scheme)://\(host)" + (parts.port.map { ":\($0)" } ?? "")
        // As it was given: a "%2F" in it is no slash.
        var path = parts.percentEncodedPath
        while path.hasSuffix("/") { path.removeLast() }
        parts.percentEncodedPath = path + "/v1/traces"
        guard let url = parts.string else { return nil }
        traces = url
        self.parts = parts
    }
}
