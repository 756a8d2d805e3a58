/// A cap as configuration names it.
///
/// Each row of the catalogue has one, and whoever reads, shows or keeps limits goes through them: defaults, reset, limits
/// file, REST, command line, audit log and page treat a further row like the first.
public struct CapSetting: Sendable, Equatable {
    public enum Unit: Sendable {
        /// Nano-USD, written as a decimal number of USD.
        case amount
        case count
        /// Kept as seconds.
        case minutes
    }

    /// A cap that is in force only while it is switched on.
    public struct Toggle: Sendable, Equatable {
        /// snake_case name, as of the cap.
        public let name: String
        /// Help of the command line.
        public let help: String

        public init(name: String, help: String) {
            self.name = name
            self.help = help
        }
    }

    public let kind: LimitKind
    /// snake_case name in the limits file and in the REST API.
    public let name: String
    /// For people: "Max DIDs".
    public let title: String
    /// Help of the command line.
    public let help: String
    /// nil: in force as soon as it is set.
    public let toggle: Toggle?

    public init(
        _ kind: LimitKind, name: String, title: String, help: String, toggle: Toggle? = nil
    ) {
        self.kind = kind
        self.name = name
        self.title = title
        self.help = help
        self.toggle = toggle
    }

    /// Name of the toggle; empty: there is none.
    public var toggleName: String { toggle?.name ?? "" }
    /// The name where the cap is shown in the unit in which it is kept.
    public var keptName: String {
        guard unit == .minutes, name.hasSuffix("minutes") else { return name }
        return name.dropLast("minutes".count) + "seconds"
    }

    public var unit: Unit {
        switch kind.row.resource.unit {
        case .amount: .amount
        case .count: .count
        case .seconds: .minutes
        }
    }

    /// At the head of a column: "Monthly Spend Limit ($)".
    public var columnTitle: String { unit == .amount ? title + " ($)" : title }
    /// The same on the command line: "SPEND LIMIT".
    public var heading: String {
        unit == .amount ? kind.row.words.heading + " LIMIT" : kind.row.words.heading
    }

    /// Whether tables always have its column: it is one of those that the guide names. Others have theirs where somebody has
    /// such a cap.
    public var isCommon: Bool { TenantLimits.newTenant[self] != nil }

    /// The largest that can be configured, in the unit.
    public var most: Int64 { unit == .minutes ? .max / 60 : .max }

    /// In the resource's unit, of what was configured.
    public func kept(_ configured: Int64) -> Int64 {
        unit == .minutes ? configured * 60 : configured
    }

    /// As it is configured, of what is kept.
    public func configured(_ kept: Int64) -> Int64 { unit == .minutes ? kept / 60 : kept }

    /// For people and for texts: "500.00", "50".
    public func text(_ kept: Int64) -> String {
        unit == .amount ? Money.format(kept) : String(configured(kept))
    }

    /// Those of a tenant, in the order of the catalogue.
    public static let all = LimitSubject.tenant.limits.map(\.cap)
}

extension TenantLimits {
    /// A cap in the unit of its resource; nil: no limit.
    public subscript(cap: CapSetting) -> Int64? {
        get { self[cap.kind] }
        set { self[cap.kind] = newValue }
    }
}
