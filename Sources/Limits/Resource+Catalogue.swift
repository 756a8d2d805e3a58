/// A row of the resource catalogue: everything that distinguishes one resource from another (semantics §1). A new resource
/// is a case of `Resource` and a row here; everything that reads, writes or shows amounts goes through the rows.
public struct ResourceRow: Sendable {
    public enum Unit: Sendable {
        /// Nano-USD, written as a decimal number of USD.
        case amount
        case count
        /// Shown to people as minutes.
        case seconds
    }

    /// What becomes of usage.
    public enum Nature: Sendable {
        /// Adds up, and never shrinks.
        case accumulating
        /// Is there until it is given back: amounts may be negative.
        case standing
        /// Is only ever held; nothing of it is committed.
        case held
    }

    public let resource: Resource
    /// snake_case name in JSON and files.
    public let name: String
    /// Column of the projection's tables.
    public let column: String
    public let unit: Unit
    public let nature: Nature
    /// For people, as pages and mails count it: "extension", "minute".
    public let singular: String
    public let plural: String
    /// What uses more of it: "at the next call".
    public let occasion: String
    /// Option of the command line that names an amount, without dashes, and its help.
    public let option: String
    public let optionHelp: String
    /// Help of the same option where it says how many there are; nil: nobody sets that.
    public let countHelp: String?

    /// For people, at the head of a column: "Extensions".
    public var title: String { plural.prefix(1).uppercased() + plural.dropFirst() }
    /// The same in a table of the command line: "CALL SECONDS".
    public var heading: String { name.uppercased().split(separator: "_").joined(separator: " ") }
    /// Column of a CSV file: "spend_usd".
    public var csvColumn: String { unit == .amount ? name + "_usd" : name }
}

extension Resource {
    /// How many there are: one for each row.
    @inlinable @inline(always) public static var count: Int { rowCount(rows) }

    /// One row per resource, in the order of `index`.
    public static let catalogue: [ResourceRow] = list(rows)

    @usableFromInline static let rows: InlineArray<_, ResourceRow> = [
        ResourceRow(
            resource: .spend, name: "spend", column: "spend", unit: .amount,
            nature: .accumulating, singular: "spend", plural: "spend", occasion: "charge",
            option: "spend",
            optionHelp: "Money in USD, up to 9 decimals, like 0.004.", countHelp: nil),
        ResourceRow(
            resource: .extensions, name: "extensions", column: "extensions", unit: .count,
            nature: .standing, singular: "extension", plural: "extensions",
            occasion: "extension", option: "extensions", optionHelp: "Extensions.",
            countHelp: "Extensions that exist."),
        ResourceRow(
            resource: .dids, name: "dids", column: "dids", unit: .count, nature: .standing,
            singular: "DID", plural: "DIDs", occasion: "DID", option: "dids", optionHelp: "DIDs.",
            countHelp: "DIDs that are assigned."),
        ResourceRow(
            resource: .callSeconds, name: "call_seconds", column: "seconds", unit: .seconds,
            nature: .accumulating, singular: "minute", plural: "minutes", occasion: "call",
            option: "seconds",
            optionHelp: "Call seconds.", countHelp: nil),
        ResourceRow(
            resource: .concurrentCalls, name: "concurrent_calls", column: "concurrent_calls",
            unit: .count, nature: .held, singular: "concurrent call", plural: "concurrent calls",
            occasion: "call", option: "concurrent-calls",
            optionHelp: "Concurrent calls: 1 for each call, held while it lasts.",
            countHelp: nil),
        ResourceRow(
            resource: .messages, name: "messages", column: "messages", unit: .count,
            nature: .accumulating, singular: "message", plural: "messages", occasion: "message",
            option: "messages", optionHelp: "Messages.", countHelp: nil),
    ]

    public var row: ResourceRow { Resource.catalogue[index] }
    public var name: String { row.name }
    public var unit: ResourceRow.Unit { Resource.catalogue[index].unit }

    /// Amounts may be negative: what was provisioned is given back.
    public var mayShrink: Bool { Resource.catalogue[index].nature == .standing }

    /// Why a negative amount of another resource is refused.
    public static let shrinkingDetail: StaticString =
        "Only extensions and DIDs may have a negative amount"

    /// Amounts may be charged or recorded; otherwise they are only ever held.
    public var mayBeCharged: Bool { Resource.catalogue[index].nature != .held }

    /// Why a charge of another resource is refused.
    public static let chargingDetail: StaticString =
        "This resource is only held by a reservation: it cannot be charged, recorded or set"

    /// How many one request may name: a reservation has room for so many.
    @inlinable @inline(always) public static var mostOfRequest: Int { 4 }

    /// Why a request that names more is refused.
    public static let mostOfRequestDetail: StaticString = "At most 4 quantities are allowed"

    /// Resources in the order in which reports have them: what adds up before what stands. What is only held is in none.
    public static let reported: [ResourceRow] = accumulating + standing
    /// Resources that add up.
    public static let accumulating: [ResourceRow] = catalogue.filter { $0.nature == .accumulating }
    /// Resources that may be charged, in the order of the catalogue.
    public static let charged: [ResourceRow] = catalogue.filter { $0.nature != .held }
    /// Resources whose counts can be set.
    public static let standing: [ResourceRow] = catalogue.filter { $0.nature == .standing }

    /// An amount as programs read it: a decimal number of USD, a count, seconds. JSON has the first as a string.
    public func plain(_ amount: Int64) -> String {
        unit == .amount ? Money.format(amount) : String(amount)
    }
}

extension [String] {
    /// "a, b or c".
    ///
    /// - Parameter word: what stands before the last.
    package func listed(_ word: String) -> String {
        guard let last, count > 1 else { return first ?? "" }
        return dropLast().joined(separator: ", ") + " \(word) " + last
    }
}
