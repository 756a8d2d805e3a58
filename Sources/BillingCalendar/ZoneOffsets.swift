import Foundation

/// A zone of the IANA database as Foundation knows it: only its offsets from UTC are used.
struct ZoneOffsets {
    private let zone: TimeZone

    /// - Returns: nil unless `name` is an IANA name. Foundation takes more than those (offsets like
    ///   "GMT+5", ambiguous abbreviations like "IST", anything after an embedded NUL); they are
    ///   refused.
    init?(name: String) {
        guard name.utf8.allSatisfy(Self.isAllowed) else { return nil }
        if name.utf8.contains(UInt8(ascii: "/")) {
            guard name.hasPrefix("SystemV/") == false else { return nil }
        } else {
            guard Self.namesWithoutRegion.contains(name) else { return nil }
        }
        guard let zone = TimeZone(identifier: name) else { return nil }
        self.zone = zone
    }

    /// The first instant (Unix seconds) at which local clocks show 00:00 of a day or later.
    ///
    /// Between two changes of the offset, local time is a straight line: the first piece whose line
    /// reaches the midnight holds the instant. It also is the answer where the midnight falls into
    /// a gap (the piece after the gap begins late) or occurs twice (the earlier piece wins).
    ///
    /// - Parameter day: Days since 1970-01-01, of the local calendar.
    func firstInstant(ofDay day: Int) -> Int64 {
        let midnight = Int64(day) * 86_400
        // Offsets are within a day of UTC, and so are changes of them (Samoa skipped one).
        var start = midnight - 2 * 86_400
        let horizon = midnight + 2 * 86_400
        while start < horizon {
            let end = min(nextChange(after: start) ?? horizon, horizon)
            let candidate = max(start, midnight - offset(at: start))
            if candidate < end { return candidate }
            start = end
        }
        preconditionFailure("local time never reached day \(day) in \(zone.identifier)")
    }

    private func offset(at instant: Int64) -> Int64 {
        Int64(zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(instant))))
    }

    private func nextChange(after instant: Int64) -> Int64? {
        zone.nextDaylightSavingTimeTransition(after: Date(timeIntervalSince1970: Double(instant)))
            .map { Int64($0.timeIntervalSince1970.rounded()) }
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "/"), UInt8(ascii: "_"),
            UInt8(ascii: "+"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    /// The names of the IANA database that have no region before a slash.
    /// The names that Foundation lists, by their lower case.
    static let spellings = Dictionary(
        (TimeZone.knownTimeZoneIdentifiers.filter { $0.contains("/") } + namesWithoutRegion)
            .map { ($0.lowercased(), $0) }
    ) { first, _ in first }

    private static let namesWithoutRegion: Set<String> = [
        "CET", "CST6CDT", "Cuba", "EET", "EST", "EST5EDT", "Egypt", "Eire", "GB", "GB-Eire", "GMT",
        "GMT+0", "GMT-0", "GMT0", "Greenwich", "HST", "Hongkong", "Iceland", "Iran", "Israel",
        "Jamaica", "Japan", "Kwajalein", "Libya", "MET", "MST", "MST7MDT", "NZ", "NZ-CHAT",
        "Navajo", "PRC", "PST8PDT", "Poland", "Portugal", "ROC", "ROK", "Singapore", "Turkey",
        "UCT", "UTC", "Universal", "W-SU", "WET", "Zulu",
    ]
}
