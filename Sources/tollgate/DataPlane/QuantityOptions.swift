internal import ArgumentParser
internal import Limits
internal import TollgateClient

/// The resources of which a command takes amounts.
protocol QuantityCatalogue: OptionCatalogue {
    static var rows: [ResourceRow] { get }
}

extension QuantityCatalogue {
    static var options: [CatalogueOption] {
        rows.map {
            CatalogueOption(
                name: $0.option, help: $0.optionHelp,
                valueName: $0.unit == .amount ? "usd" : "n", isWhole: $0.unit != .amount,
                isUnconditional: true)
        }
    }
}

/// What may be asked for: everything.
enum Asked: QuantityCatalogue {
    static let rows = Resource.catalogue
}

/// What may be charged and recorded.
enum Charged: QuantityCatalogue {
    static let rows = Resource.charged
}

/// An amount of each resource: `--spend`, ...
struct QuantityOptions<Catalogue: QuantityCatalogue>: ParsableArguments {
    @OptionGroup var amounts: CatalogueOptions<Catalogue>

    /// What the command line names, in the resources' units.
    func quantities() throws -> [Quantity] {
        try Catalogue.rows.compactMap { row in
            guard row.unit == .amount else {
                return amounts.whole(row.option).map { Quantity(row.resource, $0) }
            }
            guard let text = amounts.text(row.option) else { return nil }
            do {
                return Quantity(row.resource, try Money.parse(text, allowsNegative: true))
            } catch {
                throw ValidationError("--\(row.option) \(text): \(error).")
            }
        }
    }

    /// The same, and at least one.
    func someQuantities() throws -> [Quantity] {
        let quantities = try quantities()
        if quantities.isEmpty {
            let options = Catalogue.rows.map { "--" + $0.option }
            throw ValidationError("Give an amount: \(options.listed("or")).")
        }
        return quantities
    }
}

/// A reservation's id on the command line: decimal, as the service gives it.
struct ReservationArgument: ParsableArguments {
    @Argument(help: "The reservation id printed by check.")
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
