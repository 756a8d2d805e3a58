import Foundation
import Limits

// States as blobs of little-endian words.

extension TenantState {
    static let blobWords = 16

    /// Without the number of the schedule, which means something to one process only.
    var blob: Data {
        var words = InlineArray<16, Int64>(repeating: 0)
        words[0] = Int64(bitPattern: version)
        for resource in 0..<4 {
            words[1 + resource] = committed[resource]
            words[5 + resource] = held[resource]
            words[9 + resource] = caps[resource]
        }
        words[13] = cycleStart
        words[14] = cycleEnd
        words[15] = Int64(bitPattern: flagsWithoutSchedule)
        return words.blob
    }

    init?(blob: Data) {
        guard blob.count == Self.blobWords * 8 else { return nil }
        self.init()
        version = UInt64(bitPattern: blob.word(0))
        for resource in 0..<4 {
            committed[resource] = blob.word(1 + resource)
            held[resource] = blob.word(5 + resource)
            caps[resource] = blob.word(9 + resource)
        }
        cycleStart = blob.word(13)
        cycleEnd = blob.word(14)
        flags = UInt64(bitPattern: blob.word(15))
    }

    /// How full the fullest limit is: used / cap; a cap of 0 is full. 0: no limits.
    ///
    /// - Parameter countsOnly: the billing cycle is over: only what stands counts.
    func fullness(countsOnly: Bool = false, _ rules: LimitRules) -> Double {
        var fullest = 0.0
        for resource in 0..<4 where caps[resource] >= 0 {
            let isOver = countsOnly && rules.cyclic.hasBit(resource)
            let used = isOver ? 0 : Double(committed[resource]) + Double(held[resource])
            let cap = Double(caps[resource])
            fullest = max(fullest, cap > 0 ? used / cap : 1 + used)
        }
        return fullest
    }
}

extension ProfileState {
    var blob: Data {
        var words = InlineArray<5, Int64>(repeating: 0)
        words[0] = cap
        words[1] = committed
        words[2] = held
        words[3] = dayStart
        words[4] = flagsWord
        return words.blob
    }

    /// | bits | meaning |
    /// |---|---|
    /// | 0 ... 4 | enabled, closed, threshold raised, limit reached raised, refusal raised |
    /// | 8 ... 31 | percent epoch |
    private var flagsWord: Int64 {
        (enabled ? 1 : 0) | (closed ? 2 : 0) | (thresholdRaised ? 4 : 0) | (reachedRaised ? 8 : 0)
            | (refusalRaised ? 16 : 0) | Int64(percentEpoch) << 8
    }

    init?(blob: Data) {
        guard blob.count == 40 else { return nil }
        self.init(
            cap: blob.word(0), committed: blob.word(1), held: blob.word(2), dayStart: blob.word(3),
            flagsWord: blob.word(4))
    }

    init(cap: Int64, committed: Int64, held: Int64, dayStart: Int64, flagsWord flags: Int64) {
        self.init()
        self.cap = cap
        self.committed = committed
        self.held = held
        self.dayStart = dayStart
        enabled = flags & 1 != 0
        closed = flags & 2 != 0
        thresholdRaised = flags & 4 != 0
        reachedRaised = flags & 8 != 0
        refusalRaised = flags & 16 != 0
        percentEpoch = UInt32(truncatingIfNeeded: flags >> 8)
    }
}

extension InlineArray where Element == Int64 {
    fileprivate var blob: Data {
        withUnsafeBytes(of: self) { Data($0) }
    }
}

extension Data {
    /// The word at an index; the caller has looked at `count`.
    fileprivate func word(_ index: Int) -> Int64 {
        withUnsafeBytes {
            Int64(littleEndian: $0.loadUnaligned(fromByteOffset: index * 8, as: Int64.self))
        }
    }
}

extension Amounts {
    /// "4000000,,,": by resource, nothing where absent.
    var listed: String {
        if isEmpty { return "" }
        return (0..<4).map { contains($0) ? "\(self[$0])" : "" }.joined(separator: ",")
    }

    init(listed: String) {
        self.init()
        for (index, part) in listed.split(separator: ",", omittingEmptySubsequences: false)
            .enumerated() where index < 4
        {
            if let amount = Int64(part) { set(index, amount) }
        }
    }
}
