package import Limits

/// The six fields that pre-fill a new tenant, and the caps of further rows of the catalogue, as they are kept: a setting of
/// the service in the journal, by the names that configuration has for them.
package struct DefaultLimits: Sendable, Equatable, Codable {
    package static let setting = "tenant-defaults"

    package var limits: TenantLimits

    package init(_ limits: TenantLimits) { self.limits = limits }

    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }

        static let alertThreshold = Key(stringValue: "alert_threshold")
        static let autoSuspend = Key(stringValue: "auto_suspend")
    }

    /// As they were kept at first. A journal may still hold them.
    private struct Former: Decodable {
        var monthlySpendNanos: Int64?
        var maxExtensions: Int64?
        var maxDIDs: Int64?
        var monthlyCallSeconds: Int64?
        var alertThresholdPercent: UInt8
        var autoSuspend: Bool
    }

    package init(from decoder: any Decoder) throws {
        if let former = try? Former(from: decoder) {
            limits = TenantLimits(
                monthlySpendNanos: former.monthlySpendNanos, maxExtensions: former.maxExtensions,
                maxDIDs: former.maxDIDs, monthlyCallSeconds: former.monthlyCallSeconds,
                alertThresholdPercent: former.alertThresholdPercent,
                autoSuspend: former.autoSuspend)
            return
        }
        let values = try decoder.container(keyedBy: Key.self)
        limits = TenantLimits(
            alertThresholdPercent: try values.decode(UInt8.self, forKey: .alertThreshold),
            autoSuspend: try values.decode(Bool.self, forKey: .autoSuspend))
        for cap in CapSetting.all {
            limits[cap] = try values.decodeIfPresent(
                Int64.self, forKey: Key(stringValue: cap.name)
            ).map(cap.kept)
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: Key.self)
        for cap in CapSetting.all {
            try values.encodeIfPresent(
                limits[cap].map(cap.configured), forKey: Key(stringValue: cap.name))
        }
        try values.encode(limits.alertThresholdPercent, forKey: .alertThreshold)
        try values.encode(limits.autoSuspend, forKey: .autoSuspend)
    }
}
