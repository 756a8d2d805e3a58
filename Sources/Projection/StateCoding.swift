import Foundation
import Limits

// States as blobs of little-endian words.

extension TenantState {
    /// Without the number of the schedule, which means something to one process only.
    var blob: Data {
        var words: [UInt64] = []
        encode(.standard) { words.append($0.littleEndian) }
        return words.withUnsafeBytes { Data($0) }
    }

    init?(blob: Data) {
        self.init(.standard, blob.count / 8) { blob.word($0) }
    }
}

extension ProfileState {
    var blob: Data {
        var words: [UInt64] = []
        encode { words.append($0.littleEndian) }
        return words.withUnsafeBytes { Data($0) }
    }

    init?(blob: Data) {
        guard blob.count == 8 * Self.wordCount else { return nil }
        self.init { blob.word($0) }
    }
}

extension Data {
    /// The word at an index; the caller has looked at `count`.
    fileprivate func word(_ index: Int) -> UInt64 {
        withUnsafeBytes {
            UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self))
        }
    }
}

extension Amounts {
    /// "4000000,,,": by resource, nothing where absent.
    var listed: String {
        if isEmpty { return "" }
        return Resource.indices.map { contains($0) ? "\(self[$0])" : "" }.joined(separator: ",")
    }

    init(listed: String) {
        self.init()
        for (index, part) in listed.split(separator: ",", omittingEmptySubsequences: false)
            .enumerated() where index < Resource.count
        {
            if let amount = Int64(part) { set(index, amount) }
        }
    }
}
