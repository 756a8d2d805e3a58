internal import ArgumentParser
internal import CommandIO

/// `expiry`: how late holds expire.
struct ExpiryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "expiry",
        abstract:
            "How late holds of 1 to 2 s expire, in real time; also those of a lane that stops.",
        discussion: """
            Lanes on threads of their own make reservations and tick every 10 ms. With --stop the last lane stops \
            after half of the time, and the others take over what it timed. With --due-at-once so many holds fall due \
            at one instant, and --rate durable calls a second are made before and meanwhile.
            """)

    @Option(help: "Reservations made each second, by all lanes together.")
    var rate = 20_000

    @Option(help: "Lanes, a thread each.")
    var lanes = 2

    @Option(help: "Seconds in which reservations are made.")
    var seconds = 10

    @Option(help: "Holds of an hour that stand in the table besides.")
    var standing = 1_000_000

    @Option(help: "Holds that fall due at one instant, instead of a steady stream.")
    var dueAtOnce: Int?

    @Option(help: "--due-at-once: where the journal's directory is made; it is removed at the end.")
    var directory = "."

    @Flag(help: "The last lane stops after half of the time.")
    var stop = false

    func validate() throws {
        guard rate > 0, seconds > 0, standing >= 0, (1...255).contains(lanes) else {
            throw ValidationError("rate and seconds are above 0, lanes 1 ... 255")
        }
        guard !stop || lanes > 1 else { throw ValidationError("--stop needs two lanes") }
        guard dueAtOnce.map({ $0 >= lanes }) ?? true else {
            throw ValidationError("--due-at-once needs a hold for each lane")
        }
    }

    func run() throws {
        if let dueAtOnce {
            let benchmark = DueAtOnceBenchmark(
                holds: dueAtOnce / lanes * lanes, lanes: lanes, rate: rate, directory: directory)
            guard try benchmark.run().report(holds: benchmark.holds) else {
                StandardOutput.print("wrong: a hold expired early, or not at all")
                throw ExitCode.failure
            }
            return
        }
        let benchmark = ExpiryBenchmark(
            rate: rate, lanes: lanes, seconds: seconds, stops: stop, standing: standing)
        guard try benchmark.run().report(stops: stop) else {
            StandardOutput.print("wrong: a hold expired early, or not at all")
            throw ExitCode.failure
        }
    }
}
