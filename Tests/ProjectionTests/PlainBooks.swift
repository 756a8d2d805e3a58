import Foundation
import Journal
import Limits
import Testing

@testable import Engine
@testable import Projection

/// What a journal's records come to, as plainly as it can be said: every record is read again, and holds are kept one by
/// one. Holds are never extended here.
struct PlainBooks {
    struct Figures: Equatable {
        var amounts: [Resource: Int64] = [:]
        var overage: Int64 = 0
        var allowed: Int64 = 0
        var denied: Int64 = 0

        mutating func add(_ other: Figures) {
            for (resource, amount) in other.amounts { add(amount, of: resource) }
            overage = overage.addingSaturated(other.overage)
            allowed += other.allowed
            denied += other.denied
        }

        /// Sums over windows may leave the range.
        mutating func add(_ amount: Int64, of resource: Resource) {
            amounts[resource] = (amounts[resource] ?? 0).addingSaturated(amount)
        }

        static func == (a: Figures, b: Figures) -> Bool {
            a.overage == b.overage && a.allowed == b.allowed && a.denied == b.denied
                && Resource.allCases.allSatisfy { a.amounts[$0] ?? 0 == b.amounts[$0] ?? 0 }
        }
    }

    struct Key: Hashable {
        var tenant: UInt32
        var action: Action
        /// A date in the tenant's zone, "2026-03-27".
        var date: String
        /// The first instant of its hour.
        var hour: Int64
    }

    private(set) var entries: [Key: Figures] = [:]
    /// Spend by profile and action.
    private(set) var profiles: [UInt32: [Action: Int64]] = [:]
    private(set) var refusals: [UInt32: Int64] = [:]

    private(set) var days: [UInt32: [String: [Action: Figures]]] = [:]
    private(set) var hours: [Int64: [Action: Figures]] = [:]

    private var holds: [UInt64: (time: Int64, amounts: Amounts)] = [:]
    private let zones: [UInt32: TimeZone]
    private let formatter: DateFormatter

    /// - Parameter zones: of tenants, by number.
    init(_ service: ProjectedService, zones: [UInt32: TimeZone]) throws {
        self.zones = zones
        formatter = DateFormatter()
        formatter.calendar = Calendar(identifier: .gregorian)
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.dateFormat = "yyyy-MM-dd"
        let feed = try #require(service.engine.journalFeed)
        let follower = JournalFollower(feed.disk, id: feed.id, at: .start(ofSegment: 1))
        var records: [[UInt64]] = []
        while let event = try follower.next(before: feed.durableEnd) {
            guard case .records(let payload, _) = event else { continue }
            payload.forEachRecord { records.append(Array($0)) }
        }
        // A copy has its original's tenant and version; counts of refusals have no version.
        var seen: Set<[UInt64]> = []
        let order = records.sorted { ($0[3] & 0xFFFF_FFFF, $0[1]) < ($1[3] & 0xFFFF_FFFF, $1[1]) }
        for words in order
        where words[1] == 0 || seen.insert([words[3] & 0xFFFF_FFFF, words[1]]).inserted {
            var record = Limits.Record(.reserved)
            try words.withUnsafeBufferPointer { try record.read($0) }
            add(record)
        }
        for (key, figures) in entries {
            days[key.tenant, default: [:]][key.date, default: [:]][key.action, default: Figures()]
                .add(figures)
            hours[key.hour, default: [:]][key.action, default: Figures()].add(figures)
        }
    }

    private mutating func add(_ record: Limits.Record) {
        let rules = LimitRules.standard
        switch record.kind {
        case .refusals:
            book(record, at: record.time) { $0.denied += Int64(record.count.all) }
            if record.refusedBySuspension {
                refusals[ErrorCode.suspended.rawValue, default: 0] += Int64(record.count.all)
            } else {
                for kind in LimitKind.allCases where record.refused.contains(kind) {
                    refusals[kind.row.error.rawValue, default: 0] += Int64(record.count.all)
                }
            }
            return
        case .settingChanged, .time: return
        default: break
        }
        var charged = Transition.amounts(record.transition.committed, rules)
        for index in 0..<record.closed.count {
            for resource in Resource.indices {
                charged[resource] = charged[resource].addingSaturated(
                    record.closed.charges[index].amounts[resource])
            }
        }
        if let profile = record.profile {
            var spend = record.transition.profileCommitted
            for index in 0..<record.closed.count {
                spend = spend.addingSaturated(record.closed.charges[index].profileSpend)
            }
            let before = profiles[profile]?[record.action] ?? 0
            profiles[profile, default: [:]][record.action] = before.addingSaturated(spend)
        }
        switch record.kind {
        case .reserved:
            holds[record.reservationID] = (
                record.time, Transition.amounts(record.transition.held, rules)
            )
            book(record, at: record.time) { $0.allowed += 1 }
        case .charged: book(record, at: record.time) { $0.allowed += 1 }
        default: break
        }
        let hold = holds[record.reservationID]
        let isOfHold =
            switch record.kind {
            case .committed, .expiredCharged: true
            case .committedLate: record.onExpiry == .commit
            default: false
            }
        for resource in Resource.allCases {
            let amount = charged[resource]
            guard amount != 0 else { continue }
            guard let hold, isOfHold else {
                book(record, at: record.time) { $0.add(amount, of: resource) }
                continue
            }
            // A correction takes back of the hold, or adds above it.
            let most = record.kind == .committedLate ? 0 : hold.amounts[resource]
            let held = amount < 0 ? amount : min(amount, most)
            let over = amount - held
            book(record, at: hold.time) { $0.add(held, of: resource) }
            book(record, at: record.time) {
                $0.add(over, of: resource)
                if resource == .spend { $0.overage = $0.overage.addingSaturated(over) }
            }
        }
    }

    private mutating func book(
        _ record: Limits.Record, at time: Int64, _ change: (inout Figures) -> Void
    ) {
        let zone = zones[record.tenant] ?? .gmt
        if formatter.timeZone != zone { formatter.timeZone = zone }
        let key = Key(
            tenant: record.tenant, action: record.action,
            date: formatter.string(from: Date(timeIntervalSince1970: Double(time) / 1_000)),
            hour: time / 3_600_000 * 3_600_000)
        change(&entries[key, default: Figures()])
    }

    /// What all that fits comes to, by action.
    func figures(_ fits: (Key) -> Bool) -> [Action: Figures] {
        var result: [Action: Figures] = [:]
        for (key, figures) in entries where fits(key) {
            var sum = result[key.action] ?? Figures()
            sum.add(figures)
            result[key.action] = sum
        }
        return result
    }
}

extension UsageFigures {
    /// Whether they are what the plain books say.
    func agrees(with plain: [Action: PlainBooks.Figures]) -> Bool {
        func sum(_ value: (PlainBooks.Figures) -> Int64) -> Int64 {
            plain.values.reduce(0) { $0.addingSaturated(value($1)) }
        }
        func amount(_ resource: Resource) -> Int64 { sum { $0.amounts[resource] ?? 0 } }
        return Action.allCases.allSatisfy { action in
            spend(action) == plain[action]?.amounts[.spend] ?? 0
                && callSeconds(action) == plain[action]?.amounts[.callSeconds] ?? 0
        } && spend(nil) == 0 && callSeconds(nil) == 0 && spend == amount(.spend)
            && callSeconds == amount(.callSeconds) && messages == amount(.messages)
            && extensionChange == amount(.extensions) && didChange == amount(.dids)
            && overage == sum(\.overage) && allowed == sum(\.allowed) && denied == sum(\.denied)
    }
}
