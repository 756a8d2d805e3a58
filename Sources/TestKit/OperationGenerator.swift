import Limits

/// Random histories in which the interesting things are frequent: few tenants, profiles and keys,
/// small caps close to present usage, clocks that cross days and cycles, repeats and late commits.
/// Of every resource and every limit that the catalogues have.
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

    /// Mostly that which the profile has.
    private mutating func kind(of profileID: String, _ model: NaiveModel) -> ProfileKind {
        let kind = model.settings(profileID: profileID)?.kind
        return chance(2) ? pick(ProfileKind.allCases) : kind ?? .messaging
    }

    private mutating func amount(of resource: Resource) -> Int64 {
        if chance(8) { return 0 }
        // Never of a count: no rollover would make room again.
        if options.hasHugeAmounts && resource.row.nature == .accumulating && chance(1) {
            return pick([Int64.max, Int64.max - 5, 1 << 62])
        }
        let isOnlyHeld = NaiveModel.isOnlyHeld(resource)
        return Int64.random(in: 1...(isOnlyHeld ? 3 : 12), using: &random)
    }

    /// 1 to 4 resources, mostly one.
    ///
    /// - Parameter areCharged: without what is only ever held.
    private mutating func amounts(areCharged: Bool = false) -> ModelAmounts {
        var result: ModelAmounts = [:]
        repeat {
            let resource = pick(areCharged ? Self.chargedResources : Self.weightedResources)
            result[resource] = amount(of: resource)
        } while result.count < Resource.mostOfRequest && chance(35)
        return result
    }

    /// What tenants have limits of more than one on comes most often.
    private static let weightedResources = Resource.allCases.flatMap { resource in
        let weight = resource.unit == .amount ? 3 : resource.row.nature == .standing ? 1 : 2
        return Array(repeating: resource, count: weight)
    }
    private static let chargedResources = weightedResources.filter {
        NaiveModel.isOnlyHeld($0) == false
    }

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
                let resource = pick(Self.chargedResources)
                if check.amounts.count < Resource.mostOfRequest {
                    check.amounts[resource] = check.amounts[resource] ?? 0
                }
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
            let resource = pick(Self.chargedResources)
            if record.amounts.count < Resource.mostOfRequest {
                record.amounts[resource] = record.amounts[resource] ?? 0
            }
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
        let mode = pick([Mode.reserve, .reserve, .reserve, .commit, .partial, .checkOnly])
        var operation = CheckOperation(
            tenantID: tenantID(), amounts: amounts(areCharged: mode == .commit))
        operation.mode = mode
        operation.profileID = profileID(of: operation.tenantID)
        operation.profileKind = kind(of: operation.profileID, model)
        operation.action = pick(Array(Action.allCases))
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
        var actual = chance(30) ? [:] : (model.chargeable(reservation: ordinal) ?? [:])
        for (resource, amount) in actual.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            if chance(50) {
                let (sum, isOverflow) = amount.addingReportingOverflow(
                    Int64.random(in: -4...12, using: &random))
                actual[resource] = isOverflow ? amount : max(0, sum)
            }
            // An absent resource counts as 0; with none left the meaning would be "all".
            if chance(10) && actual.count > 1 { actual[resource] = nil }
        }
        if chance(12) {
            actual[pick(Self.chargedResources)] = Int64.random(in: 0...8, using: &random)
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
        var operation = RecordOperation(tenantID: tenantID(), amounts: amounts(areCharged: true))
        operation.profileID = profileID(of: operation.tenantID)
        operation.profileKind = kind(of: operation.profileID, model)
        operation.action = pick(Array(Action.allCases))
        for resource in Resource.standing.map(\.resource) {
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
        if chance(8), let operation = passWindow(model) { return operation }
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
            // To the last or first instant of a day, in UTC or where a tenant is.
            let utc = (model.windowTime / day + 1) * day
            let next = chance(50) ? model.tenants[pick(tenantIDs)]?.day.end ?? utc : utc
            milliseconds = max(0, next - model.windowTime - (chance(50) ? 1 : 0))
        default: milliseconds = Int64.random(in: 1...12, using: &random) * day
        }
        if options.hasLateExpiry == false || chance(60) { queue.append(.expire) }
        if chance(50) { queue.append(.judge) }
        return .advance(milliseconds: milliseconds)
    }

    /// To an hour before a window of a tenant's ends, where somebody takes a hold that outlives it: of all that is left.
    private mutating func passWindow(_ model: NaiveModel) -> ModelOperation? {
        let id = pick(tenantIDs)
        let hour: Int64 = 3_600_000
        let kind = pick(NaiveModel.tenantLimits.filter { $0.row.window != .standing })
        guard let end = model.windowEnd(kind, tenantID: id), end - hour > model.windowTime else {
            return nil
        }
        var hold = CheckOperation(
            tenantID: id, amounts: [kind.row.resource: model.left(kind, tenantID: id) ?? 5])
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
                        id: "\(id)-p\(number)",
                        kind: ProfileKind.allCases[number % ProfileKind.allCases.count],
                        tenantID: id, dailySpendLimitEnabled: chance(80),
                        dailySpendLimitNanos: cap(0))))
        }
        var settings = TenantSettings(id: id)
        for _ in 0..<6 { change(&settings, used: { _ in 0 }) }
        return .setTenant(settings)
    }

    private mutating func change(_ settings: inout TenantSettings, used: (LimitKind) -> Int64) {
        switch Int.random(in: 0..<10, using: &random) {
        case ..<5:
            let kind = pick(NaiveModel.tenantLimits)
            settings.limits[kind] = cap(used(kind))
        case 5:
            let percents: [UInt8] = [1, 50, 80, 99, 100]
            let count = Int.random(in: 1...TenantLimits.mostThresholds, using: &random)
            settings.limits.alertThresholds = percents.shuffled(using: &random).prefix(count)
                .sorted()
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
            settings.dailySpendLimitNanos = cap(model.used(settings.kind.limit.kind, subject: id))
        }
        // Of another kind it does not exist.
        if chance(3) { settings.kind = pick(ProfileKind.allCases) }
        return .setProfile(settings)
    }

    private func withdrawn(_ operation: ModelOperation) -> ModelOperation {
        if case .check(let check) = operation { .withdrawnCheck(check) } else { operation }
    }

    /// A charge that comes exactly to a cap, and so suspends its tenant, and is taken back: the cap is set for it. nil:
    /// everybody holds something, or is suspended.
    private mutating func reversed(_ model: NaiveModel) -> ModelOperation? {
        let candidates = tenantIDs.flatMap { id in
            NaiveModel.tenantLimits.filter {
                $0.row.tripsByUsage && $0.row.suspends && model.isFree($0, tenantID: id)
            }.map { (id: id, kind: $0) }
        }
        guard candidates.isEmpty == false else { return nil }
        let (id, kind) = pick(candidates)
        guard var settings = model.settings(tenantID: id) else { return nil }
        let resource = kind.row.resource
        let amount = Int64.random(in: 1...12, using: &random)
        let (cap, isOverflow) = model.used(kind, subject: id).addingReportingOverflow(amount)
        guard isOverflow == false else { return nil }
        settings.limits[kind] = cap
        settings.limits.autoSuspend = true
        if settings.onLimit == .alert { settings.onLimit = .auto }
        var charge = CheckOperation(tenantID: id, amounts: [resource: amount])
        charge.profileID = resource == .spend && chance(50) ? profileID(of: id) : ""
        charge.profileKind = self.kind(of: charge.profileID, model)
        charge.mode = .commit
        queue.append(.withdrawnCheck(charge))
        return .setTenant(settings)
    }

    private mutating func setCounts() -> ModelOperation {
        let standing = Resource.standing.map(\.resource)
        var counts: ModelAmounts = [:]
        for resource in chance(40) ? standing : [pick(standing)] {
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
