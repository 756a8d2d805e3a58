import BillingCalendar
package import JSON
package import Limits

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
        for cap in CapSetting.all {
            let field =
                cap.unit == .amount
                ? body.money(cap.name, nullable: true)
                : body.integer(cap.name, 0...cap.most, nullable: true)
            switch field {
            case .absent: break
            case .null: self[cap] = nil
            case .value(let value): self[cap] = cap.kept(value)
            }
        }
        if let percent = body.integer("alert_threshold", 1...100).value {
            alertThresholdPercent = UInt8(percent)
        }
        if let suspends = body.flag("auto_suspend").value { autoSuspend = suspends }
    }

    package var json: JSON {
        let caps = CapSetting.all.map { cap in
            let value = self[cap].map { kept -> JSON in
                cap.unit == .amount ? .text(cap.text(kept)) : .integer(cap.configured(kept))
            }
            return (name: cap.name, value: value ?? .null)
        }
        return .object(caps) + [
            "alert_threshold": .integer(alertThresholdPercent),
            "auto_suspend": .bool(autoSuspend),
        ]
    }
}

extension TenantSettings {
    /// Takes over the members that are there, but for the id.
    mutating func read(_ body: BodyReader) {
        name = body.text("name", bytes: 0...256).value ?? name
        limits.read(body)
        onLimit = body.choice("on_limit", OnLimit.names).value ?? onLimit
        if let day = body.integer("billing_cycle_day", 1...31).value {
            billingCycleDay = UInt8(day)
        }
        if let zone = body.text("time_zone", bytes: 1...64).value {
            if let name = BillingSchedule.zoneName(zone) {
                timeZone = name
            } else if zone != timeZone {
                body.note(.badField, "time_zone", "Unknown IANA time zone")
            }
        }
        disclosesLimits = body.flag("disclose_limits").value ?? disclosesLimits
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
