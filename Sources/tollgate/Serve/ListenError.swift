internal import ServerTrust

/// Why nothing can be served at an address: a sentence that names it and its setting.
struct ListenError: Error, Sendable, CustomStringConvertible {
    let description: String

    init(_ address: NetworkAddress, _ setting: Setting<NetworkAddress>, _ error: any Error) {
        description =
            "it cannot listen on \(address) (\(setting.row.flag)): \(ConnectionText.reason(error))"
    }
}
