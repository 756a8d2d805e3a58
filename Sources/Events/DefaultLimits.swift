package import Limits

/// The limit fields that pre-fill a new tenant, as they are kept: a setting of the service in the journal, by the names
/// that configuration has for them.
package struct DefaultLimits: Sendable, Equatable, Codable {
    package static let setting = "tenant-defaults"

    package var limits: TenantLimits

    package init(_ limits: TenantLimits) { self.limits = limits }

    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
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
        limits = TenantLimits()
        var given: [String: SettingField.Value] = [:]
        for setting in TenantLimits.settings {
            let key = Key(stringValue: setting.name)
            guard values.contains(key) else { continue }
            given[setting.name] =
                switch setting.shape {
                case .amount: .amount(try values.decode(Int64.self, forKey: key))
                case .whole: .whole(try values.decode(Int64.self, forKey: key))
                case .wholes: .wholes(try values.decode([Int64].self, forKey: key))
                case .flag: .flag(try values.decode(Bool.self, forKey: key))
                default: .text(try values.decode(String.self, forKey: key))
                }
        }
        if let fault = TenantLimits.settings.write(given, to: &limits).first {
            throw DecodingError.dataCorrupted(
                DecodingError.Context(
                    codingPath: [Key(stringValue: fault.name)], debugDescription: fault.sentence))
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: Key.self)
        for field in limits.fields where !field.isImplied {
            let key = Key(stringValue: field.name)
            switch field.value {
            case .none: break
            case .amount(let number), .whole(let number): try values.encode(number, forKey: key)
            case .wholes(let numbers): try values.encode(numbers, forKey: key)
            case .flag(let flag): try values.encode(flag, forKey: key)
            case .text(let text): try values.encode(text, forKey: key)
            }
        }
    }
}
