import Access
import Events
import JSON
import Limits
import Projection

/// The schemas of the document. Examples of resources are written by the code that writes the resources.
enum Schemas {
    static var all: [(name: String, schema: JSON)] {
        shared + resources + requests
    }

    private static let when: Int64 = 1_795_255_200_000
    private static let day: Int64 = 1_795_219_200_000

    // MARK: Shared

    private static let shared: [(name: String, schema: JSON)] = [
        (
            "Errors",
            Schema.answer(
                [
                    "errors": Schema.list(Schema.ref("Error")),
                    "meta": ["type": "object"],
                ], except: ["meta"],
                example: APIError(ErrorKind(ProfileKind.messaging.limit.error)).json)
        ),
        (
            "Error",
            Schema.answer(
                [
                    "code": Schema.string, "title": Schema.string, "detail": Schema.string,
                    "meta": Schema.answer(["url": Schema.string]),
                    "source": [
                        "type": "object",
                        "properties": ["pointer": Schema.string, "parameter": Schema.string],
                    ],
                ], except: ["source"],
                example: APIErrorEntry(
                    .badField, source: .pointer("/\(ProfileKind.messaging.limit.cap.name)")
                ).json)
        ),
        (
            "PageMeta",
            Schema.answer([
                "total_pages": Schema.count, "total_results": Schema.count,
                "page_number": Schema.count, "page_size": Schema.count,
            ])
        ),
        (
            "OverBy",
            [
                "type": "object",
                "description":
                    "By how much current usage exceeds each cap, by limit; spend as a decimal number, minutes in seconds",
                "additionalProperties": ["anyOf": [Schema.amount, Schema.count]],
            ]
        ),
        (
            "Amounts",
            [
                "type": "object", "description": "Amounts by resource",
                "properties": .object(
                    Resource.catalogue.map { row in
                        (
                            name: row.name,
                            value: row.unit == .amount ? Schema.amount : ["type": "integer"]
                        )
                    }),
            ]
        ),
        (
            "LimitState",
            Schema.answer(
                [
                    "limit": Schema.words(LimitKind.catalogue.map(\.name)),
                    "subject_id": Schema.string, "cap": amountOrCount(nullable: true),
                    "cap_minutes": Schema.orNull(Schema.count),
                    "cap_hidden": Schema.flag, "committed": amountOrCount(),
                    "held": amountOrCount(), "window_start": Schema.orNull(Schema.instant),
                    "resets_at": Schema.orNull(Schema.instant), "blocking": Schema.flag,
                ],
                except: ["cap_minutes", "cap_hidden", "window_start", "resets_at", "blocking"],
                example: LimitView(
                    LimitUsage(
                        kind: ProfileKind.messaging.limit.kind, cap: 10_000_000, committed: 0,
                        held: 4_000_000,
                        windowStart: day, resetsAt: day + 86_400_000), subjectID: "promo"
                ).json())
        ),
    ]

    static func amountOrCount(nullable: Bool = false) -> JSON {
        var kinds = [Schema.amount, ["type": "integer"] as JSON]
        if nullable { kinds.append(["type": "null"]) }
        return ["anyOf": .array(kinds)]
    }

    // MARK: Resources

    private static let profile = profile(.messaging)

    private static func profile(_ kind: ProfileKind) -> ProfileSettings {
        var profile = ProfileSettings(
            id: "3fa85f64-5717-4562-b3fc-2c963f66afa6", kind: kind, tenantID: "acme",
            name: "Promotions", dailySpendLimitEnabled: true, dailySpendLimitNanos: 10_000_000_000)
        profile.revision = Revision(number: 1, createdAt: when, updatedAt: when)
        return profile
    }

    private static let tenant: TenantSettings = {
        var tenant = TenantSettings(id: "acme", name: "ACME Telephony", limits: .newTenant)
        tenant.revision = Revision(number: 1, createdAt: when, updatedAt: when)
        return tenant
    }()

    private static let event = Event(
        id: "d21a2887-8007-4bb6-bd7d-f2874829918e", kind: .profileLimitReached, occurredAt: when,
        tenantID: "acme", tenantName: "ACME Telephony", profileID: profile.id,
        profileName: profile.name,
        limit: LimitReading(
            name: ProfileKind.messaging.limit.name, cap: 10_000_000, committed: 20_000_000, held: 0,
            asked: 0, percent: 80, windowStart: day, resetsAt: day + 86_400_000))

    private static let delivery = DeliveryRow(
        id: 17, event: event,
        channel: .webhook(url: "https://example.com/hooks", failoverURL: ""), status: .delivered,
        attempts: [
            DeliveryAttempt(
                number: 1, startedAt: when, finishedAt: when + 35,
                target: "https://example.com/hooks", status: 200, error: nil)
        ], createdAt: when, nextAttemptAt: nil)

    private static let token = AccessToken(
        id: "9b1c7a52-61f0-4a5e-9d2b-0f6c3f0f6a11", name: "dialler", scope: .check,
        tenantIDs: ["acme"], hash: "", createdAt: when, expiresAt: nil)

    static func vendorFields(_ kind: ProfileKind) -> JSON {
        .object(
            VendorFields.of(kind).table.map { (name: $0.name, value: schema($0)) })
    }

    private static func schema(_ row: VendorFields.Row) -> JSON {
        let schema: JSON =
            switch row.shape {
            case .flag: Schema.flag
            case .text: Schema.text(0...256)
            case .integer(let range): Schema.integer(range)
            case .number: ["type": "number"]
            case .texts(let most): Schema.list(Schema.text(1...most), atMost: 300)
            case .object: ["type": "object"]
            }
        return row.isNullable ? Schema.orNull(schema) : schema
    }

    private static let limits = Schema.list(Schema.ref("LimitState"))
    private static let warnings = Schema.list(Schema.ref("Error"))
    private static let status = Schema.words(["active", "suspended", "closed"])
    static let eventTypes = Schema.list(Schema.words(Event.Kind.allCases.map(\.rawValue)))
    private static func type(_ name: String) -> JSON { ["const": .string(name)] }
    private static let dates: JSON = ["created_at": Schema.instant, "updated_at": Schema.instant]

    private static let resources: [(name: String, schema: JSON)] =
        ProfileKind.allCases.flatMap(profileResources) + configured + told + decided

    /// A profile of a kind, and what it uses.
    private static func profileResources(_ kind: ProfileKind) -> [(name: String, schema: JSON)] {
        let usage: JSON = .object([
            (name: "record_type", value: type(kind.recordType + "_usage")),
            (name: kind.idField, value: Schema.string),
        ])
        return [
            (
                kind.schemaName,
                Schema.answer(
                    [
                        "record_type": type(kind.recordType), "id": Schema.string,
                        "tenant_id": Schema.string,
                    ] + ProfileSettings.settings(kind).schema() + vendorFields(kind) + dates,
                    example: Profiles.json(profile(kind)))
            ),
            (
                kind.schemaName + "Usage",
                Schema.answer(
                    usage + [
                        "tenant_id": Schema.string, "tenant_status": status,
                        "as_of": Schema.instant, "limits": limits,
                    ])
            ),
        ]
    }

    /// The id of a profile under the field of its kind.
    private static let profileIDs: JSON = .object(
        ProfileKind.allCases.map {
            (name: $0.idField, value: Schema.orNull(Schema.string))
        })
    private static let profileNames: JSON = .object(
        ProfileKind.allCases.map {
            (name: $0.nameField, value: Schema.orNull(Schema.string))
        })

    private static let configured: [(name: String, schema: JSON)] = [
        (
            "Tenant",
            Schema.answer(
                [
                    "record_type": type("tenant"), "id": Schema.string, "status": status,
                ] + TenantSettings.settings.schema() + dates, example: tenant.json(.active))
        ),
        (
            "TenantDefaults",
            Schema.answer(["record_type": type("tenant_defaults")] + TenantLimits.settings.schema())
        ),
        (
            "WebhookEndpoint",
            Schema.answer(
                [
                    "record_type": type("webhook_endpoint"), "id": Schema.string,
                    "url": Schema.string, "failover_url": Schema.orNull(Schema.string),
                    "description": Schema.string, "enabled": Schema.flag,
                    "event_types": eventTypes,
                    "secret": [
                        "type": "string",
                        "description":
                            "Standard Webhooks secret; only in the responses to creation and rotate_secret",
                    ],
                ] + dates, except: ["secret"],
                example: WebhookEndpoint(
                    id: "f1f2c1f0-35b1-4a42-8b6c-1d2f7c8f0a11", url: "https://example.com/hooks",
                    createdAt: when, updatedAt: when
                ).json)
        ),
        (
            "EmailRecipient",
            Schema.answer(
                [
                    "record_type": type("email_recipient"), "id": Schema.string,
                    "address": Schema.string, "name": Schema.string, "enabled": Schema.flag,
                    "event_types": eventTypes,
                ] + dates,
                example: EmailRecipient(
                    id: "0c9a7f1e-2a8f-4f0e-8f36-6c7d5b1e2a10", address: "ops@example.com",
                    name: "On call", createdAt: when, updatedAt: when
                ).json)
        ),
        (
            "Token",
            Schema.answer(
                [
                    "record_type": type("token"), "id": Schema.string, "name": Schema.string,
                    "scope": [
                        "type": "string", "enum": .array(Tokens.scopes.map { .string($0.key) }),
                        "description": "The scope with the most rights",
                    ],
                    "scopes": Schema.list(Schema.words(Tokens.scopes)),
                    "tenant_ids": Schema.list(Schema.string),
                    "created_at": Schema.instant, "expires_at": Schema.orNull(Schema.instant),
                    "last_used_at": Schema.orNull(
                        Schema.instant + ["description": "Accurate to the minute"]),
                    "requests_per_second": Schema.orNull(Schema.count),
                    "secret": [
                        "type": "string", "description": "Only in the response to creation",
                    ],
                ], except: ["secret"], example: Tokens.json(token, lastUse: when))
        ),
        (
            "AccessStatistics",
            Schema.answer([
                "record_type": type("access_statistics"),
                "failed_attempts": Schema.count,
                "failures": ["type": "object", "additionalProperties": Schema.count],
                "too_many_requests": Schema.count, "verified_tokens": Schema.count,
                "remembered_tokens": Schema.count,
                "issuers": Schema.list(
                    Schema.answer([
                        "issuer": Schema.string, "keys": Schema.count,
                        "last_good_at": Schema.orNull(Schema.instant),
                        "trouble": Schema.orNull(Schema.string),
                    ])),
            ])
        ),
        (
            "PublicKey",
            Schema.answer([
                "record_type": type("public_key"), "algorithm": Schema.words(["ed25519"]),
                "public": Schema.string,
            ])
        ),
    ]

    private static let traceID: JSON = [
        "type": "string", "pattern": "^[0-9a-f]{32}$",
        "description": "The trace that the call belongs to",
    ]

    private static let told: [(name: String, schema: JSON)] = [
        (
            "LimitReading",
            Schema.answer([
                "limit": Schema.string, "cap": amountOrCount(), "committed": amountOrCount(),
                "held": amountOrCount(), "asked": amountOrCount(),
                "alert_threshold": Schema.count, "window_start": Schema.orNull(Schema.instant),
                "resets_at": Schema.orNull(Schema.instant),
            ])
        ),
        (
            "Event",
            Schema.answer(
                [
                    "record_type": type("event"), "id": Schema.string,
                    "event_type": Schema.words(Event.Kind.allCases.map(\.rawValue)),
                    "occurred_at": Schema.instant, "tenant_id": Schema.string,
                    "tenant_name": Schema.string,
                ] + profileIDs + profileNames + [
                    "limit": Schema.orNull(Schema.ref("LimitReading")),
                    "occasion": Schema.orNull(Schema.words(["refusal", "window_end"])),
                    "reason": Schema.orNull(Schema.string), "payload": ["type": "object"],
                ], example: event.json)
        ),
        (
            "AuditEvent",
            Schema.answer(
                [
                    "record_type": type("audit_event"), "id": Schema.string,
                    "occurred_at": Schema.instant, "kind": Schema.string,
                    "tenant_id": Schema.orNull(Schema.string),
                ] + profileIDs + [
                    "caller": Schema.orNull(
                        Schema.answer(["number": Schema.string, "name": Schema.string])),
                    "action": Schema.orNull(Schema.string), "asked": Schema.ref("Amounts"),
                    "code": Schema.orNull(Schema.string),
                    "limits": Schema.list(Schema.ref("LimitReading")),
                    "events": Schema.list(Schema.string),
                    "reference": Schema.orNull(Schema.string),
                    "reservation_id": Schema.orNull(Schema.string),
                    "changes": Schema.list(
                        Schema.answer([
                            "name": Schema.string, "before": Schema.orNull(Schema.string),
                            "after": Schema.orNull(Schema.string),
                        ])),
                    "count": Schema.count, "last_at": Schema.instant, "trace_id": traceID,
                ], except: ["trace_id"])
        ),
        (
            "WebhookDelivery",
            Schema.answer(
                [
                    "record_type": type("webhook_delivery"), "id": Schema.string,
                    "status": Schema.words(DeliveryRow.Status.allCases.map(\.rawValue)),
                    "channel": Schema.words(["webhook", "email"]), "url": Schema.string,
                    "failover_url": Schema.orNull(Schema.string), "event_id": Schema.string,
                    "event_type": Schema.string, "webhook": Schema.ref("Event"),
                    "created_at": Schema.instant,
                    "next_attempt_at": Schema.orNull(Schema.instant),
                    "attempts": Schema.list(
                        Schema.answer([
                            "number": Schema.count,
                            "status": Schema.words(["delivered", "failed"]),
                            "started_at": Schema.instant, "finished_at": Schema.instant,
                            "target": Schema.string,
                            "status_code": Schema.orNull(["type": "integer"]),
                            "error": Schema.orNull(Schema.string),
                        ])),
                ], example: delivery.json)
        ),
    ]

    private static let decided: [(name: String, schema: JSON)] =
        [
            (
                "Usage",
                Schema.answer([
                    "record_type": type("usage"), "tenant_id": Schema.string,
                    "tenant_status": status, "as_of": Schema.instant, "limits": limits,
                ])
            ),
            (
                "TenantUsage",
                Schema.answer([
                    "record_type": type("usage"), "tenant_id": Schema.string,
                    "tenant_name": Schema.string, "tenant_status": status,
                    "nearest_limit": Schema.orNull(Schema.string),
                    "nearest_limit_percent": Schema.orNull(Schema.count), "limits": limits,
                ])
            ),
            (
                "DailyUsage",
                Schema.answer(
                    [
                        "record_type": type("daily_usage"), "date": Schema.date,
                        "tenant_id": Schema.string,
                    ] + profileIDs + [
                        "usage": Schema.ref("Amounts"), "allowed": Schema.count,
                        "denied": Schema.count,
                        "refusals": [
                            "type": "object", "additionalProperties": Schema.count,
                            "description": .string(
                                "Refusals by error code; a refusal by several limits counts for each of them"
                            ),
                        ],
                        "final": Schema.flag,
                    ])
            ),
        ] + ReportSchemas.all + [
            (
                "OpenReservation",
                Schema.answer(
                    [
                        "record_type": type("reservation"), "id": Schema.string,
                        "tenant_id": Schema.string,
                    ] + profileIDs + [
                        "action": Schema.orNull(Schema.words(DataPlane.actions)),
                        "held": Schema.ref("Amounts"), "created_at": Schema.instant,
                        "expires_at": Schema.instant, "age_ms": Schema.count,
                        "on_expiry": Schema.words(DataPlane.expiries),
                        "overage": Schema.words(DataPlane.overages),
                    ])
            ),
            (
                "Reservation",
                Schema.answer([
                    "record_type": type("reservation"), "id": Schema.orNull(Schema.string),
                    "decision": Schema.words(["allowed"]),
                    "expires_at": Schema.orNull(Schema.instant), "granted": Schema.ref("Amounts"),
                    "limits": limits, "warnings": warnings, "tenant_status": status,
                    "replayed": Schema.flag,
                ])
            ),
            (
                "Commit",
                Schema.answer([
                    "record_type": type("reservation"), "id": Schema.string,
                    "committed": Schema.ref("Amounts"), "uncharged": Schema.ref("Amounts"),
                    "late": Schema.flag, "warnings": warnings, "tenant_status": status,
                    "replayed": Schema.flag,
                ])
            ),
            (
                "Release",
                Schema.answer([
                    "record_type": type("reservation"), "id": Schema.string, "expired": Schema.flag,
                    "replayed": Schema.flag,
                ])
            ),
            (
                "Extension",
                Schema.answer([
                    "record_type": type("reservation"), "id": Schema.string,
                    "decision": Schema.words(["allowed"]),
                    "expires_at": Schema.orNull(Schema.instant),
                    "granted": Schema.ref("Amounts"), "warnings": warnings, "replayed": Schema.flag,
                ])
            ),
            (
                "UsageRecord",
                Schema.answer([
                    "record_type": type("usage_record"), "tenant_id": Schema.string,
                    "warnings": warnings, "tenant_status": status, "replayed": Schema.flag,
                ])
            ),
        ]
}
