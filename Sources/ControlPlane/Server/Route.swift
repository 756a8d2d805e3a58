import Access
import HTTPTypes
import Hummingbird
import Notation

/// One method of one path: who may, what it means (for the OpenAPI document), and what is done.
struct Route: Sendable {
    typealias Handler = @Sendable (Exchange) async throws -> Reply

    var method: HTTPRequest.Method
    /// "/v2/tenants/{id}"
    var path: String
    /// What its callers need; nil: nothing, not even a token.
    var right: Right?
    var operation: Operation
    var handler: Handler
    /// Its answer leaves when all that it may reflect is on disk, and it has its place among the requests that are worked on.
    var waitsForDisk = true

    /// It changes what is configured, once for a key.
    var isChange: Bool { method != .get && right != .charge }

    init(
        _ method: HTTPRequest.Method, _ path: String, _ right: Right?, _ operation: Operation,
        _ handler: @escaping Handler
    ) {
        self.method = method
        self.path = path
        self.right = right
        self.operation = operation
        self.handler = handler
    }
}

/// Finds the route of a path: a tree of path segments, literal ones before parameters.
struct RouteTree: Sendable {
    private struct Node {
        var literals: [String: Int] = [:]
        var parameter: Int?
        var routes: [Route] = []
    }

    struct Match {
        /// The routes of the path, by method.
        var routes: [Route]
        /// By the names in the route's path.
        var parameters: [String: String]

        func route(_ method: HTTPRequest.Method) -> Route? {
            let wanted = method == .head ? .get : method
            return routes.first { $0.method == wanted }
        }

        /// The value of `Allow`.
        var allowed: String {
            var methods = routes.map { $0.method.rawValue }
            if methods.contains("GET") { methods.append("HEAD") }
            return methods.joined(separator: ", ")
        }
    }

    private var nodes: [Node] = [Node()]

    init(_ routes: [Route]) {
        for route in routes {
            var current = 0
            for segment in route.path.split(separator: "/") {
                current = child(of: current, segment)
            }
            nodes[current].routes.append(route)
        }
    }

    private mutating func child(of node: Int, _ segment: Substring) -> Int {
        let isParameter = segment.hasPrefix("{")
        let known = isParameter ? nodes[node].parameter : nodes[node].literals[String(segment)]
        if let known { return known }
        nodes.append(Node())
        if isParameter {
            nodes[node].parameter = nodes.count - 1
        } else {
            nodes[node].literals[String(segment)] = nodes.count - 1
        }
        return nodes.count - 1
    }

    /// nil: there is no such path.
    ///
    /// - Parameter path: as it stands in the request, percent-encoded.
    /// - Throws: a part of it is no text.
    /// - Complexity: O(segments)
    func match(_ path: Substring) throws(APIError) -> Match? {
        guard path.hasPrefix("/") else { return nil }
        var current = 0
        var values: [String] = []
        for segment in path.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            guard let text = PercentEncoding.decoded(segment) else {
                throw APIError(.badField, "The path must be valid percent-encoded UTF-8")
            }
            if let next = nodes[current].literals[text] {
                current = next
            } else if let next = nodes[current].parameter, !text.isEmpty {
                current = next
                values.append(text)
            } else {
                return nil
            }
        }
        guard let route = nodes[current].routes.first else { return nil }
        let names = route.path.split(separator: "/").filter { $0.hasPrefix("{") }
            .map { String($0.dropFirst().dropLast()) }
        return Match(
            routes: nodes[current].routes,
            parameters: Dictionary(zip(names, values)) { first, _ in first })
    }
}
