internal import ArgumentParser
internal import CommandIO
internal import Dispatch
internal import Foundation
internal import JSON
internal import NIOCore
internal import TollgateClient

@main
enum Main {
    static func main() { LoadTest.process(named: "tollgate-loadtest") }
}

/// Drives a running Tollgate on a schedule and checks its decisions against its own tally.
struct LoadTest: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tollgate-loadtest",
        abstract: "Drives a running Tollgate on a schedule and checks its decisions.",
        discussion: """
            The load is an open loop: actions start when the schedule says so, whatever the service does, and each \
            latency counts from the moment at which the call was due. A service that stands still for a second \
            shows it in every call of that second.

            The tenants are the load test's own, named load-00000000 and so on. Write their limits file, start a \
            service with it, then run with the same settings:

              tollgate-loadtest --rate 5000 --duration 30s --write-limits limits.yaml
              tollgate serve --insecure-no-auth --limits limits.yaml &
              tollgate-loadtest --rate 5000 --duration 30s

            Nobody else may use these tenants meanwhile: the load test keeps its own account of them. It claims \
            only what is certain: more admitted than a cap has, a denial of what fitted at every moment of the \
            call, a final usage that is not the sum of the answers.

            Exit status: 0 no wrong decision, 1 a wrong decision, 64 wrong usage, 69 service unavailable.
            """)

    @OptionGroup var options: LoadTestOptions

    func run() async throws {
        let settings = try options.settings()
        let population = Population(
            tenantCount: options.tenants, profilesPerTenant: options.profilesPerTenant,
            skew: options.skew)
        if let path = options.writeLimits {
            let text = population.limitsFile(
                demand: settings.traffic.demand, actions: Double(settings.actionCount))
            let file = OutputFile(path)
            if file.isStandardOutput { return StandardOutput.write(text) }
            do {
                try file.write(text)
            } catch {
                throw ValidationError("\(error)")
            }
            return
        }
        // One event loop for everything: no locks, no threads to wait for.
        NIOSingletons.groupLoopCountSuggestion = 1
        let client = TollgateClient(try options.client())
        defer { client.shutdown() }
        let reader = UsageReader(client: client, population: population)
        let ledger: Ledger
        do {
            ledger = try await reader.open()
        } catch let error as TollgateError {
            throw Self.cannotStart(error)
        }
        let report = try await drive(settings, client, population, ledger, reader)
        StandardOutput.print(options.json ? report.json.indentedText : report.text)
        if report.check.wrongDecisions > 0 { throw ExitCode(1) }
        if report.check.incomplete != nil { throw ExitCode(69) }
    }

    private static func cannotStart(_ error: TollgateError) -> any Error {
        switch error.code {
        case .notFound:
            return ValidationError(
                "The service does not know this run's tenants: start it with --limits and the file that "
                    + "--write-limits writes for the same settings.")
        default:
            StandardError.print("\(error)")
            return ExitCode(69)
        }
    }

    private func drive(
        _ settings: Settings, _ client: TollgateClient, _ population: Population,
        _ ledger: Ledger, _ reader: UsageReader
    ) async throws -> Report {
        let driver = Driver(settings, client: client, population: population, ledger: ledger)
        // Dispatch catches a signal only while its default action is off.
        signal(SIGINT, SIG_IGN)
        let interruption = DispatchSource.makeSignalSource(signal: SIGINT, queue: .global())
        interruption.setEventHandler { driver.interrupt() }
        interruption.resume()
        defer { interruption.cancel() }

        let ownBefore = Processor.ownNanoseconds
        let serverBefore = options.serverPid.flatMap(Processor.nanoseconds)
        var result = await driver.run()
        let ownAfter = Processor.ownNanoseconds
        let serverAfter = options.serverPid.flatMap(Processor.nanoseconds)

        var incomplete: String?
        do {
            try await reader.close(&result.ledger)
        } catch let error as TollgateError {
            incomplete = error.description
        }
        let calls = Double(max(1, result.measurements.callCount))
        var report = Report(options, settings, result, incomplete: incomplete)
        report.loadTestCpuUsPerCall = Double(ownAfter - ownBefore) / 1_000 / calls
        if let serverBefore, let serverAfter {
            report.serverCpuUsPerCall = Double(serverAfter - serverBefore) / 1_000 / calls
        }
        return report
    }
}

extension Report {
    init(
        _ options: LoadTestOptions, _ settings: Settings, _ result: Driver.Result,
        incomplete: String?
    ) {
        let scheduled = Double(max(1, result.scheduledNanoseconds)) / 1e9
        let shares = settings.traffic.mix.shares
        let findings = result.ledger.findings
        let empty = Percentiles(Latencies())
        self.init(
            endpoint: options.endpointText,
            mix: Dictionary(
                uniqueKeysWithValues: zip(ActionKind.allCases, shares).filter { $1 > 0 }
                    .map { ($0.rawValue, $1) }),
            tenants: options.tenants, profilesPerTenant: options.profilesPerTenant,
            skew: options.skew, seed: settings.seed, connections: options.connections,
            maxInFlight: settings.maximumInFlight, keys: settings.usesKeys,
            measured: Self.measured, requestedActionsPerSecond: settings.rate,
            scheduledSeconds: scheduled, totalSeconds: Double(result.totalNanoseconds) / 1e9,
            interrupted: result.isInterrupted, actions: result.actionCount, calls: 0,
            achievedCallsPerSecond: Double(result.measurements.endedInTime) / scheduled,
            allowed: 0, settled: 0, denied: 0, deniedByCode: [:], failed: 0, failedByStatus: [:],
            latencyMs: empty, latencyMsByMethod: [:], fromSendingMs: empty, sentLateMs: empty,
            inFlightPeak: 0, queuePeak: 0, loadTestCpuUsPerCall: 0, serverCpuUsPerCall: nil,
            check: Check(
                wrongDecisions: findings.counts.values.reduce(0, +),
                wrongByKind: Dictionary(
                    uniqueKeysWithValues: findings.counts.map { ($0.key.rawValue, $0.value) }),
                findings: findings.sentences, limitsCompared: result.ledger.judgedCount,
                limitsNotJudged: result.ledger.unjudgedCount, incomplete: incomplete),
            seconds: [], histogram: [])
        take(result.measurements)
    }
}
