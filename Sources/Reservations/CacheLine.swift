/// Single words: hash buckets.
enum Word: RecordLayout {
    static let words = 1
    static let end = 1
}

/// A cache line: shared counters, heartbeats, ids that do not fit a cell.
enum CacheLine: RecordLayout {
    static let words = 8
    static let longestID = 64
    static let end = max(Heartbeat.walkDone + 1, (longestID + 7) / 8)
}

/// A lane's heartbeat: a cache line.
enum Heartbeat {
    /// Engine time of the lane's last tick. 0: it times nothing; 1: it has retired.
    static let time = 0
    /// The time at which it was found silent when a walk of the slots began. Set by the walker.
    static let walkBegun = 1
    /// The same, when that walk had taken over all that it found. Set by the walker.
    static let walkDone = 2
}
