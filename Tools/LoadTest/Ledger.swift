internal import TollgateClient

/// The load test's own account of every tenant and profile, and what it found wrong with the service's decisions.
///
/// It is right as long as nobody else uses these tenants meanwhile.
struct Ledger {
    /// What a refusal is judged by: the state of the limits when the request was sent.
    struct Marks {
        var tenant = ResourceAmounts()
        var profile: Int64 = 0
        /// The tenant was known to be suspended.
        var isSuspended = false
    }

    private let population: Population
    /// As many for each tenant as `ResourceAmounts` has, in the order of `Resource.index`.
    private var tenants: [LimitTally]
    private var profiles: [LimitTally]
    private var isSuspended: [Bool]
    /// Tenants about which nothing certain can be said any more.
    private var muddled: Set<Int> = []
    private var isCutShort = false
    /// Limits that were found over their cap, by the most; judged at the end.
    private var excesses: [Subject: Int64] = [:]
    private(set) var findings = Findings()
    /// Limits that were compared at the end.
    private(set) var judgedCount = 0
    /// Limits that could not be judged: the window rolled over, a hold expired, or the run was cut short.
    private(set) var unjudgedCount = 0

    /// A limit of a tenant or a profile.
    enum Subject: Hashable {
        case tenant(Int, resource: Int)
        case profile(Int)
    }

    init(
        population: Population, tenants: [LimitTally], profiles: [LimitTally], isSuspended: [Bool]
    ) {
        self.population = population
        self.tenants = tenants
        self.profiles = profiles
        self.isSuspended = isSuspended
    }

    // MARK: Asking for room

    /// A check or an extension is about to be sent.
    mutating func ask(_ amounts: ResourceAmounts, of journey: Journey, commits: Bool) -> Marks {
        var marks = Marks()
        forEach(amounts, journey) { tally, subject, amount in
            let mark = tally.ask(amount)
            if commits { tally.beginCommitting(amount) }
            switch subject {
            case .tenant(_, let resource): marks.tenant[resource] = mark
            case .profile: marks.profile = mark
            }
        }
        marks.isSuspended = isSuspended[journey.tenant]
        return marks
    }

    /// It was allowed.
    mutating func admit(_ amounts: ResourceAmounts, of journey: Journey, commits: Bool) {
        var over: [(Subject, Int64)] = []
        forEach(amounts, journey) { tally, subject, amount in
            tally.admit(amount)
            if commits { tally.commit(amount) }
            if let excess = tally.excess { over.append((subject, excess)) }
        }
        for (subject, excess) in over { excesses[subject] = max(excesses[subject] ?? 0, excess) }
        if journey.marks.isSuspended {
            findings.add(
                .allowed, "\(tenantName(journey)): allowed after the tenant had been suspended")
        }
    }

    /// It was denied for these reasons.
    mutating func deny(
        _ amounts: ResourceAmounts, of journey: Journey, commits: Bool, errors: [ErrorEntry]
    ) {
        if errors.isEmpty {
            findings.add(.denied, "\(tenantName(journey)): denied without a reason")
        }
        for error in errors { judge(error, amounts, journey) }
        withdraw(amounts, of: journey, commits: commits)
    }

    /// It was certainly not processed, or refused as a whole.
    mutating func withdraw(_ amounts: ResourceAmounts, of journey: Journey, commits: Bool) {
        forEach(amounts, journey) { tally, _, amount in
            tally.refuse(amount)
            if commits { tally.forgo(amount) }
        }
    }

    private mutating func judge(_ error: ErrorEntry, _ amounts: ResourceAmounts, _ journey: Journey)
    {
        if error.code == Self.suspendedCode {
            if isSuspended[journey.tenant] == false, mayBeSuspended(journey.tenant) == false {
                findings.add(
                    .denied,
                    "\(tenantName(journey)): denied as suspended, but none of its limits "
                        + "can have been reached")
            }
            isSuspended[journey.tenant] = true
            return
        }
        guard let kind = error.limit else {
            findings.add(
                .denied, "\(tenantName(journey)): denied with \(error.code), which names no limit")
            return
        }
        let subject: Subject
        let tally: LimitTally
        let mark: Int64
        let amount: Int64
        if kind.row.subject != .tenant {
            subject = .profile(journey.profile ?? 0)
            amount = journey.profile == nil ? 0 : amounts[Resource.spend.index]
            tally = profiles[journey.profile ?? 0]
            mark = journey.marks.profile
        } else if !Self.judges(kind) {
            findings.add(
                .denied,
                "\(tenantName(journey)): refused by \(kind.row.name), which has no cap here")
            return
        } else {
            let resource = kind.row.resource.index
            subject = .tenant(journey.tenant, resource: resource)
            amount = amounts[resource]
            tally = tenants[journey.tenant * ResourceAmounts.scalarCount + resource]
            mark = journey.marks.tenant[resource]
        }
        guard amount > 0 else {
            findings.add(.denied, "\(name(subject)): refused a request that asked for none of it")
            return
        }
        if tally.canRefuse(since: mark) == false {
            let cap = tally.cap.map { "\($0)" } ?? "none"
            findings.add(
                .denied,
                "\(name(subject)): refused \(amount), which certainly fitted (cap \(cap), "
                    + "used at most \(tally.mayAdded - mark - amount))")
        }
    }

    /// Whether it is the tenant's limit that the load test caps: the first of its resource.
    static func judges(_ kind: LimitKind) -> Bool {
        guard kind.row.resource.index < ResourceAmounts.scalarCount else { return false }
        return LimitKind.catalogue.first {
            $0.subject == .tenant && $0.resource == kind.row.resource
        }?.kind == kind
    }

    /// 20012
    private static let suspendedCode = "20012"

    private func mayBeSuspended(_ tenant: Int) -> Bool {
        tenants[(tenant * ResourceAmounts.scalarCount)..<(tenant + 1) * ResourceAmounts.scalarCount]
            .contains { tally in
                tally.cap.map { tally.mayPeak >= $0 } ?? false
            }
    }

    /// An answer said that the tenant is suspended now.
    mutating func noteSuspension(of journey: Journey) { isSuspended[journey.tenant] = true }

    // MARK: Settling a hold

    /// A commit (`charged`) or a release (zeros) of what the journey holds is about to be sent.
    mutating func beginSettling(_ journey: Journey, charged: ResourceAmounts) {
        forEach(journey.held, journey) { tally, subject, held in
            let charge = Self.amount(charged, subject)
            tally.beginFreeing(held - charge)
            tally.beginCommitting(charge)
        }
    }

    /// It was answered.
    mutating func settle(_ journey: Journey, charged: ResourceAmounts) {
        forEach(journey.held, journey) { tally, subject, held in
            let charge = Self.amount(charged, subject)
            tally.free(held - charge)
            tally.commit(charge)
        }
    }

    /// It was certainly not processed.
    mutating func forgo(_ journey: Journey, charged: ResourceAmounts) {
        forEach(journey.held, journey) { tally, subject, _ in
            tally.forgo(Self.amount(charged, subject))
        }
    }

    /// Nobody settles the hold any more: it expires by itself, and no answer will say when.
    ///
    /// - Parameter rest: what of it no call has begun to free yet.
    mutating func abandon(_ journey: Journey, rest: ResourceAmounts) {
        forEach(rest, journey) { tally, _, amount in tally.beginFreeing(amount) }
    }

    /// A hold expired under the journey, or may have: the bounds do not hold any more.
    mutating func muddle(_ journey: Journey) { muddled.insert(journey.tenant) }

    /// The run ends with holds that nobody settles and calls that nobody waits for.
    mutating func leaveUnjudged() { isCutShort = true }

    /// An answer that breaks the contract, whatever the tally says.
    mutating func complain(_ journey: Journey, _ sentence: String) {
        findings.add(.answer, "\(tenantName(journey)): \(sentence)")
    }

    // MARK: The end

    /// Compares a limit with what the service reports, nothing being under way.
    mutating func compare(_ subject: Subject, with report: LimitReport) {
        let (tally, tenant) =
            switch subject {
            case .tenant(let tenant, let resource):
                (tenants[tenant * ResourceAmounts.scalarCount + resource], tenant)
            case .profile(let profile):
                (profiles[profile], profile / population.profilesPerTenant)
            }
        guard isCutShort == false, muddled.contains(tenant) == false,
            report.windowStartMilliseconds == tally.windowStart
        else {
            unjudgedCount += 1
            return
        }
        judgedCount += 1
        if let excess = excesses[subject], let cap = tally.cap {
            findings.add(
                .allowed, "\(name(subject)): admitted \(cap + excess) in all, the cap is \(cap)")
        }
        if tally.agrees(committed: report.committed, held: report.held) == false {
            findings.add(
                .usage,
                "\(name(subject)): the service reports \(report.committed) committed and "
                    + "\(report.held) held; the answers say \(tally.expectedCommitted) committed, "
                    + "\(tally.expectedUsed) in all")
        }
    }

    // MARK: Places

    private mutating func forEach(
        _ amounts: ResourceAmounts, _ journey: Journey,
        _ body: (inout LimitTally, Subject, Int64) -> Void
    ) {
        for resource in 0..<ResourceAmounts.scalarCount where amounts[resource] > 0 {
            body(
                &tenants[journey.tenant * ResourceAmounts.scalarCount + resource],
                .tenant(journey.tenant, resource: resource), amounts[resource])
        }
        let spend = amounts[Resource.spend.index]
        if spend > 0, let profile = journey.profile {
            body(&profiles[profile], .profile(profile), spend)
        }
    }

    private static func amount(_ amounts: ResourceAmounts, _ subject: Subject) -> Int64 {
        switch subject {
        case .tenant(_, let resource): amounts[resource]
        case .profile: amounts[Resource.spend.index]
        }
    }

    private func tenantName(_ journey: Journey) -> String {
        "tenant \(population.tenantID(journey.tenant))"
    }

    private func name(_ subject: Subject) -> String {
        switch subject {
        case .tenant(let tenant, let resource):
            let row = LimitKind.catalogue.first {
                $0.subject == .tenant && $0.resource.index == resource
            }
            return "tenant \(population.tenantID(tenant)), \(row?.name ?? "?")"
        case .profile(let profile):
            let each = population.profilesPerTenant
            let id = population.profileID(profile / each, profile % each)
            return "profile \(id), \(LimitKind.profileDailySpend.row.name)"
        }
    }
}

/// Wrong decisions: all are counted, the first few are kept as sentences.
struct Findings {
    enum Kind: String, CaseIterable {
        /// More was allowed than the cap has.
        case allowed
        /// A denial without cause.
        case denied
        /// The final usage is not what the answers add up to.
        case usage
        /// An answer that contradicts the contract.
        case answer
    }

    private(set) var counts: [Kind: Int] = [:]
    private(set) var sentences: [String] = []
    private static let kept = 20

    var isEmpty: Bool { counts.isEmpty }

    mutating func add(_ kind: Kind, _ sentence: String) {
        counts[kind, default: 0] += 1
        if sentences.count < Self.kept { sentences.append(sentence) }
    }
}
