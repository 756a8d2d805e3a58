import Limits

// What the generator wants to know about the history so far.
extension NaiveModel {
    package var reservationCount: Int { reservations.count }

    /// Ordinals of at most eight.
    var latestOpenReservations: [Int] {
        reservations.indices.reversed().lazy.filter { reservations[$0].isOpen }.prefix(8)
            .map { $0 + 1 }
    }

    func isForgotten(key: String, tenantID: String) -> Bool {
        guard let stored = storedAnswers[KeyReference(tenantID: tenantID, key: key)] else {
            return false
        }
        return now >= stored.storedAt + retentionMilliseconds
    }

    func isForgotten(key: String, reservation ordinal: Int) -> Bool {
        tenantID(reservation: ordinal).map { isForgotten(key: key, tenantID: $0) } ?? false
    }

    func tenantID(reservation ordinal: Int) -> String? {
        reservations.indices.contains(ordinal - 1) ? reservations[ordinal - 1].tenantID : nil
    }

    func chargeable(reservation ordinal: Int) -> ModelAmounts? {
        reservations.indices.contains(ordinal - 1) ? reservations[ordinal - 1].chargeable : nil
    }

    func settings(tenantID: String) -> TenantSettings? { tenants[tenantID]?.settings }

    func settings(profileID: String) -> ProfileSettings? { profiles[profileID]?.settings }

    func isSuspended(_ tenantID: String) -> Bool { tenants[tenantID]?.status == .suspended }

    /// When a tenant's limit begins anew; nil: there is no such tenant.
    func windowEnd(_ kind: LimitKind, tenantID: String) -> Int64? {
        tenants[tenantID].map { _ in
            currentWindow(LimitReference(kind: kind, subject: tenantID)).end
        }
    }

    /// What a tenant's limit would leave if nothing were held; nil: there is no cap, or nothing is left.
    func left(_ kind: LimitKind, tenantID: String) -> Int64? {
        let limit = LimitReference(kind: kind, subject: tenantID)
        let committed = total(currentTotal(limit)).committed
        return cap(of: limit).flatMap { $0 > committed ? $0 - committed : nil }
    }

    /// Whether an active tenant holds nothing of what a limit counts.
    func isFree(_ kind: LimitKind, tenantID: String) -> Bool {
        tenants[tenantID]?.status == .active
            && total(currentTotal(LimitReference(kind: kind, subject: tenantID))).held == 0
    }

    /// Committed and held of the present window.
    func used(_ kind: LimitKind, subject: String) -> Int64 {
        let total = total(currentTotal(LimitReference(kind: kind, subject: subject)))
        return total.committed + total.held
    }
}
