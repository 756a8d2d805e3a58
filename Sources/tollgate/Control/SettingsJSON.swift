internal import JSON
internal import Limits
internal import LimitsFile

// Settings as the REST API has them, and back.

extension SettingField.Value {
    var json: JSON {
        switch self {
        case .none: .null
        case .text(let text): .string(text)
        case .amount: .string(text)
        case .whole(let number): .integer(number)
        case .flag(let flag): .bool(flag)
        }
    }
}

/// Reads members of a resource; what is not as it should be is the service's fault.
struct ResourceReader {
    let resource: JSON

    private func fault(_ name: String) -> ControlFailure {
        ControlFailure(
            .failure,
            "The service's \"\(name)\" is not understood by this version: "
                + (resource[name]?.text ?? "it is missing"))
    }

    /// Empty: null or absent.
    func text(_ name: String) throws -> String {
        guard let value = resource[name], value.isNull == false else { return "" }
        guard let text = value.string else { throw fault(name) }
        return text
    }

    func id(_ name: String) throws -> String {
        guard let text = resource[name]?.string, text.isEmpty == false else { throw fault(name) }
        return text
    }

    func flag(_ name: String) throws -> Bool {
        guard let flag = resource[name]?.bool else { throw fault(name) }
        return flag
    }

    func whole(_ name: String, _ range: ClosedRange<Int64>) throws -> Int64 {
        guard let number = resource[name]?.integer, range.contains(number) else {
            throw fault(name)
        }
        return number
    }

    /// nil: no limit.
    func cap(_ name: String, most: Int64 = .max) throws -> Int64? {
        if resource[name]?.isNull == true { return nil }
        return try whole(name, 0...most)
    }

    /// Nano-USD; nil: no limit.
    func money(_ name: String) throws -> Int64? {
        if resource[name]?.isNull == true { return nil }
        guard let text = resource[name]?.string, let nanos = try? Money.parse(text) else {
            throw fault(name)
        }
        return nanos
    }
}

extension TenantLimits {
    /// - Throws: `ControlFailure` for members that no version of the service would send.
    init(_ resource: JSON) throws {
        let reader = ResourceReader(resource: resource)
        self.init(
            alertThresholdPercent: UInt8(try reader.whole("alert_threshold", 1...100)),
            autoSuspend: try reader.flag("auto_suspend"))
        for cap in CapSetting.all {
            self[cap] =
                cap.unit == .amount
                ? try reader.money(cap.name)
                : try reader.cap(cap.name, most: cap.most).map(cap.kept)
        }
    }
}

extension TenantSettings {
    /// - Throws: `ControlFailure` for members that no version of the service would send.
    init(_ resource: JSON) throws {
        let reader = ResourceReader(resource: resource)
        let name = try reader.text("on_limit")
        guard let onLimit = OnLimit(name: name) else {
            throw ControlFailure(.failure, "The service's \"on_limit\" is \"\(name)\"")
        }
        self.init(
            id: try reader.id("id"), name: try reader.text("name"),
            limits: try TenantLimits(resource), onLimit: onLimit,
            billingCycleDay: UInt8(try reader.whole("billing_cycle_day", 1...31)),
            timeZone: try reader.id("time_zone"),
            disclosesLimits: try reader.flag("disclose_limits"))
    }
}

extension ProfileSettings {
    /// - Throws: `ControlFailure` for members that no version of the service would send.
    init(_ resource: JSON, _ kind: ProfileKind) throws {
        let reader = ResourceReader(resource: resource)
        self.init(
            id: try reader.id("id"), kind: kind, tenantID: try reader.id("tenant_id"),
            name: try reader.text("name"),
            dailySpendLimitEnabled: try reader.flag(kind.limit.cap.toggleName),
            dailySpendLimitNanos: try reader.money(kind.limit.cap.name))
    }
}
