/// The columns of the limit catalogue that decisions need, most as bit masks.
///
/// A tenant's limits are counted in its **counters**, numbered 0 ..< `LimitKind.counterCount` in the order of the catalogue; a
/// profile has one limit and one counter. Derived once from `LimitKind.catalogue`, so that a row is the only place where
/// a limit is described.
///
/// One word, which every decision hands on: the columns themselves stand in memory.
// SAFETY: columns are never written after `init`, and never freed: a process makes them once, tests a few.
@frozen public struct LimitRules: @unchecked Sendable {
    /// Those of the catalogue.
    public static let standard = LimitRules(catalogue: LimitKind.catalogue)

    @usableFromInline let columns: UnsafePointer<Columns>

    public init(catalogue: [LimitRow]) {
        let columns = UnsafeMutablePointer<Columns>.allocate(capacity: 1)
        columns.initialize(to: Columns(catalogue))
        self.columns = UnsafePointer(columns)
    }

    /// Counters whose limits block under `on_limit: auto` only while auto-suspend is on.
    @inlinable public var blocksOnlyWithAutoSuspend: UInt8 {
        columns.pointee.blocksOnlyWithAutoSuspend
    }
    /// Counters whose limits usage alone trips.
    @inlinable public var tripsByUsage: UInt8 { columns.pointee.tripsByUsage }
    /// Counters whose limits suspend the tenant when they are tripped.
    @inlinable public var suspends: UInt8 { columns.pointee.suspends }
    /// Counters of the billing cycle, of the tenant's day, and standing counts.
    @inlinable public var cyclic: UInt8 { columns.pointee.cyclic }
    @inlinable public var daily: UInt8 { columns.pointee.daily }
    @inlinable public var standing: UInt8 { columns.pointee.standing }
    /// Resources that are only ever held, bit `Resource.index`: settling frees them and charges nothing.
    @inlinable public var heldOnly: UInt8 { columns.pointee.heldOnly }
    /// Counters of those.
    @inlinable public var heldOnlyCounters: UInt8 { columns.pointee.heldOnlyCounters }
    /// Counters that their resources are reported by, in the order of the resources.
    @inlinable public var mainCounters: UInt8 { columns.pointee.mainCounters }

    /// What the properties and functions below read.
    @frozen @usableFromInline struct Columns {
        @usableFromInline let blocksOnlyWithAutoSuspend: UInt8
        @usableFromInline let tripsByUsage: UInt8
        @usableFromInline let suspends: UInt8
        @usableFromInline let cyclic: UInt8
        @usableFromInline let daily: UInt8
        @usableFromInline let standing: UInt8
        @usableFromInline let heldOnly: UInt8
        @usableFromInline let heldOnlyCounters: UInt8
        /// By `Resource.index`, a byte each: the counters that the resource counts in.
        @usableFromInline let countersByResource: UInt64
        @usableFromInline let mainCounters: UInt8
        /// By counter, a byte each: `Resource.index`, `LimitKind.index`.
        @usableFromInline let resourcesByCounter: UInt64
        @usableFromInline let kindsByCounter: UInt64
        /// By `Resource.index`: the tenant's limits on it.
        @usableFromInline let limitsByResource: InlineArray<6, LimitSet>
        /// By `ProfileKind.index`, a byte each: its limit's `LimitKind.index`, the resources that count against it.
        @usableFromInline let limitsByProfile: UInt32
        @usableFromInline let resourcesByProfile: UInt32
        /// `LimitRow.refusalTripsFromPercent` by `LimitKind.index`.
        @usableFromInline let refusalPercents: InlineArray<14, UInt8>

        init(_ catalogue: [LimitRow]) {
            let own = catalogue.filter { $0.subject == .tenant }
            precondition(
                own.count == LimitKind.counterCount && own.count <= 8, "a tenant's counters")
            precondition(Resource.count <= Amounts.capacity, "resources")
            precondition(catalogue.allSatisfy { $0.kind.index < LimitSet.capacity }, "limits")
            // Files name counters by the numbers of their limits, ascending.
            precondition(zip(own, own.dropFirst()).allSatisfy { $0.kind.index < $1.kind.index })
            func mask(_ column: (LimitRow) -> Bool) -> UInt8 {
                own.indices.filter { column(own[$0]) }.reduce(0) { $0 | 1 << UInt8($1) }
            }
            func bytes(_ values: [Int]) -> UInt64 {
                values.enumerated().reduce(0) { $0 | UInt64($1.element) << UInt64(8 * $1.offset) }
            }
            blocksOnlyWithAutoSuspend = mask { $0.blocksOnlyWithAutoSuspend }
            tripsByUsage = mask { $0.tripsByUsage }
            suspends = mask { $0.suspends }
            cyclic = mask { $0.window == .billingCycle }
            daily = mask { $0.window == .tenantDay }
            standing = mask { $0.window == .standing }
            heldOnly = Resource.catalogue.filter { $0.nature == .held }
                .reduce(0) { $0 | 1 << UInt8($1.resource.index) }
            heldOnlyCounters = mask { $0.resource.row.nature == .held }
            countersByResource = bytes(
                Resource.allCases.map { resource in Int(mask { $0.resource == resource }) })
            resourcesByCounter = bytes(own.map(\.resource.index))
            kindsByCounter = bytes(own.map(\.kind.index))
            var main: UInt8 = 0
            for resource in Resource.allCases {
                let first: UInt8 = mask { $0.resource == resource }
                let bit = first & ~(first &- 1)
                precondition(bit > main, "main counters are in the order of the resources")
                main |= bit
            }
            mainCounters = main
            var limits = InlineArray<6, LimitSet>(repeating: [])
            for row in own { limits[row.resource.index].insert(row.kind) }
            for resource in Resource.allCases {
                precondition(!limits[resource.index].isEmpty, "a resource counts for its tenant")
            }
            limitsByResource = limits
            let profiles = ProfileKind.allCases.map { kind in
                let rows = catalogue.filter { $0.subject == kind.subject }
                precondition(rows.count == 1 && rows[0].window == .utcDay, "a profile's one limit")
                return rows[0]
            }
            limitsByProfile = UInt32(bytes(profiles.map(\.kind.index)))
            resourcesByProfile = UInt32(bytes(profiles.map { 1 << $0.resource.index }))
            var percents = InlineArray<14, UInt8>(repeating: 0)
            for row in catalogue { percents[row.kind.index] = row.refusalTripsFromPercent }
            refusalPercents = percents
        }
    }

    /// The counters of a tenant that a resource counts in, by `Resource.index`: bit by counter.
    @inlinable @inline(always) public func counters(of resource: Int) -> UInt8 {
        UInt8(
            truncatingIfNeeded: columns.pointee.countersByResource
                &>> UInt64(truncatingIfNeeded: 8 &* resource))
    }

    /// The counter that a resource is reported by, by `Resource.index`: that of its first limit.
    @inlinable @inline(always) public func mainCounter(of resource: Int) -> Int {
        counters(of: resource).trailingZeroBitCount
    }

    /// `Resource.index` of what a counter counts.
    @inlinable @inline(always) public func resource(of counter: Int) -> Int {
        Int(
            truncatingIfNeeded: columns.pointee.resourcesByCounter
                &>> UInt64(truncatingIfNeeded: 8 &* counter) & 0xff)
    }

    /// The limit that a counter is of.
    @inlinable @inline(always) public func kind(of counter: Int) -> LimitKind {
        LimitKind(
            index: Int(
                truncatingIfNeeded: columns.pointee.kindsByCounter
                    &>> UInt64(truncatingIfNeeded: 8 &* counter) & 0xff))
    }

    /// The limit that a counter is of, as a set.
    @inlinable @inline(always) public func limit(ofCounter counter: Int) -> LimitSet {
        LimitSet(
            rawValue: 1
                &<< UInt16(
                    truncatingIfNeeded: columns.pointee.kindsByCounter
                        &>> UInt64(truncatingIfNeeded: 8 &* counter) & 0xf))
    }

    /// The limit of a profile, as a set.
    @inlinable @inline(always) public func limits(of profile: ProfileKind) -> LimitSet {
        LimitSet(
            rawValue: 1
                &<< UInt16(
                    truncatingIfNeeded: columns.pointee.limitsByProfile
                        &>> UInt32(truncatingIfNeeded: 8 &* profile.index) & 0xf))
    }

    /// The tenant's limits on a resource, by `Resource.index`.
    @inlinable @inline(always) public func limits(of resource: Int) -> LimitSet {
        columns.pointee.limitsByResource[resource]
    }

    /// The counter of a tenant's limit; nil: it is none of a tenant's.
    @inlinable public func counter(of kind: LimitKind) -> Int? {
        (0..<LimitKind.counterCount).first { self.kind(of: $0) == kind }
    }

    /// The limits that counters are of.
    @inlinable @inline(always) public func limits(ofCounters counters: UInt8) -> LimitSet {
        var limits: LimitSet = []
        for counter in BitIndexes(counters) { limits.formUnion(limit(ofCounter: counter)) }
        return limits
    }

    /// The counters of limits; nil: one is none of a tenant's.
    @inlinable public func counters(of limits: LimitSet) -> UInt8? {
        var counters: UInt8 = 0
        var left = limits
        for counter in 0..<LimitKind.counterCount where left.contains(kind(of: counter)) {
            counters |= 1 &<< UInt8(truncatingIfNeeded: counter)
            left.subtract(LimitSet(kind(of: counter)))
        }
        return left.isEmpty ? counters : nil
    }

    /// All limits of a tenant itself.
    public var tenantLimits: LimitSet {
        (0..<LimitKind.counterCount).reduce(into: []) { $0.insert(kind(of: $1)) }
    }

    /// The limit of a profile.
    @inlinable @inline(always) public func limit(of profile: ProfileKind) -> LimitKind {
        LimitKind(
            index: Int(
                truncatingIfNeeded: columns.pointee.limitsByProfile
                    &>> UInt32(truncatingIfNeeded: 8 &* profile.index) & 0xff))
    }

    /// Resources that count against a profile's limit, bit `Resource.index`.
    @inlinable @inline(always) public func resources(of profile: ProfileKind) -> UInt8 {
        UInt8(
            truncatingIfNeeded: columns.pointee.resourcesByProfile
                &>> UInt32(truncatingIfNeeded: 8 &* profile.index))
    }

    /// Percent of the cap from which a refusal alone trips a limit.
    @inlinable public func refusalTripsFromPercent(_ kind: LimitKind) -> UInt8 {
        columns.pointee.refusalPercents[kind.index]
    }
}
