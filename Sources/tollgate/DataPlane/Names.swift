internal import ArgumentParser
internal import Limits
internal import TollgateClient

// How the contract's numbers are named on the command line (with dashes) and in JSON (with underscores).

enum ActionName: String, ExpressibleByArgument, CaseIterable {
    case sendMessage = "send-message"
    case provisionExtension = "provision-extension"
    case assignDID = "assign-did"
    case outboundCall = "outbound-call"
    case inboundCall = "inbound-call"
    case charge

    var action: Action {
        switch self {
        case .sendMessage: .sendMessage
        case .provisionExtension: .provisionExtension
        case .assignDID: .assignDID
        case .outboundCall: .outboundCall
        case .inboundCall: .inboundCall
        case .charge: .charge
        }
    }
}

enum ModeName: String, ExpressibleByArgument, CaseIterable {
    case reserve
    case checkOnly = "check-only"
    case commit
    case partial

    var mode: Mode {
        switch self {
        case .reserve: .reserve
        case .checkOnly: .checkOnly
        case .commit: .commit
        case .partial: .partial
        }
    }
}

/// The modes of an extension.
enum ExtendModeName: String, ExpressibleByArgument, CaseIterable {
    case reserve, partial
    var mode: Mode { self == .reserve ? .reserve : .partial }
}

enum ExpiryName: String, ExpressibleByArgument, CaseIterable {
    case release, commit
    var policy: ExpiryPolicy { self == .release ? .release : .commit }
}

enum OverageName: String, ExpressibleByArgument, CaseIterable {
    case record, cap, reject

    var policy: OveragePolicy {
        switch self {
        case .record: .record
        case .cap: .cap
        case .reject: .reject
        }
    }
}

extension Resource {
    /// An amount for people: "12.50 USD", "3 extensions", "60 s".
    func text(_ amount: Int64) -> String {
        switch unit {
        case .amount: "\(Money.format(amount)) USD"
        case .count: "\(amount) \(amount.magnitude == 1 ? row.singular : row.plural)"
        case .seconds: "\(amount) s"
        }
    }
}
