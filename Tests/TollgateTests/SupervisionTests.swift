import Glibc
import Synchronization
import Testing

@testable import tollgate

/// What the service knows of itself for those who look after it.
@Suite struct SupervisionTests {
    // MARK: Liveness

    /// Threads in a test's hand: how often each has turned; `.max`: nothing can be said.
    private final class Threads: Sendable {
        let turns = Mutex<[UInt64]>([1, 1])

        func liveness(now: ContinuousClock.Instant) -> Liveness {
            Liveness(
                [0, 1].map { index in
                    Liveness.Part(name: "Thread \(index)") { [self] in
                        turns.withLock { $0[index] == .max ? nil : $0[index] }
                    }
                }, now: now)
        }
    }

    @Test func aThreadThatStandsStillIsNamed() {
        let threads = Threads()
        let start = ContinuousClock.now
        let liveness = threads.liveness(now: start)
        for second in 1...40 {
            threads.turns.withLock { $0[0] += 1 }
            liveness.look(now: start + .seconds(second))
            #expect((liveness.hang(for: .milliseconds(30_500)) != nil) == (second > 30))
        }
        #expect(liveness.hang(for: .seconds(30)) == "Thread 1 has not responded for 40 s")
        // It turns again.
        threads.turns.withLock { $0[1] += 1 }
        liveness.look(now: start + .seconds(41))
        #expect(liveness.hang(for: .seconds(30)) == nil)
    }

    /// A process that was stopped as a whole finds all of its threads as they were: they have their time when it goes on.
    @Test func timeInWhichNobodyLookedDoesNotCount() {
        let start = ContinuousClock.now
        let liveness = Threads().liveness(now: start)
        liveness.look(now: start + .seconds(1_000))
        #expect(liveness.hang(for: .seconds(30)) == nil)
    }

    /// A thread that waits for the disk is not hung: another start would wait too.
    @Test func whatCannotBeToldDoesNotCount() {
        let threads = Threads()
        threads.turns.withLock { $0 = [.max, .max] }
        let start = ContinuousClock.now
        let liveness = threads.liveness(now: start)
        for second in 1...100 { liveness.look(now: start + .seconds(second)) }
        #expect(liveness.hang(for: .seconds(30)) == nil)
    }

    // MARK: The report of upgrades

    @Test func aReportGoesOnBehindAnUpgrade() throws {
        let report = UpgradeReport(passed: nil, version: "1.2.3")
        try #require(report.descriptor >= 0)
        defer { close(report.descriptor) }
        #expect(
            UpgradeReport.read(report.descriptor)
                == UpgradeReport.Entry(attempt: 0, stage: .starting, version: "1.2.3", detail: ""))
        report.set(.checking, isNext: true)
        // However long it is, and whatever is in it.
        report.set(.refused, String(repeating: "\u{1}\"é", count: 10_000))
        let refused = try #require(UpgradeReport.read(report.descriptor))
        #expect(refused.attempt == 1 && refused.stage == .refused && !refused.detail.isEmpty)
        report.set(.leaving)
        let next = UpgradeReport(passed: report.descriptor, version: "1.3.0")
        #expect(next.descriptor == report.descriptor)
        #expect(
            UpgradeReport.read(report.descriptor)
                == UpgradeReport.Entry(attempt: 1, stage: .starting, version: "1.3.0", detail: ""))
    }

    @Test func whatIsNoReportIsNone() throws {
        let pipe = try #require(tmpfile())
        defer { fclose(pipe) }
        #expect(UpgradeReport.read(fileno(pipe)) == nil)
        #expect(UpgradeReport.read(-1) == nil)
    }

    // MARK: Addresses that were passed

    @Test(
        arguments: [
            ("127.0.0.1:50051", "127.0.0.1:50051", true), ("127.0.0.1:0", "127.0.0.1:50051", true),
            ("127.0.0.1:50051", "127.0.0.1:50052", false),
            ("0.0.0.0:50051", "127.0.0.1:50051", false),
            ("localhost:50051", "127.0.0.1:50051", true), ("[::1]:50051", "[::1]:50051", true),
            ("[::1]:50051", "[::]:50051", false),
        ])
    func anAddressThatDiffersIsTold(_ set: String, _ bound: String, _ isSame: Bool) throws {
        let address = try #require(NetworkAddress(bound))
        let settings = try ServeSettings(
            flags: ["grpc-listen": set, "insecure-allow-plaintext": "true"], environment: [:],
            file: nil, listening: [.grpc: address])
        #expect(settings.grpcListen == address)
        #expect(settings.overruled.isEmpty == isSame)
        #expect(settings.overruled.allSatisfy { $0.contains(set) && $0.contains(bound) })
    }

    /// What must not be open is judged by where the socket really listens.
    @Test func aSocketThatWasPassedIsNoWayAroundTheRules() throws {
        let address = try #require(NetworkAddress("0.0.0.0:50051"))
        #expect(throws: SettingsError.self) {
            try ServeSettings(
                flags: ["insecure-no-auth": "true"], environment: [:], file: nil,
                listening: [.grpc: address])
        }
        #expect(throws: SettingsError.self) {
            try ServeSettings(
                flags: [:], environment: [:], file: nil, listening: [.grpc: address])
        }
    }
}
