package import Events
package import Projection

/// What REST reads of the projection: lists, logs, usage. Everything that it answers is durable.
package protocol ReadModel: Sendable {
    /// How far it has come.
    var status: ProjectionStatus { get }
    /// Waits, for a few seconds at most, until everything is taken up that was durable before the call: what was
    /// changed before is listed then. False: not yet.
    @discardableResult
    func caughtUp() async -> Bool

    func tenants(_ query: TenantQuery, _ page: Page) async throws -> Paged<TenantRow>
    func profiles(_ query: ProfileQuery, _ page: Page) async throws -> Paged<ProfileRow>
    func usage(_ query: TenantQuery, _ page: Page) async throws -> Paged<TenantRow>
    /// - Parameters:
    ///   - profileID: nil: the tenant as a whole.
    ///   - from: Unix milliseconds of the first day.
    ///   - to: exclusive.
    func dailyUsage(
        tenantID: String, profileID: String?, from: Int64, to: Int64
    ) async throws -> [DailyUsageRow]
    /// - Parameter page: nil: all rows.
    func invoices(_ query: InvoiceQuery, _ page: Page?) async throws -> InvoiceReport
    /// nil: there is no such tenant.
    func invoice(tenantID: String, _ cycle: InvoiceCycle) async throws -> InvoiceDetail?
    /// nil: there is no such tenant or profile.
    func series(_ query: SeriesQuery) async throws -> UsageSeries?
    func forecast(_ page: Page) async throws -> Forecast
    func overview() async throws -> OverviewReport
    /// Deliveries that wait, and when the oldest was made, Unix milliseconds; counted up to a bound.
    func pendingDeliveries() async throws -> (count: Int, oldest: Int64?)
    func audit(_ query: AuditQuery, _ page: Page) async throws -> Paged<AuditRow>
    func events(_ query: EventQuery, _ page: Page) async throws -> Paged<Event>
    func event(_ id: String) async throws -> Event?
    func deliveries(_ query: DeliveryQuery, _ page: Page) async throws -> Paged<DeliveryRow>
    func delivery(_ id: Int64) async throws -> DeliveryRow?
    /// Makes a delivery due again, with all its attempts; nil: there is none.
    func resend(_ id: Int64) async throws -> DeliveryRow?
    /// Has an event delivered to one recipient: a setting, or empty. Returns the delivery's id.
    func enqueue(
        _ event: Event, to channel: Delivery.Channel, recipient: String
    ) async throws -> Int64
}
