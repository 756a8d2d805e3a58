import Limits
import Reservations

/// Refusals of one lane that are not on record yet, counted by tenant, profile and what refused.
///
/// **Bounds.** What is alike is one record a second at most, however often it was refused; what is not, one record for
/// each `most` refusals of so many sorts. A kill loses the last second.
///
/// **Days.** What is counted together is of one minute, and windows begin with a minute: so all refusals of a record belong
/// to one day of every time zone, however long the journal had no room for it.
///
/// Thread safety: the lane's thread.
struct RefusalCounts {
    /// What one refusal was.
    struct Refusal {
        var bySuspension: Bool
        var refused: LimitSet
        var action: Action
        var asked: Amounts
    }

    /// What is counted together.
    fileprivate struct Key: Hashable {
        /// Of engine time, since 1970.
        var minute: Int64
        var tenant: UInt32
        /// `.max`: none.
        var profile: UInt32
        var refused: UInt16
        var bySuspension: Bool

        var order: (Int64, UInt32, UInt32, UInt16, Int) {
            (minute, tenant, profile, refused, bySuspension ? 1 : 0)
        }
    }

    fileprivate struct Entry {
        var count = Record.Count()
        // Of the first that raised nothing.
        var action = Action.unspecified
        var asked = Amounts()
        var caller: UInt64 = 0
        var trace: TraceID?
        var reference: [UInt8] = []
    }

    /// Sorts that are counted at a time.
    static let most = 1_024
    /// Milliseconds that a count may wait.
    static let longestWait: Int64 = 1_000
    private static let minute: Int64 = 60_000

    private var entries: [Key: Entry] = [:]
    /// When the oldest of them began, and when any were written last.
    private var began: Int64 = 0
    private var written: Int64 = .min / 2

    /// Counts one, and writes what need not or may not wait.
    ///
    /// - Complexity: O(1), amortized.
    mutating func note(
        _ refusal: Refusal, tenant: UInt32, profile: UInt32?, _ reference: BorrowedBytes,
        _ lane: Lane, now: Int64
    ) {
        if !entries.isEmpty, entries.count >= Self.most || now / Self.minute != began / Self.minute
        {
            writeAll(lane, now: now)
        }
        if entries.isEmpty { began = now }
        let key = Key(
            minute: now / Self.minute, tenant: tenant, profile: profile ?? .max,
            refused: refusal.refused.rawValue,
            bySuspension: refusal.bySuspension)
        entries[key, default: Entry()].add(refusal, reference, lane, now: now)
        write(lane, now: now)
    }

    /// Writes what there is, if nothing was written for a second.
    mutating func write(_ lane: Lane, now: Int64) {
        guard !entries.isEmpty else { return }
        if now - written >= Self.longestWait || now / Self.minute != began / Self.minute {
            writeAll(lane, now: now)
        }
    }

    /// Writes all, as far as the journal has room; the rest stays.
    mutating func writeAll(_ lane: Lane, now: Int64) {
        written = now
        let all = entries
        entries.removeAll(keepingCapacity: true)
        // In an order of their own: what happened once more leaves the same bytes.
        for (key, entry) in all.sorted(by: { $0.key.order < $1.key.order })
        where !entry.write(
            key, lane, now: min(now, key.minute * Self.minute + Self.minute - 1))
        { entries[key] = entry }
        // What had no room is tried again with the next second.
        if !entries.isEmpty { began = now }
    }
}

extension RefusalCounts.Entry {
    /// False: the journal has no room.
    fileprivate func write(_ key: RefusalCounts.Key, _ lane: Lane, now: Int64) -> Bool {
        reference.withUnsafeBytes { reference in
            lane.recordRefusals(now: now) { record in
                record.tenant = key.tenant
                record.profile = key.profile == .max ? nil : key.profile
                record.refused = LimitSet(rawValue: key.refused)
                record.refusedBySuspension = key.bySuspension
                record.count = count
                record.action = action
                record.asked = asked
                record.caller = caller
                record.trace = trace
                record.text = reference
            }
        }
    }

    fileprivate mutating func add(
        _ refusal: RefusalCounts.Refusal, _ reference: BorrowedBytes, _ lane: Lane, now: Int64
    ) {
        count.all += 1
        if lane.hasRaised { return }
        count.quiet += 1
        count.last = now
        guard count.quiet == 1 else { return }
        count.first = now
        action = refusal.action
        asked = refusal.asked
        caller = lane.caller
        trace = lane.trace
        self.reference = Array(reference)
    }
}
