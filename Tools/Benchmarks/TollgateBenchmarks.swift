internal import ArgumentParser
internal import CommandIO
internal import Engine
internal import Limits
internal import Reservations
internal import Wire

@main
enum Main {
    static func main() { TollgateBenchmarks.process(named: "tollgate-benchmarks") }
}

/// In-process benchmarks: what a decision costs without a network.
struct TollgateBenchmarks: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tollgate-benchmarks",
        abstract: "Measures the rules, the table, the wire and the journal in process.",
        discussion: """
            Every figure is the best of --rounds rounds; machines are noisy, so compare figures of one run with \
            each other. Build with -c release.
            """,
        subcommands: [
            CoreCommand.self, TableCommand.self, WireCommand.self, GrowthCommand.self,
            ExpiryCommand.self, DiskCommand.self, RecoveryCommand.self, CheckpointCommand.self,
            ProjectionCommand.self, ReportsCommand.self,
        ])
}

struct Rounds: ParsableArguments {
    @Option(help: "Rounds of each measurement; the best counts.")
    var rounds = 5

    @Option(help: "Calls of each round.")
    var calls = 4_000_000

    func validate() throws {
        guard rounds > 0, calls > 0 else { throw ValidationError("rounds and calls are above 0") }
    }
}

/// Prints one line of a report.
func report(_ name: String, callsPerSecond: Double) {
    let name = name + String(repeating: " ", count: max(1, 52 - name.count))
    let millions = (callsPerSecond / 10_000).rounded() / 100
    let nanoseconds = (10_000_000_000 / callsPerSecond).rounded() / 10
    StandardOutput.print("\(name)\(millions) M calls/s  \(nanoseconds) ns")
}

/// Seconds that some work takes.
func seconds(_ work: () -> Void) -> Double {
    let duration = ContinuousClock().measure(work)
    return Double(duration.components.seconds)
        + Double(duration.components.attoseconds) / 1e18
}

/// `core`: the rules alone.
struct CoreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "core", abstract: "Decide.check and apply on one state.")

    @OptionGroup var rounds: Rounds

    func run() {
        let rules = LimitRules.standard
        for hasProfile in [false, true] {
            var best = Double.infinity
            for _ in 0..<rounds.rounds {
                best = min(best, seconds { decide(rules, hasProfile: hasProfile) })
            }
            report(
                hasProfile ? "tenant and profile" : "tenant alone",
                callsPerSecond: Double(rounds.calls) / best)
        }
    }

    private func decide(_ rules: LimitRules, hasProfile: Bool) {
        var subjects = Decide.Subjects()
        subjects.tenant.caps[0] = .max / 2
        subjects.hasProfile = hasProfile
        subjects.profile.cap = .max / 2
        subjects.profile.enabled = true
        var answer = CheckAnswer()
        var amounts = Amounts(.spend, 1)
        for _ in 0..<rounds.calls {
            var transition = Transition()
            _ = Decide.check(
                &subjects, action: .charge, amounts: &amounts, minimums: Amounts(),
                mode: .reserve, rules, answer: &answer, transition: &transition)
            transition.apply(to: &subjects.tenant, &subjects.profile, rules)
        }
        precondition(subjects.tenant.held[0] == Int64(rounds.calls), "every call was admitted")
    }
}

/// `wire`: decode, and encode.
struct WireCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wire", abstract: "Decoding and checking a request, encoding its answer.")

    @OptionGroup var rounds: Rounds

    func run() {
        var request = CheckRequest(
            tenantID: TableBenchmark.tenantID(1), action: .sendMessage,
            quantities: [Quantity(.spend, 4_000_000)])
        request.messagingProfileID = TableBenchmark.profileID(1)
        let bytes = request.encoded()
        let decoder = RequestDecoder()
        let encoder = ResponseEncoder()
        var answer = CheckAnswer()
        answer.decision = .allowed
        answer.reservationID = 4_294_967_297
        answer.expiresAt = TableBenchmark.start
        var decoding = Double.infinity
        var both = Double.infinity
        withUnsafeTemporaryAllocation(byteCount: ResponseEncoder.sufficientBytes, alignment: 8) {
            buffer in
            bytes.withUnsafeBytes { bytes in
                for _ in 0..<rounds.rounds {
                    decoding = min(
                        decoding,
                        seconds { for _ in 0..<rounds.calls { _ = decoder.check(bytes) } })
                    both = min(
                        both,
                        seconds {
                            for _ in 0..<rounds.calls {
                                guard case .success(let command) = decoder.check(bytes) else {
                                    preconditionFailure("a good request was refused")
                                }
                                _ = encoder.check(answer, Subjects(command), into: buffer)
                            }
                        })
                }
            }
        }
        report("decode and check", callsPerSecond: Double(rounds.calls) / decoding)
        report("decode, check, encode", callsPerSecond: Double(rounds.calls) / both)
    }
}
