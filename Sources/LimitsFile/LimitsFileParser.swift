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

    private static let fieldKeys =
        ["preset"] + CapSetting.all.map(\.name) + ["alert_threshold", "auto_suspend"]
    private static let tenantKeys =
        ["id", "name"] + fieldKeys
        + ["on_limit", "billing_cycle_day", "time_zone", "disclose_limits"]
        + ProfileKind.allCases.map(\.collection)
    private static let presets: [(name: String, limits: TenantLimits)] = [
        ("new-tenant", .newTenant), ("unlimited", TenantLimits()),
    ]

    mutating func parse(_ root: Node) {
        guard let file = fields(of: root, "The file", keys: ["version", "defaults", "tenants"])
        else { return }
        if let version = file["version"], version.scalar?.string != "1" {
            note(version, "\"version\" must be 1")
        }
        if let node = file["defaults"], isNull(node) == false,
            let fields = fields(of: node, "\"defaults\"", keys: Self.fieldKeys)
        {
            defaults = limits(fields, base: TenantLimits())
            hasDefaults = true
        }
        for node in list(file["tenants"], "tenants") { parseTenant(node) }
    }

    private mutating func parseTenant(_ node: Node) {
        guard let fields = fields(of: node, "A tenant", keys: Self.tenantKeys) else { return }
        let id = identifier(fields["id"], of: node, "A tenant", seen: \.lineOfTenant)
        var tenant = TenantSettings(
            id: id, name: name(fields["name"]),
            limits: limits(fields, base: defaults))
        if let node = fields["on_limit"] {
            if let onLimit = node.scalar.flatMap({ OnLimit(name: $0.string) }) {
                tenant.onLimit = onLimit
            } else {
                note(node, "\"on_limit\" must be auto, block or alert")
            }
        }
        if let day = whole(fields["billing_cycle_day"], "billing_cycle_day", 1...31) {
            tenant.billingCycleDay = UInt8(day)
        }
        if let node = fields["time_zone"] {
            tenant.timeZone = timeZone(node)
        }
        if let discloses = flag(fields["disclose_limits"], "disclose_limits") {
            tenant.disclosesLimits = discloses
        }
        tenants.append(tenant)
        for kind in ProfileKind.allCases {
            for node in list(fields[kind.collection], kind.collection) {
                parseProfile(node, kind, tenantID: id)
            }
        }
    }

    private mutating func parseProfile(_ node: Node, _ kind: ProfileKind, tenantID: String) {
        let (limit, toggle) = (kind.limit.cap.name, kind.limit.cap.toggleName)
        let noun = kind.nounWithArticle
        let what = noun.prefix(1).uppercased() + noun.dropFirst()
        guard let fields = fields(of: node, what, keys: ["id", "name", limit, toggle])
        else { return }
        // Ids are common to all kinds.
        let id = identifier(fields["id"], of: node, what, seen: \.lineOfProfile)
        var profile = ProfileSettings(
            id: id, kind: kind, tenantID: tenantID,
            // The REST API wants every profile to have a name.
            name: fields["name"] == nil ? id : name(fields["name"]))
        if let node = fields[limit] { profile.dailySpendLimitNanos = money(node, limit) }
        let isEnabled = flag(fields[toggle], toggle)
        profile.dailySpendLimitEnabled = isEnabled ?? false
        if let node = fields[toggle], isEnabled == true, fields[limit].map(isNull) ?? true {
            note(node, "\"\(toggle)\" is on, but there is no \"\(limit)\"")
        }
        profiles.append(profile)
    }

    /// The six fields over `base`, or over the preset that they name.
    private mutating func limits(_ fields: [String: Node], base: TenantLimits) -> TenantLimits {
        var limits = base
        if let node = fields["preset"] {
            if let preset = Self.presets.first(where: { $0.name == node.scalar?.string }) {
                limits = preset.limits
            } else {
                let names = Self.presets.map(\.name).joined(separator: " or ")
                note(node, "\"preset\" must be \(names)")
            }
        }
        for cap in CapSetting.all {
            guard let node = fields[cap.name] else { continue }
            limits[cap] =
                cap.unit == .amount
                ? money(node, cap.name) : number(node, of: cap).map(cap.kept)
        }
        if let percent = whole(fields["alert_threshold"], "alert_threshold", 1...100) {
            limits.alertThresholdPercent = UInt8(percent)
        }
        if let suspends = flag(fields["auto_suspend"], "auto_suspend") {
            limits.autoSuspend = suspends
        }
        return limits
    }
}

// MARK: - Values

extension LimitsFileParser {
    /// A cap: a whole number from 0; null: no limit.
    private mutating func number(_ node: Node, of cap: CapSetting) -> Int64? {
        isNull(node) ? nil : whole(node, cap.name, 0...cap.most)
    }

    /// Nano-USD; null: no limit. The text is read as it stands, so an unquoted 0.10 is exact too.
    private mutating func money(_ node: Node, _ key: String) -> Int64? {
        if isNull(node) { return nil }
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
        _ node: Node?, _ key: String, _ range: ClosedRange<Int64>
    ) -> Int64? {
        guard let node else { return nil }
        if let text = node.scalar?.string, text.utf8.allSatisfy({ (48...57).contains($0) }),
            let number = Int64(text), range.contains(number)
        {
            return number
        }
        let bounds =
            range.upperBound == .max
            ? "of at least \(range.lowerBound)"
            : "from \(range.lowerBound) to \(range.upperBound)"
        note(node, "\"\(key)\" must be a whole number \(bounds), in digits only")
        return nil
    }

    private mutating func flag(_ node: Node?, _ key: String) -> Bool? {
        guard let node else { return nil }
        switch node.scalar?.string.lowercased() {
        case "true", "yes", "on": return true
        case "false", "no", "off": return false
        default:
            note(node, "\"\(key)\" must be true or false")
            return nil
        }
    }

    private mutating func text(_ node: Node?, _ key: String) -> String {
        guard let node else { return "" }
        guard let text = node.scalar?.string, isNull(node) == false else {
            note(node, "\"\(key)\" must be a string")
            return ""
        }
        return text
    }

    /// A name for people, as the REST API takes it: at most 256 bytes without control characters.
    private mutating func name(_ node: Node?) -> String {
        let name = text(node, "name")
        if let node,
            name.utf8.count > 256
                || name.unicodeScalars.contains(where: {
                    $0.properties.generalCategory == .control
                })
        {
            note(node, "\"name\" must be a string of at most 256 bytes without control characters")
        }
        return name
    }

    /// The name of a zone that billing cycles can be computed in.
    private mutating func timeZone(_ node: Node) -> String {
        guard let name = node.scalar?.string else { return text(node, "time_zone") }
        if let known = knownZones[name] { return known }
        guard let known = BillingSchedule.zoneName(name) else {
            note(node, BillingScheduleError.unknownTimeZone(name).description)
            return name
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
