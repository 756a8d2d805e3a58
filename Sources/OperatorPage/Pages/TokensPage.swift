import Access
import Engine

/// The access tokens, oldest first: who may do what, until when, and when each was last used. Never a secret.
struct TokensPage: Sendable {
    let context: PageContext
    let authority: TokenAuthority

    static let path = "/tokens"

    func reply(_ request: PageRequest, _ visitor: Visitor) throws -> PageReply {
        guard visitor.caller.may(.administer) else {
            return context.message(
                403, "Not allowed", "Viewing access tokens requires the scope admin.")
        }
        let tokens = try authority.tokens
        let uses = authority.lastUses
        let now = context.engine.clock.now
        let size = context.settings.pageSize
        let number = request.page()
        let rows = tokens.dropFirst((number - 1) * size).prefix(size)
        return context.page(
            "tokens", visitor, current: Self.path,
            [
                "tokens": rows.map { Self.fields($0, lastUse: uses[$0.id], now: now) },
                "hasTokens": !rows.isEmpty,
                "pager": Pager.fields(
                    label: "Access tokens", number: number, size: size, total: tokens.count
                ) { Links.path(Self.path, [("page", String($0))]) },
            ])
    }

    /// - Parameter lastUse: to the minute, Unix milliseconds; nil: never, as far as it is known.
    private static func fields(_ token: AccessToken, lastUse: Int64?, now: Int64) -> Fields {
        [
            "id": token.id, "name": token.name,
            "scopes": token.scopes.names.joined(separator: ", "),
            "tenants": token.tenantIDs.isEmpty ? "All" : token.tenantIDs.joined(separator: ", "),
            "made": minute(token.createdAt), "madeISO": Texts.iso(token.createdAt),
            "expires": token.expiresAt.map { minute($0) },
            "expiresISO": token.expiresAt.map { Texts.iso($0) },
            "hasExpired": token.expiresAt.map { $0 <= now } ?? false,
            "lastUsed": lastUse.map { minute($0) }, "lastUsedISO": lastUse.map { Texts.iso($0) },
        ]
    }

    /// "2026-11-21 10:00", UTC.
    private static func minute(_ milliseconds: Int64) -> String {
        String(Texts.time(milliseconds).prefix(16))
    }
}
