import ControlPlane
import Engine
import Foundation
import Limits
import Projection
import Telemetry
import Testing

@testable import OperatorPage

struct RenderingTests {
    private let templates: Templates

    init() throws { templates = try Templates() }

    @Test func noTemplateLeavesAnythingUnescaped() {
        for (name, bytes) in Templates.sources {
            let text = String(decoding: bytes, as: UTF8.self)
            #expect(!text.contains("{{{") && !text.contains("{{&"), "\(name)")
        }
    }

    @Test func noTemplateHasScriptsOrStylesOfItsOwn() {
        for (name, bytes) in Templates.sources {
            let text = String(decoding: bytes, as: UTF8.self)
            #expect(!text.contains("style="), "\(name)")
            #expect(!text.contains("<style"), "\(name)")
            #expect(text.firstMatch(of: #/\son[a-z]+="/#) == nil, "\(name)")
            for script in text.matches(of: #/<script[^>]*>(.*?)</script>/#) {
                #expect(script.1.isEmpty, "\(name)")
            }
        }
    }

    static let hostile = [
        "<script>alert(1)</script>", "\" autofocus onfocus=\"alert(1)", "'><img src=x>", "&lt;",
        "{{brand}}", "\"\u{301} onfocus=alert(1) \"", "\u{600}<script>", "<\u{338}b>",
    ]

    @Test(arguments: hostile)
    func everyTextIsEscaped(text: String) {
        let row: Fields = [
            "id": text, "name": text, "path": text, "suspended": false, "cells": [Fields](),
            "threshold": text, "autoSuspend": text,
        ]
        let html = templates.render(
            "usage-limits",
            [
                "brand": text, "logo": text, "search": text, "rows": [row], "hasRows": true,
                "defaultsJSON": text, "csrf": text, "who": text,
            ])
        let plain = templates.render(
            "usage-limits",
            [
                "brand": "x", "logo": "x", "search": "x",
                "rows": [
                    row.merging([
                        "id": "x", "name": "x", "path": "x", "threshold": "x", "autoSuspend": "x",
                    ])
                ],
                "hasRows": true, "defaultsJSON": "x", "csrf": "x", "who": "x",
            ])
        // By bytes, as a browser reads it: as many marks as with a text that has none.
        for mark in "<>\"'".utf8 {
            #expect(html.utf8.count { $0 == mark } == plain.utf8.count { $0 == mark })
        }
    }

    @Test func aValueThatIsNilIsNotLookedForFurtherOut() {
        let inner: Fields = ["cap": nil]
        let html = templates.render("chip", ["suspended": true])
        #expect(html.contains("Suspended"))
        let cell = templates.render(
            "audit-table",
            [
                "hasAudit": true, "code": "wrong",
                "audit": [inner.merging(["code": nil, "kind": "k", "lines": [String]()])],
            ])
        #expect(!cell.contains("wrong"))
    }

    // MARK: Limits

    private func limit(_ cap: Int64?, _ committed: Int64, held: Int64 = 0) -> LimitFields {
        LimitFields(
            LimitUsage(
                kind: .tenantExtensions, cap: cap, committed: committed, held: held,
                windowStart: 0, resetsAt: 0), percent: 80)
    }

    @Test func aLimitSaysHowItStands() {
        #expect(limit(10, 7).state == "")
        #expect(limit(10, 8).state == "near")
        #expect(limit(10, 10).state == "over")
        #expect(limit(10, 12).shareText == "2 over the cap")
        #expect(limit(10, 12).share == "100")
        #expect(limit(1_000, 125, held: 250).share == "12.5")
        #expect(limit(1_000, 125, held: 250).filled == "37.5")
        // A bar that is half full of holds does not stand beside "0%".
        #expect(limit(50, 0, held: 25).text == "0 used, 25 held · 50%")
        #expect(limit(50, 0, held: 25).shareText == "0% of the cap used")
        #expect(limit(nil, 3, held: 2).text == "3 used, 2 held")
        #expect(limit(nil, 5).of == "no limit")
        #expect(limit(0, 0).state == "")
        #expect(limit(0, 1).state == "over")
        #expect(limit(.max, .max - 1, held: .max).filled == "100")
        #expect(limit(10, -3).share == "0")
    }

    @Test func theSixFieldsReadAsTheAPIWritesThem() throws {
        let data = Data(TenantLimits.presetsJSON.utf8)
        let presets = try #require(
            JSONSerialization.jsonObject(with: data) as? [String: [String: Any]])
        let cautious = try #require(presets["new-tenant"])
        #expect(cautious["monthly_spend_limit"] as? String == "500.00")
        #expect(cautious["max_monthly_minutes"] as? Int == 5_000)
        #expect(cautious["auto_suspend"] as? Bool == true)
        #expect(presets["unlimited"]?["max_dids"] is NSNull)
    }

    // MARK: Charts and files

    @Test func aChartHasABarForEachDayWithinItsBounds() throws {
        let rows = (0..<30).map { day in
            var committed = Amounts()
            for row in Resource.catalogue where row.nature == .accumulating {
                committed.set(
                    row.resource.index, Int64(day) * (row.unit == .amount ? 1_230_000_000 : 61))
            }
            return DailyUsageRow(
                day: Int64(day) * 86_400_000, profileID: "", committed: committed,
                allowed: Int64(day), denied: 3)
        }
        for subject in DailyChart.Subject.allCases {
            let fields = DailyChart(rows, subject).fields
            let bars = try #require(fields["bars"] as? [Fields])
            #expect(bars.count == 30)
            for bar in bars {
                let y = try #require(Double(bar["y"] as? String ?? ""))
                #expect(y >= 14 && y <= 190)
            }
            #expect((fields["text"] as? String)?.contains("1970-01-30") == true)
        }
    }

    @Test func aFileOfValuesIsQuotedAndStartsNoFormula() {
        var table = CSVTable(["a", "b"])
        table.append(["=1+1", "-3"])
        table.append(["say \"hi\", now", "two\nlines"])
        #expect(
            table.text
                == "a,b\r\n'=1+1,-3\r\n\"say \"\"hi\"\", now\",\"two\nlines\"\r\n")
    }

    // MARK: Live

    @Test func theLiveMessageSaysTheLastSecondAndTheLastMinute() {
        var minute = LiveMinute()
        minute.allowed = [3, 1_200]
        minute.denied = [1, 34]
        minute.decisions = DecisionTotals(
            allowed: 1_203,
            denied: [.tenantSpendLimit: 2, .suspended: 1_003, .tenantDIDLimit: 2])
        for _ in 0..<98 { minute.latency.record(nanoseconds: 100_000) }
        minute.latency.record(nanoseconds: 20_000_000)
        minute.latency.record(nanoseconds: 1_500_000_000)
        let message = LiveMessage(minute, nearest: [])
        #expect(message.rate == "1,234")
        #expect(message.deniedRate == "34")
        #expect(message.codes.map(\.code) == ["20012", "49001", "49003"])
        #expect(message.codes.map(\.count) == ["1,003", "2", "2"])
        #expect(message.p50 == "102 µs" && message.p99 == "21.0 ms")
        #expect(message.slowest == "1,544 ms")
        #expect(message.clock.isEmpty)
        let ahead = LiveMessage(minute, nearest: [], ahead: 72_300_000)
        #expect(ahead.clock.contains("20 h 5 min ahead of it"))
        #expect(LiveMessage(minute, nearest: [], ahead: -1_000).clock.isEmpty)
        let behind = LiveMessage(minute, nearest: [], ahead: -3_600_000)
        #expect(behind.clock.contains("jumped ahead by 1 h."))
        let idle = LiveMessage(LiveMinute(), nearest: [])
        #expect(idle.rate == "0" && idle.p50 == "–" && idle.codes.isEmpty)
    }

    /// What is only ever held is in use, and nothing of it is held beside that.
    @Test(arguments: LimitSubject.tenant.limits.filter { !$0.resource.mayBeCharged }.map(\.kind))
    func whatIsOnlyHeldIsInUse(_ kind: LimitKind) {
        func fields(_ held: Int64, cap: Int64? = 10) -> LimitFields {
            LimitFields(
                LimitUsage(
                    kind: kind, cap: cap, committed: 0, held: held, windowStart: 0, resetsAt: 0),
                percent: 80)
        }
        #expect(fields(9).text == "9 in use · 90%" && fields(9).heldText == "")
        #expect(fields(9).used == "9" && fields(9).share == "90" && fields(9).filled == "90")
        #expect(["", "near", "over", "over"] == [7, 8, 10, 12].map { fields($0).state })
        #expect(fields(10).shareText == "Cap reached" && fields(12).shareText == "2 over the cap")
        #expect(fields(3, cap: nil).text == "3 in use")
    }

    @Test func theTablesMessageSaysWhatTheTableShows() throws {
        var row = TenantRow.sample("acme", name: "Acme", spend: 85)
        row.settings.limits.maxDIDs = nil
        row.usage[2].cap = nil
        row.status = .suspended
        let message = TableMessage([row])
        let tenant = try #require(message.tenants.first)
        #expect(tenant.id == "acme" && tenant.name == "Acme" && tenant.suspended)
        #expect(tenant.threshold == "80" && tenant.autoSuspend == "Yes")
        #expect(
            tenant.limits.prefix(4).map(\.limit) == [
                "tenant_monthly_spend", "tenant_extensions", "tenant_dids",
                "tenant_monthly_minutes",
            ])
        #expect(tenant.limits.prefix(4).map(\.cap) == ["$100.00", "50", nil, "5,000"])
        #expect(tenant.limits.prefix(4).map(\.state) == ["near", "", "", ""])
        #expect(tenant.limits[0].text == "$85.00 used · 85%" && tenant.limits[0].share == "85")
        // As the page has it before the first message.
        let cells = row.limitFields()
        for (cell, limit) in zip(cells, tenant.limits) {
            #expect(cell["limit"] as? String == limit.limit)
            #expect(cell["text"] as? String == limit.text && cell["cap"] as? String == limit.cap)
        }
        #expect(!(try EventStream.line(message)).contains("\n"))
    }
}
