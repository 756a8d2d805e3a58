import JSON
import Limits
import Projection

/// Schemas of what reports answer.
enum ReportSchemas {
    private static func type(_ name: String) -> JSON { Schema.words([name]) }

    private static let signed: JSON = ["type": "integer"]
    private static let refusals: JSON = [
        "type": "object", "additionalProperties": Schema.count,
        "description":
            "Denials by error code; a denial by several limits counts for each of them",
    ]

    private static let figures: JSON = [
        "spend": Schema.amount,
        "spend_by_action": Schema.answer(
            .object(
                UsageFigures.actions.map {
                    (name: UsageFigures.word($0), value: Schema.amount)
                })),
        "overage": Schema.amount, "call_seconds": signed, "inbound_call_seconds": signed,
        "outbound_call_seconds": signed, "other_call_seconds": signed, "messages": signed,
        "extensions_change": signed, "dids_change": signed, "allowed": Schema.count,
        "denied": Schema.count,
    ]

    private static let invoice: JSON =
        [
            "record_type": type("invoice"), "tenant_id": Schema.string,
            "tenant_name": Schema.string,
            "tenant_status": Schema.words(["active", "suspended", "closed"]),
            "time_zone": Schema.string, "from": Schema.date, "to": Schema.date,
        ] + figures + [
            "extensions": signed, "dids": signed,
            "caps": Schema.answer(
                .object(
                    CapSetting.all.map {
                        (
                            name: $0.name,
                            value: Schema.orNull($0.unit == .amount ? Schema.amount : Schema.count)
                        )
                    })),
            "over_by": Schema.ref("OverBy"), "final": Schema.flag,
        ]

    private static let forecast: JSON = [
        "record_type": type("forecast"), "tenant_id": Schema.string,
        "tenant_name": Schema.string,
        "tenant_status": Schema.words(["active", "suspended", "closed"]),
        "limit": Schema.string, "used": amount, "cap": amount, "expected": amount,
        "cycle_start": Schema.instant, "cycle_end": Schema.instant,
        "reached_at": Schema.instant,
    ]

    private static let amount: JSON = ["anyOf": [Schema.amount, Schema.count]]

    static let all: [(name: String, schema: JSON)] = [
        ("UsageFigures", Schema.answer(figures)),
        ("Invoice", Schema.answer(invoice)),
        (
            "InvoiceDetail",
            Schema.answer(
                invoice + [
                    "days": Schema.list(
                        Schema.answer(
                            (["date": Schema.date] as JSON) + figures + ["refusals": refusals]))
                ])
        ),
        (
            "UsagePoint",
            Schema.answer(
                ([
                    "record_type": type("usage_point"), "date": Schema.date,
                    "time": Schema.instant,
                ] as JSON) + figures + ["refusals": refusals], except: ["date", "time", "refusals"])
        ),
        ("Forecast", Schema.answer(forecast)),
        (
            "Overview",
            Schema.answer([
                "record_type": type("overview"),
                "tenants": Schema.answer([
                    "active": Schema.count, "suspended": Schema.count, "total": Schema.count,
                ]),
                "running_cycles": Schema.answer([
                    "spend": Schema.amount, "call_seconds": Schema.count,
                ]),
                "today": Schema.ref("UsageFigures"), "yesterday": Schema.ref("UsageFigures"),
                "this_month": Schema.ref("UsageFigures"),
                "last_month": Schema.ref("UsageFigures"),
                "last_month_to_date": Schema.ref("UsageFigures"),
                "denials": Schema.list(
                    Schema.answer(["date": Schema.date, "refusals": refusals])),
                "forecast": Schema.list(Schema.ref("Forecast"), atMost: 10),
                "alerts": Schema.answer([
                    "webhook_endpoints": Schema.count, "email_recipients": Schema.count,
                    "mail_server": Schema.flag,
                    "problems": Schema.list(Schema.words(["no_recipient", "no_mail_server"])),
                ]),
                "health": Schema.answer([
                    "status": Schema.words(["ready", "trouble"]),
                    "reason": Schema.orNull(Schema.string), "projection": ["type": "object"],
                    "clock": ["type": "object"], "deliveries": ["type": "object"],
                ]),
            ])
        ),
    ]
}
