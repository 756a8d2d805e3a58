import ControlPlane
import JSON
import Limits
import Projection

/// A limit and what is used of it, as tables, cards and streams show it.
struct LimitFields: Sendable, Encodable, Equatable {
    /// `LimitRow.name`.
    var limit: String
    /// Percent of the cap that is used, and used or held; 0 ... 100, to a tenth.
    var share: String
    var filled: String
    /// "": fine; "near": beyond the alert threshold; "over": reached.
    var state: String
    var used: String
    /// As it stands in the table, in whole minutes where it counts those; nil: unlimited.
    var cap: String?
    /// "of $500.00"
    var of: String
    var shareText: String
    var heldText: String
    /// What is used and held, and the share of both, in one line.
    var text: String

    /// - Parameter percent: the alert threshold.
    init(_ usage: LimitUsage, percent: UInt8) {
        let row = usage.kind.row
        let amount = { (value: Int64) in Texts.amount(value, of: row.resource) }
        let shown = row.shown(committed: usage.committed, held: usage.held)
        limit = row.name
        used = amount(shown.used)
        if row.resource.mayBeCharged {
            heldText = shown.held == 0 ? "Nothing held" : "\(amount(shown.held)) held"
            text = shown.held == 0 ? "\(used) used" : "\(used) used, \(heldText)"
        } else {
            heldText = ""
            text = "\(used) in use"
        }
        guard let cap = usage.cap else {
            (share, filled, state) = ("0", "0", "")
            (of, shareText) = ("no limit", "No limit")
            return
        }
        let amountUsed = Double(shown.used)
        let taken = amountUsed + Double(shown.held)
        share = Self.percent(amountUsed, of: cap)
        filled = Self.percent(taken, of: cap)
        self.cap = Texts.cell(cap, of: row.resource)
        of = "of \(amount(cap))"
        if shown.used > cap {
            state = "over"
            shareText = "\(amount(shown.used - cap)) over the cap"
        } else if shown.used == cap {
            // Nothing of nothing is no reason to worry.
            state = cap > 0 ? "over" : ""
            shareText = cap > 0 ? "Cap reached" : "Nothing allowed"
        } else {
            let isNear = amountUsed * 100 >= Double(cap) * Double(percent)
            state = isNear ? "near" : ""
            shareText = "\(share)% of the cap used"
        }
        if cap > 0 { text += " · \(Self.whole(taken, of: cap))%" }
    }

    private static func percent(_ amount: Double, of cap: Int64) -> String {
        guard cap > 0 else { return amount > 0 ? "100" : "0" }
        let tenths = Int(min(max(amount / Double(cap), 0), 1) * 1_000)
        return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
    }

    private static func whole(_ amount: Double, of cap: Int64) -> String {
        Texts.count(Int64(min(max(amount / Double(cap), 0) * 100, 1e9)))
    }

    var fields: Fields {
        [
            "limit": limit, "share": share, "filled": filled, "state": state, "used": used,
            "cap": cap, "of": of, "shareText": shareText, "heldText": heldText, "text": text,
        ]
    }
}

extension TenantRow {
    private func usage(of limits: [LimitRow]) -> [LimitUsage] {
        limits.compactMap { row in usage.first { $0.kind == row.kind } }
    }

    private func limitFields(_ usage: LimitUsage) -> LimitFields {
        LimitFields(usage, percent: settings.limits.firstThreshold)
    }

    /// The tenant's own limits in the order of the catalogue, which is that of the guide's table.
    var tenantLimits: [LimitFields] {
        usage(of: LimitSubject.tenant.limits).map { limitFields($0) }
    }

    /// Some of them for a template, with their columns.
    func limitFields(_ limits: [LimitRow] = LimitSubject.tenant.limits) -> [Fields] {
        usage(of: limits).map { usage in
            limitFields(usage).fields.merging([
                "title": usage.kind.row.cap.columnTitle, "label": usage.kind.row.words.title,
                "resets": usage.resetsAt == 0
                    ? "Does not reset"
                    : "Resets \(Texts.time(usage.resetsAt).dropLast(3)) UTC",
            ])
        }
    }

    var thresholdText: String { settings.limits.thresholdText }
    var autoSuspendText: String { settings.limits.autoSuspend ? "Yes" : "No" }

    /// What people call it.
    var shownName: String { settings.name.isEmpty ? settings.id : settings.name }
}

extension TenantLimits {
    /// "50, 80"
    var thresholdText: String { alertThresholds.map { "\($0)" }.joined(separator: ", ") }

    /// What `limit-fields` is filled with.
    ///
    /// - Parameter prefix: of the fields' ids.
    func formFields(prefix: String) -> Fields {
        let settings = Self.settings.filter(\.isInForms).map { setting -> Fields in
            let value = setting.value(of: self)
            var fields: Fields = [
                "name": setting.name, "id": "\(prefix)-\(setting.name)", "label": setting.title,
                "value": value.inputText, "isAmount": setting.shape == .amount,
                "suffix": setting.suffix, "isFlag": setting.shape == .flag,
                "isOn": value == .flag(true), "hint": setting.help, "isCap": setting.cap != nil,
                "shape": setting.formShape, "mode": setting.mode,
            ]
            if let cap = setting.cap {
                let row = cap.kind.row
                fields = fields.merging([
                    "limit": row.name, "unit": "\(cap.unit)",
                    "occasion": row.resource.row.occasion, "steers": row.blocksOnlyWithAutoSuspend,
                    "suspends": row.suspends, "isOnlyHeld": !row.resource.mayBeCharged,
                ])
            }
            return fields
        }
        return ["settings": settings]
    }

    /// The presets by their names in the API.
    static var presetsJSON: String {
        JSON.object(presets.map { (name: $0.key, value: $0.value.json) }).text
    }
}

extension SettingDescriptor {
    /// How `page.js` reads the field.
    fileprivate var formShape: String {
        switch shape {
        case .amount: "amount"
        case .whole: "whole"
        case .wholes: "wholes"
        case .flag: "flag"
        case .text, .timeZone, .address, .choice: "text"
        }
    }

    /// The keyboard of a phone.
    fileprivate var mode: String {
        switch shape {
        case .amount: "decimal"
        case .whole: "numeric"
        default: "text"
        }
    }

    /// After the field; nil: nothing.
    fileprivate var suffix: String? { cap?.unit == .minutes ? "min" : unit.isEmpty ? nil : unit }
}

extension SettingField.Value {
    /// As an input has it; empty: none.
    fileprivate var inputText: String {
        if case .none = self { "" } else { text }
    }
}
