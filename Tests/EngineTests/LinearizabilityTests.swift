import Foundation
import Limits
import Synchronization
import TestKit
import Testing

@testable import Engine
@testable import Reservations

/// One tenant with a cap on spend, as a caller sees it, one operation after the other.
struct TenantSpecification: SequentialSpecification {
    enum Operation: Hashable, CustomStringConvertible {
        case reserve(Int64, key: String)
        case commit(UInt64, Int64)
        case release(UInt64)
        case usage
        case setCap(Int64)

        var description: String {
            switch self {
            case .reserve(let amount, let key): "reserve \(amount) \(key)"
            case .commit(let id, let actual): "commit \(id) \(actual)"
            case .release(let id): "release \(id)"
            case .usage: "usage"
            case .setCap(let cap): "cap \(cap)"
            }
        }
    }
    enum Answer: Hashable {
        case allowed(UInt64, replayed: Bool)
        case denied(replayed: Bool)
        case settled(replayed: Bool)
        case alreadySettled
        case usage(committed: Int64, held: Int64)
        case done
    }
    enum Settled: Hashable { case committed(Int64), released }

    var cap: Int64
    var committed: Int64 = 0
    var open: [UInt64: Int64] = [:]
    var settled: [UInt64: Settled] = [:]
    /// The reservation that a key was given; a denial is no stored answer.
    var keys: [String: UInt64] = [:]

    private var held: Int64 { open.values.reduce(0, +) }

    func after(_ operation: Operation, _ answer: Answer) -> TenantSpecification? {
        switch operation {
        case .reserve(let amount, let key): return afterReserve(amount, key, answer)
        case .commit(let id, let actual):
            return afterSettling(id, .committed(actual), answer) { $0.committed += actual }
        case .release(let id): return afterSettling(id, .released, answer) { _ in }
        case .usage:
            return answer == .usage(committed: committed, held: held) ? self : nil
        case .setCap(let cap):
            var next = self
            next.cap = cap
            return next
        }
    }

    private func afterReserve(_ amount: Int64, _ key: String, _ answer: Answer) -> Self? {
        var next = self
        if let known = keys[key] {
            return answer == .allowed(known, replayed: true) ? self : nil
        }
        let fits = committed + held + amount <= cap
        switch answer {
        case .allowed(let id, replayed: false):
            guard fits, open[id] == nil, settled[id] == nil else { return nil }
            next.open[id] = amount
            if !key.isEmpty { next.keys[key] = id }
        case .denied(replayed: false):
            guard !fits else { return nil }
        default: return nil
        }
        return next
    }

    private func afterSettling(
        _ id: UInt64, _ how: Settled, _ answer: Answer, _ charge: (inout Self) -> Void
    ) -> Self? {
        var next = self
        if open[id] != nil {
            guard answer == .settled(replayed: false) else { return nil }
            next.open[id] = nil
            next.settled[id] = how
            charge(&next)
            return next
        }
        guard let before = settled[id] else { return nil }
        let expected: Answer = before == how ? .settled(replayed: true) : .alreadySettled
        return answer == expected ? self : nil
    }
}

/// Real threads on one tenant: every recorded history has an order that explains it.
@Suite struct LinearizabilityTests {
    typealias Entry = HistoryEntry<TenantSpecification.Operation, TenantSpecification.Answer>

    /// What the threads share: the history's clock and the reservations that somebody made.
    final class Shared: @unchecked Sendable {
        let clock = Atomic<Int>(0)
        /// Thread i publishes its latest reservation here, for the others to settle.
        let latest: UnsafeMutablePointer<Atomic<UInt64>>
        // SAFETY: each thread writes its own element before it ends.
        let histories: UnsafeMutablePointer<[Entry]>
        let threads: Int

        init(threads: Int) {
            self.threads = threads
            latest = .allocate(capacity: threads)
            histories = .allocate(capacity: threads)
            histories.initialize(repeating: [], count: threads)
            for index in 0..<threads { (latest + index).initialize(to: Atomic(0)) }
        }

        deinit {
            latest.deallocate()
            histories.deinitialize(count: threads)
            histories.deallocate()
        }

        func tick() -> Int { clock.wrappingAdd(1, ordering: .sequentiallyConsistent).newValue }
    }

    static func perform(_ operation: TenantSpecification.Operation, _ lane: Lane, now: Int64)
        -> TenantSpecification.Answer
    {
        switch operation {
        case .reserve(let amount, let key):
            let (failure, answer) = lane.reserve(
                "acme", Amounts(.spend, amount), key: key, now: now)
            #expect(failure == nil)
            return answer.decision == .allowed
                ? .allowed(answer.reservationID, replayed: answer.replayed)
                : .denied(replayed: answer.replayed)
        case .commit(let id, let actual):
            var answer = CommitAnswer()
            let command = CommitCommand(reservationID: id, actual: Amounts(.spend, actual))
            let failure = lane.commit(command, now: now, answer: &answer)
            return failure == nil ? .settled(replayed: answer.replayed) : .alreadySettled
        case .release(let id):
            var answer = ReleaseAnswer()
            let failure = lane.release(id, now: now, answer: &answer)
            return failure == nil ? .settled(replayed: answer.replayed) : .alreadySettled
        case .usage:
            var answer = UsageAnswer()
            _ = "acme".withBorrowedBytes { id in
                lane.usage(UsageQuery(tenantID: id, profileID: .none), now: now, answer: &answer)
            }
            let state = answer.limits[.tenantMonthlySpend]
            return .usage(committed: state.committed, held: state.held)
        case .setCap(let cap):
            _ = try? lane.setTenant(
                "acme", TenantPolicy(limits: TenantLimits(monthlySpendNanos: cap), onLimit: .block),
                now: now)
            return .done
        }
    }

    @Test(arguments: Array(1...60) as [UInt64])
    func everyHistoryHasAnOrder(_ seed: UInt64) throws {
        let threads = 4
        let operations = 60
        let now: Int64 = 1_800_000_000_000
        let table = try ReservationTable(
            capacity: TableCapacity(
                tenants: 8, profiles: 8, reservations: 4_096, bodies: 512, keys: 4_096, lanes: 8,
                ringWords: 1 << 15), schedules: EndlessCycle())
        let first = try table.makeLane(now: now)
        let cap: Int64 = 30
        _ = Self.perform(.setCap(cap), first, now: now)
        let shared = Shared(threads: threads)
        let group = DispatchGroup()
        for thread in 0..<threads {
            nonisolated(unsafe) let lane = try table.makeLane(now: now)
            group.enter()
            Thread.detachNewThread {
                Self.live(lane, thread, operations, seed: seed, shared, now: now)
                group.leave()
            }
        }
        group.wait()
        let history = (0..<threads).flatMap { shared.histories[$0] }
        #expect(history.count == threads * operations)
        #expect(
            Linearizability.holds(history, from: TenantSpecification(cap: cap)), "seed \(seed)")
        // The checker has teeth: an answer that nobody gave is found out.
        var forged = history
        if let index = forged.firstIndex(where: { $0.operation == .usage }) {
            forged[index].answer = .usage(committed: 1_000, held: 0)
            #expect(!Linearizability.holds(forged, from: TenantSpecification(cap: cap)))
        }
    }

    static func live(
        _ lane: Lane, _ thread: Int, _ count: Int, seed: UInt64, _ shared: Shared, now: Int64
    ) {
        var random = SeededGenerator(seed: seed &* 31 &+ UInt64(thread))
        var history: [Entry] = []
        for _ in 0..<count {
            let operation = choose(&random, shared, thread)
            let called = shared.tick()
            let answer = perform(operation, lane, now: now)
            let returned = shared.tick()
            if case .allowed(let id, _) = answer {
                shared.latest[thread].store(id, ordering: .sequentiallyConsistent)
            }
            history.append(Entry(operation, answer, called: called, returned: returned))
        }
        shared.histories[thread] = history
    }

    static func choose(_ random: inout SeededGenerator, _ shared: Shared, _ thread: Int)
        -> TenantSpecification.Operation
    {
        let other = Int.random(in: 0..<shared.threads, using: &random)
        let id = shared.latest[other].load(ordering: .sequentiallyConsistent)
        switch Int.random(in: 0..<10, using: &random) {
        case 0...3: return .reserve(Int64.random(in: 1...9, using: &random), key: "")
        case 4:
            // A retry of a key asks for the same.
            let key = Int.random(in: 0..<6, using: &random)
            return .reserve(Int64(key + 1), key: "k\(key)")
        case 5, 6: return id == 0 ? .usage : .commit(id, Int64.random(in: 0...2, using: &random))
        case 7: return id == 0 ? .usage : .release(id)
        case 8: return .setCap(Int64.random(in: 20...60, using: &random))
        default: return .usage
        }
    }
}

/// One cycle for ever.
private struct EndlessCycle: WindowSchedules {
    func cycle(schedule: UInt32, containing now: Int64, notBefore: Int64?) -> CycleWindow {
        CycleWindow(start: 0, end: .max)
    }
    func day(schedule: UInt32, containing now: Int64, notBefore: Int64?) -> CycleWindow {
        CycleWindow(start: 0, end: .max)
    }
}

extension Lane {
    /// CheckAndReserve with Swift strings.
    fileprivate func reserve(_ tenant: String, _ amounts: Amounts, key: String, now: Int64)
        -> (failure: Failure?, answer: CheckAnswer)
    {
        var answer = CheckAnswer()
        let failure = tenant.withBorrowedBytes { tenantID in
            key.withBorrowedBytes { keyBytes in
                var command = CheckCommand(tenantID: tenantID, action: .charge, amounts: amounts)
                command.idempotencyKey = keyBytes
                return check(command, now: now, answer: &answer)
            }
        }
        return (failure, answer)
    }
}
