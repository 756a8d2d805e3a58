import Access
import Engine
import HTTPTypes
import Hummingbird

/// `/v2/tokens`
struct Tokens: Sendable {
    let core: Core
    static let scopes: KeyValuePairs<String, Scope> = [
        "operator": .operator, "check": .check, "tenant": .tenant,
    ]
    static let maximumTenants = 32

    var routes: [Route] {
        [
            Route(.get, "/v2/tokens", .operators, Operations.listTokens, list),
            Route(.post, "/v2/tokens", .operators, Operations.createToken, create),
            Route(.get, "/v2/tokens/{id}", .operators, Operations.getToken, get),
            Route(.delete, "/v2/tokens/{id}", .operators, Operations.revokeToken, revoke),
        ]
    }

    func list(_ exchange: Exchange) async throws -> Reply {
        let reader = exchange.queryReader()
        let page = reader.page()
        try reader.finish()
        return .page(all: try core.authority.tokens, page) { Self.json($0) }
    }

    func get(_ exchange: Exchange) async throws -> Reply {
        .data(Self.json(try token(exchange.id)))
    }

    func create(_ exchange: Exchange) async throws -> Reply {
        let body = try exchange.bodyReader()
        body.require("name")
        body.require("scope")
        let name = body.text("name", bytes: 1...256, nullable: true).value ?? ""
        let scope = body.has("scope") ? body.choice("scope", Self.scopes).value : nil
        let tenantIDs =
            body.list(
                "tenant_ids", atMost: Self.maximumTenants, "the id of a tenant",
                { BodyReader.fault(of: $0, bytes: 1...64) == nil ? $0 : nil }
            ).value ?? []
        let expiresAt = expiry(body)
        body.finish()
        if let scope { checkTenants(tenantIDs, of: scope, body) }
        try body.findings.check()
        guard let scope else { throw APIError(.unexpected) }
        return try core.changingSettings {
            let id = exchange.newID()
            // The first attempt's, whose secret nobody was told.
            let former = try core.authority.tokens.first { $0.id == id }
            if let former, exchange.hasMade(createdAt: former.createdAt) {
                _ = try core.authority.revoke(id, by: exchange.caller.number)
            }
            guard try core.authority.tokens.count < core.settings.maximumTokens else {
                throw APIError(
                    .unprocessable,
                    "There can be at most \(core.settings.maximumTokens) tokens")
            }
            do throws(EngineError) {
                let (token, secret) = try core.authority.create(
                    id: id, name: name, scope: scope, tenantIDs: tenantIDs, expiresAt: expiresAt,
                    by: exchange.caller.number)
                return .data(Self.json(token) + ["secret": .string(secret)])
            } catch {
                guard error.code == .conflict else { throw error }
                throw APIError(.duplicate, Self.madeBefore, at: .parameter("Idempotency-Key"))
            }
        }
    }

    func revoke(_ exchange: Exchange) async throws -> Reply {
        let token = try token(exchange.id)
        guard try core.authority.revoke(token.id, by: exchange.caller.number) else {
            throw Self.unknown
        }
        return .data(Self.json(token))
    }

    // MARK: Parts

    /// Of an id that is made of a key which is remembered no more.
    static let madeBefore = "What this key made is there, and the answer is not kept any more"

    private static var unknown: APIError { APIError(.notFound, "There is no such token") }

    private func token(_ id: String) throws -> AccessToken {
        guard let token = try core.authority.tokens.first(where: { $0.id == id }) else {
            throw Self.unknown
        }
        return token
    }

    private func expiry(_ body: BodyReader) -> Int64? {
        guard let text = body.text("expires_at", bytes: 1...64, nullable: true).value else {
            return nil
        }
        guard let instant = Instant.parse(text) else {
            body.note(
                .badField, "expires_at", "This must be an instant like \"2026-11-21T10:00:00Z\"")
            return nil
        }
        if instant <= core.now {
            body.note(.outOfRange, "expires_at", "This must be in the future")
        }
        return instant
    }

    private func checkTenants(_ ids: [String], of scope: Scope, _ body: BodyReader) {
        if scope == .tenant, ids.count != 1 {
            body.note(
                ids.isEmpty ? .missingField : .badField, "tenant_ids",
                "A token of scope tenant is for exactly one tenant")
        }
        if scope == .operator, !ids.isEmpty {
            body.note(.badField, "tenant_ids", "A token of scope operator is for everything")
        }
        for (index, id) in ids.enumerated() where core.engine.tenant(id) == nil {
            body.findings.note(
                .badField, .pointer("/tenant_ids/\(index)"), "There is no such tenant")
        }
    }

    static func json(_ token: AccessToken) -> JSON {
        [
            "record_type": "token", "id": .string(token.id), "name": .string(token.name),
            "scope": .string(token.scope.rawValue),
            "tenant_ids": .array(token.tenantIDs.map { .string($0) }),
            "created_at": Instant.json(token.createdAt),
            "expires_at": Instant.json(token.expiresAt ?? 0),
        ]
    }
}
