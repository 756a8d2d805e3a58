/// Names within the journal's directory.
package enum JournalFiles {
    package static let lock = "LOCK"
    /// A segment that is being prepared; it gets its name when it is complete.
    static let nextSegment = "next-segment.tmp"
    package static let temporarySuffix = ".tmp"
    /// Files shrink by so much at a time.
    static let pieceBytes = 4 << 20

    package static func segment(_ number: UInt64) -> String {
        "journal-\(padded(number)).log"
    }

    /// - Parameter number: The first segment that the checkpoint does not cover.
    package static func checkpoint(_ number: UInt64) -> String {
        "checkpoint-\(padded(number)).tgc"
    }

    package static func segmentNumber(_ name: String) -> UInt64? {
        number(name, prefix: "journal-", suffix: ".log")
    }

    package static func checkpointNumber(_ name: String) -> UInt64? {
        number(name, prefix: "checkpoint-", suffix: ".tgc")
    }

    private static func padded(_ number: UInt64) -> String {
        let digits = String(number)
        return String(repeating: "0", count: 20 - digits.count) + digits
    }

    private static func number(_ name: String, prefix: String, suffix: String) -> UInt64? {
        guard name.hasPrefix(prefix), name.hasSuffix(suffix),
            name.utf8.count == prefix.utf8.count + 20 + suffix.utf8.count
        else { return nil }
        return UInt64(name.dropFirst(prefix.utf8.count).dropLast(suffix.utf8.count))
    }
}
