/// Comparisons that take equally long wherever the two differ: how long they take tells nobody how much is right. They may
/// tell the length.
public enum ConstantTime {
    /// Whether two texts are the same bytes.
    package static func areSame(_ one: String, _ other: String) -> Bool {
        var (one, other) = (one, other)
        return one.withUTF8 { one in
            other.withUTF8 { other in
                guard one.count == other.count else { return false }
                guard let left = one.baseAddress, let right = other.baseAddress else { return true }
                return areSame(left, right, one.count)
            }
        }
    }

    /// Whether two runs of bytes are the same. Inlined: the data plane asks with every call.
    @inlinable @inline(__always)
    public static func areSame(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ count: Int) -> Bool {
        var different: UInt64 = 0
        var offset = 0
        guard count >= 8 else {
            while offset < count {
                different |= UInt64(
                    a.load(fromByteOffset: offset, as: UInt8.self)
                        ^ b.load(fromByteOffset: offset, as: UInt8.self))
                offset &+= 1
            }
            return different == 0
        }
        // The last word takes up again some bytes of the one before.
        let last = count &- 8
        while offset < last {
            different |=
                a.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                ^ b.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            offset &+= 8
        }
        different |=
            a.loadUnaligned(fromByteOffset: last, as: UInt64.self)
            ^ b.loadUnaligned(fromByteOffset: last, as: UInt64.self)
        return different == 0
    }
}
