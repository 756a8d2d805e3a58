import Access
import Engine
import HTTPTypes
import Hummingbird
import JSON
import Limits
import Projection

/// `/v2/reservations`: what is held now, for operators. Settling is the data plane's.
struct OpenReservations: Sendable {
    let core: ControlPlaneContext

    var routes: [Route] {
        [
            Route(.get, "/v2/reservations", .readConfiguration, Operations.listReservations, list),
            Route(
                .get, "/v2/reservations/{id}", .readConfiguration, Operations.getReservation, get),
        ]
    }

    func list(_ exchange: Exchange) async throws -> Reply {
        let reader = exchange.queryReader()
        let tenantID = reader.text("filter[tenant_id]", bytes: Identifier.lengths)
        let profile = reader.profile(isFilter: true)
        let age = reader.integer("filter[older_than_ms]", 0...86_400_000 * 400)
        let page = reader.page()
        if page.number * page.size > Engine.mostListedReservations {
            reader.note(
                .outOfRange, "page[number]",
                "Only the oldest \(Engine.mostListedReservations) can be listed; use a filter to see others"
            )
        }
        try reader.finish()
        let now = core.now
        let found = try await core.engine.openReservations(
            tenantID: tenantID, profile: profile, createdBefore: age.map { now - $0 },
            offset: (page.number - 1) * page.size, limit: page.size)
        return .page(Paged(rows: found.rows, total: found.total), page) { Self.json($0, now: now) }
    }

    func get(_ exchange: Exchange) async throws -> Reply {
        let id = try DataPlane.reservationID(exchange)
        guard let found = try core.engine.openReservation(id) else {
            throw APIError(.notFound, "No open reservation with this id")
        }
        return .data(Self.json(found, now: core.now))
    }

    private static func json(_ row: OpenReservation, now: Int64) -> JSON {
        let actions = DataPlane.actions
        return [
            "record_type": "reservation", "id": "\(row.id)", "tenant_id": .string(row.tenantID),
        ] + .ids(of: row.profile) + [
            "action": .text(actions.first { $0.value == row.action }?.key),
            "held": row.amounts.json, "created_at": Instant.json(row.createdAt),
            "expires_at": Instant.json(row.expiresAt),
            "age_ms": .integer(max(0, now - row.createdAt)),
            "on_expiry": row.onExpiry == .release ? "release" : "commit",
            "overage": .text(DataPlane.overages.first { $0.value == row.overage }?.key),
        ]
    }
}
