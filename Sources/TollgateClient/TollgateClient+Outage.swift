internal import Synchronization
public import Wire

extension TollgateClient {
    /// What was let through and waits to be settled, the oldest first.
    public var unsettled: [LetThrough] { outage.withLock { $0.unsettled } }

    /// Records the usage of an action that was let through, once.
    ///
    /// It is recorded under the check's own key. When the service has taken the check all the same, that key is the
    /// check's (49201): then the check is asked again. A hold that it has is committed; one that it gets only now is given
    /// back, and the usage recorded under a second key, as it is where the check is denied. It may be called again until it
    /// succeeds, with the same amounts; a settlement that is later than the service remembers keys
    /// (`--idempotency-retention`) may charge a `Mode.commit` check twice.
    ///
    /// - Parameters:
    ///   - action: One of `unsettled`.
    ///   - actual: What it came to; nil: what was asked.
    ///   - timeout: For each of up to five calls; nil: the configuration's.
    public func settle(
        _ action: LetThrough, actual: [Quantity]? = nil, timeout: Duration? = nil
    ) async throws(TollgateError) {
        let amounts = actual ?? action.request.quantities
        let usage = action.usage(actual: amounts)
        do throws(TollgateError) {
            // Of what is only ever held there is nothing to record.
            if usage.quantities.isEmpty == false || amounts.isEmpty {
                _ = try await record(usage, timeout: timeout)
            }
        } catch {
            guard error.catalogueCode == "49201" else { throw error }
            try await settleTaken(action, usage.quantities, timeout)
        }
        if outage.withLock({ $0.settle(action) }) { outcomes.count(.settled) }
    }

    /// Settles an action whose check the service has taken.
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
            // The action has taken place all the same.
            return try await recordApart(action, amounts, timeout)
        }
        if answer.reservationID == 0 || request.mode == .commit {
            // Charged with what was asked: usage is only added.
            let rest = amounts.compactMap { quantity -> Quantity? in
                let charged = request.quantities.first { $0.resource == quantity.resource }
                let more = quantity.amount - (charged?.amount ?? 0)
                return more > 0 ? Quantity(quantity.resource, more) : nil
            }
            if rest.isEmpty == false { try await recordApart(action, rest, timeout) }
            return
        }
        // A hold that this question itself took is given back: an earlier settlement may have come to the end of this.
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
            // Forgotten: its hold is long free.
            case .notFound: isGone = true
            case .failedPrecondition where error.catalogueCode == "49203":
                isGone = try await isFreed(answer.reservationID, of: request.tenantID, timeout)
            default: isGone = false
            }
            guard isGone else { throw error }
            try await recordApart(action, amounts, timeout)
        }
    }

    /// Gives a hold back, or finds that it was. False: it has expired or was committed, and is to be committed.
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
