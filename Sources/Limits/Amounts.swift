/// One amount per resource, with the set of resources that are present.
///
/// Units are those of `Resource`. A fixed-size value: no allocation, 40 bytes.
@frozen public struct Amounts: Sendable, Equatable {
    public var spendNanos: Int64
    public var extensions: Int64
    public var dids: Int64
    public var callSeconds: Int64
    /// Bit `Resource.index` is set where the resource was named, even with an amount of zero.
    public var present: UInt8

    @inlinable public init() {
        spendNanos = 0
        extensions = 0
        dids = 0
        callSeconds = 0
        present = 0
    }

    @inlinable public init(_ resource: Resource, _ amount: Int64) {
        self.init()
        set(resource.index, amount)
    }

    @inlinable public var isEmpty: Bool { present == 0 }

    @inlinable public func contains(_ index: Int) -> Bool {
        present & (1 &<< UInt8(truncatingIfNeeded: index)) != 0
    }

    /// The amount at a `Resource.index`; 0 where absent.
    @inlinable public subscript(index: Int) -> Int64 {
        get {
            switch index {
            case 0: spendNanos
            case 1: extensions
            case 2: dids
            default: callSeconds
            }
        }
        set {
            switch index {
            case 0: spendNanos = newValue
            case 1: extensions = newValue
            case 2: dids = newValue
            default: callSeconds = newValue
            }
        }
    }

    /// The indexes of the resources that are present, ascending.
    @inlinable public var resources: BitIndexes { BitIndexes(present) }

    /// Calls `body` with the index of each resource that is present, ascending. Unrolled: `body` is inlined with constant
    /// indexes, so that no subscript is a switch. For what every request goes through.
    @inlinable @inline(__always) public func forEachResource(_ body: (Int) -> Void) {
        if contains(0) { body(0) }
        if contains(1) { body(1) }
        if contains(2) { body(2) }
        if contains(3) { body(3) }
    }

    @inlinable public subscript(resource: Resource) -> Int64 { self[resource.index] }

    /// Sets an amount and marks its resource present.
    @inlinable public mutating func set(_ index: Int, _ amount: Int64) {
        self[index] = amount
        present |= 1 &<< UInt8(truncatingIfNeeded: index)
    }
}

/// The indexes of the set bits of a byte, ascending.
@frozen public struct BitIndexes: Sequence, IteratorProtocol, Sendable {
    @usableFromInline var bits: UInt8

    @inlinable public init(_ bits: UInt8) { self.bits = bits }

    @inlinable public mutating func next() -> Int? {
        guard bits != 0 else { return nil }
        let index = bits.trailingZeroBitCount
        bits &= bits &- 1
        return index
    }
}
