import Glibc

/// Where a fuzz target begins: well-formed inputs, made by the project's own encoders.
package enum Seeds {
    /// Writes the inputs into the directory that `TOLLGATE_FUZZ_SEEDS` names, one file each, and ends the process;
    /// does nothing without it. To be called from `LLVMFuzzerInitialize`.
    package static func writeIfAsked(_ inputs: () -> [[UInt8]]) {
        guard let directory = getenv("TOLLGATE_FUZZ_SEEDS").map({ String(cString: $0) }) else {
            return
        }
        for (index, input) in inputs().enumerated() {
            guard let file = fopen("\(directory)/seed-\(index)", "w") else {
                perror(directory)
                exit(1)
            }
            let written = fwrite(input, 1, input.count, file)
            guard fclose(file) == 0, written == input.count else { exit(1) }
        }
        exit(0)
    }
}

/// Takes an input apart from its front; zeros past its end.
package struct InputReader {
    private let bytes: UnsafeRawBufferPointer
    private var place = 0

    package init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    package var isAtEnd: Bool { place >= bytes.count }

    package mutating func byte() -> UInt8 {
        defer { place += 1 }
        return place < bytes.count ? bytes[place] : 0
    }

    /// Up to `count` bytes.
    package mutating func take(_ count: Int) -> UnsafeRawBufferPointer {
        let start = min(place, bytes.count)
        let end = min(start + count, bytes.count)
        place = end
        return UnsafeRawBufferPointer(rebasing: bytes[start..<end])
    }

    package mutating func rest() -> UnsafeRawBufferPointer { take(bytes.count) }
}

/// Random numbers that a seed repeats: SplitMix64.
package struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}
