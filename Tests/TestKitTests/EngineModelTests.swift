import TestKit
import Testing

@testable import Engine

/// Random histories: the engine answers, counts and raises what the naive model does, operation by operation.
@Suite struct EngineModelTests {
    /// 2026-03-27 22:13:20 UTC: two days before the clocks change in Berlin, five before a month's end.
    static let start: Int64 = 1_774_649_600_000

    static func model() -> NaiveModel { NaiveModel(now: start) }

    @Test(arguments: Array(1...40) as [UInt64])
    func randomHistories(_ seed: UInt64) throws {
        var options = OperationGenerator.Options()
        options.timeZones = DifferentialTests.timeZones
        var subject = try EngineSubject(now: Self.start)
        try Differential.run(
            seed: seed, steps: 4_000, options: options, model: Self.model(), subject: &subject)
        #expect(subject.log.gaps == 0, "each tenant's records have one version after the other")
        #expect(subject.log.unreadable == 0)
    }

    /// Windows go by engine time, lives by what elapses, also over restarts.
    @Test(arguments: Array(41...56) as [UInt64])
    func historiesWithLeapingClocks(_ seed: UInt64) throws {
        var options = OperationGenerator.Options()
        options.timeZones = ["UTC", "Europe/Berlin"]
        options.leaps = true
        var subject = try EngineSubject(now: Self.start)
        subject.life = 700
        subject.foldsJournal = seed.isMultiple(of: 2)
        try Differential.run(
            seed: seed, steps: 3_000, options: options, model: Self.model(), subject: &subject)
        #expect(subject.time.now.lead > 0 && subject.restarts > 3)
        #expect(subject.log.gaps == 0 && subject.log.unreadable == 0)
    }

    /// Every so often the process dies and goes on with nothing but its records: no answer, total or event differs.
    @Test(
        arguments: [(7, 3), (8, 50), (9, 500), (10, 1_000)] as [(UInt64, Int)], [false, true])
    func restarts(_ life: (seed: UInt64, operations: Int), folding: Bool) throws {
        let (seed, life) = life
        var subject = try EngineSubject(now: Self.start)
        subject.life = life
        subject.foldsJournal = folding
        try Differential.run(
            seed: seed, steps: life == 3 ? 300 : 4_000, options: OperationGenerator.Options(),
            model: Self.model(), subject: &subject)
        #expect(subject.restarts > 3)
        #expect(subject.log.gaps == 0 && subject.log.unreadable == 0)
    }
}
