/// Where a record stands in the order of its tenant's versions.
@frozen public enum RecordOrder: Sendable, Equatable {
    /// It takes effect.
    case next
    /// The tenant is at this version or further: a second copy.
    case duplicate
    /// A record that comes before it is missing so far.
    case outOfOrder

    /// - Parameters:
    ///   - version: the record's.
    ///   - present: the tenant's; 0: there is no such tenant.
    @inlinable @inline(__always)
    public init(_ version: UInt64, after present: UInt64) {
        if version <= present {
            self = .duplicate
        } else {
            self = version &- present == 1 ? .next : .outOfOrder
        }
    }
}

/// What playing a record back came to.
@frozen public enum Replayed: Sendable, Equatable {
    case applied
    /// See `RecordOrder.duplicate`; nothing was changed.
    case duplicate
    /// See `RecordOrder.outOfOrder`; nothing was changed.
    case outOfOrder
    /// The record contradicts what came before it: how. Nothing was changed.
    case corrupt(String)
}

extension Record {
    /// Where the record stands when its tenant is at a version; 0: there is no such tenant.
    @inlinable @inline(__always)
    public func order(after present: UInt64) -> RecordOrder {
        if kind == .tenantCreated { return present == 0 ? .next : .duplicate }
        return present == 0 ? .outOfOrder : RecordOrder(version, after: present)
    }
}
