import Journal
import Limits

// The lane's two times. What is handed to its calls as `now` is life time: what elapses, which holds, keys and settled
// reservations live by. Engine time, which says which windows things fall into, is that and `lead`: the two part when
// the wall clock is set (semantics §2).

extension Lane {
    /// Engine time less life time, milliseconds. Holds for the calls that follow.
    package var lead: Int64 {
        get { own.pointee.lead }
        set { own.pointee.lead = newValue }
    }

    /// Engine time at an instant of life time.
    @inline(always)
    func windows(_ now: Int64) -> Int64 { now &+ own.pointee.lead }

    /// How old the time on record may become while there are answers: less than the second that a restart may go back
    /// by, so that it is on disk by then. Milliseconds.
    private static var markEvery: Int64 { 500 }

    /// Puts the time on record if there were calls and it has not been for a while. To be called with every tick.
    package func keepTime(now: Int64) {
        guard own.pointee.hasAnswered, records,
            own.pointee.marked.time <= windows(now) &- Self.markEvery
        else { return }
        if recordTime(now: now) { own.pointee.hasAnswered = false }
    }

    /// Puts the time on record: a later start goes on no earlier. False: the journal has no room.
    package func recordTime(now: Int64) -> Bool {
        let position = ring?.end ?? 0
        guard recordForService(.time, .none, version: 0, now: now) else { return false }
        own.pointee.marked = TimeMark(time: windows(now), position: position)
        return true
    }

    /// Sees to it that a window that an answer shows and no state has opened is on record, for the answer to wait for.
    /// To be called before an answer that changes nothing. False: the journal has no room.
    @inline(always)
    func keepsWindows(now: Int64) -> Bool {
        guard opensWindow, records else { return true }
        return markWindows(now: now)
    }

    @inline(never)
    private func markWindows(now: Int64) -> Bool {
        var begun = Int64.min
        if own.pointee.openedCycle { begun = own.pointee.subjects.tenant.cycleStart }
        if own.pointee.openedTenantDay {
            begun = max(begun, own.pointee.subjects.tenant.dayStart)
        }
        if own.pointee.openedDay { begun = max(begun, own.pointee.subjects.profile.dayStart) }
        if own.pointee.marked.time < begun {
            guard recordTime(now: now) else { return false }
        }
        own.pointee.shown = own.pointee.marked.position
        return true
    }

    /// Puts something on record that belongs to no tenant. False: the journal has no room.
    func recordForService(
        _ kind: Record.Kind, _ text: BorrowedBytes, version: UInt64, now: Int64
    ) -> Bool {
        guard let ring else { return true }
        guard isReady else { return false }
        beginRecord(kind)
        own.pointee.record.transition = Transition()
        own.pointee.record.tenant = .max
        own.pointee.record.profile = nil
        own.pointee.record.version = version
        own.pointee.record.time = windows(now)
        own.pointee.record.lead = own.pointee.lead
        own.pointee.record.opensNothing()
        own.pointee.record.text = text
        ring.publish(to: ring.write(own.pointee.record))
        return true
    }
}
