package import Limits

/// Amounts by resource. A resource that is named with 0 and one that is absent differ in content
/// only.
package typealias ModelAmounts = [Resource: Int64]

/// What a random or hand-written history consists of: the data plane's calls, the operator's
/// changes and the passing of time.
///
/// Reservations are named by ordinal: the n-th that the history created, from 1. An ordinal that
/// was never created names an unknown reservation.
package enum ModelOperation: Sendable, Equatable {
    /// Creates or changes a tenant.
    case setTenant(TenantSettings)
    /// Creates or changes a profile.
    case setProfile(ProfileSettings)
    case closeTenant(String)
    case closeProfile(String)
    /// By an operator.
    case suspend(String)
    case reinstate(String)
    case check(CheckOperation)
    /// CheckAndReserve whose caller has gone before the answer left: an unkeyed one is taken back.
    case withdrawnCheck(CheckOperation)
    /// Empty `actual`: what was held.
    case commit(reservation: Int, actual: ModelAmounts)
    case release(reservation: Int)
    case extend(ExtendOperation)
    case record(RecordOperation)
    /// An operator sets counts to what they are.
    case setCounts(tenantID: String, ModelAmounts)
    /// The profile by its own kind.
    case usage(tenantID: String, profileID: String)
    /// The clock goes on; nothing else happens.
    case advance(milliseconds: Int64)
    /// Engine time leaps ahead, as after a wall clock that was set: windows end, and nothing has elapsed.
    case leap(milliseconds: Int64)
    /// Every overdue hold expires.
    case expire
    /// Windows that have ended, and that nothing has happened since to, are judged.
    case judge
}

/// CheckAndReserve, with the contract's defaults filled in.
package struct CheckOperation: Sendable, Equatable {
    package var tenantID: String
    /// Empty: none.
    package var profileID = ""
    /// By which of its fields the request names the profile.
    package var profileKind = ProfileKind.messaging
    package var action = Action.unspecified
    package var amounts: ModelAmounts
    /// `Mode.partial`: 0 or absent means 1.
    package var minimums: ModelAmounts = [:]
    /// Empty: none.
    package var key = ""
    package var ttlMilliseconds: Int64 = 60_000
    package var mode = Mode.reserve
    package var onExpiry = ExpiryPolicy.release
    package var overage = OveragePolicy.record
    package var reference = ""

    package init(tenantID: String, amounts: ModelAmounts) {
        self.tenantID = tenantID
        self.amounts = amounts
    }
}

/// Extend.
package struct ExtendOperation: Sendable, Equatable {
    package var reservation: Int
    /// 0: keep the expiry.
    package var ttlMilliseconds: Int64 = 0
    package var additional: ModelAmounts = [:]
    package var minimums: ModelAmounts = [:]
    /// Empty: none.
    package var key = ""
    /// `.reserve` or `.partial`.
    package var mode = Mode.reserve

    package init(reservation: Int) {
        self.reservation = reservation
    }
}

/// RecordUsage.
package struct RecordOperation: Sendable, Equatable {
    package var tenantID: String
    /// Empty: none.
    package var profileID = ""
    package var profileKind = ProfileKind.messaging
    package var action = Action.unspecified
    /// Negative for counts only.
    package var amounts: ModelAmounts
    /// Empty: none.
    package var key = ""
    package var reference = ""

    package init(tenantID: String, amounts: ModelAmounts) {
        self.tenantID = tenantID
        self.amounts = amounts
    }
}
