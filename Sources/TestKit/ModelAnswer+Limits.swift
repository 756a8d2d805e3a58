package import Limits

// The core's answers in the model's terms, so that the two can be compared with `==`.

extension Amounts {
    /// By resource, absent ones left out.
    package var byResource: ModelAmounts {
        var result: ModelAmounts = [:]
        for resource in Resource.allCases where contains(resource.index) {
            result[resource] = self[resource]
        }
        return result
    }

    /// The amounts of a dictionary, each marked present.
    package init(_ amounts: ModelAmounts) {
        self.init()
        for (resource, amount) in amounts { set(resource.index, amount) }
    }
}

extension ModelAmounts {
    /// Without the resources whose amount is 0.
    package var withoutZeros: ModelAmounts { filter { $0.value != 0 } }
}

extension ModelCheckAnswer {
    /// - Parameter reservation: The ordinal of the answer's reservation id; 0 where there is none.
    package init(_ answer: CheckAnswer, reservation: Int) {
        decision = answer.decision
        replayed = answer.replayed
        refusedBySuspension = answer.refusedBySuspension
        refused = answer.refused
        warnings = answer.warnings
        self.reservation = reservation
        expiresAt = answer.expiresAt
        granted = answer.granted.byResource.withoutZeros
        treatment = answer.treatment
        tenantStatus = answer.tenantStatus
    }
}

extension ModelCommitAnswer {
    package init(_ answer: CommitAnswer) {
        committed = answer.committed.byResource.withoutZeros
        uncharged = answer.uncharged.byResource.withoutZeros
        late = answer.late
        replayed = answer.replayed
        warnings = answer.warnings
        tenantStatus = answer.tenantStatus
    }
}

extension ModelReleaseAnswer {
    package init(_ answer: ReleaseAnswer) {
        replayed = answer.replayed
        expired = answer.expired
    }
}

extension ModelExtendAnswer {
    package init(_ answer: ExtendAnswer) {
        decision = answer.decision
        replayed = answer.replayed
        refusedBySuspension = answer.refusedBySuspension
        refused = answer.refused
        warnings = answer.warnings
        expiresAt = answer.expiresAt
        granted = answer.granted.byResource.withoutZeros
        treatment = answer.treatment
    }
}

extension ModelRecordAnswer {
    package init(_ answer: RecordAnswer) {
        warnings = answer.warnings
        tenantStatus = answer.tenantStatus
        replayed = answer.replayed
    }
}

extension ModelUsageAnswer {
    package init(_ answer: UsageAnswer) {
        tenantStatus = answer.tenantStatus
        for kind in LimitKind.allCases where answer.limits.present.contains(kind) {
            limits[kind] = answer.limits[kind]
        }
    }
}
