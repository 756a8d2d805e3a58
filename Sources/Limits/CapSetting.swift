/// A cap of a tenant as configuration names it.
///
/// Each row of the catalogue that bounds a tenant has one, and whoever reads, shows or keeps a tenant's limits goes through
/// `all`: defaults, reset, limits file, REST, audit log and page treat a further row like the first.
public struct CapSetting: Sendable, Equatable {
    public enum Unit: Sendable {
        /// Nano-USD, written as a decimal number of USD.
        case amount
        case count
        /// Kept as seconds.
        case minutes
    }

    /// snake_case name in the limits file and in the REST API.
    public let name: String
    /// For people: "Max DIDs".
    public let title: String
    public let resource: Resource
    public let unit: Unit

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

    /// In the order of the catalogue.
    public static let all = LimitKind.catalogue.compactMap(\.cap)
}

extension TenantLimits {
    /// A cap in the unit of its resource; nil: no limit.
    public subscript(cap: CapSetting) -> Int64? {
        get { self[cap.resource] }
        set { self[cap.resource] = newValue }
    }

    /// The cap of a resource; nil: no limit.
    public subscript(resource: Resource) -> Int64? {
        get { cap(resource) }
        set {
            switch resource {
            case .spend: monthlySpendNanos = newValue
            case .extensions: maxExtensions = newValue
            case .dids: maxDIDs = newValue
            case .callSeconds: monthlyCallSeconds = newValue
            }
        }
    }
}
