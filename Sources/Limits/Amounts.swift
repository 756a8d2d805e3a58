/// One amount per resource, with the set of resources that are present.
///
/// Units are those of `Resource`. A fixed-size value: no allocation, 56 bytes.
@frozen public struct Amounts: Sendable, Equatable {
    /// Resources that there is room for.
    @inlinable public static var capacity: Int { 6 }

    /// By `Resource.index`; 0 where absent.
    @usableFromInline var amounts: InlineArray<6, Int64>
    /// Bit `Resource.index` is set where the resource was named, even with an amount of zero.
    public var present: UInt8

    @inlinable @inline(always) public init() {
        amounts = [0, 0, 0, 0, 0, 0]
        present = 0
    }

    @inlinable @inline(always) public init(_ resource: Resource, _ amount: Int64) {
        self.init()
        set(resource.index, amount)
    }

    @inlinable @inline(always) public var isEmpty: Bool { present == 0 }

    @inlinable @inline(always) public func contains(_ index: Int) -> Bool {
        present.hasBit(index)
    }

    /// The amount at a `Resource.index`; 0 where absent.
    ///
    /// - Precondition: 0 ..< `capacity`; checked in debug builds.
    @inlinable public subscript(index: Int) -> Int64 {
        @inline(always) get {
            assert(index >= 0 && index < Self.capacity)
            return amounts[unchecked: index]
        }
        @inline(always) set {
            assert(index >= 0 && index < Self.capacity)
            amounts[unchecked: index] = newValue
        }
    }

    @inlinable public static func == (a: Amounts, b: Amounts) -> Bool {
        a.present == b.present && a.sameAmounts(as: b)
    }

    /// Equal amounts; a resource that is absent is 0.
    @inlinable public func sameAmounts(as other: Amounts) -> Bool {
        for index in BitIndexes(present | other.present) where self[index] != other[index] {
            return false
        }
        return true
    }

    /// The indexes of the resources that are present, ascending.
    @inlinable @inline(always) public var resources: BitIndexes { BitIndexes(present) }

    @inlinable public subscript(resource: Resource) -> Int64 { self[resource.index] }

    /// Sets an amount and marks its resource present.
    @inlinable @inline(always) public mutating func set(_ index: Int, _ amount: Int64) {
        self[index] = amount
        present |= 1 &<< UInt8(truncatingIfNeeded: index)
    }
}

/// What is added to a tenant's counters, with the set of counters that are concerned. 72 bytes.
@frozen public struct CounterDeltas: Sendable, Equatable {
    /// By counter; 0 where absent.
    @usableFromInline var deltas: InlineArray<8, Int64>
    /// Bit by counter.
    public var present: UInt8

    @inlinable @inline(always) public init() {
        deltas = [0, 0, 0, 0, 0, 0, 0, 0]
        present = 0
    }

    @inlinable @inline(always) public var isEmpty: Bool { present == 0 }

    /// The delta of a counter, a bit's number of a byte; 0 where absent.
    @inlinable public subscript(counter: Int) -> Int64 {
        @inline(always) get { deltas[unchecked: counter & 7] }
        @inline(always) set { deltas[unchecked: counter & 7] = newValue }
    }

    /// The counters that are present, ascending.
    @inlinable @inline(always) public var counters: BitIndexes { BitIndexes(present) }

    /// Sets a delta and marks its counter present.
    @inlinable @inline(always) public mutating func set(_ counter: Int, _ delta: Int64) {
        self[counter] = delta
        present |= 1 &<< UInt8(truncatingIfNeeded: counter)
    }

    /// Adds to a delta and marks its counter present. The caller knows that it does not overflow.
    @inlinable @inline(always) public mutating func add(_ counter: Int, _ delta: Int64) {
        set(counter, self[counter] &+ delta)
    }

    @inlinable public static func == (a: CounterDeltas, b: CounterDeltas) -> Bool {
        guard a.present == b.present else { return false }
        for counter in a.counters where a[counter] != b[counter] { return false }
        return true
    }
}

/// The indexes of the set bits of a byte, ascending.
@frozen public struct BitIndexes: Sequence, IteratorProtocol, Sendable {
    @usableFromInline var bits: UInt8

    @inlinable @inline(always) public init(_ bits: UInt8) { self.bits = bits }

    @inlinable @inline(always) public mutating func next() -> Int? {
        guard bits != 0 else { return nil }
        let index = bits.trailingZeroBitCount
        bits &= bits &- 1
        return index
    }
}

extension UInt8 {
    /// Whether bit `index` (0 ..< 8) is set.
    @inlinable @inline(always) public func hasBit(_ index: Int) -> Bool {
        self & (1 &<< UInt8(truncatingIfNeeded: index)) != 0
    }
}
