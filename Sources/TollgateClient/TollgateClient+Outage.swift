internal import Synchronization
public import Wire

extension TollgateClient {
    /// The actions let through and not settled yet, oldest first.
    public var unsettled: [LetThrough] { outage.withLock { $0.unsettled } }

    /// Records the usage of an action that was let through, once.
    ///
    /// It is recorded under the check's own key. If the service has processed the check anyway,
    /// that key is already used (49201), and the check is repeated. If it has a hold, the hold is
    /// committed; a hold that it gets only now is released, and the usage is recorded under a
    /// second key, as it is if the check is denied. Repeat this until it succeeds, with the same
    /// amounts; after the service has forgotten the key (`--idempotency-retention`), settling may
    /// charge a `Mode.commit` check twice.
    ///
    /// - Parameters:
    ///   - action: One of `unsettled`.
    ///   - actual: The actual amounts; nil: the requested ones.
    ///   - timeout: For each of up to five calls; nil: the configuration's.
    public func settle(
        _ action: LetThrough, actual: [Quantity]? = nil, timeout: Duration? = nil
    ) async throws(TollgateError) {
        let amounts = actual ?? action.request.quantities
        let usage = action.usage(actual: amounts)
        do throws(TollgateError) {
            // Resources that are only held leave nothing to record.
            if usage.quantities.isEmpty == false || amounts.isEmpty {
                _ = try await record(usage, timeout: timeout)
            }
        } catch {
            guard error.catalogueCode == "49201" else { throw error }
            try await settleTaken(action, usage.quantities, timeout)
        }
        if outage.withLock({ $0.settle(action) }) { outcomes.count(.settled) }
    }

    /// Settles an action whose check the service has processed.
    private func settleTaken(
        _ action: LetThrough, _ amounts: [Quantity], _ timeout: Duration?
    ) async throws(TollgateError) {
        let request = action.request
        let answer: CheckResponse?
        do throws(TollgateError) {
            answer = try await check(request, timeout: timeout)
        } catch {
            guard error.isDenial else { throw error }
            answer = nil
        }
        guard let answer, answer.decision == .allowed else {
            // The action has taken place anyway.
            return try await recordApart(action, amounts, timeout)
        }
        if answer.reservationID == 0 || request.mode == .commit {
            // The requested amounts are charged: usage is only added.
            let rest = amounts.compactMap { quantity -> Quantity? in
                let charged = request.quantities.first { $0.resource == quantity.resource }
                let more = quantity.amount - (charged?.amount ?? 0)
                return more > 0 ? Quantity(quantity.resource, more) : nil
            }
            if rest.isEmpty == false { try await recordApart(action, rest, timeout) }
            return
        }
        // A hold that this repeated check itself took is released: an earlier settlement may have
        // recorded the usage.
        if answer.isReplayed == false,
            try await isFreed(answer.reservationID, of: request.tenantID, timeout)
        {
            return try await recordApart(action, amounts, timeout)
        }
        do throws(TollgateError) {
            _ = try await commit(
                CommitRequest(
                    reservationID: answer.reservationID, actual: amounts,
                    tenantID: request.tenantID), timeout: timeout)
        } catch {
            let isGone: Bool
            switch error.code {
            // Forgotten: its hold was freed long ago.
            case .notFound: isGone = true
            case .failedPrecondition where error.catalogueCode == "49203":
                isGone = try await isFreed(answer.reservationID, of: request.tenantID, timeout)
            default: isGone = false
            }
            guard isGone else { throw error }
            try await recordApart(action, amounts, timeout)
        }
    }

    /// Releases a hold, or finds that it was released. False: it has expired or was committed, and
    /// must be committed.
    private func isFreed(
        _ reservationID: UInt64, of tenantID: String, _ timeout: Duration?
    ) async throws(TollgateError) -> Bool {
        do throws(TollgateError) {
            let answer = try await release(
                ReleaseRequest(reservationID: reservationID, tenantID: tenantID), timeout: timeout)
            return answer.isExpired == false
        } catch {
            guard error.catalogueCode == "49203" else { throw error }
            return false
        }
    }

    private func recordApart(
        _ action: LetThrough, _ amounts: [Quantity], _ timeout: Duration?
    ) async throws(TollgateError) {
        _ = try await record(action.usage(amounts, key: action.secondKey), timeout: timeout)
    }
}
