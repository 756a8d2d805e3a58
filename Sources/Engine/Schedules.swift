import BillingCalendar
package import Limits
import Reservations
import Synchronization

/// The billing schedules in use, by number: one for each (cycle day, zone). Schedules are added, never removed.
///
/// Thread safety: look-ups are wait-free; `number(…)` belongs under the engine's configuration lock.
package final class Schedules: WindowSchedules {
    /// One schedule; it is computed anew when its span of boundaries is used up.
    private final class Entry: Sendable {
        let cycleDay: UInt8
        let timeZone: String
        let schedule: BillingSchedule
        /// Shared by all schedules of the zone.
        let days: DaySchedule

        init(
            cycleDay: UInt8, timeZone: String, around now: Int64, days: DaySchedule?
        ) throws(EngineError) {
            self.cycleDay = cycleDay
            self.timeZone = timeZone
            do throws(BillingScheduleError) {
                schedule = try BillingSchedule(
                    cycleDay: Int(cycleDay), timeZone: timeZone, around: now)
                if let days {
                    self.days = days
                } else {
                    self.days = try DaySchedule(timeZone: timeZone, around: now)
                }
            } catch {
                throw EngineError(.invalid, "billing cycle: \(error)")
            }
        }
    }

    /// 31 days in each of the zones that exist, with room to spare.
    static let capacity = 31 * 1_024

    // SAFETY: allocated once, each element written once (AtomicLazyReference), never freed while `self` lives.
    private nonisolated(unsafe) let entries: UnsafeMutablePointer<AtomicLazyReference<Entry>>
    private let count = Atomic<Int>(0)

    package init() {
        entries = .allocate(capacity: Self.capacity)
    }

    deinit {
        entries.deinitialize(count: count.load(ordering: .acquiring))
        entries.deallocate()
    }

    /// The number of a schedule, which is made if it is new. Not for concurrent use.
    package func number(
        cycleDay: UInt8, timeZone: String, now: Int64
    ) throws(EngineError) -> UInt32 {
        let used = count.load(ordering: .acquiring)
        var days: DaySchedule?
        for index in 0..<used {
            guard let entry = entries[index].load(), entry.timeZone == timeZone else { continue }
            if entry.cycleDay == cycleDay { return UInt32(index) }
            days = entry.days
        }
        guard used < Self.capacity else { throw EngineError(.full, "billing schedules") }
        let entry = try Entry(
            cycleDay: cycleDay, timeZone: timeZone, around: now, days: days)
        (entries + used).initialize(to: AtomicLazyReference())
        _ = entries[used].storeIfNil(entry)
        // ORDERING: release; publishes the entry to readers that check the count.
        count.store(used + 1, ordering: .releasing)
        return UInt32(used)
    }

    package func cycle(
        schedule: UInt32, containing now: Int64, notBefore: Int64?
    ) -> CycleWindow {
        let entry = entry(schedule)
        if let cycle = entry.schedule.window(containing: now, notBefore: notBefore) { return cycle }
        // The span is used up: rare (years), and right, if slower.
        if let fresh = try? BillingSchedule(
            cycleDay: Int(entry.cycleDay), timeZone: entry.timeZone, around: now),
            let cycle = fresh.window(containing: now, notBefore: notBefore)
        {
            return cycle
        }
        preconditionFailure("a schedule has no window around its own middle")
    }

    package func day(schedule: UInt32, containing now: Int64, notBefore: Int64?) -> CycleWindow {
        let entry = entry(schedule)
        if let day = entry.days.window(containing: now, notBefore: notBefore) { return day }
        // The span is used up, as above.
        if let fresh = try? DaySchedule(
            timeZone: entry.timeZone, around: now, before: 3, after: 3),
            let day = fresh.window(containing: now, notBefore: notBefore)
        {
            return day
        }
        preconditionFailure("a schedule has no day around its own middle")
    }

    private func entry(_ schedule: UInt32) -> Entry {
        // ORDERING: acquire; pairs with the release in `number`.
        guard Int(schedule) < count.load(ordering: .acquiring),
            let entry = entries[Int(schedule)].load()
        else {
            preconditionFailure("a tenant names a schedule that does not exist")
        }
        return entry
    }
}
