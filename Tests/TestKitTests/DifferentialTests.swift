import BillingCalendar
import Limits
import Testing

@testable import TestKit

@Suite("Random histories")
struct DifferentialTests {
    /// The model as its own subject, with one answer or event in so many bent.
    struct Bent: ModelSubject {
        var model = Story.emptyModel()
        var bend: @Sendable (ModelOperation, inout ModelOutcome) -> Void = { _, _ in }

        mutating func perform(_ operation: ModelOperation) -> ModelOutcome {
            var outcome = model.perform(operation)
            bend(operation, &outcome)
            return outcome
        }
    }

    /// Whose days begin at other instants than UTC's: by hours, by half and quarter hours, with and without summer time.
    static let timeZones = [
        "UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Australia/Lord_Howe",
        "Pacific/Kiritimati", "Pacific/Marquesas",
    ]

    private static var options: OperationGenerator.Options {
        var options = OperationGenerator.Options()
        options.timeZones = timeZones
        return options
    }

    @Test("A history is a function of its seed")
    func repeatable() {
        func history(_ seed: UInt64) -> [(ModelOperation, ModelOutcome)] {
            var model = Story.emptyModel()
            var generator = OperationGenerator(seed: seed, options: Self.options)
            return (0..<2_000).map { _ in
                let operation = generator.next(model)
                return (operation, model.perform(operation))
            }
        }
        #expect(history(1).elementsEqual(history(1), by: ==))
        #expect(history(1).elementsEqual(history(2), by: ==) == false)
    }

    @Test("The model never differs from itself", arguments: [1, 2, 3] as [UInt64])
    func reflexive(_ seed: UInt64) throws {
        var subject = Bent()
        try Differential.run(
            seed: seed, steps: 2_000, options: Self.options, model: Story.emptyModel(),
            subject: &subject)
    }

    @Test("Whatever is bent is found: a warning, an event, a total, an expiry, a replay")
    func findsDifferences() {
        let bends: [@Sendable (ModelOperation, inout ModelOutcome) -> Void] = [
            { _, outcome in
                guard case .commit(var answer) = outcome.answer else { return }
                answer.warnings = []
                outcome.answer = .commit(answer)
            },
            { _, outcome in
                outcome.events.removeAll { if case .suspended = $0 { true } else { false } }
            },
            { _, outcome in
                guard case .usage(var answer) = outcome.answer else { return }
                answer.limits[.tenantDIDs]?.held &+= 1
                outcome.answer = .usage(answer)
            },
            { operation, outcome in
                guard case .extend = operation, case .extend(var answer) = outcome.answer
                else { return }
                answer.expiresAt += 1
                outcome.answer = .extend(answer)
            },
            { operation, outcome in
                guard case .failure(.keyReused) = outcome.answer else { return }
                outcome.answer = .failure(.badField)
            },
        ]
        for bend in bends {
            // A history may be without what is bent.
            let isFound = (7...10 as ClosedRange<UInt64>).contains { seed in
                var subject = Bent(bend: bend)
                do {
                    try Differential.run(
                        seed: seed, steps: 5_000, options: Self.options,
                        model: Story.emptyModel(), subject: &subject)
                    return false
                } catch {
                    return true
                }
            }
            #expect(isFound)
        }
    }

    @Test("Everything that matters happens often enough in a history")
    func coverage() throws {
        var counts: [String: Int] = [:]
        for seed in 1...6 as ClosedRange<UInt64> {
            var subject = Bent()
            let coverage = try Differential.run(
                seed: seed, steps: 4_000, options: Self.options, model: Story.emptyModel(),
                subject: &subject)
            counts.merge(coverage.counts, uniquingKeysWith: +)
        }
        for what in Self.interesting {
            #expect(counts[what, default: 0] >= 5, "\(what)")
        }
        // A window of a month ends seldom.
        for what in Self.rare { #expect(counts[what, default: 0] >= 1, "\(what)") }
    }

    private static let rare: [String] =
        ["extend refused by suspension"]
        + LimitKind.catalogue.filter { $0.window != .standing }.map(\.kind).flatMap {
            ["ended at the threshold \($0)", "ended at \($0)"]
        }

    private static let interesting: [String] =
        [
            "suspended", "reinstated", "withdrawn reserve",
            "withdrawn commit", "suspension taken back", "counts set", "judged by itself",
            "cap below usage", "check replayed", "check refused by suspension",
            "check warned", "short grant", "commit replayed", "late commit", "uncharged",
            "commit warned", "release", "release replayed", "release after expiry",
            "extend replayed", "extend allowed", "extend denied",
            "record", "record replayed", "failure notFound", "failure keyReused",
            "failure badField", "failure alreadySettled", "failure reservationExpired",
            "failure exceedsReservation", "denied under a key",
        ]
        + LimitKind.catalogue.filter { $0.refusalTripsFromPercent > 0 }.map {
            "too large for \($0.kind)"
        }
        + LimitKind.allCases.flatMap { ["threshold \($0)", "reached \($0)", "refused \($0)"] }
        + Mode.allCases.flatMap { ["check \($0) allowed", "check \($0) denied"] }

    @Test("Held is what open reservations hold, and no total is negative", arguments: [11, 12])
    func invariants(_ seed: UInt64) {
        var model = Story.emptyModel()
        var options = Self.options
        options.hasLateExpiry = true
        options.namesForgotten = true
        var generator = OperationGenerator(seed: seed, options: options)
        for step in 0..<3_000 {
            let operation = generator.next(model)
            let before = model
            let outcome = model.perform(operation)
            var held: [NaiveModel.TotalKey: Int64] = [:]
            for reservation in model.reservations where reservation.isOpen {
                for slice in reservation.slices {
                    for (resource, amount) in slice.amounts {
                        for limit in model.limits(
                            counting: resource, tenantID: reservation.tenantID,
                            profileID: reservation.profileID)
                        {
                            held[
                                NaiveModel.TotalKey(
                                    limit: limit, windowStart: slice.windows[limit.kind] ?? -1),
                                default: 0] += amount
                        }
                    }
                }
            }
            for (key, total) in model.totals {
                #expect(total.held == held[key, default: 0], "step \(step): \(operation)")
                #expect(total.committed >= 0 && total.held >= 0, "step \(step): \(operation)")
            }
            checkStrictness(before, operation, outcome, model)
            if case .failure = outcome.answer {
                #expect(model.totals == before.totals && outcome.events.isEmpty)
            }
        }
    }

    /// "At every instant used ≤ cap for each blocking limit, except through usage that had already
    /// happened or a cap that was lowered": asking for room never leads there.
    private func checkStrictness(
        _ before: NaiveModel, _ operation: ModelOperation, _ outcome: ModelOutcome,
        _ after: NaiveModel
    ) {
        switch operation {
        case .check, .extend: break
        default: return
        }
        for (key, total) in after.totals where total != before.totals[key] {
            guard after.isBlocking(key.limit), let cap = after.cap(of: key.limit) else { continue }
            #expect(
                total.held <= cap && total.committed <= cap - total.held,
                "\(operation) → \(outcome)")
        }
    }

    @Test("Ids of the model are bytes") func idsAreBytes() {
        var model = Story.emptyModel()
        for (id, cap) in [("caf\u{E9}", 1 as Int64), ("cafe\u{301}", 2)] {
            var settings = TenantSettings(id: id)
            settings.limits.maxDIDs = cap
            #expect(model.perform(.setTenant(settings)).answer == .changed(overBy: [:]))
        }
        for (id, cap) in [("caf\u{E9}", 1 as Int64), ("cafe\u{301}", 2)] {
            for number in 1...3 as ClosedRange<Int64> {
                var operation = CheckOperation(tenantID: id, amounts: [.dids: 1])
                operation.key = "\(number)"
                guard case .check(let answer) = model.perform(.check(operation)).answer else {
                    Issue.record("no answer")
                    return
                }
                #expect((answer.decision == .allowed) == (number <= cap))
            }
        }
    }

    @Test("SplitMix64 gives the published sequence")
    func splitMix() {
        var generator = SeededGenerator(seed: 1_234_567)
        #expect(generator.next() == 6_457_827_717_110_365_317)
        #expect(generator.next() == 3_203_168_211_198_807_973)
    }
}
