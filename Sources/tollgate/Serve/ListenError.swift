internal import TollgateClient

/// Why nothing can be served at an address: a sentence that names it and its setting.
struct ListenError: Error, Sendable, CustomStringConvertible {
    let description: String

    init(_ address: NetworkAddress, _ key: ServeKey, _ error: any Error) {
        description =
            "it cannot listen on \(address) (--\(key.rawValue)): \(ConnectionText.reason(error))"
    }
}
