import Access
import Engine
import HTTPTypes
import Hummingbird
import JSON
import Limits
import Notation

/// `/v2/tokens`
struct Tokens: Sendable {
    let core: ControlPlaneContext
    static let scopes: KeyValuePairs<String, Caller.Scope> = [
        "admin": .admin, "operator": .operator, "viewer": .viewer, "reports": .reports,
        "check": .check, "tenant": .tenant, "metrics": .metrics,
    ]
    static let maximumTenants = 32

    var routes: [Route] {
        [
            Route(.get, "/v2/tokens", .administer, Operations.listTokens, list),
            Route(.post, "/v2/tokens", .administer, Operations.createToken, create),
            Route(.get, "/v2/tokens/{id}", .administer, Operations.getToken, get),
            Route(.delete, "/v2/tokens/{id}", .administer, Operations.revokeToken, revoke),
        ]
    }

    func list(_ exchange: Exchange) async throws -> Reply {
        let reader = exchange.queryReader()
        let page = reader.page()
        try reader.finish()
        let uses = core.authority.lastUses
        return .page(all: try core.authority.tokens, page) { Self.json($0, lastUse: uses[$0.id]) }
    }

    func get(_ exchange: Exchange) async throws -> Reply {
        let token = try token(exchange.id)
        return .data(Self.json(token, lastUse: core.authority.lastUses[token.id]))
    }

    func create(_ exchange: Exchange) async throws -> Reply {
        let body = try exchange.bodyReader()
        body.require("name")
        let name = body.text("name", bytes: 1...256, nullable: true).value ?? ""
        let scopes = scopes(body)
        let tenantIDs =
            body.list(
                "tenant_ids", atMost: Self.maximumTenants, "the id of a tenant",
                { BodyReader.fault(of: $0, bytes: Identifier.lengths) == nil ? $0 : nil }
            ).value ?? []
        let expiresAt = expiry(body)
        let rate = body.integer(
            "requests_per_second",
            Int64(CallRate.range.lowerBound)...Int64(CallRate.range.upperBound),
            nullable: true
        ).value.map { Int($0) }
        body.finish()
        if let scopes { checkTenants(tenantIDs, of: scopes, body) }
        try body.findings.check()
        guard let scopes else { throw APIError(.unexpected) }
        return try core.changingSettings {
            let id = exchange.newID()
            // The first attempt's, whose secret nobody was told.
            let former = try core.authority.tokens.first { $0.id == id }
            if let former, exchange.hasMade(createdAt: former.createdAt) {
                _ = try core.authority.revoke(id, by: exchange.requester)
            }
            guard try core.authority.tokens.count < core.settings.maximumTokens else {
                throw APIError(
                    .unprocessable,
                    "At most \(core.settings.maximumTokens) tokens are allowed")
            }
            do throws(EngineError) {
                let (token, secret) = try core.authority.create(
                    id: id, name: name, scopes: scopes, tenantIDs: tenantIDs,
                    expiresAt: expiresAt, rate: rate, by: exchange.requester)
                return .data(Self.json(token, lastUse: nil) + ["secret": .string(secret)])
            } catch {
                guard error.code == .conflict else { throw error }
                throw APIError(.duplicate, Self.madeBefore, at: .parameter("Idempotency-Key"))
            }
        }
    }

    func revoke(_ exchange: Exchange) async throws -> Reply {
        let token = try token(exchange.id)
        guard try core.authority.revoke(token.id, by: exchange.requester) else {
            throw Self.unknown
        }
        return .data(Self.json(token, lastUse: nil))
    }

    // MARK: Parts

    /// Of an id that is made of a key which is remembered no more.
    static let madeBefore =
        "The token was created, but the answer to this idempotency key is no longer stored"

    private static var unknown: APIError { APIError(.notFound, "No such token") }

    private func token(_ id: String) throws -> AccessToken {
        guard let token = try core.authority.tokens.first(where: { $0.id == id }) else {
            throw Self.unknown
        }
        return token
    }

    /// `scopes`, a list; or `scope`, one name, of which operator stands for admin too, as it did when there was no list.
    private func scopes(_ body: BodyReader) -> Scopes? {
        let names = Self.scopes.map { "\"\($0.key)\"" }.joined(separator: ", ")
        let faults = body.findings.entries.count
        let list = body.list(
            "scopes", atMost: Caller.Scope.allCases.count, "one of \(names)",
            { Caller.Scope(rawValue: $0) }
        ).value
        guard body.has("scope") else {
            if !body.has("scopes") { body.require("scope") }
            guard body.findings.entries.count == faults else { return nil }
            return list.map { $0.reduce(into: []) { $0.formUnion(Scopes($1)) } }
        }
        let scope = body.choice("scope", Self.scopes).value
        if body.has("scopes") {
            body.note(.badField, "scopes", "Give either scope or scopes")
        }
        return scope.map { Scopes(alone: $0) }
    }

    private func expiry(_ body: BodyReader) -> Int64? {
        guard let text = body.text("expires_at", bytes: TextLengths.instant, nullable: true).value
        else {
            return nil
        }
        guard let instant = Instant.parse(text) else {
            body.note(
                .badField, "expires_at", "Must be an RFC 3339 time like \"2026-11-21T10:00:00Z\"")
            return nil
        }
        if instant <= core.now {
            body.note(.outOfRange, "expires_at", "Must be in the future")
        }
        return instant
    }

    private func checkTenants(_ ids: [String], of scopes: Scopes, _ body: BodyReader) {
        if let fault = scopes.fault(tenants: ids.isEmpty ? nil : ids.count) {
            let isMissing = fault == .tenantNeedsOne && ids.isEmpty
            body.note(
                isMissing ? .missingField : .badField,
                fault == .empty ? "scopes" : "tenant_ids", fault.sentence("A token"))
        }
        for (index, id) in ids.enumerated() where core.engine.tenant(id) == nil {
            body.findings.note(
                .badField, .pointer("/tenant_ids/\(index)"), "No such tenant")
        }
    }

    /// - Parameter lastUse: to the minute, Unix milliseconds; nil: never, as far as it is known.
    static func json(_ token: AccessToken, lastUse: Int64?) -> JSON {
        [
            "record_type": "token", "id": .string(token.id), "name": .string(token.name),
            "scope": .string(token.scope.rawValue),
            "scopes": .array(token.scopes.names.map { .string($0) }),
            "tenant_ids": .array(token.tenantIDs.map { .string($0) }),
            "created_at": Instant.json(token.createdAt),
            "expires_at": Instant.json(token.expiresAt ?? 0),
            "last_used_at": Instant.json(lastUse ?? 0),
            "requests_per_second": token.rate.map { .integer(Int64($0)) } ?? .null,
        ]
    }
}
