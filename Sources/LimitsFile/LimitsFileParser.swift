internal import BillingCalendar
internal import Limits
internal import Yams

/// Walks the tree of a limits file and notes every problem instead of stopping at the first.
///
/// A value with a problem is left at its default; `LimitsFile` drops the result when there is any problem.
struct LimitsFileParser {
    private(set) var defaults = TenantLimits()
    private(set) var hasDefaults = false
    private(set) var tenants: [TenantSettings] = []
    private(set) var profiles: [ProfileSettings] = []
    private(set) var problems: [LimitsFileError.Problem] = []

    private(set) var lineOfTenant: [Identifier: Int] = [:]
    private(set) var lineOfProfile: [Identifier: Int] = [:]
    /// Zones that were found good: a file names the same few again and again.
    private var knownZones = ["UTC": "UTC"]

    private static let fieldKeys = ["preset"] + TenantLimits.settings.map(\.name)
    private static let tenantKeys =
        ["id", "preset"] + TenantSettings.settings.map(\.name)
        + ProfileKind.allCases.map(\.collection)

    mutating func parse(_ root: Node) {
        guard let file = fields(of: root, "The file", keys: ["version", "defaults", "tenants"])
        else { return }
        if let version = file["version"], version.scalar?.string != "1" {
            note(version, "\"version\" must be 1")
        }
        if let node = file["defaults"], isNull(node) == false,
            let fields = fields(of: node, "\"defaults\"", keys: Self.fieldKeys)
        {
            var limits = preset(fields) ?? TenantLimits()
            read(fields, TenantLimits.settings, into: &limits)
            defaults = limits
            hasDefaults = true
        }
        for node in list(file["tenants"], "tenants") { parseTenant(node) }
    }

    private mutating func parseTenant(_ node: Node) {
        guard let fields = fields(of: node, "A tenant", keys: Self.tenantKeys) else { return }
        let id = identifier(fields["id"], of: node, "A tenant", seen: \.lineOfTenant)
        var tenant = TenantSettings(id: id, limits: preset(fields) ?? defaults)
        read(fields, TenantSettings.settings, into: &tenant)
        tenants.append(tenant)
        for kind in ProfileKind.allCases {
            for node in list(fields[kind.collection], kind.collection) {
                parseProfile(node, kind, tenantID: id)
            }
        }
    }

    private mutating func parseProfile(_ node: Node, _ kind: ProfileKind, tenantID: String) {
        let cap = kind.limit.cap
        let settings = ProfileSettings.settings(kind).filter(\.isInLimitsFile)
        let noun = kind.nounWithArticle
        let what = noun.prefix(1).uppercased() + noun.dropFirst()
        guard let fields = fields(of: node, what, keys: ["id"] + settings.map(\.name))
        else { return }
        // Ids are common to all kinds.
        let id = identifier(fields["id"], of: node, what, seen: \.lineOfProfile)
        // The REST API wants every profile to have a name.
        var profile = ProfileSettings(id: id, kind: kind, tenantID: tenantID, name: id)
        read(fields, settings, into: &profile)
        if let node = fields[cap.toggleName], profile.dailySpendLimitEnabled,
            fields[cap.name].map(isNull) ?? true
        {
            note(node, "\"\(cap.toggleName)\" is on, but there is no \"\(cap.name)\"")
        }
        profiles.append(profile)
    }

    /// The limits that a preset stands for; nil: none is named.
    private mutating func preset(_ fields: [String: Node]) -> TenantLimits? {
        guard let node = fields["preset"] else { return nil }
        if let preset = TenantLimits.presets.first(where: { $0.key == node.scalar?.string }) {
            return preset.value
        }
        let names = TenantLimits.presets.map(\.key).joined(separator: " or ")
        note(node, "\"preset\" must be \(names)")
        return nil
    }

    /// Gives an owner those of its settings that a mapping has.
    private mutating func read<Owner>(
        _ fields: [String: Node], _ settings: [SettingDescriptor<Owner>], into owner: inout Owner
    ) {
        var given: [String: SettingField.Value] = [:]
        for setting in settings {
            guard let node = fields[setting.name] else { continue }
            given[setting.name] =
                setting.isNullable && isNull(node)
                ? SettingField.Value.none : value(node, setting.shape, setting.name)
        }
        for fault in settings.write(given, to: &owner) {
            guard let node = fields[fault.name] else { continue }
            note(node, "\"\(fault.name)\" \(fault.sentence)")
        }
    }
}

// MARK: - Values

extension LimitsFileParser {
    /// nil: the node has no such value, which is noted.
    private mutating func value(
        _ node: Node, _ shape: SettingShape, _ key: String
    ) -> SettingField.Value? {
        switch shape {
        case .text, .address: text(node, key, shape).map { .text($0) }
        case .timeZone: timeZone(node, key).map { .text($0) }
        case .amount: money(node, key).map { .amount($0) }
        case .whole(let range): whole(node, key, range).map { .whole($0) }
        case .wholes: wholes(node, key, shape).map { .wholes($0) }
        case .flag: flag(node, key).map { .flag($0) }
        case .choice(let names): choice(node, key, names, shape).map { .text($0) }
        }
    }

    /// Nano-USD. The text is read as it stands, so an unquoted 0.10 is exact too.
    private mutating func money(_ node: Node, _ key: String) -> Int64? {
        guard let text = node.scalar?.string else {
            note(node, "\"\(key)\" must be an amount in USD, like \"12.50\", or null for no limit")
            return nil
        }
        do {
            return try Money.parse(text)
        } catch {
            note(node, "\"\(key)\" is invalid. \(error.sentence)")
            return nil
        }
    }

    /// A whole number in decimal digits.
    private mutating func whole(
        _ node: Node, _ key: String, _ range: ClosedRange<Int64>
    ) -> Int64? {
        if let text = node.scalar?.string, text.utf8.allSatisfy({ (48...57).contains($0) }),
            let number = Int64(text), range.contains(number)
        {
            return number
        }
        note(node, "\"\(key)\" must be \(SettingShape.whole(range).expected), in digits only")
        return nil
    }

    /// A list of whole numbers. Their range is checked with their order.
    private mutating func wholes(_ node: Node, _ key: String, _ shape: SettingShape) -> [Int64]? {
        guard let sequence = node.sequence else {
            note(node, "\"\(key)\" must be a list of \(shape.expected), like [50, 80]")
            return nil
        }
        let numbers = sequence.compactMap { whole($0, key, 0...Int64.max) }
        return numbers.count == sequence.count ? numbers : nil
    }

    private mutating func choice(
        _ node: Node, _ key: String, _ names: [String], _ shape: SettingShape
    ) -> String? {
        if let name = node.scalar?.string, names.contains(name) { return name }
        note(node, "\"\(key)\" must be \(shape.expected)")
        return nil
    }

    private mutating func flag(_ node: Node, _ key: String) -> Bool? {
        switch node.scalar?.string.lowercased() {
        case "true", "yes", "on": return true
        case "false", "no", "off": return false
        default:
            note(node, "\"\(key)\" must be true or false")
            return nil
        }
    }

    private mutating func text(_ node: Node, _ key: String, _ shape: SettingShape) -> String? {
        guard let text = node.scalar?.string, isNull(node) == false else {
            note(node, "\"\(key)\" must be a string")
            return nil
        }
        if text.hasControlCharacters || shape.isTooShort(text)
            || shape.fault(of: .text(text)) != nil
        {
            note(node, "\"\(key)\" must be \(shape.expected)")
            return nil
        }
        return text
    }

    /// The name of a zone that billing cycles can be computed in.
    private mutating func timeZone(_ node: Node, _ key: String) -> String? {
        guard let name = node.scalar?.string else {
            note(node, "\"\(key)\" must be a string")
            return nil
        }
        if let known = knownZones[name] { return known }
        guard let known = BillingSchedule.zoneName(name) else {
            note(node, BillingScheduleError.unknownTimeZone(name).description)
            return nil
        }
        knownZones[name] = known
        return known
    }

    /// An id that something may have, not seen before.
    private mutating func identifier(
        _ node: Node?, of owner: Node, _ what: String,
        seen: WritableKeyPath<Self, [Identifier: Int]>
    ) -> String {
        guard let node else {
            note(owner, "\(what) needs an \"id\"")
            return ""
        }
        guard let id = node.scalar?.string, isNull(node) == false else {
            note(node, "\"id\" must be a string of 1 to \(Identifier.longest) bytes")
            return ""
        }
        if let fault = Identifier.fault(of: id) {
            note(node, "\"id\" \(fault)")
            return ""
        }
        let line = node.mark?.line ?? 0
        if let line = self[keyPath: seen].updateValue(line, forKey: Identifier(id)) {
            note(node, "\(what) with the id \"\(id)\" is already defined on line \(line)")
        }
        return id
    }
}

// MARK: - Structure

extension LimitsFileParser {
    private mutating func note(_ node: Node, _ sentence: String) {
        problems.append(
            .init(line: node.mark?.line ?? 0, column: node.mark?.column ?? 0, sentence: sentence))
    }

    /// A bare `null`, `~` or nothing at all.
    private func isNull(_ node: Node) -> Bool {
        guard let scalar = node.scalar, scalar.style == .plain else { return false }
        return ["", "~", "null"].contains(scalar.string.lowercased())
    }

    /// The values of a mapping by key; an unknown key is a problem.
    private mutating func fields(
        of node: Node, _ what: String, keys: [String]
    ) -> [String: Node]? {
        guard let mapping = node.mapping else {
            note(node, "\(what) must be a mapping with the keys \(keys.joined(separator: ", "))")
            return nil
        }
        var fields: [String: Node] = [:]
        for (key, value) in mapping {
            if let name = key.scalar?.string, keys.contains(name) {
                fields[name] = value
            } else {
                let name = key.scalar?.string ?? "this"
                note(
                    key,
                    "\(what) has no key \"\(name)\"; valid keys: \(keys.joined(separator: ", "))")
            }
        }
        return fields
    }

    private mutating func list(_ node: Node?, _ key: String) -> [Node] {
        guard let node, isNull(node) == false else { return [] }
        guard let sequence = node.sequence else {
            note(node, "\"\(key)\" must be a list: each entry on its own line after a \"-\"")
            return []
        }
        return Array(sequence)
    }
}
