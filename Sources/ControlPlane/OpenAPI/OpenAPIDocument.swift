import Access
import HTTPTypes
import Hummingbird
import JSON
import Limits

/// The OpenAPI 3.1 document: made of the routes, so that it forgets none and invents none.
enum OpenAPIDocument {
    static func json(_ routes: [Route]) -> JSON {
        var paths: [JSON.Member] = []
        for route in routes where !paths.contains(where: { $0.name == route.path }) {
            let members = routes.filter { $0.path == route.path }.map {
                (name: $0.method.rawValue.lowercased(), value: operation($0))
            }
            paths.append((name: route.path, value: .object(members)))
        }
        return [
            "openapi": "3.1.0",
            "info": [
                "title": "Tollgate",
                "version": "2",
                "summary": "Spending and usage limits for telephony tenants",
                "description": .string(introduction),
            ],
            "servers": [["url": "/"]],
            "security": [["bearer": []]],
            "tags": .array(tags.map { ["name": .string($0.0), "description": .string($0.1)] }),
            "paths": .object(paths),
            "components": [
                "securitySchemes": ["bearer": ["type": "http", "scheme": "bearer"]],
                "schemas": .object(
                    Schemas.all.map { (name: $0.name, value: $0.schema) }),
            ],
        ]
    }

    private static let introduction =
        "Money is a decimal number in quotes, in USD, with up to 9 decimal places. Times are RFC 3339 in UTC. "
        + "Lists are paginated (`page[number]`, `page[size]`). All validation errors of a request are reported at "
        + "once, each with a `source`. A change applies to every decision that starts after its response."

    static let tags: [(String, String)] =
        ProfileKind.allCases.map {
            ($0.titleOfMany, "Profiles and their \($0.limit.words.phrase)s")
        } + others

    private static let others: [(String, String)] = [
        ("Tenants", "Tenants, their limits and their status"),
        ("Usage", "Current and daily usage"),
        ("Data plane", "Decisions, as over gRPC"),
        ("Logs", "The audit log and events"),
        ("Notifications", "Webhooks and e-mail"),
        ("Access", "Tokens and keys"),
        ("Service", "Health and this document"),
    ]

    // MARK: Operations

    private static func operation(_ route: Route) -> JSON {
        let operation = route.operation
        var parts: JSON = [
            "operationId": .string(operation.id), "summary": .string(operation.summary),
            "tags": [.string(operation.tag)],
        ]
        let description = [operation.description, who(route.right)].filter { !$0.isEmpty }
        parts = parts + ["description": .string(description.joined(separator: " "))]
        if route.right == nil { parts = parts + ["security": []] }
        let parameters = parameters(route)
        if !parameters.isEmpty { parts = parts + ["parameters": .array(parameters)] }
        if let body = operation.body {
            parts =
                parts + [
                    "requestBody": [
                        "required": .bool(body.isRequired),
                        "content": [
                            "application/json": [
                                "schema": Schema.ref(body.schema), "example": body.example,
                            ]
                        ],
                    ]
                ]
        }
        return parts + ["responses": responses(route)]
    }

    private static func who(_ right: Right?) -> String {
        guard let right else { return "No token is needed." }
        let names = right.scopes.list.map { scope in
            Scopes.ofTenants.contains(Scopes(scope))
                ? "\(scope.rawValue) (for its tenants)" : scope.rawValue
        }
        return "Scope: \(names.joined(separator: " or "))."
    }

    private static func parameters(_ route: Route) -> [JSON] {
        var result: [JSON] = []
        for part in route.path.split(separator: "/") where part.hasPrefix("{") {
            result.append([
                "name": .string(String(part.dropFirst().dropLast())), "in": "path",
                "required": true, "schema": Schema.text(Identifier.lengths),
            ])
        }
        for parameter in route.operation.parameters {
            result.append([
                "name": .string(parameter.name), "in": "query", "required": false,
                "description": .string(parameter.description), "schema": parameter.schema,
            ])
        }
        if route.operation.takesTag {
            result.append(
                header(
                    "If-Match", "The `ETag` of the version that the change is based on",
                    ["type": "string"]))
        }
        if route.method == .post {
            let text =
                route.isChange
                ? """
                A retry by the same caller with the same content gets the stored response, while that is \
                remembered: for `--idempotency-retention`, and among the newest `--max-answers`
                """
                : route.operation.takesKey
                    ? """
                    A retry with the same content gets the stored response for \
                    `--idempotency-retention`; keys are shared with gRPC
                    """
                    : """
                    Optional: a retry is recognised by its reservation. A key is bound to the reservation and \
                    content for `--idempotency-retention`; keys are shared with gRPC
                    """
            result.append(header("Idempotency-Key", text, Schema.text(1...128)))
        }
        return result
    }

    private static func header(_ name: String, _ description: String, _ schema: JSON) -> JSON {
        [
            "name": .string(name), "in": "header", "required": false,
            "description": .string(description), "schema": schema,
        ]
    }

    // MARK: Responses

    private static func responses(_ route: Route) -> JSON {
        let operation = route.operation
        var statuses: Set<Int> = [422, 500, 503]
        if route.right != nil { statuses.formUnion([401, 403, 429]) }
        if route.path.contains("{") { statuses.insert(404) }
        if operation.body != nil { statuses.formUnion([400, 408, 413, 415, 422]) }
        if operation.takesTag { statuses.formUnion([409, 412]) }
        // What a key asked for is done, and its answer cannot be given again.
        if route.method == .post, route.isChange { statuses.insert(409) }
        if operation.denies { statuses.formUnion([403, 429]) }
        statuses.formUnion(operation.failures)
        var members = [(name: "200", value: success(operation))]
        for status in statuses.sorted() {
            var failure: JSON = [
                "description": .string(meaning(status, denies: operation.denies)),
                "content": ["application/json": ["schema": Schema.ref("Errors")]],
            ]
            if operation.denies, status == 429 {
                failure =
                    failure + [
                        "headers": [
                            "x-should-retry": ["schema": Schema.words(["false"])],
                            "Retry-After": ["schema": Schema.string],
                            "tollgate-treatment": ["schema": Schema.string],
                        ]
                    ]
            }
            members.append((name: "\(status)", value: failure))
        }
        return .object(members)
    }

    private static func success(_ operation: Operation) -> JSON {
        let schema: JSON
        switch operation.answer {
        case .one(let name): schema = Schema.answer(["data": Schema.ref(name)])
        case .changed(let name):
            schema = Schema.answer([
                "data": Schema.ref(name),
                "meta": Schema.answer(["over_by": Schema.ref("OverBy")]),
            ])
        case .page(let name):
            schema = Schema.answer([
                "data": Schema.list(Schema.ref(name)), "meta": Schema.ref("PageMeta"),
            ])
        case .plain(let plain): schema = plain
        case .text(let types):
            let content = types.map { (name: $0, value: ["schema": Schema.string] as JSON) }
            return ["description": "Success", "content": .object(content)]
        }
        var content: JSON = ["application/json": ["schema": schema]]
        if operation.isTable { content = content + ["text/csv": ["schema": Schema.string]] }
        let success: JSON = ["description": "Success", "content": content]
        guard operation.hasTag else { return success }
        return success + [
            "headers": ["ETag": ["description": "For If-Match", "schema": Schema.string]]
        ]
    }

    private static func meaning(_ status: Int, denies: Bool) -> String {
        switch status {
        case 400: "The body is not valid JSON, or there is more than one `Idempotency-Key`"
        case 401: "The token is missing or invalid"
        case 403: denies ? "Denied by a limit or suspension, or not allowed" : "Not allowed"
        case 404: "No such resource"
        case 408: "The body did not arrive in time"
        case 409:
            "The id is or was in use, the request was carried out but its stored response is no longer available, or another request is changing the resource"
        case 410: "The reservation has expired"
        case 412: "The resource has been changed since"
        case 413: "The body is too large"
        case 415: "The body is not application/json"
        case 422: "The request is invalid; every error is listed"
        case 429: denies ? "Denied by a limit, or too many requests" : "Too many requests"
        case 503: "Service unavailable; nothing was changed"
        default: "Internal error"
        }
    }
}
