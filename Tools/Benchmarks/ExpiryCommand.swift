internal import ArgumentParser

/// `expiry`: how late holds expire.
struct ExpiryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "expiry",
        abstract:
            "How late holds of 1 to 2 s expire, in real time; also those of a lane that stops.",
        discussion: """
            Lanes on threads of their own make reservations and tick every 10 ms. With --stop the last lane stops \
            after half of the time, and the others take over what it timed.
            """)

    @Option(help: "Reservations made each second, by all lanes together.")
    var rate = 20_000

    @Option(help: "Lanes, a thread each.")
    var lanes = 2

    @Option(help: "Seconds in which reservations are made.")
    var seconds = 10

    @Option(help: "Holds of an hour that stand in the table besides.")
    var standing = 1_000_000

    @Flag(help: "The last lane stops after half of the time.")
    var stop = false

    func validate() throws {
        guard rate > 0, seconds > 0, standing >= 0, (1...255).contains(lanes) else {
            throw ValidationError("rate and seconds are above 0, lanes 1 ... 255")
        }
        guard !stop || lanes > 1 else { throw ValidationError("--stop needs two lanes") }
    }

    func run() throws {
        let benchmark = ExpiryBenchmark(
            rate: rate, lanes: lanes, seconds: seconds, stops: stop, standing: standing)
        guard try benchmark.run().report(stops: stop) else {
            print("wrong: a hold expired early, or not at all")
            throw ExitCode.failure
        }
    }
}
