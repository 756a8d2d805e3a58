package import Limits

// Settings as records keep them: little-endian integers, strings with two bytes of length in front. The first byte is
// the format; fields are added at the end, and what an older version did not write reads as its default.

extension TenantSettings {
    package var encoded: [UInt8] {
        var out = SettingsEncoder()
        out.put(UInt8(1))
        out.put(limits.firstThreshold)
        out.put(UInt8(limits.autoSuspend ? 1 : 0))
        out.put(onLimit.rawValue)
        out.put(billingCycleDay)
        out.put(UInt8(disclosesLimits ? 1 : 0))
        out.put(
            LimitSubject.tenant.limits.compactMap { row in limits[row.kind].map { (row.kind, $0) } }
        )
        out.put(id)
        out.put(name)
        out.put(timeZone)
        out.put(revision)
        out.put(limits.alertThresholds)
        return out.bytes
    }

    /// nil: not settings of a tenant, or of a newer format.
    package init?(encoded: BorrowedBytes) {
        var input = SettingsDecoder(encoded)
        guard input.byte() == 1 else { return nil }
        var limits = TenantLimits()
        limits.alertThresholds = [input.byte()]
        limits.autoSuspend = input.byte() != 0
        guard let onLimit = OnLimit(rawValue: input.byte()) else { return nil }
        let day = input.byte()
        let discloses = input.byte() != 0
        guard input.caps(into: &limits) else { return nil }
        let id = input.string()
        let name = input.string()
        let timeZone = input.string()
        guard input.isWhole, (1...31).contains(day), Identifier.lengths.contains(id.utf8.count)
        else {
            return nil
        }
        var revision = Revision()
        if input.hasMore { revision = input.revision() }
        if input.hasMore { limits.alertThresholds = input.list() }
        guard input.isWhole, limits.hasRisingThresholds else { return nil }
        self.init(
            id: id, name: name, limits: limits, onLimit: onLimit, billingCycleDay: day,
            timeZone: timeZone, disclosesLimits: discloses)
        self.revision = revision
    }
}

extension ProfileSettings {
    /// Bytes that a profile's vendor fields may have.
    package static let longestVendorFields = 3_072

    package var encoded: [UInt8] {
        var out = SettingsEncoder()
        out.put(UInt8(1))
        out.put(kind.rawValue)
        out.put(UInt8(dailySpendLimitEnabled ? 1 : 0))
        out.put(dailySpendLimitNanos ?? -1)
        out.put(id)
        out.put(tenantID)
        out.put(name)
        out.put(revision)
        out.put(webhookURL)
        out.put(webhookFailoverURL)
        out.put(vendorFields)
        return out.bytes
    }

    /// nil: not settings of a profile, or of a newer format.
    package init?(encoded: BorrowedBytes) {
        var input = SettingsDecoder(encoded)
        guard input.byte() == 1, let kind = ProfileKind(rawValue: input.byte()) else { return nil }
        let enabled = input.byte() != 0
        let cap = input.cap()
        let id = input.string()
        let tenantID = input.string()
        let name = input.string()
        guard input.isWhole, Identifier.lengths.contains(id.utf8.count) else { return nil }
        self.init(
            id: id, kind: kind, tenantID: tenantID, name: name, dailySpendLimitEnabled: enabled,
            dailySpendLimitNanos: cap)
        guard input.hasMore else { return }
        revision = input.revision()
        webhookURL = input.string()
        webhookFailoverURL = input.string()
        vendorFields = input.string()
        guard input.isWhole else { return nil }
    }
}

/// A setting of the whole service: a name of up to 64 bytes and a value.
package struct ServiceSetting {
    package var name: String
    package var value: String

    package var encoded: [UInt8] {
        var out = SettingsEncoder()
        out.put(UInt8(1))
        out.put(name)
        out.put(value)
        return out.bytes
    }

    package init(name: String, value: String) {
        self.name = name
        self.value = value
    }

    /// nil: not a setting, or of a newer format.
    package init?(encoded: BorrowedBytes) {
        var input = SettingsDecoder(encoded)
        guard input.byte() == 1 else { return nil }
        name = input.string()
        value = input.string()
        guard input.isWhole, !name.isEmpty else { return nil }
    }
}

private struct SettingsEncoder {
    var bytes: [UInt8] = []

    mutating func put(_ byte: UInt8) { bytes.append(byte) }

    mutating func put(_ value: Int64) {
        for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: value >> Int64(8 * shift))) }
    }

    /// Those that are set: how many, then each with the number of its limit.
    mutating func put(_ caps: [(LimitKind, Int64)]) {
        put(UInt8(caps.count))
        for (kind, cap) in caps {
            put(kind.rawValue)
            put(cap)
        }
    }

    mutating func put(_ list: [UInt8]) {
        put(UInt8(truncatingIfNeeded: list.count))
        bytes += list
    }

    mutating func put(_ revision: Revision) {
        put(revision.number)
        put(revision.createdAt)
        put(revision.updatedAt)
    }

    mutating func put(_ string: String) {
        let count = string.utf8.count
        bytes.append(UInt8(truncatingIfNeeded: count))
        bytes.append(UInt8(truncatingIfNeeded: count >> 8))
        bytes.append(contentsOf: string.utf8)
    }
}

/// Past the end everything reads zero or empty, and `isWhole` is false.
private struct SettingsDecoder {
    private let bytes: BorrowedBytes
    private var position = 0

    init(_ bytes: BorrowedBytes) { self.bytes = bytes }

    var isWhole: Bool { position <= bytes.count }
    var hasMore: Bool { position < bytes.count }

    mutating func byte() -> UInt8 {
        defer { position += 1 }
        return position < bytes.count ? bytes[position] : 0
    }

    mutating func integer() -> Int64 {
        var value: Int64 = 0
        for shift in 0..<8 { value |= Int64(byte()) << Int64(8 * shift) }
        return value
    }

    mutating func cap() -> Int64? {
        let value = integer()
        return value < 0 ? nil : value
    }

    /// False: one is of no limit of a tenant's that this version knows, or negative.
    mutating func caps(into limits: inout TenantLimits) -> Bool {
        for _ in 0..<byte() {
            guard let kind = LimitKind(rawValue: byte()), kind.row.subject == .tenant,
                let cap = cap()
            else { return false }
            limits[kind] = cap
        }
        return true
    }

    mutating func list() -> [UInt8] { (0..<byte()).map { _ in byte() } }

    mutating func revision() -> Revision {
        let number = integer()
        let createdAt = integer()
        return Revision(number: number, createdAt: createdAt, updatedAt: integer())
    }

    mutating func string() -> String {
        let count = Int(byte()) | Int(byte()) << 8
        defer { position += count }
        guard position + count <= bytes.count else { return "" }
        return String(decoding: bytes[position..<position + count], as: UTF8.self)
    }
}

/// Encoded settings as names and values, for people.
package enum SettingsText {
    /// nil: not settings of a tenant.
    package static func tenant(_ encoded: BorrowedBytes) -> [(String, String)]? {
        TenantSettings(encoded: encoded).map { tenant in
            [("id", tenant.id)] + pairs(TenantSettings.settings, tenant)
        }
    }

    /// nil: not settings of a profile.
    package static func profile(_ encoded: BorrowedBytes) -> [(String, String)]? {
        ProfileSettings(encoded: encoded).map { profile in
            [("id", profile.id), ("kind", profile.kind.name), ("tenant_id", profile.tenantID)]
                + pairs(ProfileSettings.settings(profile.kind), profile)
        }
    }

    /// Those that are set; caps in the unit in which they are kept.
    private static func pairs<Owner>(
        _ settings: [SettingDescriptor<Owner>], _ owner: Owner
    ) -> [(String, String)] {
        settings.compactMap { setting in
            let field = setting.field(of: owner)
            guard !field.isImplied, field.value != SettingField.Value.none else { return nil }
            switch (setting.cap, field.value) {
            case (let cap?, .amount(let kept)):
                return (cap.keptName, cap.kind.row.resource.plain(kept))
            case (let cap?, .whole(let number)):
                return (cap.keptName, cap.kind.row.resource.plain(cap.kept(number)))
            case (_, .text(let text)): return (field.name, text)
            default: return (field.name, field.value.plainText ?? "")
            }
        }
    }
}
