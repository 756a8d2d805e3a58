import Reservations

/// What is in use of the table's bounds, the little that lanes keep at hand included; and what was refused for it.
package struct Occupancy: Sendable, Equatable {
    /// Reservations that are open or remembered.
    package var reservations: Int
    /// Idempotency keys that are remembered, by the 128.
    package var keys: Int
    /// Reservations that were extended, or committed with other amounts than held.
    package var amended: Int
    /// Holds that were charged at their expiry and are remembered beyond the retention.
    package var charged: Int
    /// Requests that were refused because their tenant had more than its share.
    package var refusedOverShare: UInt64
    /// Three quarters of the reservations, or of the keys, are in use: shares are looked at.
    package var reservationsAreScarce: Bool
    package var keysAreScarce: Bool
}

extension Engine {
    /// Any thread. O(1)
    package var occupancy: Occupancy {
        Occupancy(
            reservations: table.slotsInUse, keys: table.keysInUse, amended: table.bodiesInUse,
            charged: table.chargedRemembered, refusedOverShare: table.refusedOverShare,
            reservationsAreScarce: table.slotsAreScarce, keysAreScarce: table.keysAreScarce)
    }
}
