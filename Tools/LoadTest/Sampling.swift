internal import Foundation

/// SplitMix64 (Steele, Lea, Flood 2014): small, fast, and the same everywhere for the same seed.
struct SampleGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    /// Evenly in 0 ..< 1.
    mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// Evenly in 0 ..< `count`, but for a bias of at most 2^-44 for a million.
    mutating func index(below count: Int) -> Int {
        Int(next().multipliedFullWidth(by: UInt64(count)).high)
    }
}

/// Draws 0 ..< n with given weights in constant time: the alias method (Walker 1977, in Vose's form of 1991).
struct AliasTable {
    private var threshold: [Double]
    private var alias: [UInt32]

    /// - Parameter weights: 1 ... 2^32 of them, none negative, not all zero.
    /// - Complexity: O(n)
    init(weights: [Double]) {
        let total = weights.reduce(0, +)
        precondition(total > 0 && weights.count <= 1 << 32, "a weight above zero is needed")
        threshold = weights.map { $0 / total * Double(weights.count) }
        alias = (0..<weights.count).map { UInt32($0) }
        var small = threshold.indices.filter { threshold[$0] < 1 }
        var large = threshold.indices.filter { threshold[$0] >= 1 }
        while let less = small.popLast(), let more = large.last {
            alias[less] = UInt32(more)
            threshold[more] -= 1 - threshold[less]
            if threshold[more] < 1 { small.append(large.removeLast()) }
        }
        // What rounding left over has itself as its alias.
    }

    func draw(_ random: inout SampleGenerator) -> Int {
        let index = random.index(below: threshold.count)
        return random.unit() < threshold[index] ? index : Int(alias[index])
    }
}

/// Zipf's law: the k-th of n has a share proportional to 1 / k^skew.
enum Zipf {
    /// - Parameter skew: 0: all the same; about 1: a few have most.
    /// - Returns: shares that sum up to 1, the largest first.
    static func shares(count: Int, skew: Double) -> [Double] {
        let weights = (1...count).map { pow(Double($0), -skew) }
        let total = weights.reduce(0, +)
        return weights.map { $0 / total }
    }
}
