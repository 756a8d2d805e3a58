internal import ServerTrust

/// Why nothing can be served at an address: a sentence that names it and its setting.
struct ListenError: Error, Sendable, CustomStringConvertible {
    let description: String

    init(_ address: NetworkAddress, _ setting: SettingRow, _ error: any Error) {
        description =
            "it cannot listen on \(address) (\(setting.flag)): \(ConnectionText.reason(error))"
    }
}
