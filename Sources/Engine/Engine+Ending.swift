import CLinux
import Journal
package import Limits
import Reservations

extension Engine {
    /// Slots that are looked at before others get their turn with the configuration.
    private static let endingStretch = 65_536
    /// How long the journal may have no room before the holds that are left are left to their expiry.
    package static let endingPatience: Int64 = 10_000_000_000

    /// Ends the open holds of a tenant that was suspended or deleted, as expired with RELEASE whatever their `on_expiry`:
    /// to be called after `setStatus`. A Commit that comes later is recorded as late.
    ///
    /// What finds no room in the journal for ten seconds is released when it expires.
    /// - Parameter patience: how long the journal may have no room, nanoseconds.
    /// - Returns: false: some are left.
    /// - Complexity: O(slots in use), and a transition for each hold.
    @discardableResult
    package func endHolds(
        ofTenant id: String, patience: Int64 = Engine.endingPatience
    ) async -> Bool {
        guard let tenant = table.number(ofTenant: id) else { return true }
        var slot = 0
        var since = linux_monotonic_nanoseconds()
        while slot < table.usedSlots {
            let end = slot + Self.endingStretch
            let stopped = endHolds(of: [tenant], in: slot..<end)
            if stopped == nil || stopped != slot { since = linux_monotonic_nanoseconds() }
            slot = stopped ?? end
            guard stopped != nil else {
                await Task.yield()
                continue
            }
            guard linux_monotonic_nanoseconds() - since < patience else { return false }
            do throws(EngineError) {
                try await durable()
            } catch {
                return false
            }
            try? await Task.sleep(for: .milliseconds(1))
        }
        return true
    }

    /// Reinstates a tenant, when no hold is left that its suspension ends: it would be open again, and charged at its
    /// expiry. Whoever comes first ends them; if the tenant is suspended anew meanwhile, those of that suspension too.
    ///
    /// - Parameters: reason, requester: as for `setStatus`; patience: as for `endHolds`.
    /// - Throws: `.busy`: the journal has no room to end them, and the tenant is suspended still.
    package func reinstate(
        tenant id: String, reason: String = "", by requester: Requester = .nobody,
        patience: Int64 = Engine.endingPatience
    ) async throws(EngineError) {
        while true {
            let ending = ending(ofTenant: id)
            if ending.isUnderWay {
                guard await endHolds(ofTenant: id, patience: patience) else {
                    throw EngineError(
                        .busy,
                        "Some holds of \(id) are still open after its suspension: the journal is full"
                    )
                }
            }
            do throws(EngineError) {
                return try setStatus(
                    ofTenant: id, .active, after: ending.number, reason: reason, by: requester)
            } catch {
                guard error.code == .conflict else { throw error }
            }
        }
    }

    /// Whether a tenant's holds end, and how often that has begun.
    func ending(ofTenant id: String) -> (isUnderWay: Bool, number: Int) {
        guard let tenant = table.number(ofTenant: id) else { return (false, 0) }
        return control.withLock { control in
            (control.lane.endsHolds(of: tenant), control.endings[tenant] ?? 0)
        }
    }

    /// As above, for who may wait.
    ///
    /// - Parameter waitForRoom: as below.
    package func endHolds(ofTenant id: String, waitForRoom: () -> Bool) {
        guard let tenant = table.number(ofTenant: id) else { return }
        endHolds(of: [tenant], waitForRoom)
    }

    /// Ends what a process before this one did not come to. Before there are requests.
    ///
    /// - Parameter waitForRoom: returns when the journal may have room; false: it may never have.
    func endHoldsLeft(waitForRoom: () -> Bool) {
        let tenants = table.tenantsThatEndHolds
        if !tenants.isEmpty { endHolds(of: tenants, waitForRoom) }
    }

    private func endHolds(of tenants: Set<Int>, _ waitForRoom: () -> Bool) {
        var slot = 0
        while let stopped = endHolds(of: tenants, in: slot..<Int.max) {
            guard waitForRoom() else { return }
            slot = stopped
        }
    }

    private func endHolds(of tenants: Set<Int>, in stretch: Range<Int>) -> Int? {
        let time = clock.time
        return control.withLock { control in
            let now = control.begin(time, by: 0)
            return control.lane.endHolds(of: tenants, in: stretch, now: now)
        }
    }
}
