package import Limits

// Settings as records keep them: little-endian integers, strings with two bytes of length in front. The first byte is
// the format; fields are added at the end, and what an older version did not write reads as its default.

extension TenantSettings {
    package var encoded: [UInt8] {
        var out = SettingsEncoder()
        out.put(UInt8(1))
        out.put(self, Self.settings, .small)
        out.put(
            LimitSubject.tenant.limits.compactMap { row in limits[row.kind].map { (row.kind, $0) } }
        )
        out.put(id)
        out.put(self, Self.settings, .texts)
        out.put(revision)
        out.put(self, Self.settings, .added(1))
        return out.bytes
    }

    /// nil: not settings of a tenant, or of a newer format.
    package init?(encoded: BorrowedBytes) {
        var input = SettingsDecoder(encoded)
        guard input.byte() == 1 else { return nil }
        self.init(id: "")
        guard input.read(&self, Self.settings, .small), input.caps(into: &limits) else {
            return nil
        }
        id = input.string()
        guard input.read(&self, Self.settings, .texts), (1...64).contains(id.utf8.count) else {
            return nil
        }
        if input.hasMore { revision = input.revision() }
        guard !input.hasMore || input.read(&self, Self.settings, .added(1)), input.isWhole else {
            return nil
        }
    }
}

extension ProfileSettings {
    /// Bytes that a profile's vendor fields may have.
    package static let longestVendorFields = 3_072

    package var encoded: [UInt8] {
        let settings = Self.settings(kind)
        var out = SettingsEncoder()
        out.put(UInt8(1))
        out.put(kind.rawValue)
        out.put(self, settings, .small)
        out.put(dailySpendLimitNanos ?? -1)
        out.put(id)
        out.put(tenantID)
        out.put(self, settings, .texts)
        out.put(revision)
        out.put(self, settings, .added(1))
        out.put(vendorFields)
        return out.bytes
    }

    /// nil: not settings of a profile, or of a newer format.
    package init?(encoded: BorrowedBytes) {
        var input = SettingsDecoder(encoded)
        guard input.byte() == 1, let kind = ProfileKind(rawValue: input.byte()) else { return nil }
        let settings = Self.settings(kind)
        self.init(id: "", kind: kind, tenantID: "")
        guard input.read(&self, settings, .small) else { return nil }
        dailySpendLimitNanos = input.cap()
        id = input.string()
        tenantID = input.string()
        guard input.read(&self, settings, .texts), (1...64).contains(id.utf8.count) else {
            return nil
        }
        guard input.hasMore else { return }
        revision = input.revision()
        guard input.read(&self, settings, .added(1)) else { return nil }
        vendorFields = input.string()
        guard input.isWhole else { return nil }
    }
}

/// Settings that stand together in a record, in the order of their rows.
private enum SettingsPart {
    /// Of the first format: what is kept as a byte, caps excepted.
    case small
    /// Of the first format.
    case texts
    /// Those of a later generation.
    case added(Int)

    func contains<Owner>(_ setting: SettingDescriptor<Owner>) -> Bool {
        switch (self, setting.shape) {
        case (.small, .flag), (.small, .whole), (.small, .choice):
            setting.generation == 0 && setting.cap == nil
        case (.texts, .text), (.texts, .timeZone), (.texts, .address): setting.generation == 0
        case (.added(let generation), _): setting.generation == generation
        default: false
        }
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

    mutating func put<Owner>(
        _ owner: Owner, _ settings: [SettingDescriptor<Owner>], _ part: SettingsPart
    ) {
        for setting in settings where part.contains(setting) {
            switch (setting.value(of: owner), setting.shape) {
            case (.flag(let flag), _): put(UInt8(flag ? 1 : 0))
            case (.whole(let number), _): put(UInt8(truncatingIfNeeded: number))
            case (.wholes(let numbers), _):
                put(UInt8(truncatingIfNeeded: numbers.count))
                for number in numbers { put(UInt8(truncatingIfNeeded: number)) }
            case (.text(let name), .choice(let names)):
                put(UInt8(truncatingIfNeeded: names.firstIndex(of: name) ?? 0))
            case (.text(let text), _): put(text)
            case (.none, _): put("")
            case (.amount(let nanos), _): put(nanos)
            }
        }
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

    /// False: the bytes are too few, or no such values.
    mutating func read<Owner>(
        _ owner: inout Owner, _ settings: [SettingDescriptor<Owner>], _ part: SettingsPart
    ) -> Bool {
        for setting in settings where part.contains(setting) {
            guard let value = value(setting.shape), setting.write(value, to: &owner) == nil else {
                return false
            }
        }
        return isWhole
    }

    private mutating func value(_ shape: SettingShape) -> SettingField.Value? {
        switch shape {
        case .flag: return .flag(byte() != 0)
        case .whole: return .whole(Int64(byte()))
        case .wholes: return .wholes((0..<byte()).map { _ in Int64(byte()) })
        case .choice(let names):
            let index = Int(byte())
            return index < names.count ? .text(names[index]) : nil
        case .text, .timeZone, .address: return .text(string())
        case .amount: return .amount(integer())
        }
    }

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
