import ControlPlane
import Engine
import Foundation
import Limits
import Projection

/// One tenant: what it uses now and by day, what it holds, what happened to it.
struct TenantPage: Sendable {
    let context: PageContext
    /// Rows of each list.
    private static let listed = 50
    private static let trail = 15

    func reply(_ id: String, _ request: PageRequest, _ visitor: Visitor) async throws -> PageReply {
        let model = try context.readModel()
        await model.caughtUp()
        guard let tenant = try await context.tenant(id, model) else { throw PageFailure.notFound }
        let profiles = try await model.profiles(
            ProfileQuery(tenantID: id), Page(number: 1, size: Self.listed))
        var trail = AuditQuery()
        trail.tenantID = id
        let audit = try await model.audit(trail, Page(number: 1, size: Self.trail))
        let reservations = try await context.engine.openReservations(
            tenantID: id, limit: Self.listed)
        let settings = tenant.settings
        let days = try await days(of: settings, model)
        var fields: Fields = [
            "id": id, "name": tenant.shownName, "suspended": tenant.status == .suspended,
            "zone": settings.timeZone, "cycleDay": "\(settings.billingCycleDay)",
            "threshold": settings.limits.thresholdText,
            "autoSuspend": settings.limits.autoSuspend ? "on" : "off",
            "cells": tenant.limitFields(), "eventsPath": Links.tenant(id, "/events"),
            "csvPath": Links.tenant(id, "/daily.csv"),
            "auditPath": Links.path("/audit", [("tenant", id)]),
            "edit": settings.limits.formFields(prefix: "edit"),
            "audit": audit.rows.map(AuditLines.fields), "hasAudit": !audit.rows.isEmpty,
            "showTenant": false,
        ]
        fields = fields.merging(chart(days, id, request))
            .merging(Self.fields(profiles, percent: settings.limits.firstThreshold))
            .merging(self.fields(reservations))
        return context.page("tenant", visitor, current: "/settings/usage-limits", fields)
    }

    // MARK: By day

    /// Every day of the chart, also those without usage: dates in the tenant's time zone.
    private func days(
        of tenant: TenantSettings, _ model: any ReadModel
    ) async throws -> [DailyUsageRow] {
        let length = ProfileState.dayLength
        let now = context.engine.clock.now
        let today = Self.date(of: now, in: tenant.timeZone)
        let before = Int64(context.settings.chartDays - 1) * length
        let rows = try await model.dailyUsage(
            tenantID: tenant.id, profileID: nil, from: today - before, to: now + 2 * length)
        let known = Dictionary(rows.map { ($0.day, $0) }) { $1 }
        // In a zone that the tenant had before, tomorrow may have begun.
        let last = max(today, rows.last?.day ?? today)
        return stride(from: last - before, through: last, by: Int(length)).map { day in
            known[day]
                ?? DailyUsageRow(
                    day: day, profileID: "", committed: Amounts(), allowed: 0, denied: 0)
        }
    }

    /// The date that an instant falls on, as its first millisecond in UTC.
    private static func date(of instant: Int64, in zone: String) -> Int64 {
        let date = Date(timeIntervalSince1970: Double(instant) / 1_000)
        let seconds = TimeZone(identifier: zone)?.secondsFromGMT(for: date) ?? 0
        return ProfileState.dayStart(of: instant + Int64(seconds) * 1_000)
    }

    private func chart(_ days: [DailyUsageRow], _ id: String, _ request: PageRequest) -> Fields {
        let subject = DailyChart.Subject(named: request.text("chart"))
        return [
            "charts": DailyChart.Subject.allCases.map { choice -> Fields in
                [
                    "title": choice.title, "current": choice == subject,
                    "link": Links.path(
                        Links.tenant(id), [("chart", choice.name)], fragment: "#daily"),
                ]
            },
            "chart": DailyChart(days, subject).fields,
            "dayColumns": Resource.reported.map { reported -> Fields in
                ["title": reported.title]
            },
            "days": days.reversed().map { row -> Fields in
                [
                    "day": Texts.day(row.day),
                    "amounts": Resource.reported.map { reported -> Fields in
                        let resource = reported.resource
                        return ["text": Texts.cell(row.committed[resource], of: resource)]
                    },
                    "allowed": Texts.count(row.allowed), "denied": Texts.count(row.denied),
                ]
            },
        ]
    }

    /// All days that are kept, as a file.
    func dailyCSV(_ id: String) async throws -> PageReply {
        let model = try context.readModel()
        await model.caughtUp()
        guard try await context.tenant(id, model) != nil else { throw PageFailure.notFound }
        let now = context.engine.clock.now
        let rows = try await model.dailyUsage(
            tenantID: id, profileID: nil, from: 0, to: now + 2 * ProfileState.dayLength)
        let codes = LimitKind.catalogue.map(\.error) + [.suspended]
        let booked = Resource.charged
        var table = CSVTable(
            ["day"] + booked.map(\.csvColumn) + ["allowed", "denied"]
                + codes.map { "denied_\($0.rawValue)" } + ["final"])
        for row in rows {
            table.append(
                [Texts.day(row.day)]
                    + booked.map { $0.resource.plain(row.committed[$0.resource]) }
                    + ["\(row.allowed)", "\(row.denied)"]
                    + codes.map { "\(row.refusals[$0.rawValue] ?? 0)" }
                    + [row.isFinal ? "true" : "false"])
        }
        return .csv(table, name: "usage-by-day.csv")
    }

    // MARK: Profiles and reservations

    private static func fields(_ profiles: Paged<ProfileRow>, percent: UInt8) -> Fields {
        let rows = profiles.rows.enumerated().map { index, row -> Fields in
            let settings = row.settings
            let cap = settings.kind.limit.cap
            return LimitFields(row.usage, percent: percent).fields.merging([
                "index": "\(index)", "id": settings.id, "kind": settings.kind.subject.title,
                "collection": settings.kind.collection, "capName": cap.name,
                "toggleName": cap.toggleName,
                "name": settings.name.isEmpty ? settings.id : settings.name,
                "tag": "\"\(settings.revision.number)\"",
                "limit": settings.dailySpendLimitNanos.map(cap.text),
                "enabled": settings.dailySpendLimitEnabled,
            ])
        }
        return [
            "profiles": rows, "hasProfiles": !rows.isEmpty,
            "moreProfiles": profiles.total > rows.count
                ? "Showing the first \(rows.count) of \(profiles.total); use the API to list all."
                : nil,
        ]
    }

    private func fields(_ page: OpenReservationPage) -> Fields {
        let now = context.engine.clock.now
        let rows = page.rows.map { row -> Fields in
            let held = Resource.allCases.filter { row.amounts.contains($0.index) }
                .map { Texts.counted(row.amounts[$0], of: $0) }
            return [
                "id": "\(row.id)", "profile": row.profile?.id,
                "action": Texts.name(row.action), "amounts": held.joined(separator: ", "),
                "createdISO": Texts.iso(row.createdAt),
                "ageMilliseconds": "\(max(0, now - row.createdAt))",
                "age": Texts.age(now - row.createdAt),
                "expires": "in \(Texts.age(row.expiresAt - now))",
                "onExpiry": row.onExpiry == .commit ? "then charged" : "then released",
            ]
        }
        return [
            "reservations": rows, "hasReservations": !rows.isEmpty,
            "reservationsText": page.total > rows.count
                ? "Showing the oldest \(rows.count) of \(Texts.count(Int64(page.total)))."
                : "Not yet committed or released, oldest first.",
        ]
    }
}
