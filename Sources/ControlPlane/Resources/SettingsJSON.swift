import BillingCalendar
package import JSON
package import Limits
import Notifications

// Settings of tenants and profiles: how they are read from a body, written to one, and described.

extension Array {
    /// Takes over the members that are there.
    func read<Owner>(_ body: BodyReader, into owner: inout Owner)
    where Element == SettingDescriptor<Owner> {
        var given: [String: SettingField.Value] = [:]
        for setting in self {
            given[setting.name] = setting.read(body, present: setting.value(of: owner))
        }
        for fault in write(given, to: &owner) {
            let detail = fault.sentence.prefix(1).uppercased() + fault.sentence.dropFirst()
            body.note(.badField, fault.name, detail)
        }
    }

    /// What requests may say of them.
    func schema<Owner>() -> JSON where Element == SettingDescriptor<Owner> {
        .object(map { (name: $0.name, value: $0.schema) })
    }
}

extension SettingDescriptor {
    /// nil: absent, or wrong and noted.
    fileprivate func read(
        _ body: BodyReader, present: SettingField.Value
    ) -> SettingField.Value? {
        switch shape {
        case .text(let bytes):
            taken(body.text(name, bytes: bytes, nullable: isNullable)) { .text($0) }
        case .timeZone: zone(body, present)
        case .address: address(body, present)
        case .amount: taken(body.money(name, nullable: isNullable)) { .amount($0) }
        case .whole(let range):
            taken(body.integer(name, range, nullable: isNullable)) { .whole($0) }
        case .wholes(let range, let most):
            taken(body.integers(name, range, atMost: most)) { .wholes($0) }
        case .flag: taken(body.flag(name)) { .flag($0) }
        case .choice(let names): taken(body.choice(name, names)) { .text($0) }
        }
    }

    private func taken<Member>(
        _ field: Field<Member>, _ value: (Member) -> SettingField.Value
    ) -> SettingField.Value? {
        switch field {
        case .absent: nil
        case .null: SettingField.Value.none
        case .value(let member): value(member)
        }
    }

    private func zone(_ body: BodyReader, _ present: SettingField.Value) -> SettingField.Value? {
        guard let zone = body.text(name, bytes: 1...SettingShape.longestZone).value else {
            return nil
        }
        if let known = BillingSchedule.zoneName(zone) { return .text(known) }
        // One that was known when it was set stays.
        if present != .text(zone) { body.note(.badField, name, "Unknown IANA time zone") }
        return nil
    }

    /// null or an empty text takes an address away.
    private func address(_ body: BodyReader, _ present: SettingField.Value) -> SettingField.Value? {
        guard body.has(name) else { return nil }
        let url =
            body.text(name, bytes: 0...SettingShape.longestAddress, nullable: true).value ?? ""
        if !url.isEmpty, present != .text(url), let fault = WebhookTarget.fault(of: url) {
            body.note(.badField, name, fault)
        }
        return .text(url)
    }

    /// As requests have it, and answers.
    fileprivate var schema: JSON {
        let schema: JSON =
            switch shape {
            case .text(let bytes): Schema.text(bytes)
            case .timeZone: Schema.text(1...SettingShape.longestZone, "An IANA time zone")
            case .address: Schema.text(0...SettingShape.longestAddress)
            case .amount: Schema.money
            case .whole(let range): Schema.integer(range)
            case .wholes(let range, let most):
                Schema.list(Schema.integer(range), atMost: Int64(most)) + [
                    "minItems": 1, "uniqueItems": true, "description": "Rising",
                ]
            case .flag: Schema.flag
            case .choice(let names): Schema.words(names)
            }
        return isNullable ? Schema.orNull(schema) : schema
    }
}

extension TenantLimits {
    /// As the API has them.
    package var json: JSON { fields.json }
}

extension [SettingField] {
    var json: JSON { .object(map { (name: $0.name, value: $0.value.json) }) }
}

extension TenantSettings {
    func json(_ status: TenantStatus) -> JSON {
        let head: JSON = ["record_type": "tenant", "id": .string(id)]
        let dates: JSON = [
            "created_at": Instant.json(revision.createdAt),
            "updated_at": Instant.json(revision.updatedAt),
        ]
        // The status stands behind the name.
        return head + Array(fields.prefix(1)).json + ["status": .string(status.name)]
            + Array(fields.dropFirst()).json + dates
    }
}

extension Revision {
    /// The value of `ETag`.
    var tag: String { "\"\(number)\"" }
}
