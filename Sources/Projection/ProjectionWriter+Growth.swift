import GRDB
import Limits

/// What Extend added to a hold in a later quarter of an hour than the one in which it was taken: it is held from then on,
/// and so belongs to another day, maybe.
struct Growth {
    /// The first instant of the quarter of an hour, Unix milliseconds.
    var quarter: Int64
    /// The tenant's, with the last extension that is in here: what is taken up again adds nothing.
    var version: UInt64
    /// By `Resource.index`.
    var amounts = Amounts()
}

// Holds are not known one by one here, but for those that grew and still may be settled, or corrected.
extension ProjectionWriter {
    /// Keeps what the record in hand, which has taken effect, adds to a hold.
    ///
    /// - Returns: what was added to the hold that it settles, oldest first.
    func takeGrowth(_ db: Database) throws -> [Growth] {
        switch record.kind {
        case .extended:
            if record.isOfAnotherDay && !record.transition.held.isEmpty { try grow(db) }
            return []
        case .committed, .committedLate, .released, .expired, .expiredCharged, .forgotten:
            guard !growths.isEmpty, let grown = growths[record.reservationID] else { return [] }
            if record.endsBookings {
                growths[record.reservationID] = nil
                try db.run(.forgetGrowth, [Int64(bitPattern: record.reservationID)])
            }
            return grown
        default: return []
        }
    }

    private func grow(_ db: Database) throws {
        let quarter = record.time - record.time % Limits.Record.quarter
        var grown = growths[record.reservationID] ?? []
        guard grown.last.map({ $0.version < record.version }) ?? true else { return }
        if grown.last?.quarter != quarter {
            grown.append(Growth(quarter: quarter, version: record.version))
            if !isTold { try bookGrowth(at: quarter, UsageSum(open: 1), db) }
        }
        var last = grown.removeLast()
        last.version = record.version
        let added = Transition.amounts(record.transition.held, fold.rules)
        for resource in Resource.indices {
            last.amounts[resource] = last.amounts[resource].addingSaturated(added[resource])
        }
        grown.append(last)
        growths[record.reservationID] = grown
        var arguments: StatementArguments = [
            Int64(bitPattern: record.reservationID), quarter, Int64(bitPattern: last.version),
        ]
        arguments += last.amounts.columns
        try db.run(.writeGrowth, arguments)
    }

    /// Books what was added to the hold that the record in hand settles on the days on which that was done, rather than
    /// with what it `taken` at first.
    ///
    /// A hold is charged oldest first, so what a commit leaves out is what was added last. A part of a hold whose window
    /// is over is booked as a whole.
    func bookGrowth(_ grown: [Growth], from taken: inout UsageSum, _ db: Database) throws {
        let tenant = fold.tenant(record.tenant)
        let charged = Transition.amounts(record.transition.committed, fold.rules)
        let holds = Transition.amounts(record.transition.held, fold.rules)
        var left = Amounts()
        let isCorrection = record.kind == .committedLate
        for resource in Resource.indices {
            left[resource] =
                isCorrection
                ? max(0, -taken.committed[resource])
                : max(0, -holds[resource] - max(0, charged[resource]))
        }
        for part in grown.reversed() {
            var sum = UsageSum(open: record.endsBookings ? -1 : 0)
            for resource in Resource.indices {
                let start = tenant?.windowStart(ofResource: resource, fold.rules) ?? .min
                let isOver = part.quarter < start
                if isOver && !isCorrection { continue }
                let lost = min(part.amounts[resource], left[resource])
                left[resource] -= lost
                sum.committed[resource] = isCorrection ? -lost : part.amounts[resource] - lost
                taken.committed[resource] -= sum.committed[resource]
            }
            try bookGrowth(at: part.quarter, sum, db)
        }
    }

    private func bookGrowth(at quarter: Int64, _ sum: UsageSum, _ db: Database) throws {
        try addOfTenant(sum, at: quarter, db)
        guard let profile = record.profile, let state = fold.profile(profile)?.state else { return }
        // What a profile was charged stands with its windows, which are its days.
        var own = sum
        own.committed[fold.rules.limit(of: state.kind).row.resource.index] = 0
        add(own, of: profile, at: quarter)
    }
}

extension TenantState {
    /// Where the window begins that a resource is reported by; `.min`: it stands.
    fileprivate func windowStart(ofResource resource: Int, _ rules: LimitRules) -> Int64 {
        let counter = rules.mainCounter(of: resource)
        if rules.cyclic.hasBit(counter) { return cycleStart }
        return rules.daily.hasBit(counter) ? dayStart : .min
    }
}

extension Amounts {
    /// Values of `ProjectionSchema.amountColumns`.
    var columns: StatementArguments {
        StatementArguments(Resource.catalogue.map { self[$0.resource] })
    }
}

extension Limits.Record {
    /// No later record changes what a hold comes to: one that was charged at its expiry can still be corrected by a late
    /// commit, until it is no longer remembered.
    var endsBookings: Bool {
        switch kind {
        case .committed, .released, .expired: true
        case .committedLate, .forgotten: onExpiry == .commit
        default: false
        }
    }
}
