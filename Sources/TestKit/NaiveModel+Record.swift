import Limits

// RecordUsage, and counts that are set (semantics §3).
extension NaiveModel {
    /// "Operators set a count absolutely through REST (reconcile); journalled as the difference."
    mutating func setCounts(_ tenantID: String, _ counts: ModelAmounts) -> ModelAnswer {
        guard counts.keys.allSatisfy({ $0.row.nature == .standing }) else {
            return .failure(.badField)
        }
        guard let tenant = tenants[tenantID], tenant.status != .closed else {
            return .failure(.notFound)
        }
        var operation = RecordOperation(tenantID: tenantID, amounts: counts)
        for (resource, count) in counts {
            let limit = limits(counting: resource, tenantID: tenantID, profileID: "")[0]
            operation.amounts[resource] = count - total(currentTotal(limit)).committed
        }
        return record(operation)
    }

    mutating func record(_ operation: RecordOperation) -> ModelAnswer {
        let tenantID = operation.tenantID
        for (resource, amount) in operation.amounts {
            switch resource.row.nature {
            case .accumulating: if amount < 0 { return .failure(.badField) }
            case .standing: break
            case .held: return .failure(.badField)
            }
        }
        guard let tenant = tenants[tenantID], tenant.status != .closed else {
            return .failure(.notFound)
        }
        let content = """
            record \(operation.profileKind) \(operation.profileID)|\(operation.action)|\(Self.sorted(operation.amounts))|\
            \(operation.reference)
            """
        if let stored = storedAnswer(tenantID: tenantID, key: operation.key, content: content) {
            return stored
        }
        guard isUsable(operation.profileID, operation.profileKind, tenantID: tenantID) else {
            return .failure(.notFound)
        }
        let charges = chargesNow(
            operation.amounts, tenantID: tenantID, profileID: operation.profileID)
        guard isCountable(charges) else { return .failure(.badField) }
        judgeEndedWindows(tenantID: tenantID, profileID: operation.profileID)
        let raised = charge(charges)
        raiseAlarms(tenantID: tenantID, Touched(raised: raised))
        var answer = ModelRecordAnswer()
        answer.warnings = reachedOrPassed(raised)
        answer.tenantStatus = tenants[tenantID]?.status ?? .closed
        store(.record(answer), tenantID: tenantID, key: operation.key, content: content)
        return .record(answer)
    }
}
