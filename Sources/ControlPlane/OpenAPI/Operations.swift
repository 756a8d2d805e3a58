import Events
import JSON
import Limits
import Projection

/// What each route means.
enum Operations {
    private typealias Parameter = Operation.Parameter
    private static let tenants = "Tenants"
    private static let usage = "Usage"
    private static let dataPlane = "Data plane"
    private static let logs = "Logs"
    private static let notifications = "Notifications"
    private static let access = "Access"
    private static let service = "Service"

    private static func text(_ name: String, _ description: String) -> Parameter {
        Parameter(name, description, Schema.text(1...256))
    }

    private static func one(
        _ id: String, _ summary: String, _ tag: String, _ answer: Operation.Answer
    ) -> Operation {
        Operation(id, summary, tag, answer).with { $0.hasTag = true }
    }

    /// A change or deletion that heeds `If-Match`.
    private static func change(
        _ id: String, _ summary: String, _ tag: String, _ answer: Operation.Answer
    ) -> Operation {
        Operation(id, summary, tag, answer).with { $0.takesTag = true }
    }

    // MARK: Profiles

    /// One at most.
    private static let profileFilters = ProfileKind.allCases.map {
        Parameter("filter[\($0.idField)]", "The \($0.noun)", Schema.text(Identifier.lengths))
    }
    private static let idAfter = Parameter(
        "filter[id][after]", "Only ids after this one, in byte order",
        Schema.text(Identifier.lengths))

    static func listProfiles(_ kind: ProfileKind) -> Operation {
        Operation(
            "list\(kind.schemaName)s", "Lists \(kind.noun)s", kind.titleOfMany,
            .page(kind.schemaName)
        ).filtered(
            text("filter[name]", "The name"), text("filter[name][eq]", "The name"),
            text("filter[name][contains]", "Part of the name"),
            Parameter("filter[tenant_id]", "The tenant", Schema.text(Identifier.lengths)), idAfter)
    }
    static func createProfile(_ kind: ProfileKind) -> Operation {
        one(
            "create\(kind.schemaName)", "Creates \(kind.nounWithArticle)", kind.titleOfMany,
            .one(kind.schemaName)
        ).taking(
            kind.schemaName + "Creation",
            [
                "name": "Promotions", "tenant_id": "acme", "daily_spend_limit_enabled": true,
                "daily_spend_limit": "10.00",
            ]
        ).with { $0.failures = [404, 409] }
    }
    static func getProfile(_ kind: ProfileKind) -> Operation {
        one(
            "get\(kind.schemaName)", "Returns \(kind.nounWithArticle)", kind.titleOfMany,
            .one(kind.schemaName))
    }
    static func updateProfile(_ kind: ProfileKind) -> Operation {
        change(
            "update\(kind.schemaName)", "Updates \(kind.nounWithArticle)", kind.titleOfMany,
            .changed(kind.schemaName)
        ).taking(
            kind.schemaName + "Change",
            ["daily_spend_limit_enabled": true, "daily_spend_limit": "10.00"]
        ).with {
            $0.hasTag = true
            $0.description =
                "A change never resets today's total; only midnight UTC does. Null removes the limit."
        }
    }
    static func deleteProfile(_ kind: ProfileKind) -> Operation {
        change(
            "delete\(kind.schemaName)", "Deletes \(kind.nounWithArticle)", kind.titleOfMany,
            .one(kind.schemaName))
    }

    // MARK: Tenants

    private static let tenantFilters = [
        text("filter[id]", "The id"), text("filter[id][eq]", "The id"),
        text("filter[id][contains]", "Part of the id"), idAfter, text("filter[name]", "The name"),
        text("filter[name][eq]", "The name"),
        text("filter[name][contains]", "Part of the name"),
        Parameter("filter[status]", "The status", Schema.words(["active", "suspended"])),
        Parameter(
            "sort",
            "Sort order, ascending (nearest_to_limit: nearest first); a leading minus reverses it",
            Schema.words(TenantQuery.sortNames)),
    ]

    static let listTenants = Operation("listTenants", "Lists tenants", tenants, .page("Tenant"))
        .with { $0.parameters = tenantFilters + Operation.paging }
    static let createTenant = one("createTenant", "Creates a tenant", tenants, .one("Tenant"))
        .taking(
            "TenantCreation", ["id": "acme", "name": "ACME Telephony", "preset": "new-tenant"]
        ).with {
            $0.failures = [409]
            $0.description =
                "Limits that are not given come from the preset or the tenant defaults."
        }
    static let getTenant = one("getTenant", "Returns a tenant", tenants, .one("Tenant"))
    static let updateTenant = change(
        "updateTenant", "Updates a tenant", tenants, .changed("Tenant")
    ).taking("TenantChange", ["monthly_spend_limit": "750.00", "max_dids": .null]).with {
        $0.hasTag = true
        $0.description =
            "Null removes a limit. A cap below current usage does not suspend the tenant by itself; `over_by` reports the excess."
    }
    static let deleteTenant = change(
        "deleteTenant", "Closes a tenant", tenants, .one("Tenant")
    ).with { $0.description = "Open holds can still be settled. The id is never reused." }
    static let resetLimits = change(
        "resetTenantLimits", "Resets the limit fields to the tenant defaults", tenants,
        .changed("Tenant")
    ).taking("Empty", required: false, [:]).with { $0.hasTag = true }
    static let suspendTenant = one("suspendTenant", "Suspends a tenant", tenants, .one("Tenant"))
        .taking("StatusChange", required: false, ["reason": "suspected fraud"])
    static let reinstateTenant = one(
        "reinstateTenant", "Reinstates a tenant", tenants, .one("Tenant")
    ).taking("StatusChange", required: false, ["reason": "paid"])
    static let setCounts = Operation(
        "setTenantCounts",
        "Sets the counts of \(Resource.standing.map(\.plural).listed("and")) to the given values",
        tenants,
        .one("Usage")
    ).taking("Counts", ["extensions": 12, "dids": 3])
    static let getDefaults = one(
        "getTenantDefaults", "Returns the defaults for new tenants", tenants, .one("TenantDefaults")
    )
    static let updateDefaults = change(
        "updateTenantDefaults", "Updates the defaults for new tenants", tenants,
        .one("TenantDefaults")
    ).taking("DefaultsChange", ["max_extensions": 50, "alert_threshold": 80])
        .with { $0.hasTag = true }

    // MARK: Usage

    private static let days = [
        Parameter("from", "First day, UTC; default: 30 days", Schema.date),
        Parameter("to", "Last day, UTC; default: today", Schema.date),
    ]

    static let tenantUsage = Operation(
        "getTenantUsage", "Returns a tenant's current usage", usage, .one("Usage")
    ).with {
        $0.parameters = ProfileKind.allCases.map {
            Parameter($0.idField, "Include this profile's limit", Schema.text(Identifier.lengths))
        }
        $0.description =
            "A tenant token sees caps, windows and whether they block for profiles only, "
            + "unless the operator discloses the tenant's limits too."
    }
    static let tenantDailyUsage = Operation(
        "listTenantDailyUsage", "Returns a tenant's usage by day, in its time zone", usage,
        .page("DailyUsage")
    ).with {
        $0.parameters =
            days + profileFilters + Operation.paging
    }
    static func profileUsage(_ kind: ProfileKind) -> Operation {
        Operation(
            "get\(kind.schemaName)Usage", "Returns the current usage of \(kind.nounWithArticle)",
            usage, .one(kind.schemaName + "Usage"))
    }
    static func profileDailyUsage(_ kind: ProfileKind) -> Operation {
        Operation(
            "list\(kind.schemaName)DailyUsage",
            "Returns the usage of \(kind.nounWithArticle) by UTC day", usage, .page("DailyUsage")
        ).with { $0.parameters = days + Operation.paging }
    }
    static let listUsage = Operation(
        "listUsage", "Lists the usage of all tenants, nearest to a limit first", usage,
        .page("TenantUsage")
    ).with { $0.parameters = tenantFilters + Operation.paging }

    // MARK: Reports

    private static let reports = "Reports"
    private static let cycle = Parameter(
        "cycle",
        "A calendar month in each tenant's time zone, like 2026-11; or each tenant's own billing cycle: current or previous; default: the present month",
        Schema.text(7...8))
    private static let format = Parameter(
        "format", "csv for a file of all rows; `Accept: text/csv` does the same",
        Schema.words(["json", "csv"], "json"))
    private static let tenantFilter = Parameter(
        "filter[tenant_id]", "The tenant", Schema.text(1...64))

    static let overview = Operation(
        "getOverview",
        "Returns what all tenants do: statuses, usage, denials, forecast, alerts, health", reports,
        .one("Overview")
    ).with {
        $0.description =
            "Usage by day counts by each tenant's own date, denials of the last 30 days."
    }
    static let listInvoices = Operation(
        "listInvoices", "Lists what each tenant used in a month or billing cycle, with totals",
        reports, .page("Invoice")
    ).with {
        $0.parameters =
            [
                cycle, tenantFilter,
                Parameter(
                    "sort", "Sort order, ascending; a leading minus reverses it",
                    Schema.words(InvoiceQuery.sortNames)), format,
            ] + Operation.paging
        $0.isTable = true
        $0.description =
            "`meta.totals` is the sum over all rows of all pages. Caps are those of now."
    }
    static let getInvoice = Operation(
        "getInvoice", "Returns what a tenant used in a month or billing cycle, day by day", reports,
        .one("InvoiceDetail")
    ).with {
        $0.parameters = [cycle, format]
        $0.isTable = true
    }
    static let usageSeries = Operation(
        "getUsageSeries", "Returns usage by day or hour, of all tenants or some", reports,
        .plain(
            Schema.answer([
                "data": Schema.list(Schema.ref("UsagePoint")),
                "meta": Schema.answer(
                    [
                        "interval": Schema.words(
                            SeriesQuery.Interval.allCases.map(\.rawValue)),
                        "from": Schema.string, "to": Schema.string,
                        "totals": Schema.ref("UsageFigures"),
                        "previous": Schema.answer([
                            "from": Schema.string, "to": Schema.string,
                            "data": Schema.list(Schema.ref("UsagePoint")),
                            "totals": Schema.ref("UsageFigures"),
                        ]), "by_action_since": Schema.orNull(Schema.instant),
                        "as_of": Schema.orNull(Schema.instant),
                    ], except: ["previous"]),
            ]))
    ).with {
        $0.parameters =
            [
                Parameter(
                    "interval", "Day or hour",
                    Schema.words(SeriesQuery.Interval.allCases.map(\.rawValue), "day")),
                Parameter(
                    "from",
                    "First day; default: 30 days. By hour: from this time; default: 24 hours",
                    Schema.string),
                Parameter(
                    "to", "Last day; default: today. By hour: before this time; default: now",
                    Schema.string),
                tenantFilter,
            ] + profileFilters + [
                Parameter(
                    "filter[action]", "Only what was used for this action",
                    Schema.words(DataPlane.actions.map(\.key) + ["unspecified"])),
                Parameter("filter[code]", "Only denials with this code", Schema.string),
                Parameter(
                    "compare", "Also the range before, as long", Schema.words(["previous"])),
                format,
            ]
        $0.isTable = true
        $0.description =
            "There is a point for each day or hour. Days of a tenant are its time zone's, of all tenants each one's own, of a profile UTC's."
    }
    static let forecast = Operation(
        "getForecast",
        "Lists tenants that will reach a cap before their billing cycle ends, the first first",
        reports, .page("Forecast")
    ).with {
        $0.parameters = Operation.paging
        $0.description = Forecast.method
    }

    // MARK: Data plane

    static let listReservations = Operation(
        "listReservations", "Lists open reservations, oldest first", dataPlane,
        .page("OpenReservation")
    ).with {
        $0.parameters =
            [Parameter("filter[tenant_id]", "The tenant", Schema.text(Identifier.lengths))]
            + profileFilters + [
                Parameter(
                    "filter[older_than_ms]", "Minimum age in milliseconds",
                    Schema.integer(0...34_560_000_000))
            ] + Operation.paging
    }
    static let getReservation = Operation(
        "getReservation", "Returns an open reservation", dataPlane, .one("OpenReservation"))
    static let checkAndReserve = Operation(
        "checkAndReserve", "Checks an action against all limits and holds the amounts if it fits",
        dataPlane,
        .one("Reservation")
    ).taking(
        "CheckRequest",
        [
            "tenant_id": "acme", "messaging_profile_id": "promo", "action": "send_message",
            "quantities": ["spend": "0.004"], "ttl_ms": 60_000,
        ]
    ).with {
        $0.takesKey = true
        $0.denies = true
        $0.failures = [404]
    }
    static let commit = Operation(
        "commitReservation", "Turns a hold into usage", dataPlane, .one("Commit")
    ).taking("CommitRequest", required: false, ["actual": ["spend": "0.004"]])
    static let release = Operation(
        "releaseReservation", "Releases a hold", dataPlane, .one("Release")
    ).taking("ReleaseRequest", required: false, [:])
    static let extend = Operation(
        "extendReservation", "Extends a hold, or holds more", dataPlane, .one("Extension")
    ).taking("ExtendRequest", required: false, ["ttl_ms": 60_000]).with {
        $0.takesKey = true
        $0.denies = true
        $0.failures = [410]
    }
    static let recordUsage = Operation(
        "recordUsage", "Records usage without a check", dataPlane, .one("UsageRecord")
    ).taking(
        "UsageRecordRequest", ["tenant_id": "acme", "quantities": ["spend": "4.99"]]
    ).with {
        $0.takesKey = true
        $0.failures = [404]
    }

    // MARK: Logs

    private static let times = [
        Parameter("from", "From this time", Schema.instant),
        Parameter("to", "Before this time", Schema.instant),
    ]
    private static let eventType = Parameter(
        "filter[event_type]", "The kind", Schema.words(Event.Kind.allCases.map(\.rawValue)))

    static let listAudit = Operation(
        "listAuditEvents", "The audit log, newest first", logs, .page("AuditEvent")
    ).with {
        $0.parameters =
            [Parameter("filter[tenant_id]", "The tenant", Schema.text(Identifier.lengths))]
            + profileFilters
            + [Parameter("filter[kind]", "The kind", Schema.text(TextLengths.kind))] + times
            + Operation.paging
    }
    static let listEvents = Operation(
        "listEvents", "Events, newest first", logs, .page("Event")
    ).with {
        $0.parameters =
            [
                eventType,
                Parameter("filter[tenant_id]", "The tenant", Schema.text(Identifier.lengths)),
            ] + times + Operation.paging
    }
    static let getEvent = Operation("getEvent", "Returns an event", logs, .one("Event"))

    // MARK: Notifications

    static let listWebhooks = Operation(
        "listWebhookEndpoints", "Lists webhook endpoints", notifications, .page("WebhookEndpoint")
    ).filtered()
    static let createWebhook = one(
        "createWebhookEndpoint", "Creates a webhook endpoint", notifications,
        .one("WebhookEndpoint")
    ).taking("WebhookCreation", ["url": "https://example.com/hooks"])
    static let getWebhook = one(
        "getWebhookEndpoint", "Returns a webhook endpoint", notifications, .one("WebhookEndpoint"))
    static let updateWebhook = change(
        "updateWebhookEndpoint", "Updates a webhook endpoint", notifications,
        .one("WebhookEndpoint")
    ).taking("WebhookChange", ["enabled": false]).with { $0.hasTag = true }
    static let deleteWebhook = change(
        "deleteWebhookEndpoint", "Deletes a webhook endpoint", notifications,
        .one("WebhookEndpoint"))
    static let testWebhook = Operation(
        "testWebhookEndpoint", "Sends a sample event", notifications, .one("WebhookDelivery"))
    static let rotateWebhookSecret = Operation(
        "rotateWebhookEndpointSecret",
        "Rotates an endpoint's secret; the old one stays valid for one more day", notifications,
        .one("WebhookEndpoint"))
    static let listDeliveries = Operation(
        "listWebhookDeliveries", "Lists deliveries, newest first", notifications,
        .page("WebhookDelivery")
    ).filtered(
        Parameter(
            "filter[status]", "The status",
            Schema.words(DeliveryRow.Status.allCases.map(\.rawValue))),
        Parameter("filter[event_id]", "The event", Schema.text(Identifier.lengths)), eventType,
        Parameter("filter[channel]", "The channel", Schema.words(["webhook", "email"])))
    static let getDelivery = Operation(
        "getWebhookDelivery", "Returns a delivery with its attempts, newest first", notifications,
        .one("WebhookDelivery"))
    static let resendDelivery = Operation(
        "resendWebhookDelivery", "Sends a delivery again", notifications,
        .one("WebhookDelivery")
    ).taking("Empty", required: false, [:])
    static let listEmails = Operation(
        "listEmailRecipients", "Lists e-mail recipients", notifications, .page("EmailRecipient")
    ).filtered()
    static let createEmail = one(
        "createEmailRecipient", "Creates an e-mail recipient", notifications, .one("EmailRecipient")
    ).taking("EmailCreation", ["address": "ops@example.com", "name": "On call"])
    static let getEmail = one(
        "getEmailRecipient", "Returns an e-mail recipient", notifications, .one("EmailRecipient"))
    static let updateEmail = change(
        "updateEmailRecipient", "Updates an e-mail recipient", notifications,
        .one("EmailRecipient")
    ).taking("EmailChange", ["enabled": false]).with { $0.hasTag = true }
    static let deleteEmail = change(
        "deleteEmailRecipient", "Deletes an e-mail recipient", notifications,
        .one("EmailRecipient"))
    static let testEmail = Operation(
        "testEmailRecipient", "Sends a sample event by e-mail", notifications,
        .one("WebhookDelivery"))
    static let testAddress = Operation(
        "testEmailAddress", "Sends a sample event to any e-mail address", notifications,
        .one("WebhookDelivery")
    ).taking("EmailTest", ["address": "ops@example.com"])

    // MARK: Access

    static let listTokens = Operation(
        "listTokens", "Lists tokens, without their secrets", access, .page("Token")
    ).filtered()
    static let createToken = Operation(
        "createToken", "Creates a token; the secret is returned only in this response", access,
        .one("Token")
    ).taking(
        "TokenCreation", ["name": "dialler", "scope": "check", "tenant_ids": ["acme"]])
    static let getToken = Operation("getToken", "Returns a token", access, .one("Token"))
    static let revokeToken = Operation(
        "revokeToken", "Revokes a token immediately", access, .one("Token"))
    static let accessStatistics = Operation(
        "getAccessStatistics", "Returns counts of authentication attempts since the start", access,
        .one("AccessStatistics"))
    static let publicKey = Operation(
        "getPublicKey", "Returns the public key for verifying webhook signatures", access,
        .one("PublicKey"))

    // MARK: Service

    static let healthz = Operation(
        "healthz", "Liveness: whether the process responds, and none of its threads hangs", service,
        .plain(Schema.answer(["status": Schema.words(["ok"])])))
    static let readyz = Operation(
        "readyz", "Readiness: whether the service can do its work", service,
        .plain(
            Schema.answer([
                "status": Schema.words(["ready"]),
                "projection": Schema.orNull(
                    Schema.answer([
                        "status": Schema.words(["ok", "trouble"]),
                        "time": Schema.orNull(Schema.instant), "behind_bytes": Schema.count,
                    ])),
                "clock": Schema.answer([
                    "status": Schema.words(["ok", "apart"]), "ahead_ms": ["type": "integer"],
                ]),
            ])))
    static let metrics = Operation(
        "getMetrics", "Returns the service's metrics, for Prometheus", service,
        .text(["text/plain", "application/openmetrics-text"])
    ).with {
        $0.description =
            "Prometheus text format 0.0.4, or OpenMetrics 1.0 if `Accept` prefers it."
    }
    private static let error: JSON = [
        "record_type": Schema.words(["error"]), "code": Schema.string, "title": Schema.string,
        "detail": Schema.string, "http_status": Schema.count,
        "grpc_status": Schema.orNull(Schema.string), "reason": Schema.orNull(Schema.string),
        "limit": Schema.orNull(Schema.string),
    ]
    static let listErrors = Operation(
        "listErrors", "Lists all errors; as a page with `Accept: text/html`", service,
        .plain(Schema.answer(["data": ["type": "array", "items": Schema.answer(error)]])))
    static let getError = Operation(
        "getError",
        "Says what an error means and what to do about it; as a page with `Accept: text/html`",
        service, .plain(Schema.answer(["data": Schema.answer(error + ["text": Schema.string])])))
    static let openAPI = Operation(
        "openAPI", "This document", service, .plain(["type": "object"]))
}

extension ProfileKind {
    /// "MessagingProfile"
    var schemaName: String {
        recordType.split(separator: "_").map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
    }
}
