package import Limits
import Reservations

/// The messaging profiles of every tenant, by number, as they come into being: a list through the profiles for each
/// tenant. One for each event loop, for all of its watches.
///
/// Memory: four bytes for each tenant and each profile, once there is a watch.
package struct ProfileIndex {
    /// By tenant: number + 1 of its latest profile; 0: none.
    private var latest: [UInt32] = []
    /// By profile: number + 1 of the one before of the same tenant; 0: none.
    private var before: [UInt32] = []
    /// Profiles that had a number, but did not exist yet, when they were looked at.
    private var unborn: [Int] = []

    package init() {}

    /// Takes up profiles that are new, within a budget.
    ///
    /// - Returns: whether it has seen all there are.
    package mutating func advance(_ lane: EngineLane, _ budget: inout Int) -> Bool {
        if !unborn.isEmpty {
            budget -= unborn.count
            let candidates = unborn
            unborn = candidates.filter { !add($0, lane) }
        }
        let table = lane.lane.table
        while before.count < table.profileNumbers {
            guard budget > 0 else { return false }
            budget -= 1
            let profile = before.count
            before.append(0)
            if !add(profile, lane) { unborn.append(profile) }
        }
        return true
    }

    private mutating func add(_ profile: Int, _ lane: EngineLane) -> Bool {
        guard let tenant = lane.lane.tenant(ofProfile: profile) else { return false }
        while latest.count <= tenant { latest.append(0) }
        before[profile] = latest[tenant]
        latest[tenant] = UInt32(profile + 1)
        return true
    }

    /// The profiles of a tenant that were taken up after `known`, and moves `known` on.
    ///
    /// - Parameter known: at first 0.
    func profiles(of tenant: Int, after known: inout UInt32) -> [Int] {
        var found: [Int] = []
        let last = tenant < latest.count ? latest[tenant] : 0
        var next = last
        while next != known, next != 0 {
            found.append(Int(next) - 1)
            next = before[Int(next) - 1]
        }
        known = last
        return found.reversed()
    }
}

/// What one watcher of usage was told, and what it is to be told next: a walk over its subjects, again and again, that
/// stops at those that have changed since.
///
/// The watch of a tenant has the tenant and its messaging profiles as its subjects, the watch of everything all
/// tenants and all profiles. Subjects that come into being are added at the end.
///
/// Memory: 20 bytes for each subject.
package struct UsageWatch {
    /// nil: everything.
    package let tenant: Int?
    private var subjects: [UsageSubject] = []
    /// What was told of each subject.
    private var told: [UsageMark] = []
    /// The subject that is looked at next.
    package private(set) var cursor = 0
    /// Tenants and profiles that were taken up; for a tenant's watch the last of its profiles.
    private var knownTenants = 0
    private var knownProfiles = 0
    private var knownProfile: UInt32 = 0

    /// Whether this walk left out a subject whose deletion may not be on disk yet: then its end must wait.
    package private(set) var absenceWaits = false

    /// - Parameter tenant: a number; nil: everything.
    package init(tenant: Int?) {
        self.tenant = tenant
        if let tenant { add(.tenant(tenant)) }
    }

    package enum Step {
        /// The usage of a subject stands in the answer; it counts as told. The profile's id is empty for the tenant
        /// itself. The ids stay where they are as long as the engine lives.
        case usage(place: Int, tenantID: BorrowedBytes, profileID: BorrowedBytes)
        /// All subjects have been looked at; the next step is the first of the next walk.
        case end
        /// The budget is spent, or the journal has no room.
        case rest
        /// The tenant was deleted: there is nothing more to watch.
        case gone
    }

    /// What one look at a subject costs, and what telling one costs.
    static let lookCost = 1
    static let tellCost = 16

    /// Goes on to the next subject whose version is another than was told, or whose window is over, and reads its
    /// usage. `EngineLane.answerWaits` then says whether that is on disk.
    ///
    /// - Parameters:
    ///   - index: complete, as far as its budget went.
    ///   - budget: what the walk may cost until it rests.
    /// - Complexity: O(budget)
    package mutating func next(
        _ lane: EngineLane, _ index: ProfileIndex, _ budget: inout Int,
        answer: inout UsageAnswer
    ) -> Step {
        if cursor == 0 { absenceWaits = false }
        while true {
            while cursor < subjects.count {
                guard budget > 0 else { return .rest }
                budget -= Self.lookCost
                let place = cursor
                cursor += 1
                guard isStale(place, lane) else { continue }
                budget -= Self.tellCost
                if let step = read(place, lane, &answer) { return step }
            }
            guard budget > 0 else { return .rest }
            if !discover(lane, index, budget) {
                cursor = 0
                return .end
            }
        }
    }

    private func isStale(_ place: Int, _ lane: EngineLane) -> Bool {
        let version = lane.lane.version(of: subjects[place])
        return version != told[place].version || version != 0 && lane.now >= told[place].until
    }

    /// nil: it does not exist, or any more.
    private mutating func read(
        _ place: Int, _ lane: EngineLane, _ answer: inout UsageAnswer
    ) -> Step? {
        let subject = subjects[place]
        // Before it is read: what changes meanwhile is told again.
        let version = lane.lane.version(of: subject)
        switch lane.usage(of: subject, answer: &answer) {
        case .read(let mark):
            told[place] = mark
            let owner = subject.isProfile ? lane.lane.tenant(ofProfile: subject.number) : nil
            return .usage(
                place: place, tenantID: lane.lane.id(ofTenant: owner ?? subject.number),
                profileID: subject.isProfile ? lane.lane.id(ofProfile: subject.number) : .none)
        case .absent:
            if tenant != nil, !subject.isProfile { return .gone }
            if lane.answerWaits { absenceWaits = true }
            told[place] = UsageMark(version: version, until: .max)
            return nil
        case .notNow:
            cursor = place
            return .rest
        }
    }

    /// What was to be told of a subject was not: the walk goes on from there, or from an earlier one.
    package mutating func forget(_ place: Int) {
        told[place] = UsageMark()
        cursor = min(cursor, place)
    }

    private mutating func add(_ subject: UsageSubject) {
        subjects.append(subject)
        told.append(UsageMark())
    }

    /// Takes up some of the subjects that are new. False: there are none.
    private mutating func discover(
        _ lane: EngineLane, _ index: ProfileIndex, _ budget: Int
    ) -> Bool {
        let count = subjects.count
        if let tenant {
            for profile in index.profiles(of: tenant, after: &knownProfile) {
                add(.profile(profile))
            }
            return subjects.count > count
        }
        let table = lane.lane.table
        while knownTenants < table.tenantNumbers, subjects.count - count < budget {
            add(.tenant(knownTenants))
            knownTenants += 1
        }
        while knownProfiles < table.profileNumbers, subjects.count - count < budget {
            add(.profile(knownProfiles))
            knownProfiles += 1
        }
        return subjects.count > count
    }
}

extension EngineLane {
    /// The number of a tenant that exists; nil: there is none, or it was deleted and that is on disk. One whose deletion
    /// is not is told as gone by its watch, when it may be.
    package func number(ofTenant id: BorrowedBytes) -> Int? {
        lane.beginCall()
        guard let found = lane.findTenant(id: id) else { return nil }
        return found.isOpen || answerWaits ? found.number : nil
    }

    fileprivate func usage(
        of subject: UsageSubject, answer: inout UsageAnswer
    ) -> Lane.UsageReading {
        lane.beginCall()
        return lane.usage(of: subject, now: life, answer: &answer)
    }

    /// Whether the tenant of the usage that was read last shows its limits to its own tokens.
    package var disclosesLimits: Bool { lane.disclosesLimits }
}
