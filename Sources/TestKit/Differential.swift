import Limits

/// Something that lives through the same history as the model: the real core behind an adapter.
package protocol ModelSubject {
    /// Does one operation. Ordinals of reservations are counted like the model's: the n-th distinct
    /// id that an answer carried.
    mutating func perform(_ operation: ModelOperation) -> ModelOutcome
}

extension NaiveModel: ModelSubject {}

/// Runs a random history through the model and a subject, and compares after every operation.
package enum Differential {
    /// Where the two went apart, with what led there.
    package struct Mismatch: Error, CustomStringConvertible {
        package var description: String
    }

    /// How often the things that matter happened: a history in which nothing happens shows nothing.
    package struct Coverage: Sendable {
        package var counts: [String: Int] = [:]

        mutating func note(_ what: String) { counts[what, default: 0] += 1 }
    }

    private struct Step: CustomStringConvertible {
        var number: Int
        var now: Int64
        var operation: ModelOperation
        var expected: ModelOutcome

        var description: String { "\(number) at \(now): \(operation)\n    → \(expected)" }
    }

    /// - Parameters:
    ///   - seed: Repeats the history.
    ///   - steps: Operations.
    ///   - model: As it is before the first operation, like the subject.
    /// - Returns: What the history held.
    /// - Throws: `Mismatch` at the first difference; it names the seed, the step and the
    ///   operations before it.
    @discardableResult
    package static func run(
        seed: UInt64, steps: Int, options: OperationGenerator.Options,
        model start: NaiveModel, subject: inout some ModelSubject
    ) throws(Mismatch) -> Coverage {
        var model = start
        var generator = OperationGenerator(seed: seed, options: options)
        var coverage = Coverage()
        var trace: [Step] = []
        for step in 0..<steps {
            let operation = generator.next(model)
            let expected = model.perform(operation)
            let actual = subject.perform(operation)
            trace.append(
                Step(number: step, now: model.now, operation: operation, expected: expected))
            coverage.note(operation, expected)
            if let difference = difference(operation, expected, actual) {
                throw mismatch(seed, step, difference, trace)
            }
            // Counters, caps and windows, not only what the answer happens to tell.
            for query in usageQueries(after: operation, model) {
                let expected = model.perform(query)
                let actual = subject.perform(query)
                if let difference = difference(query, expected, actual) {
                    throw mismatch(seed, step, "afterwards \(query): \(difference)", trace)
                }
            }
        }
        return coverage
    }

    private static func difference(
        _ operation: ModelOperation, _ expected: ModelOutcome, _ actual: ModelOutcome
    ) -> String? {
        var (expected, actual) = (expected, actual)
        switch operation {
        case .expire, .judge, .suspend, .closeTenant:
            // Holds and windows that end together do so in any order.
            expected.events.sort { "\($0)" < "\($1)" }
            actual.events.sort { "\($0)" < "\($1)" }
        default: break
        }
        guard expected != actual else { return nil }
        return "\n  model:   \(expected)\n  subject: \(actual)"
    }

    private static func mismatch(
        _ seed: UInt64, _ step: Int, _ difference: String, _ trace: [Step]
    ) -> Mismatch {
        Mismatch(
            description: """
                seed \(seed), step \(step): \(difference)
                after:
                \(trace.suffix(40).map(\.description).joined(separator: "\n"))
                """)
    }

    private static func usageQueries(
        after operation: ModelOperation, _ model: NaiveModel
    ) -> [ModelOperation] {
        switch operation {
        case .usage, .advance, .leap, .judge, .closeTenant, .closeProfile: return []
        case .setTenant(let settings): return [.usage(tenantID: settings.id, profileID: "")]
        case .setProfile(let settings):
            return [.usage(tenantID: settings.tenantID, profileID: settings.id)]
        case .suspend(let id), .reinstate(let id), .setCounts(let id, _):
            return [.usage(tenantID: id, profileID: "")]
        case .check(let check), .withdrawnCheck(let check):
            return [.usage(tenantID: check.tenantID, profileID: check.profileID)]
        case .record(let record):
            return [.usage(tenantID: record.tenantID, profileID: record.profileID)]
        case .commit(let ordinal, _), .release(let ordinal): return usageQuery(ordinal, model)
        case .extend(let extend): return usageQuery(extend.reservation, model)
        case .expire:
            return model.tenants.keys.sorted().map { .usage(tenantID: $0.text, profileID: "") }
                + model.profiles.values.map(\.settings).sorted {
                    Identifier($0.id) < Identifier($1.id)
                }
                .map { .usage(tenantID: $0.tenantID, profileID: $0.id) }
        }
    }

    private static func usageQuery(_ ordinal: Int, _ model: NaiveModel) -> [ModelOperation] {
        guard model.reservations.indices.contains(ordinal - 1) else { return [] }
        let reservation = model.reservations[ordinal - 1]
        return [.usage(tenantID: reservation.tenantID, profileID: reservation.profileID)]
    }
}

extension Differential.Coverage {
    mutating func note(_ operation: ModelOperation, _ outcome: ModelOutcome) {
        for event in outcome.events {
            if case .judge = operation { note("judged by itself") }
            switch event {
            case .thresholdReached(let kind, _, _): note("threshold \(kind)")
            case .limitReached(let kind, _): note("reached \(kind)")
            case .requestRefused(let kind, _): note("too large for \(kind)")
            case .windowEndedAtThreshold(let kind, _): note("ended at the threshold \(kind)")
            case .windowEndedAtLimit(let kind, _): note("ended at \(kind)")
            case .suspended: note("suspended")
            case .reinstated: note("reinstated")
            }
        }
        switch outcome.answer {
        case .done, .usage: break
        case .changed(let overBy):
            if overBy.isEmpty == false { note("cap below usage") }
        case .failure(let code): note("failure \(code)")
        case .check(let answer):
            let check: CheckOperation
            switch operation {
            case .check(let operation): check = operation
            case .withdrawnCheck(let operation):
                check = operation
                note("withdrawn \(check.mode)")
                if outcome.events.contains(.reinstated(tenantID: check.tenantID)) {
                    note("suspension taken back")
                }
            default: return
            }
            let result = answer.decision == .allowed ? "allowed" : "denied"
            note(answer.replayed ? "check replayed" : "check \(check.mode) \(result)")
            for kind in LimitKind.allCases where answer.refused.contains(kind) {
                note("refused \(kind)")
            }
            if check.mode != .checkOnly && check.key.isEmpty == false && answer.decision == .denied
            {
                note("denied under a key")
            }
            if answer.refusedBySuspension { note("check refused by suspension") }
            if answer.warnings.isEmpty == false { note("check warned") }
            if check.mode == .partial, answer.granted.isEmpty == false,
                answer.granted != check.amounts.withoutZeros
            {
                note("short grant")
            }
        case .commit(let answer):
            if answer.replayed { note("commit replayed") }
            if answer.late { note("late commit") }
            if answer.uncharged.isEmpty == false { note("uncharged") }
            if answer.warnings.isEmpty == false { note("commit warned") }
        case .release(let answer):
            note(answer.replayed ? "release replayed" : "release")
            if answer.expired { note("release after expiry") }
        case .extend(let answer):
            note(answer.replayed ? "extend replayed" : "extend \(answer.decision)")
            if answer.refusedBySuspension { note("extend refused by suspension") }
        case .record(let answer):
            if case .setCounts = operation { note("counts set") }
            note(answer.replayed ? "record replayed" : "record")
        }
    }
}
