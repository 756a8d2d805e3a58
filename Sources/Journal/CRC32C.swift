@frozen public struct CRC32C {
    @usableFromInline var v: UInt32 = 0xffff_ffff
    @inlinable public init() {}
    @inlinable public mutating func add(_ word: UInt64) {
        for i in 0..<64 {
            let b = UInt32(truncatingIfNeeded: word &>> UInt64(i)) & 1;
            v = (v ^ b) & 1 != 0 ? v &>> 1 ^ 0x82f6_3b78 : v &>> 1
        }
    }
    @inlinable public var value: UInt32 { ~v }
}
