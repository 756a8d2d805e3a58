import ControlPlane
import Events
import Limits
import Projection

/// Lists as a test wants them.
struct StubModel: ReadModel {
    var tenantRows: [TenantRow] = []
    var profileRows: [ProfileRow] = []
    var auditRows: [AuditRow] = []
    var eventRows: [Event] = []
    var deliveryRows: [DeliveryRow] = []
    var dayRows: [DailyUsageRow] = []
    var isWhole = true

    var status: ProjectionStatus { ProjectionStatus(time: 0, behindBytes: 0, trouble: nil) }
    /// What a list waits for.
    var wait: @Sendable () async -> Void = {}
    func caughtUp() async -> Bool {
        await wait()
        return true
    }

    private func part<Row: Sendable>(_ rows: [Row], _ page: Page) throws -> Paged<Row> {
        guard isWhole else { throw ProjectionError(.catchingUp, "Lists are not whole") }
        let part = rows.dropFirst((page.number - 1) * page.size).prefix(page.size)
        return Paged(rows: Array(part), total: rows.count)
    }

    func tenants(_ query: TenantQuery, _ page: Page) async throws -> Paged<TenantRow> {
        let rows = tenantRows.filter { row in
            switch query.id {
            case .equals(let id): row.settings.id == id
            case .contains(let text): row.settings.id.contains(text)
            case nil: true
            }
        }
        return try part(rows.filter { query.status == nil || query.status == $0.status }, page)
    }

    func usage(_ query: TenantQuery, _ page: Page) async throws -> Paged<TenantRow> {
        try await tenants(query, page)
    }

    func profiles(_ query: ProfileQuery, _ page: Page) async throws -> Paged<ProfileRow> {
        try part(profileRows, page)
    }

    func dailyUsage(
        tenantID: String, profileID: String?, from: Int64, to: Int64
    ) async throws -> [DailyUsageRow] { dayRows.filter { (from..<to).contains($0.day) } }

    func invoices(_ query: InvoiceQuery, _ page: Page?) async throws -> InvoiceReport {
        throw ProjectionError(.catchingUp, "none")
    }
    func invoice(tenantID: String, _ cycle: InvoiceCycle) async throws -> InvoiceDetail? { nil }
    func series(_ query: SeriesQuery) async throws -> UsageSeries? { nil }
    func forecast(_ page: Page) async throws -> Forecast {
        throw ProjectionError(.catchingUp, "none")
    }
    func overview() async throws -> OverviewReport {
        throw ProjectionError(.catchingUp, "none")
    }
    func pendingDeliveries() async throws -> (count: Int, oldest: Int64?) { (0, nil) }
    func audit(_ query: AuditQuery, _ page: Page) async throws -> Paged<AuditRow> {
        try part(auditRows, page)
    }

    func events(_ query: EventQuery, _ page: Page) async throws -> Paged<Event> {
        try part(eventRows, page)
    }

    func event(_ id: String) async throws -> Event? { nil }

    func deliveries(_ query: DeliveryQuery, _ page: Page) async throws -> Paged<DeliveryRow> {
        try part(deliveryRows, page)
    }

    func delivery(_ id: Int64) async throws -> DeliveryRow? { nil }
    func resend(_ id: Int64) async throws -> DeliveryRow? { nil }
    func enqueue(
        _ event: Event, to channel: Delivery.Channel, recipient: String
    ) async throws -> Int64 { 0 }
}

extension TenantRow {
    /// A tenant with this name that uses `spend` dollars of a hundred.
    static func sample(_ id: String, name: String, spend: Int64 = 20) -> TenantRow {
        var limits = TenantLimits.newTenant
        limits.monthlySpendNanos = 100_000_000_000
        let usage = LimitSubject.tenant.limits.map { row in
            LimitUsage(
                kind: row.kind, cap: limits[row.kind],
                committed: row.kind == .tenantMonthlySpend ? spend * 1_000_000_000 : 3, held: 0,
                windowStart: 0, resetsAt: row.window == .standing ? 0 : 1_800_000_000_000)
        }
        return TenantRow(
            settings: TenantSettings(id: id, name: name, limits: limits), status: .active,
            usage: usage)
    }
}
