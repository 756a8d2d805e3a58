/// The columns of the limit catalogue that decisions need, as bit masks over `Resource.index`.
///
/// Derived once from `LimitKind.catalogue`, so that a row is the only place where a limit is described.
@frozen public struct LimitRules: Sendable {
    /// Tenant limits that block under `on_limit: auto` only while auto-suspend is on.
    public let blocksOnlyWithAutoSuspend: UInt8
    /// Tenant limits that usage alone trips.
    public let tripsByUsage: UInt8
    /// Tenant limits whose total belongs to the billing cycle.
    public let cyclic: UInt8
    /// Resources that also count against a messaging profile.
    public let profileResources: UInt8

    public init(catalogue: [LimitRow] = LimitKind.catalogue) {
        func mask(_ subject: LimitSubject, _ column: (LimitRow) -> Bool) -> UInt8 {
            catalogue.filter { $0.subject == subject && column($0) }
                .reduce(0) { $0 | 1 << UInt8($1.resource.index) }
        }
        for row in catalogue {
            precondition(LimitKind.catalogue[row.kind.index].kind == row.kind, "row order")
            precondition(
                row.subject == .messagingProfile || row.kind.index == row.resource.index + 1)
        }
        blocksOnlyWithAutoSuspend = mask(.tenant) { $0.blocksOnlyWithAutoSuspend }
        tripsByUsage = mask(.tenant) { $0.tripsByUsage }
        cyclic = mask(.tenant) { $0.window == .billingCycle }
        profileResources = mask(.messagingProfile) { _ in true }
    }
}

extension UInt8 {
    /// Whether bit `index` (0 ..< 8) is set.
    @inlinable public func hasBit(_ index: Int) -> Bool {
        self & (1 &<< UInt8(truncatingIfNeeded: index)) != 0
    }
}
