import Limits

/// What a client knows: what it asked for, and what it was told. The truth that the service is held against.
///
/// Everything is asked under a key, so that the client can collect what it does not know the outcome of.
struct ClientLedger {
    struct Request: Equatable {
        var tenant: Int
        var profile: Bool
        var amounts: Amounts
        var mode: Mode
        var onExpiry: ExpiryPolicy
        var ttl: UInt32
        var key: String
    }

    /// What became of a request, once it is known.
    struct Told: Equatable {
        var decision: Decision
        var reservation: UInt64
        var expiresAt: Int64
    }

    enum Settling: Equatable {
        case commit(Int64)
        case release
    }

    var requests: [Request] = []
    /// By request: what the client was told.
    var told: [Int: Told] = [:]
    /// The request that made a reservation.
    var maker: [UInt64: Int] = [:]
    /// How the client settles a reservation, and whether it was told that it is done.
    var settling: [UInt64: (how: Settling, done: Bool)] = [:]
    /// Usage recorded: tenant, amounts, key, and whether the client was told.
    var recorded: [(tenant: Int, amounts: Amounts, key: String, done: Bool)] = []
    /// By tenant: extensions that commits may have charged beyond what was held.
    var overage: [Int: Int64] = [:]
    /// By tenant: seconds of calls that a read said were used. Nothing takes any away.
    var seenSeconds: [Int: Int64] = [:]
    /// What went wrong, for the report.
    var violations: [String] = []

    mutating func tell(_ request: Int, _ answer: Told) {
        // A denial is decided anew with every retry; what was allowed stays as it is.
        if let before = told[request], before.decision == .allowed, before != answer {
            violations.append("request \(request) was decided twice: \(before), \(answer)")
        }
        told[request] = answer
        guard answer.reservation != 0 else { return }
        // Over all lives of the service: what was told is never given again.
        if let other = maker[answer.reservation], other != request {
            violations.append(
                "reservation \(answer.reservation) was given to \(other) and \(request)")
        }
        if answer.reservation >> 56 != 0 {
            violations.append("reservation \(answer.reservation) has more than 56 bits")
        }
        maker[answer.reservation] = request
    }

    /// Reservations that the client may settle: told of, not being settled.
    var settleable: [UInt64] { maker.keys.filter { settling[$0] == nil }.sorted() }

    /// What the totals of a tenant, or of what it asked for with its profile, must be when everything is collected and
    /// what is due by `now` has expired.
    func totals(
        tenant: Int, profileOnly: Bool, now: Int64
    ) -> (committed: Amounts, held: Amounts) {
        var committed = Amounts()
        var held = Amounts()
        func add(_ amounts: Amounts, to total: inout Amounts) {
            for resource in amounts.resources {
                total.set(resource, total[resource] + amounts[resource])
            }
        }
        /// What is only ever held is charged nothing of.
        func charge(_ amounts: Amounts) {
            var charged = amounts
            for resource in Resource.allCases where !resource.mayBeCharged {
                charged[resource.index] = 0
            }
            add(charged, to: &committed)
        }
        for (index, request) in requests.enumerated()
        where request.tenant == tenant && (request.profile || !profileOnly) {
            guard let answer = told[index], answer.decision == .allowed else { continue }
            if request.mode == .commit {
                charge(request.amounts)
                continue
            }
            switch settling[answer.reservation]?.how {
            case .commit(let actual):
                charge(Amounts(.extensions, actual))
            case .release: break
            case nil:
                if answer.expiresAt > now {
                    add(request.amounts, to: &held)
                } else if request.onExpiry == .commit {
                    charge(request.amounts)
                }
            }
        }
        for usage in recorded where usage.tenant == tenant && !profileOnly {
            charge(usage.amounts)
        }
        return (committed, held)
    }
}
