internal import ArgumentParser
internal import TollgateClient

/// `tollgate commit`
struct CommitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "commit",
        abstract: "Turns a hold into usage.",
        discussion: """
            Without quantities what was held is charged. With quantities the rest of the hold is \
            freed, and a resource that is not named counts as 0.

            Example: tollgate commit 4611686018427387905 --seconds 42
            """)

    @OptionGroup var reservation: ReservationArgument
    @OptionGroup(title: "What was used") var quantities: QuantityOptions
    @OptionGroup(title: "Service") var client: ClientOptions

    func run() async throws {
        let request = CommitRequest(
            reservationID: reservation.id, actual: try quantities.quantities())
        try await client.run { client throws(TollgateError) in
            Outcome(try await client.commit(request))
        }
    }
}

/// `tollgate release`
struct ReleaseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "release",
        abstract: "Gives a whole hold back.",
        discussion: "Example: tollgate release 4611686018427387905")

    @OptionGroup var reservation: ReservationArgument
    @OptionGroup(title: "Service") var client: ClientOptions

    func run() async throws {
        let request = ReleaseRequest(reservationID: reservation.id)
        try await client.run { client throws(TollgateError) in
            Outcome(try await client.release(request))
        }
    }
}

/// `tollgate extend`
struct ExtendCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "extend",
        abstract: "Pushes a hold's expiry out and, with quantities, holds more.",
        discussion: """
            Exit status 0: extended; 3: the additional room is not there, the hold stands as it was.

            Example: tollgate extend 4611686018427387905 --ttl 60s --seconds 60
            """)

    @OptionGroup var reservation: ReservationArgument

    @Option(
        help: .init(
            "The new expiry from now, 1s to 24h; never earlier than the old one.",
            valueName: "duration"))
    var ttl: String?

    @OptionGroup(title: "More room") var quantities: QuantityOptions

    @Option(help: .init("Idempotency key: a repeat gets the first answer.", valueName: "key"))
    var key: String?

    @Option(help: "reserve: all of it or nothing; partial: what fits.")
    var mode = ExtendModeName.reserve

    @OptionGroup(title: "Service") var client: ClientOptions

    func run() async throws {
        let request = ExtendRequest(
            reservationID: reservation.id, ttlMilliseconds: try tollgate.ttlMilliseconds(ttl),
            additional: try quantities.quantities(), idempotencyKey: key ?? "", mode: mode.mode)
        try await client.run { client throws(TollgateError) in
            Outcome(try await client.extend(request))
        }
    }
}
