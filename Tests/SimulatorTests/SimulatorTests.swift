import Foundation
import Journal
import Simulator
import TestKit
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
        var denied = 0
        var capsReached = 0
        var trace: UInt64 = 0
        var wrong = 0
        for seed in first..<first + seeds {
            var simulation = Simulation(seed: UInt64(seed))
            let report = simulation.run(steps: 300)
            crashes += report.crashes
            acknowledged += report.acknowledged
            checkpoints += report.checkpoints
            refused += report.refusedForRoom
            denied += report.denied
            capsReached += report.capsReached
            trace = trace &* 31 &+ report.trace
            guard !report.violations.isEmpty else { continue }
            wrong += 1
            let text = report.violations.prefix(3).joined(separator: "\n")
            Issue.record("seed \(seed): \(text)")
            if wrong == 5 { break }
        }
        print(
            "\(seeds) seeds from \(first): \(crashes) crashes, \(acknowledged) acknowledged,"
                + " \(checkpoints) checkpoints, \(refused) refused since the disk was full,"
                + " \(denied) denied by a cap, \(capsReached) looks at a cap just reached;"
                + " trace \(String(trace, radix: 16))")
        #expect(crashes > seeds && acknowledged > 20 * seeds && checkpoints > seeds / 2)
        #expect(refused > seeds)
        #expect(denied > 5 * seeds && capsReached > 5 * seeds)
    }

    /// A service that grants one more than it was told is caught: by that, the caps are reached and looked at.
    @Test func aGrantAboveACapIsFound() {
        for seed in 1...10 as ClosedRange<UInt64> {
            var simulation = Simulation(seed: seed, excess: 1)
            let violations = simulation.run(steps: 300).violations
            #expect(violations.contains { $0.contains(" used of ") }, "seed \(seed)")
        }
    }

    @Test func theSameSeedGivesTheSameTrace() {
        var traces: Set<UInt64> = []
        for seed in 1...10 as ClosedRange<UInt64> {
            var first = Simulation(seed: seed)
            var second = Simulation(seed: seed)
            let report = first.run(steps: 300)
            #expect(report == second.run(steps: 300))
            traces.insert(report.trace)
        }
        #expect(traces.count == 10)
    }

    @Test func theTraceTellsWhatWasWritten() throws {
        let traces = try [[1], [2], [1, 2], [2, 1]].map { (words: [UInt8]) in
            let disk = SimulatedDisk(seed: 1)
            let file = try disk.create("file")
            try words.withUnsafeBytes { try disk.write(file, at: 0, [$0]) }
            return disk.trace
        }
        #expect(Set(traces).count == traces.count)
    }
}
