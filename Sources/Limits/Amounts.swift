/// One amount per resource, with the set of resources that are present.
///
/// Units are those of `Resource`. A fixed-size value: no allocation, 40 bytes.
@frozen public struct Amounts: Sendable, Equatable {
    /// By `Resource.index`; 0 where absent. An array rather than four names: a subscript that is a switch keeps the
    /// compiler from inlining what is made of them.
    @usableFromInline var amounts: InlineArray<4, Int64>
    /// Bit `Resource.index` is set where the resource was named, even with an amount of zero.
    public var present: UInt8

    @inlinable @inline(always) public init() {
        amounts = [0, 0, 0, 0]
        present = 0
    }

    @inlinable @inline(always) public init(_ resource: Resource, _ amount: Int64) {
        self.init()
        set(resource.index, amount)
    }

    @inlinable @inline(always) public var isEmpty: Bool { present == 0 }

    @inlinable @inline(always) public func contains(_ index: Int) -> Bool {
        present & (1 &<< UInt8(truncatingIfNeeded: index)) != 0
    }

    /// The amount at a `Resource.index`; 0 where absent.
    @inlinable public subscript(index: Int) -> Int64 {
        @inline(always) get { amounts[index] }
        @inline(always) set { amounts[index] = newValue }
    }

    public var spendNanos: Int64 {
        @inlinable @inline(always) get { amounts[Resource.spend.index] }
        @inlinable @inline(always) set { amounts[Resource.spend.index] = newValue }
    }
    public var extensions: Int64 {
        @inlinable @inline(always) get { amounts[Resource.extensions.index] }
        @inlinable @inline(always) set { amounts[Resource.extensions.index] = newValue }
    }
    public var dids: Int64 {
        @inlinable @inline(always) get { amounts[Resource.dids.index] }
        @inlinable @inline(always) set { amounts[Resource.dids.index] = newValue }
    }
    public var callSeconds: Int64 {
        @inlinable @inline(always) get { amounts[Resource.callSeconds.index] }
        @inlinable @inline(always) set { amounts[Resource.callSeconds.index] = newValue }
    }

    @inlinable public static func == (a: Amounts, b: Amounts) -> Bool {
        a.present == b.present && a.sameAmounts(as: b)
    }

    /// Equal amounts; a resource that is absent is 0.
    @inlinable public func sameAmounts(as other: Amounts) -> Bool {
        spendNanos == other.spendNanos && extensions == other.extensions && dids == other.dids
            && callSeconds == other.callSeconds
    }

    /// The indexes of the resources that are present, ascending.
    @inlinable public var resources: BitIndexes { BitIndexes(present) }

    /// Calls `body` with the index of each resource that is present, ascending. Unrolled: `body` is inlined with constant
    /// indexes, so that no subscript is a switch. For what every request goes through.
    @inlinable @inline(always) public func forEachResource(_ body: (Int) -> Void) {
        if contains(0) { body(0) }
        if contains(1) { body(1) }
        if contains(2) { body(2) }
        if contains(3) { body(3) }
    }

    @inlinable public subscript(resource: Resource) -> Int64 { self[resource.index] }

    /// Sets an amount and marks its resource present.
    @inlinable @inline(always) public mutating func set(_ index: Int, _ amount: Int64) {
        self[index] = amount
        present |= 1 &<< UInt8(truncatingIfNeeded: index)
    }
}

/// Calls `body` with every `Resource.index`, ascending. Unrolled, as `Amounts.forEachResource`.
@inlinable @inline(always) public func forEachResourceIndex(_ body: (Int) -> Void) {
    body(0)
    body(1)
    body(2)
    body(3)
}

/// The indexes of the set bits of a byte, ascending.
@frozen public struct BitIndexes: Sequence, IteratorProtocol, Sendable {
    @usableFromInline var bits: UInt8

    @inlinable @inline(always) public init(_ bits: UInt8) { self.bits = bits }

    @inlinable public mutating func next() -> Int? {
        guard bits != 0 else { return nil }
        let index = bits.trailingZeroBitCount
        bits &= bits &- 1
        return index
    }
}
