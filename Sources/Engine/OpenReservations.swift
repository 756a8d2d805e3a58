import Journal
package import Limits
import Reservations

/// A reservation that is open: held, neither settled nor expired.
package struct OpenReservation: Sendable, Equatable {
    package var id: UInt64
    package var tenantID: String
    package var messagingProfileID: String?
    package var action: Action
    /// What is held in all.
    package var amounts: Amounts
    /// Unix milliseconds.
    package var createdAt: Int64
    /// Unix milliseconds.
    package var expiresAt: Int64
    package var onExpiry: ExpiryPolicy
    package var overage: OveragePolicy
}

/// A page of open reservations, oldest first; of one age by id.
package struct OpenReservationPage: Sendable {
    /// Open reservations that fit the filters, on all pages.
    package var total: Int
    package var rows: [OpenReservation]
}

extension Engine {
    /// Slots that are looked at before other tasks get their turn.
    private static let stretch = 65_536

    /// Lists open reservations. Stops nobody: decisions go on, and a reservation that is settled meanwhile is listed or
    /// not. Each row is from one instant; `durable()` must return before what was listed leaves the process.
    ///
    /// - Parameters:
    ///   - tenantID: of this tenant only; of one that is unknown there are none.
    ///   - profileID: of this messaging profile only.
    ///   - createdBefore: made at this instant or before, Unix milliseconds.
    ///   - offset: rows that are passed over.
    ///   - limit: rows at most.
    /// - Complexity: O(slots in use + n log n) of n that fit the filters; 16 bytes of memory for each of these.
    package func openReservations(
        tenantID: String? = nil, profileID: String? = nil, createdBefore: Int64? = nil,
        offset: Int = 0, limit: Int = 20
    ) async -> OpenReservationPage {
        var tenant: Int32?
        var profile: Int32?
        if let tenantID {
            guard let number = table.number(ofTenant: tenantID) else {
                return OpenReservationPage(total: 0, rows: [])
            }
            tenant = Int32(number)
        }
        if let profileID {
            guard let number = table.number(ofProfile: profileID) else {
                return OpenReservationPage(total: 0, rows: [])
            }
            profile = Int32(number)
        }
        var found: [OpenHoldOrder] = []
        var start = 0
        while start < table.usedSlots {
            table.forEachOpenHold(in: start..<start + Self.stretch) { hold in
                guard tenant == nil || hold.tenant == tenant,
                    profile == nil || hold.profile == profile,
                    createdBefore == nil || hold.createdAt <= createdBefore ?? 0
                else { return }
                found.append(OpenHoldOrder(createdAt: hold.createdAt, id: hold.id))
            }
            start += Self.stretch
            await Task.yield()
        }
        found.sort()
        let page = found.dropFirst(max(0, offset)).prefix(max(0, limit))
        return OpenReservationPage(
            total: found.count, rows: page.compactMap { openReservation($0.id) })
    }

    /// One reservation, if it is open. As above, `durable()` must return before it leaves the process.
    package func openReservation(_ id: UInt64) -> OpenReservation? {
        control.withLock { control in
            guard let found = control.lane.openHold(id) else { return nil }
            let profileID = String(decoding: found.profileID, as: UTF8.self)
            return OpenReservation(
                id: id, tenantID: String(decoding: found.tenantID, as: UTF8.self),
                messagingProfileID: profileID.isEmpty ? nil : profileID,
                action: found.hold.action, amounts: found.hold.total,
                createdAt: found.hold.createdAt, expiresAt: found.hold.expiresAt,
                onExpiry: found.hold.onExpiry, overage: found.hold.overage)
        }
    }
}

/// Oldest first.
private struct OpenHoldOrder: Comparable {
    let createdAt: Int64
    let id: UInt64

    static func < (left: OpenHoldOrder, right: OpenHoldOrder) -> Bool {
        left.createdAt == right.createdAt
            ? left.id < right.id : left.createdAt < right.createdAt
    }
}

extension EngineLane {
    /// Why a caller that may not charge every tenant cannot settle a reservation, which must not tell whether there is
    /// one; nil: it can.
    ///
    /// - Parameter mayCharge: whether it may charge the tenant with this id.
    package func refusal(
        ofReservation id: UInt64, unless mayCharge: (BorrowedBytes) -> Bool
    ) -> Failure? {
        lane.beginCall()
        guard let tenantID = lane.tenantID(ofReservation: id), mayCharge(tenantID) else {
            return .noSuchReservation
        }
        return nil
    }
}
