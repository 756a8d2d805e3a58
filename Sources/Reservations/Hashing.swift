import Limits

/// Secrets of this process' hash functions; with a journal they are kept with it.
package struct HashSecret: Sendable {
    package var k0: UInt64
    package var k1: UInt64

    package init(k0: UInt64, k1: UInt64) {
        self.k0 = k0
        self.k1 = k1
    }

    package static func random() -> HashSecret {
        HashSecret(k0: UInt64.random(in: .min ... .max), k1: UInt64.random(in: .min ... .max))
    }
}

/// A 128-bit keyed hash of an idempotency key.
struct KeyHash: Equatable {
    var high: UInt64
    var low: UInt64
}

extension HashSecret {
    /// Folds a 128-bit product: the mixing step of the multiply-mix family of hashes (wyhash, rapidhash).
    @inline(always)
    static func mix(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let product = a.multipliedFullWidth(by: b)
        return product.high ^ product.low
    }

    /// 64-bit keyed hash of a short id; fast, for directories that only operators fill. O(bytes).
    @inline(always)
    func directoryHash(_ bytes: BorrowedBytes) -> UInt64 {
        let count = bytes.count
        var hash = k0 ^ UInt64(truncatingIfNeeded: count)
        guard count > 0, let start = bytes.baseAddress else { return hash }
        // Two words at a time; the last two take up again some bytes of those before.
        if count >= 16 {
            let last = count &- 16
            var offset = 0
            while offset < last {
                hash = Self.mix(
                    hash ^ (start + offset).loadUnaligned(as: UInt64.self),
                    k1 ^ (start + (offset &+ 8)).loadUnaligned(as: UInt64.self))
                offset &+= 16
            }
            hash = Self.mix(
                hash ^ (start + last).loadUnaligned(as: UInt64.self),
                k1 ^ (start + (last &+ 8)).loadUnaligned(as: UInt64.self) ^ 0x9e37_79b9_7f4a_7c15)
        } else {
            let first =
                count >= 8 ? start.loadUnaligned(as: UInt64.self) : bytes.tail(from: 0)
            let tail = count >= 8 ? (start + (count &- 8)).loadUnaligned(as: UInt64.self) : 0
            hash = Self.mix(hash ^ first, k1 ^ tail ^ 0xa076_1d64_78bd_642f)
        }
        return Self.mix(hash, k1 ^ 0xe703_7ed1_a0b4_28db)
    }

    /// SipHash-1-3 with a 128-bit result (Aumasson and Bernstein, "SipHash: a fast short-input PRF"), over the
    /// tenant's number and the key's bytes. Keyed, so nobody outside can build two keys that collide. O(bytes).
    func keyHash(tenant: UInt32, _ bytes: BorrowedBytes) -> KeyHash {
        var v0 = k0 ^ 0x736f_6d65_7073_6575
        var v1 = k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee
        var v2 = k0 ^ 0x6c79_6765_6e65_7261
        var v3 = k1 ^ 0x7465_6462_7974_6573
        @inline(always) func round() {
            v0 = v0 &+ v1
            v1 = (v1 &<< 13 | v1 &>> 51) ^ v0
            v0 = v0 &<< 32 | v0 &>> 32
            v2 = v2 &+ v3
            v3 = (v3 &<< 16 | v3 &>> 48) ^ v2
            v0 = v0 &+ v3
            v3 = (v3 &<< 21 | v3 &>> 43) ^ v0
            v2 = v2 &+ v1
            v1 = (v1 &<< 17 | v1 &>> 47) ^ v2
            v2 = v2 &<< 32 | v2 &>> 32
        }
        @inline(always) func absorb(_ word: UInt64) {
            v3 ^= word
            round()
            v0 ^= word
        }
        absorb(UInt64(tenant) &<< 32 | UInt64(truncatingIfNeeded: bytes.count))
        var offset = 0
        while offset &+ 8 <= bytes.count {
            absorb(bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            offset &+= 8
        }
        absorb(bytes.tail(from: offset))
        v2 ^= 0xee
        for _ in 0..<3 { round() }
        let low = v0 ^ v1 ^ v2 ^ v3
        v1 ^= 0xdd
        for _ in 0..<3 { round() }
        return KeyHash(high: v0 ^ v1 ^ v2 ^ v3, low: low)
    }
}

/// Hashes the content of a keyed request, so that a retry can be told from another request with the same key.
struct ContentHasher {
    private var state: UInt64
    private let secret: HashSecret

    init(_ secret: HashSecret, method: UInt64) {
        self.secret = secret
        state = secret.k1 ^ method
    }

    @inline(always)
    mutating func add(_ word: UInt64) {
        state = HashSecret.mix(state ^ word, secret.k0 ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// Quantities; one of zero is none.
    @inline(always)
    mutating func add(_ amounts: Amounts) {
        var named: UInt64 = 0
        for resource in amounts.resources where amounts[resource] != 0 {
            named |= 1 &<< UInt64(resource)
        }
        add(named)
        for resource in amounts.resources where amounts[resource] != 0 {
            add(UInt64(bitPattern: amounts[resource]))
        }
    }

    /// The least acceptable amounts of what is asked: 0 means 1.
    mutating func add(_ minimums: Amounts, of asked: Amounts) {
        for resource in asked.resources where asked[resource] > 0 {
            add(UInt64(bitPattern: max(1, minimums[resource])))
        }
    }

    @inline(always)
    mutating func add(_ bytes: BorrowedBytes) {
        add(secret.directoryHash(bytes))
    }

    func finish() -> UInt64 { HashSecret.mix(state, secret.k1 ^ 0xe703_7ed1_a0b4_28db) }
}

extension UnsafeRawBufferPointer {
    /// The bytes from `offset` (fewer than 8 of them) as a little-endian word.
    @inline(always)
    func tail(from offset: Int) -> UInt64 {
        var word: UInt64 = 0
        var shift: UInt64 = 0
        var index = offset
        while index < count {
            word |= UInt64(self[index]) &<< shift
            shift &+= 8
            index &+= 1
        }
        return word
    }
}
