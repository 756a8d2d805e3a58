import BillingCalendar
import Limits

// The fields of a tenant: how they are read from a body and written to one.

extension OnLimit {
    static let names: KeyValuePairs<String, OnLimit> = [
        OnLimit.auto.name: .auto, OnLimit.block.name: .block, OnLimit.alert.name: .alert,
    ]
}

extension TenantLimits {
    static let presets: KeyValuePairs<String, TenantLimits> = [
        "new-tenant": .newTenant, "unlimited": TenantLimits(),
    ]

    /// Takes over the members of the six fields that are there; null: no limit.
    mutating func read(_ body: BodyReader) {
        monthlySpendNanos = body.money("monthly_spend_limit", nullable: true)
            .or(monthlySpendNanos)
        maxExtensions = body.integer("max_extensions", 0...Int64.max, nullable: true)
            .or(maxExtensions)
        maxDIDs = body.integer("max_dids", 0...Int64.max, nullable: true).or(maxDIDs)
        switch body.integer("max_monthly_minutes", 0...Int64.max / 60, nullable: true) {
        case .absent: break
        case .null: monthlyCallSeconds = nil
        case .value(let minutes): monthlyCallSeconds = minutes * 60
        }
        if let percent = body.integer("alert_threshold", 1...100).value {
            alertThresholdPercent = UInt8(percent)
        }
        if let suspends = body.flag("auto_suspend").value { autoSuspend = suspends }
    }

    var json: JSON {
        [
            "monthly_spend_limit": .text(monthlySpendNanos.map { Money.format($0) }),
            "max_extensions": maxExtensions.map { .integer($0) } ?? .null,
            "max_dids": maxDIDs.map { .integer($0) } ?? .null,
            "max_monthly_minutes": monthlyCallSeconds.map { .integer($0 / 60) } ?? .null,
            "alert_threshold": .integer(alertThresholdPercent),
            "auto_suspend": .bool(autoSuspend),
        ]
    }
}

extension TenantSettings {
    /// Takes over the members that are there, but for the id.
    ///
    /// - Parameter now: Unix milliseconds; zones are looked up around it.
    mutating func read(_ body: BodyReader, now: Int64) {
        name = body.text("name", bytes: 0...256).value ?? name
        limits.read(body)
        onLimit = body.choice("on_limit", OnLimit.names).value ?? onLimit
        if let day = body.integer("billing_cycle_day", 1...31).value {
            billingCycleDay = UInt8(day)
        }
        if let zone = body.text("time_zone", bytes: 1...64).value {
            if zone == timeZone || Self.isKnown(zone, now: now) {
                timeZone = zone
            } else {
                body.note(.badField, "time_zone", "This is no IANA time zone that is known here")
            }
        }
        disclosesLimits = body.flag("disclose_limits").value ?? disclosesLimits
    }

    private static func isKnown(_ zone: String, now: Int64) -> Bool {
        (try? BillingSchedule(cycleDay: 1, timeZone: zone, around: now)) != nil
    }

    func json(_ status: TenantStatus) -> JSON {
        let head: JSON = [
            "record_type": "tenant", "id": .string(id), "name": .string(name),
            "status": .string(status.name),
        ]
        let rest: JSON = [
            "on_limit": .string(onLimit.name), "billing_cycle_day": .integer(billingCycleDay),
            "time_zone": .string(timeZone), "disclose_limits": .bool(disclosesLimits),
            "created_at": Instant.json(revision.createdAt),
            "updated_at": Instant.json(revision.updatedAt),
        ]
        return head + limits.json + rest
    }
}

extension Revision {
    /// The value of `ETag`.
    var tag: String { "\"\(number)\"" }
}
