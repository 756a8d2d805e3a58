import Events
import Limits
import Projection

/// What each route means.
enum Operations {
    private typealias Parameter = Operation.Parameter
    private static let profiles = "Messaging profiles"
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

    // MARK: Messaging profiles

    private static let idAfter = Parameter(
        "filter[id][after]", "Only ids after this one, in the order of their bytes",
        Schema.text(1...64))

    static let listProfiles = Operation(
        "listMessagingProfiles", "Lists messaging profiles", profiles, .page("MessagingProfile")
    ).filtered(
        text("filter[name]", "The name"), text("filter[name][eq]", "The name"),
        text("filter[name][contains]", "A part of the name"),
        Parameter("filter[tenant_id]", "The tenant", Schema.text(1...64)), idAfter)
    static let createProfile = one(
        "createMessagingProfile", "Makes a messaging profile", profiles, .one("MessagingProfile")
    ).taking(
        "ProfileCreation",
        [
            "name": "Promotions", "tenant_id": "acme", "daily_spend_limit_enabled": true,
            "daily_spend_limit": "10.00",
        ]
    ).with { $0.failures = [404, 409] }
    static let getProfile = one(
        "getMessagingProfile", "Shows a messaging profile", profiles, .one("MessagingProfile"))
    static let updateProfile = change(
        "updateMessagingProfile", "Changes a messaging profile", profiles,
        .changed("MessagingProfile")
    ).taking(
        "ProfileChange", ["daily_spend_limit_enabled": true, "daily_spend_limit": "10.00"]
    ).with {
        $0.hasTag = true
        $0.description =
            "Totals are never reset by a change: only midnight UTC does that. Null takes the limit away."
    }
    static let deleteProfile = change(
        "deleteMessagingProfile", "Deletes a messaging profile", profiles, .one("MessagingProfile"))

    // MARK: Tenants

    private static let tenantFilters = [
        text("filter[id]", "The id"), text("filter[id][eq]", "The id"),
        text("filter[id][contains]", "A part of the id"), idAfter, text("filter[name]", "The name"),
        text("filter[name][eq]", "The name"),
        text("filter[name][contains]", "A part of the name"),
        Parameter("filter[status]", "The status", Schema.words(["active", "suspended"])),
        Parameter(
            "sort",
            "The order, the lowest first, but the nearest to a limit; with a minus the other way round",
            Schema.words(TenantQuery.sortNames)),
    ]

    static let listTenants = Operation("listTenants", "Lists tenants", tenants, .page("Tenant"))
        .with { $0.parameters = tenantFilters + Operation.paging }
    static let createTenant = one("createTenant", "Makes a tenant", tenants, .one("Tenant"))
        .taking(
            "TenantCreation", ["id": "acme", "name": "ACME Telephony", "preset": "new-tenant"]
        ).with {
            $0.failures = [409]
            $0.description =
                "Limits that are not given are those of the preset, or of the tenant defaults."
        }
    static let getTenant = one("getTenant", "Shows a tenant", tenants, .one("Tenant"))
    static let updateTenant = change(
        "updateTenant", "Changes a tenant", tenants, .changed("Tenant")
    ).taking("TenantChange", ["monthly_spend_limit": "750.00", "max_dids": .null]).with {
        $0.hasTag = true
        $0.description =
            "Null takes a limit away. A cap below present usage suspends nobody by itself: `over_by` tells."
    }
    static let deleteTenant = change(
        "deleteTenant", "Closes a tenant", tenants, .one("Tenant")
    ).with { $0.description = "Open holds may still settle. The id is never used again." }
    static let resetLimits = change(
        "resetTenantLimits", "Sets the six fields to the tenant defaults", tenants,
        .changed("Tenant")
    ).taking("Empty", required: false, [:]).with { $0.hasTag = true }
    static let suspendTenant = one("suspendTenant", "Suspends a tenant", tenants, .one("Tenant"))
        .taking("StatusChange", required: false, ["reason": "suspected fraud"])
    static let reinstateTenant = one(
        "reinstateTenant", "Reinstates a tenant", tenants, .one("Tenant")
    ).taking("StatusChange", required: false, ["reason": "paid"])
    static let setCounts = Operation(
        "setTenantCounts",
        "Sets the counts of \(Resource.standing.map(\.plural).listed("and")) to what they are",
        tenants,
        .one("Usage")
    ).taking("Counts", ["extensions": 12, "dids": 3])
    static let getDefaults = one(
        "getTenantDefaults", "Shows what new tenants start with", tenants, .one("TenantDefaults"))
    static let updateDefaults = change(
        "updateTenantDefaults", "Changes what new tenants start with", tenants,
        .one("TenantDefaults")
    ).taking("DefaultsChange", ["max_extensions": 50, "alert_threshold": 80])
        .with { $0.hasTag = true }

    // MARK: Usage

    private static let days = [
        Parameter("from", "The first day, UTC; standard: 30 days", Schema.date),
        Parameter("to", "The last day, UTC; standard: today", Schema.date),
    ]

    static let tenantUsage = Operation(
        "getTenantUsage", "What a tenant uses now", usage, .one("Usage")
    ).with {
        $0.parameters = [
            Parameter("messaging_profile_id", "That profile's limit too", Schema.text(1...64))
        ]
        $0.description =
            "A tenant token sees caps, windows and whether they block only of messaging profiles, "
            + "unless its operator discloses the tenant's."
    }
    static let tenantDailyUsage = Operation(
        "listTenantDailyUsage", "What a tenant used, by day of its time zone", usage,
        .page("DailyUsage")
    ).with {
        $0.parameters =
            days + [
                Parameter(
                    "filter[messaging_profile_id]", "Of that profile only", Schema.text(1...64))
            ] + Operation.paging
    }
    static let profileUsage = Operation(
        "getMessagingProfileUsage", "What a messaging profile uses now", usage,
        .one("ProfileUsage"))
    static let profileDailyUsage = Operation(
        "listMessagingProfileDailyUsage", "What a messaging profile used, by UTC day", usage,
        .page("DailyUsage")
    ).with { $0.parameters = days + Operation.paging }
    static let listUsage = Operation(
        "listUsage", "All tenants with what they use, nearest to a limit first", usage,
        .page("TenantUsage")
    ).with { $0.parameters = tenantFilters + Operation.paging }

    // MARK: Data plane

    static let listReservations = Operation(
        "listReservations", "Lists open reservations, oldest first", dataPlane,
        .page("OpenReservation")
    ).filtered(
        Parameter("filter[tenant_id]", "The tenant", Schema.text(1...64)),
        Parameter("filter[messaging_profile_id]", "The messaging profile", Schema.text(1...64)),
        Parameter(
            "filter[older_than_ms]", "At least so old, in milliseconds",
            Schema.integer(0...34_560_000_000)))
    static let getReservation = Operation(
        "getReservation", "Shows an open reservation", dataPlane, .one("OpenReservation"))
    static let checkAndReserve = Operation(
        "checkAndReserve", "Decides whether an action fits, and holds its room", dataPlane,
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
        "releaseReservation", "Gives a hold back", dataPlane, .one("Release")
    ).taking("ReleaseRequest", required: false, [:])
    static let extend = Operation(
        "extendReservation", "Prolongs a hold, or holds more", dataPlane, .one("Extension")
    ).taking("ExtendRequest", required: false, ["ttl_ms": 60_000]).with {
        $0.takesKey = true
        $0.denies = true
        $0.failures = [410]
    }
    static let recordUsage = Operation(
        "recordUsage", "Records usage that needed no permission", dataPlane, .one("UsageRecord")
    ).taking(
        "UsageRecordRequest", ["tenant_id": "acme", "quantities": ["spend": "4.99"]]
    ).with {
        $0.takesKey = true
        $0.failures = [404]
    }

    // MARK: Logs

    private static let times = [
        Parameter("from", "From this instant", Schema.instant),
        Parameter("to", "Before this instant", Schema.instant),
    ]
    private static let eventType = Parameter(
        "filter[event_type]", "The kind", Schema.words(Event.Kind.allCases.map(\.rawValue)))

    static let listAudit = Operation(
        "listAuditEvents", "The audit log, newest first", logs, .page("AuditEvent")
    ).with {
        $0.parameters =
            [
                Parameter("filter[tenant_id]", "The tenant", Schema.text(1...64)),
                Parameter(
                    "filter[messaging_profile_id]", "The messaging profile", Schema.text(1...64)),
                Parameter("filter[kind]", "The kind", Schema.text(1...64)),
            ] + times + Operation.paging
    }
    static let listEvents = Operation(
        "listEvents", "Events, newest first", logs, .page("Event")
    ).with {
        $0.parameters =
            [
                eventType, Parameter("filter[tenant_id]", "The tenant", Schema.text(1...64)),
            ] + times + Operation.paging
    }
    static let getEvent = Operation("getEvent", "Shows an event", logs, .one("Event"))

    // MARK: Notifications

    static let listWebhooks = Operation(
        "listWebhookEndpoints", "Lists webhook endpoints", notifications, .page("WebhookEndpoint")
    ).filtered()
    static let createWebhook = one(
        "createWebhookEndpoint", "Makes a webhook endpoint", notifications,
        .one("WebhookEndpoint")
    ).taking("WebhookCreation", ["url": "https://example.com/hooks"])
    static let getWebhook = one(
        "getWebhookEndpoint", "Shows a webhook endpoint", notifications, .one("WebhookEndpoint"))
    static let updateWebhook = change(
        "updateWebhookEndpoint", "Changes a webhook endpoint", notifications,
        .one("WebhookEndpoint")
    ).taking("WebhookChange", ["enabled": false]).with { $0.hasTag = true }
    static let deleteWebhook = change(
        "deleteWebhookEndpoint", "Deletes a webhook endpoint", notifications,
        .one("WebhookEndpoint"))
    static let testWebhook = Operation(
        "testWebhookEndpoint", "Has a sample event posted", notifications, .one("WebhookDelivery"))
    static let rotateWebhookSecret = Operation(
        "rotateWebhookEndpointSecret",
        "Gives an endpoint a new secret; the former one is good for a day more", notifications,
        .one("WebhookEndpoint"))
    static let listDeliveries = Operation(
        "listWebhookDeliveries", "Lists deliveries, newest first", notifications,
        .page("WebhookDelivery")
    ).filtered(
        Parameter(
            "filter[status]", "The status",
            Schema.words(DeliveryRow.Status.allCases.map(\.rawValue))),
        Parameter("filter[event_id]", "The event", Schema.text(1...64)), eventType,
        Parameter("filter[channel]", "The way", Schema.words(["webhook", "email"])))
    static let getDelivery = Operation(
        "getWebhookDelivery", "Shows a delivery with its attempts, newest first", notifications,
        .one("WebhookDelivery"))
    static let resendDelivery = Operation(
        "resendWebhookDelivery", "Has a delivery tried again", notifications,
        .one("WebhookDelivery")
    ).taking("Empty", required: false, [:])
    static let listEmails = Operation(
        "listEmailRecipients", "Lists e-mail recipients", notifications, .page("EmailRecipient")
    ).filtered()
    static let createEmail = one(
        "createEmailRecipient", "Makes an e-mail recipient", notifications, .one("EmailRecipient")
    ).taking("EmailCreation", ["address": "ops@example.com", "name": "On call"])
    static let getEmail = one(
        "getEmailRecipient", "Shows an e-mail recipient", notifications, .one("EmailRecipient"))
    static let updateEmail = change(
        "updateEmailRecipient", "Changes an e-mail recipient", notifications,
        .one("EmailRecipient")
    ).taking("EmailChange", ["enabled": false]).with { $0.hasTag = true }
    static let deleteEmail = change(
        "deleteEmailRecipient", "Deletes an e-mail recipient", notifications,
        .one("EmailRecipient"))
    static let testEmail = Operation(
        "testEmailRecipient", "Has a sample event mailed", notifications, .one("WebhookDelivery"))
    static let testAddress = Operation(
        "testEmailAddress", "Has a sample event mailed to any address", notifications,
        .one("WebhookDelivery")
    ).taking("EmailTest", ["address": "ops@example.com"])

    // MARK: Access

    static let listTokens = Operation(
        "listTokens", "Lists tokens, without their secrets", access, .page("Token")
    ).filtered()
    static let createToken = Operation(
        "createToken", "Makes a token; its secret is told only now", access, .one("Token")
    ).taking(
        "TokenCreation", ["name": "dialler", "scope": "check", "tenant_ids": ["acme"]])
    static let getToken = Operation("getToken", "Shows a token", access, .one("Token"))
    static let revokeToken = Operation(
        "revokeToken", "Makes a token worthless at once", access, .one("Token"))
    static let accessStatistics = Operation(
        "getAccessStatistics", "What came of attempts to get in, since the start", access,
        .one("AccessStatistics"))
    static let publicKey = Operation(
        "getPublicKey", "The key that webhooks are signed with", access, .one("PublicKey"))

    // MARK: Service

    static let healthz = Operation(
        "healthz", "Whether the process answers", service,
        .plain(Schema.answer(["status": Schema.words(["ok"])])))
    static let readyz = Operation(
        "readyz", "Whether the service can do its work", service,
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
    static let openAPI = Operation(
        "openAPI", "This document", service, .plain(["type": "object"]))
}
