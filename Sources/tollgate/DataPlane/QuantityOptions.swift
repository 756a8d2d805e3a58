internal import ArgumentParser
internal import TollgateClient

/// `--spend`, `--extensions`, `--dids` and `--seconds`.
struct QuantityOptions: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: .init("Money in USD, up to 9 decimals, like 0.004.", valueName: "usd"))
    var spend: String?

    @Option(parsing: .unconditional, help: .init("Extensions.", valueName: "n"))
    var extensions: Int64?

    @Option(parsing: .unconditional, help: .init("DIDs.", valueName: "n"))
    var dids: Int64?

    @Option(parsing: .unconditional, help: .init("Call seconds.", valueName: "n"))
    var seconds: Int64?

    /// What the command line names, in the resources' units.
    func quantities() throws -> [Quantity] {
        var quantities: [Quantity] = []
        if let spend {
            do {
                quantities.append(Quantity(.spend, try Money.parse(spend, allowsNegative: true)))
            } catch {
                throw ValidationError("--spend \(spend): \(error).")
            }
        }
        if let extensions { quantities.append(Quantity(.extensions, extensions)) }
        if let dids { quantities.append(Quantity(.dids, dids)) }
        if let seconds { quantities.append(Quantity(.callSeconds, seconds)) }
        return quantities
    }

    /// The same, and at least one.
    func someQuantities() throws -> [Quantity] {
        let quantities = try quantities()
        if quantities.isEmpty {
            throw ValidationError("Say how much: --spend, --extensions, --dids or --seconds.")
        }
        return quantities
    }
}

/// A reservation's id on the command line: decimal, as the service gives it.
struct ReservationArgument: ParsableArguments {
    @Argument(help: "The reservation's id, as the check printed it.")
    var id: UInt64
}

/// `--ttl`: milliseconds of a duration; nil: not given.
func ttlMilliseconds(_ text: String?) throws -> UInt32 {
    guard let text else { return 0 }
    guard let milliseconds = DurationText.milliseconds(text),
        let ttl = UInt32(exactly: milliseconds)
    else { throw ValidationError("--ttl must be a duration like 60s or 15m, not \"\(text)\".") }
    return ttl
}
