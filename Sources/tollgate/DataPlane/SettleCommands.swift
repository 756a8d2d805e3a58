internal import ArgumentParser
internal import TollgateClient

/// `tollgate commit`
struct SendCommitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "commit",
        abstract: "Commits a hold as usage.",
        discussion: """
            Without quantities the held amounts are charged. With quantities the rest of the hold is \
            freed, and a resource that is not named counts as 0.

            Example: tollgate commit 4611686018427387905 --seconds 42
            """)

    @OptionGroup var reservation: ReservationArgument
    @OptionGroup(title: "Usage") var quantities: QuantityOptions<Charged>
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
struct SendReleaseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "release",
        abstract: "Releases a hold.",
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
struct SendExtendCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "extend",
        abstract: "Extends a hold's expiry and, with quantities, holds more.",
        discussion: """
            Exit status 0: extended; 3: denied, the hold is unchanged.

            Example: tollgate extend 4611686018427387905 --ttl 60s --seconds 60
            """)

    @OptionGroup var reservation: ReservationArgument

    @Option(
        help: .init(
            "The new expiry from now, 1s to 24h; never earlier than the old one.",
            valueName: "duration"))
    var ttl: String?

    @OptionGroup(title: "Additional amounts") var quantities: QuantityOptions<Asked>

    @Option(help: .init("Idempotency key: a retry gets the first answer.", valueName: "key"))
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
