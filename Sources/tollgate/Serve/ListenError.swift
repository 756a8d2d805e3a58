internal import Admission
internal import ServerTrust

/// Why nothing can be served at an address: a sentence that names it and its setting.
struct ListenError: Error, Sendable, CustomStringConvertible {
    let description: String

    init(_ address: NetworkAddress, _ setting: SettingRow, _ error: any Error) {
        description =
            "it cannot listen on \(address) (\(setting.flag)): \(Self.reason(error))"
    }

    /// Words behind a colon.
    static func reason(_ error: any Error) -> String {
        switch error as? ListeningSocket.Failure {
        case .unresolved: "the name does not resolve"
        case .system(let code): ConnectionText.reason(code: code)
        case .unfit(let reason): reason
        case nil: ConnectionText.reason(error)
        }
    }
}
