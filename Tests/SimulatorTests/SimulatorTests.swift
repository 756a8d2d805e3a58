import Foundation
import Simulator
import Testing

/// Engine and journal against crashes: see `Simulation`. `TOLLGATE_SEEDS` sets how many seeds, `TOLLGATE_SEED` the first.
@Suite struct SimulatorTests {
    static func number(_ name: String, _ standard: Int) -> Int {
        ProcessInfo.processInfo.environment[name].flatMap { Int($0) } ?? standard
    }

    @Test func nothingAcknowledgedIsLost() {
        let first = Self.number("TOLLGATE_SEED", 1)
        let seeds = Self.number("TOLLGATE_SEEDS", 200)
        var crashes = 0
        var acknowledged = 0
        var checkpoints = 0
        var refused = 0
        var wrong = 0
        for seed in first..<first + seeds {
            var simulation = Simulation(seed: UInt64(seed))
            let report = simulation.run(steps: 300)
            crashes += report.crashes
            acknowledged += report.acknowledged
            checkpoints += report.checkpoints
            refused += report.refusedForRoom
            guard !report.violations.isEmpty else { continue }
            wrong += 1
            let text = report.violations.prefix(3).joined(separator: "\n")
            Issue.record("seed \(seed): \(text)")
            if wrong == 5 { break }
        }
        print(
            "\(seeds) seeds from \(first): \(crashes) crashes, \(acknowledged) acknowledged,"
                + " \(checkpoints) checkpoints, \(refused) refused since the disk was full")
        #expect(crashes > seeds && acknowledged > 20 * seeds && checkpoints > seeds / 2)
        #expect(refused > seeds)
    }

    @Test func theSameSeedGivesTheSameTrace() {
        for seed in [1, 2, 3] as [UInt64] {
            var first = Simulation(seed: seed)
            var second = Simulation(seed: seed)
            #expect(first.run(steps: 200).trace == second.run(steps: 200).trace)
        }
    }
}
