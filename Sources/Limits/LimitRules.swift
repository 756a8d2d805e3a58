/// The columns of the limit catalogue that decisions need, most as bit masks over `Resource.index`.
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
    /// `LimitRow.refusalTripsFromPercent`, a byte each, by `LimitKind.index`: one word, since rules are loaded by every
    /// decision, and these are needed by few.
    @usableFromInline let refusalPercents: UInt64

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
        refusalPercents = catalogue.reduce(0) {
            $0 | UInt64($1.refusalTripsFromPercent) << UInt64(8 * $1.kind.index)
        }
        profileResources = mask(.messagingProfile) { _ in true }
    }

    /// Percent of the cap from which a refusal alone trips a limit.
    @inlinable public func refusalTripsFromPercent(_ kind: LimitKind) -> UInt8 {
        UInt8(truncatingIfNeeded: refusalPercents &>> UInt64(truncatingIfNeeded: 8 &* kind.index))
    }
}

extension UInt8 {
    /// Whether bit `index` (0 ..< 8) is set.
    @inlinable public func hasBit(_ index: Int) -> Bool {
        self & (1 &<< UInt8(truncatingIfNeeded: index)) != 0
    }
}
