import Events
import JSON
import Limits

// What requests may say.
extension Schemas {
    private static let id = Schema.text(
        Identifier.lengths,
        "If omitted, a UUID is generated. No control characters or characters that change the text direction, no leading or trailing space, not . or .."
    )
    private static let tenantFields: JSON = TenantSettings.settings.schema()
    private static func profileFields(_ kind: ProfileKind) -> JSON {
        ProfileSettings.settings(kind).schema() + vendorFields(kind)
    }
    /// Amounts by resource, of as many as a request may name.
    ///
    /// - Parameter count: the schema of what is not money.
    private static func amounts(
        of rows: [ResourceRow], _ count: (ResourceRow) -> JSON = { _ in Schema.count }
    ) -> JSON {
        Schema.request(
            .object(
                rows.map { row in
                    (name: row.name, value: row.unit == .amount ? Schema.money : count(row))
                })) + ["maxProperties": .integer(Int64(Resource.mostOfRequest))]
    }
    private static let webhookFields: JSON = [
        "url": Schema.text(TextLengths.url),
        "failover_url": Schema.orNull(Schema.text(0...TextLengths.url.upperBound)),
        "description": Schema.text(0...256), "enabled": Schema.flag, "event_types": eventTypes,
    ]
    private static let emailFields: JSON = [
        "address": Schema.text(3...254), "name": Schema.text(0...256), "enabled": Schema.flag,
        "event_types": eventTypes,
    ]
    private static let quantities = amounts(of: Resource.catalogue)
    private static let charges = amounts(of: Resource.charged)
    private static let changes = amounts(of: Resource.charged) {
        $0.nature == .standing ? Schema.integer(-Int64.max...Int64.max) : Schema.count
    }
    private static let ttl: JSON = [
        "anyOf": [["const": 0], Schema.integer(1_000...86_400_000), ["type": "null"]],
        "description": "Lifetime of the hold in milliseconds; 0: the method's default",
    ]
    private static let profileIDs: JSON = .object(
        ProfileKind.allCases.map {
            (
                name: $0.idField,
                value: Schema.orNull(
                    Schema.text(
                        0...64, "One of the tenant's; a request can name at most one profile"))
            )
        })
    private static let owner = Schema.orNull(
        Schema.text(
            0...64, "The reservation's tenant; if it belongs to another tenant, it is not found"))
    private static let reference = Schema.orNull(Schema.text(0...64, "The caller's own id"))

    static let requests: [(name: String, schema: JSON)] =
        ProfileKind.allCases.flatMap(profileRequests) + others

    private static func profileRequests(_ kind: ProfileKind) -> [(name: String, schema: JSON)] {
        [
            (
                kind.schemaName + "Creation",
                Schema.request(
                    ["id": id, "tenant_id": Schema.text(Identifier.lengths)] + profileFields(kind),
                    required: ["tenant_id", "name"], takesOthers: true)
            ),
            (
                kind.schemaName + "Change",
                Schema.request(
                    ["tenant_id": Schema.text(Identifier.lengths)] + profileFields(kind),
                    takesOthers: true)
            ),
        ]
    }

    private static let others: [(name: String, schema: JSON)] = [
        (
            "TenantCreation",
            Schema.request(
                ["id": id, "preset": Schema.words(TenantLimits.presets)] + tenantFields)
        ),
        ("TenantChange", Schema.request(tenantFields)),
        ("DefaultsChange", Schema.request(TenantLimits.settings.schema())),
        ("StatusChange", Schema.request(["reason": Schema.text(0...512)])),
        (
            "Counts",
            Schema.request(
                .object(
                    Resource.standing.map { (name: $0.name, value: Schema.count) })
                    + ["reference": reference]) + ["minProperties": 1]
        ),
        ("Empty", Schema.request([:])),
        (
            "CheckRequest",
            Schema.request(
                ["tenant_id": Schema.text(Identifier.lengths)] + profileIDs + [
                    "action": Schema.words(DataPlane.actions), "quantities": quantities,
                    "minimums": quantities + [
                        "description": "Mode partial: a grant below this is denied"
                    ],
                    "ttl_ms": ttl, "mode": Schema.words(DataPlane.modes, "reserve"),
                    "on_expiry": Schema.words(DataPlane.expiries, "release"),
                    "overage": Schema.words(DataPlane.overages, "record"),
                    "include_limits": Schema.flag, "reference": reference,
                ], required: ["tenant_id", "action", "quantities"])
        ),
        (
            "CommitRequest",
            Schema.request([
                "actual": charges + [
                    "minProperties": 1, "description": "Absent or null: the held amounts",
                ],
                "tenant_id": owner,
            ])
        ),
        ("ReleaseRequest", Schema.request(["tenant_id": owner])),
        (
            "ExtendRequest",
            Schema.request([
                "ttl_ms": ttl, "additional": quantities, "minimums": quantities,
                "mode": Schema.words(DataPlane.extendModes, "reserve"), "tenant_id": owner,
            ])
        ),
        (
            "UsageRecordRequest",
            Schema.request(
                ["tenant_id": Schema.text(Identifier.lengths)] + profileIDs + [
                    "action": Schema.words(DataPlane.actions), "quantities": changes,
                    "reference": reference,
                ], required: ["tenant_id", "quantities"])
        ),
        ("WebhookCreation", Schema.request(webhookFields, required: ["url"])),
        ("WebhookChange", Schema.request(webhookFields)),
        ("EmailCreation", Schema.request(emailFields, required: ["address"])),
        ("EmailChange", Schema.request(emailFields)),
        ("EmailTest", Schema.request(["address": Schema.text(3...254)], required: ["address"])),
        (
            "TokenCreation",
            Schema.request(
                [
                    "name": Schema.text(1...256),
                    "scope": [
                        "type": "string", "enum": .array(Tokens.scopes.map { .string($0.key) }),
                        "description": "One scope; operator includes admin",
                    ],
                    "scopes": Schema.list(
                        Schema.words(Tokens.scopes), atMost: Int64(Tokens.scopes.count))
                        + ["minItems": 1],
                    "tenant_ids": Schema.list(Schema.text(Identifier.lengths), atMost: 32),
                    "expires_at": Schema.orNull(Schema.instant),
                    "requests_per_second": Schema.orNull(Schema.integer(1...1_000_000)),
                ], required: ["name"])
                + ["oneOf": [["required": ["scope"]], ["required": ["scopes"]]]]
        ),
    ]
}
