import Limits

/// Random histories in which the interesting things are frequent: few tenants, profiles and keys,
/// small caps close to present usage, clocks that cross days and cycles, repeats and late commits.
///
/// It looks at the model for what exists, so a history is a function of the seed alone.
package struct OperationGenerator: Sendable {
    package struct Options: Sendable {
        /// Tenants that are open at the same time; each has two profiles.
        package var tenantCount = 3
        /// Whether amounts near Int64.max occur.
        package var hasHugeAmounts = true
        /// Whether time passes without expiring what is overdue at once.
        package var hasLateExpiry = false
        /// Whether keys and reservations are named that are no longer remembered. Off where the
        /// subject may remember longer than it must.
        package var namesForgotten = false
        /// Zones that tenants may live in.
        package var timeZones = ["UTC"]
        /// Whether engine time leaps ahead of what elapses.
        package var leaps = false
        /// Whether tenants and profiles are closed.
        package var closes = true

        package init() {}
    }

    private var random: SeededGenerator
    private let options: Options
    /// Operations that follow before anything random does.
    private var queue: [ModelOperation] = []
    /// Keyed operations to repeat.
    private var keyed: [ModelOperation] = []
    private var tenantIDs: [String] = []
    private var createdTenantCount = 0
    private var keyEpoch = 0

    package init(seed: UInt64, options: Options = Options()) {
        random = SeededGenerator(seed: seed)
        self.options = options
    }

    /// The next operation of the history that `model` has lived through.
    package mutating func next(_ model: NaiveModel) -> ModelOperation {
        if queue.isEmpty == false { return queue.removeFirst() }
        if tenantIDs.count < options.tenantCount { return makeTenant() }
        switch Int.random(in: 0..<1000, using: &random) {
        case ..<310: return check(model)
        case ..<320: return withdrawn(check(model))
        case ..<330: return reversed(model) ?? withdrawn(check(model))
        case ..<460: return commit(model) ?? check(model)
        case ..<520: return release(model) ?? check(model)
        case ..<650: return extend(model) ?? check(model)
        case ..<755: return record(model)
        case ..<770: return setCounts()
        case ..<810: return usage()
        case ..<890: return advance(model)
        case ..<930: return changeTenant(model)
        case ..<965: return changeProfile(model)
        case ..<970: return .suspend(tenantID())
        case ..<996: return .reinstate(reinstatable(model))
        default: return options.closes ? close(model) : usage()
        }
    }

    // MARK: Chance

    private mutating func chance(_ percent: Int) -> Bool {
        Int.random(in: 0..<100, using: &random) < percent
    }

    private mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[Int.random(in: elements.indices, using: &random)]
    }

    private mutating func tenantID() -> String {
        chance(1) ? "nobody" : pick(tenantIDs)
    }

    private mutating func profileID(of tenantID: String) -> String {
        if chance(2) { return "nothing" }
        if chance(2) { return "\(pick(tenantIDs))-p0" }
        return chance(60) ? "\(tenantID)-p\(chance(50) ? 0 : 1)" : ""
    }

    private mutating func amount(of resource: Resource) -> Int64 {
        if chance(8) { return 0 }
        // Never of a count: no rollover would make room again.
        if options.hasHugeAmounts && resource.mayShrink == false && chance(1) {
            return pick([Int64.max, Int64.max - 5, 1 << 62])
        }
        return Int64.random(in: 1...12, using: &random)
    }

    /// 1 to 4 resources, mostly one.
    private mutating func amounts() -> ModelAmounts {
        var result: ModelAmounts = [:]
        repeat {
            let resource = pick(Self.weightedResources)
            result[resource] = amount(of: resource)
        } while chance(35)
        return result
    }

    private static let weightedResources: [Resource] = [
        .spend, .spend, .spend, .extensions, .dids, .callSeconds, .callSeconds,
    ]

    private mutating func minimums(of amounts: ModelAmounts) -> ModelAmounts {
        var result: ModelAmounts = [:]
        for resource in Resource.allCases {
            guard let asked = amounts[resource], asked > 0, chance(40) else { continue }
            result[resource] = Int64.random(in: 0...min(asked, 12), using: &random)
        }
        return result
    }

    private mutating func ttl() -> Int64 {
        switch Int.random(in: 0..<10, using: &random) {
        case ..<5: Int64.random(in: 1_000...5_000, using: &random)
        case ..<8: 60_000
        case ..<9: 3_600_000
        default: 86_400_000
        }
    }

    /// Mostly an open reservation or one of the latest ten; sometimes one that never was.
    ///
    /// - Returns: nil where none comes into question.
    private mutating func reservation(_ model: NaiveModel) -> Int? {
        let count = model.reservationCount
        if chance(1) { return count + 1_000 }
        let open = model.latestOpenReservations
        if open.isEmpty == false && chance(60) { return pick(open) }
        let latest = max(1, count - 9)..<(count + 1)
        let remembered =
            options.namesForgotten
            ? Array(1..<(count + 1)) : latest.filter(model.isRemembered(reservation:))
        return remembered.isEmpty ? nil : pick(remembered)
    }

    /// Empty, or one of a few keys that means something or nothing yet.
    private mutating func key(_ tenantID: String, _ model: NaiveModel) -> String {
        guard chance(40) else { return "" }
        let key = "k\(keyEpoch)-\(Int.random(in: 0..<6, using: &random))"
        // Few fresh keys in an epoch, so that they are used again with other content.
        if chance(10) { keyEpoch += 1 }
        if model.isForgotten(key: key, tenantID: tenantID) && options.namesForgotten == false {
            keyEpoch += 1
            return "k\(keyEpoch)-0"
        }
        return key
    }

    /// Now and then an operation is one that was sent before: to the letter, or in other words.
    private mutating func repeated(_ model: NaiveModel) -> ModelOperation? {
        guard keyed.isEmpty == false, chance(18) else { return nil }
        let operation = disguised(pick(Array(keyed.suffix(8))))
        if options.namesForgotten { return operation }
        let isForgotten =
            switch operation {
            case .check(let check): model.isForgotten(key: check.key, tenantID: check.tenantID)
            case .record(let record): model.isForgotten(key: record.key, tenantID: record.tenantID)
            case .extend(let extend):
                model.isRemembered(reservation: extend.reservation) == false
                    || model.isForgotten(key: extend.key, reservation: extend.reservation)
            default: true
            }
        return isForgotten ? nil : operation
    }

    /// The same with another content as little as with a quantity of zero, or, now and then, with another content.
    private mutating func disguised(_ operation: ModelOperation) -> ModelOperation {
        guard chance(40) else { return operation }
        switch operation {
        case .check(var check):
            if check.amounts.count > 1 || check.amounts.values.contains(where: { $0 > 0 }) {
                let resource = pick(Self.weightedResources)
                if check.amounts[resource] == nil { check.amounts[resource] = 0 }
            }
            // A part of the content but where there is no hold.
            if check.mode == .commit || chance(10) {
                check.ttlMilliseconds = ttl()
                check.onExpiry = chance(40) ? .commit : .release
                check.overage = pick([.record, .cap, .reject])
            }
            if check.mode != .partial { check.minimums = minimums(of: check.amounts) }
            return .check(check)
        case .extend(var extend):
            extend.additional = extend.additional.withoutZeros
            if extend.mode != .partial { extend.minimums = minimums(of: extend.additional) }
            return .extend(extend)
        case .record(var record):
            let resource = pick(Self.weightedResources)
            if record.amounts[resource] == nil { record.amounts[resource] = 0 }
            return .record(record)
        default: return operation
        }
    }

    private mutating func remember(_ operation: ModelOperation, key: String) -> ModelOperation {
        if key.isEmpty == false { keyed.append(operation) }
        if keyed.count > 64 { keyed.removeFirst(32) }
        return operation
    }

    // MARK: The data plane

    private mutating func check(_ model: NaiveModel) -> ModelOperation {
        if let repeated = repeated(model) { return repeated }
        var operation = CheckOperation(tenantID: tenantID(), amounts: amounts())
        operation.profileID = profileID(of: operation.tenantID)
        operation.action = pick(Array(Action.allCases))
        operation.mode = pick([.reserve, .reserve, .reserve, .commit, .partial, .checkOnly])
        if operation.mode == .partial { operation.minimums = minimums(of: operation.amounts) }
        operation.ttlMilliseconds = ttl()
        operation.onExpiry = chance(40) ? .commit : .release
        operation.overage = pick([.record, .cap, .cap, .reject])
        operation.key = key(operation.tenantID, model)
        operation.reference = chance(20) ? "call-\(Int.random(in: 0..<3, using: &random))" : ""
        return remember(.check(operation), key: operation.key)
    }

    private mutating func release(_ model: NaiveModel) -> ModelOperation? {
        reservation(model).map { .release(reservation: $0) }
    }

    private mutating func commit(_ model: NaiveModel) -> ModelOperation? {
        guard let ordinal = reservation(model) else { return nil }
        var actual = chance(30) ? [:] : (model.held(reservation: ordinal) ?? [:])
        for (resource, amount) in actual.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            if chance(50) {
                let (sum, isOverflow) = amount.addingReportingOverflow(
                    Int64.random(in: -4...8, using: &random))
                actual[resource] = isOverflow ? amount : max(0, sum)
            }
            // An absent resource counts as 0; with none left the meaning would be "all".
            if chance(10) && actual.count > 1 { actual[resource] = nil }
        }
        if chance(12) {
            actual[pick(Self.weightedResources)] = Int64.random(in: 0...8, using: &random)
        }
        let operation = ModelOperation.commit(reservation: ordinal, actual: actual)
        if chance(15) { queue.append(operation) }
        return operation
    }

    private mutating func extend(_ model: NaiveModel) -> ModelOperation? {
        if let repeated = repeated(model) { return repeated }
        guard let ordinal = reservation(model) else { return nil }
        var operation = ExtendOperation(reservation: ordinal)
        operation.ttlMilliseconds = chance(70) ? ttl() : 0
        if chance(60) { operation.additional = amounts() }
        if chance(30) {
            operation.mode = .partial
            operation.minimums = minimums(of: operation.additional)
        }
        let tenantID = model.tenantID(reservation: operation.reservation)
        operation.key = tenantID.map { key($0, model) } ?? ""
        return remember(.extend(operation), key: operation.key)
    }

    private mutating func record(_ model: NaiveModel) -> ModelOperation {
        if let repeated = repeated(model) { return repeated }
        var operation = RecordOperation(tenantID: tenantID(), amounts: amounts())
        operation.profileID = profileID(of: operation.tenantID)
        operation.action = pick(Array(Action.allCases))
        for resource in [Resource.extensions, .dids] {
            // A tenant gives back more often than it takes, or its counts would stay full.
            if let amount = operation.amounts[resource], chance(70) {
                operation.amounts[resource] = -amount
            }
        }
        operation.key = key(operation.tenantID, model)
        return remember(.record(operation), key: operation.key)
    }

    private mutating func usage() -> ModelOperation {
        let tenantID = tenantID()
        return .usage(tenantID: tenantID, profileID: profileID(of: tenantID))
    }

    // MARK: Time

    private mutating func advance(_ model: NaiveModel) -> ModelOperation {
        if chance(5), let operation = passCycle(model) { return operation }
        let day: Int64 = 86_400_000
        let milliseconds: Int64
        if options.leaps && chance(15) {
            return .leap(milliseconds: Int64.random(in: 1...30_000_000, using: &random))
        }
        switch Int.random(in: 0..<100, using: &random) {
        case ..<30: milliseconds = Int64.random(in: 0...50, using: &random)
        case ..<70: milliseconds = Int64.random(in: 100...4_000, using: &random)
        case ..<84: milliseconds = Int64.random(in: 60_000...900_000, using: &random)
        case ..<90: milliseconds = Int64.random(in: 3_600_000...20_000_000, using: &random)
        case ..<96:
            // To a day's last or first instant.
            let next = (model.windowTime / day + 1) * day
            milliseconds = max(0, next - model.windowTime - (chance(50) ? 1 : 0))
        default: milliseconds = Int64.random(in: 1...12, using: &random) * day
        }
        if options.hasLateExpiry == false || chance(60) { queue.append(.expire) }
        if chance(50) { queue.append(.judge) }
        return .advance(milliseconds: milliseconds)
    }

    /// To an hour before a tenant's billing cycle ends, where somebody takes a hold that outlives it: of all that is left.
    private mutating func passCycle(_ model: NaiveModel) -> ModelOperation? {
        let id = pick(tenantIDs)
        let hour: Int64 = 3_600_000
        guard let end = model.tenants[id]?.cycle.end, end - hour > model.windowTime else {
            return nil
        }
        let resource = pick([Resource.spend, .callSeconds])
        var hold = CheckOperation(
            tenantID: id, amounts: [resource: model.left(of: resource, tenantID: id) ?? 5])
        hold.ttlMilliseconds = 86_400_000
        queue += [.expire, .check(hold), .advance(milliseconds: 2 * hour), .expire, .judge]
        return .advance(milliseconds: end - hour - model.windowTime)
    }

    // MARK: The operator

    /// A cap near what is used now, none, or zero.
    private mutating func cap(_ used: Int64) -> Int64? {
        switch Int.random(in: 0..<10, using: &random) {
        case ..<2: return nil
        case ..<3: return 0
        case ..<8:
            let room = Int64.random(in: -3...20, using: &random)
            let (sum, isOverflow) = used.addingReportingOverflow(room)
            return isOverflow ? Int64.max : max(0, sum)
        default: return Int64.random(in: 0...60, using: &random)
        }
    }

    private mutating func makeTenant() -> ModelOperation {
        let id = "t\(createdTenantCount)"
        createdTenantCount += 1
        tenantIDs.append(id)
        for number in 0..<2 {
            queue.append(
                .setProfile(
                    ProfileSettings(
                        id: "\(id)-p\(number)", tenantID: id, dailySpendLimitEnabled: chance(80),
                        dailySpendLimitNanos: cap(0))))
        }
        var settings = TenantSettings(id: id)
        for _ in 0..<4 { change(&settings, used: { _ in 0 }) }
        return .setTenant(settings)
    }

    private mutating func change(_ settings: inout TenantSettings, used: (LimitKind) -> Int64) {
        switch Int.random(in: 0..<10, using: &random) {
        case 0, 1: settings.limits.monthlySpendNanos = cap(used(.tenantMonthlySpend))
        case 2: settings.limits.maxExtensions = cap(used(.tenantExtensions))
        case 3: settings.limits.maxDIDs = cap(used(.tenantDIDs))
        case 4: settings.limits.monthlyCallSeconds = cap(used(.tenantMonthlyMinutes))
        case 5: settings.limits.alertThresholdPercent = pick([1, 50, 80, 99, 100])
        case 6: settings.limits.autoSuspend.toggle()
        case 7: settings.onLimit = pick(Array(OnLimit.allCases))
        case 8: settings.billingCycleDay = pick([1, 2, 15, 28, 29, 30, 31])
        default: settings.timeZone = pick(options.timeZones)
        }
    }

    private mutating func changeTenant(_ model: NaiveModel) -> ModelOperation {
        let id = pick(tenantIDs)
        guard var settings = model.settings(tenantID: id) else { return usage() }
        for _ in 0..<(chance(50) ? 1 : 3) {
            change(&settings) { model.used($0, subject: id) }
        }
        return .setTenant(settings)
    }

    private mutating func changeProfile(_ model: NaiveModel) -> ModelOperation {
        let tenantID = pick(tenantIDs)
        let id = "\(tenantID)-p\(chance(50) ? 0 : 1)"
        guard var settings = model.settings(profileID: id) else { return usage() }
        if chance(50) { settings.dailySpendLimitEnabled.toggle() }
        if chance(70) {
            settings.dailySpendLimitNanos = cap(model.used(.profileDailySpend, subject: id))
        }
        return .setProfile(settings)
    }

    private func withdrawn(_ operation: ModelOperation) -> ModelOperation {
        if case .check(let check) = operation { .withdrawnCheck(check) } else { operation }
    }

    /// A charge that comes exactly to a cap, and so suspends its tenant, and is taken back: the cap is set for it. nil:
    /// everybody holds something, or is suspended.
    private mutating func reversed(_ model: NaiveModel) -> ModelOperation? {
        let candidates = tenantIDs.flatMap { id in
            [Resource.spend, .callSeconds].filter { model.isFree($0, tenantID: id) }
                .map { (id: id, resource: $0) }
        }
        guard candidates.isEmpty == false else { return nil }
        let (id, resource) = pick(candidates)
        guard var settings = model.settings(tenantID: id) else { return nil }
        let isSpend = resource == .spend
        let used = model.used(isSpend ? .tenantMonthlySpend : .tenantMonthlyMinutes, subject: id)
        let amount = Int64.random(in: 1...12, using: &random)
        let (cap, isOverflow) = used.addingReportingOverflow(amount)
        guard isOverflow == false else { return nil }
        if isSpend {
            settings.limits.monthlySpendNanos = cap
        } else {
            settings.limits.monthlyCallSeconds = cap
        }
        settings.limits.autoSuspend = true
        if settings.onLimit == .alert { settings.onLimit = .auto }
        var charge = CheckOperation(tenantID: id, amounts: [resource: amount])
        charge.profileID = isSpend && chance(50) ? profileID(of: id) : ""
        charge.mode = .commit
        queue.append(.withdrawnCheck(charge))
        return .setTenant(settings)
    }

    private mutating func setCounts() -> ModelOperation {
        var counts: ModelAmounts = [pick([Resource.extensions, .dids]): 0]
        if chance(40) { counts = [.extensions: 0, .dids: 0] }
        for resource in Resource.allCases where counts[resource] != nil {
            counts[resource] = Int64.random(in: 0...40, using: &random)
        }
        return .setCounts(tenantID: tenantID(), counts)
    }

    /// A suspended tenant, if there is one: a suspension tells little for long.
    private mutating func reinstatable(_ model: NaiveModel) -> String {
        let suspended = tenantIDs.filter(model.isSuspended)
        return suspended.isEmpty ? tenantID() : pick(suspended)
    }

    private mutating func close(_ model: NaiveModel) -> ModelOperation {
        let id = pick(tenantIDs)
        if chance(20) { return .closeProfile("\(id)-p1") }
        // A new tenant takes its place in what follows; its open holds may still settle.
        tenantIDs.removeAll { $0 == id }
        return .closeTenant(id)
    }
}

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

    func held(reservation ordinal: Int) -> ModelAmounts? {
        reservations.indices.contains(ordinal - 1) ? reservations[ordinal - 1].held : nil
    }

    func settings(tenantID: String) -> TenantSettings? { tenants[tenantID]?.settings }

    func settings(profileID: String) -> ProfileSettings? { profiles[profileID]?.settings }

    func isSuspended(_ tenantID: String) -> Bool { tenants[tenantID]?.status == .suspended }

    /// What a monthly limit would leave if nothing were held; nil: there is no cap, or nothing is left.
    func left(of resource: Resource, tenantID: String) -> Int64? {
        let kind: LimitKind = resource == .spend ? .tenantMonthlySpend : .tenantMonthlyMinutes
        let limit = LimitReference(kind: kind, subject: tenantID)
        let committed = total(currentTotal(limit)).committed
        return cap(of: limit).flatMap { $0 > committed ? $0 - committed : nil }
    }

    /// Whether an active tenant holds nothing of what a resource's monthly limit counts.
    func isFree(_ resource: Resource, tenantID: String) -> Bool {
        let kind: LimitKind = resource == .spend ? .tenantMonthlySpend : .tenantMonthlyMinutes
        return tenants[tenantID]?.status == .active
            && total(currentTotal(LimitReference(kind: kind, subject: tenantID))).held == 0
    }

    /// Committed and held of the present window.
    func used(_ kind: LimitKind, subject: String) -> Int64 {
        let total = total(currentTotal(LimitReference(kind: kind, subject: subject)))
        return total.committed + total.held
    }
}
