internal import Crypto

/// Whether clients show certificates.
package enum ClientAuthentication: String, Sendable, CaseIterable {
    /// They are not asked.
    case off
    /// Who shows one must have it from a CA of the bundle.
    case optional
    /// Who shows none is refused.
    case required
}

/// The files of a port's TLS.
package struct TLSFiles: Sendable, Equatable {
    /// The server's certificate with its chain, and its private key: PEM.
    package var certificate: String
    package var key: String
    /// The CAs of clients, PEM; nil: clients show no certificates.
    package var clientAuthorities: String?
    package var clientAuthentication: ClientAuthentication
    /// See `Revocations`; nil: none is revoked.
    package var revoked: String?

    /// - Parameter clientAuthentication: anything but `off` needs `clientAuthorities`.
    package init(
        certificate: String, key: String, clientAuthorities: String? = nil,
        clientAuthentication: ClientAuthentication = .off, revoked: String? = nil
    ) {
        self.certificate = certificate
        self.key = key
        self.clientAuthorities = clientAuthorities
        self.clientAuthentication = clientAuthentication
        self.revoked = revoked
    }

    private var paths: [String] {
        [certificate, key, clientAuthorities, revoked].compactMap(\.self)
    }

    var stamps: [FileStamp] { paths.map { FileStamp(of: $0) } }

    /// The bytes of all of them but the list of the revoked, which counts by itself.
    struct Content {
        var certificate: [UInt8]
        var key: [UInt8]
        var clientAuthorities: [UInt8]?

        /// SHA-256 of all of them: what is kept to tell whether they have changed.
        var digest: [UInt8] {
            let parts = [certificate, key, clientAuthorities ?? []]
            return Array(
                SHA256.hash(data: parts.flatMap { Array(SHA256.hash(data: $0)) }))
        }
    }

    /// - Throws: which file cannot be read, and why.
    func read() throws(TLSError) -> Content {
        var content = Content(
            certificate: try BoundedFile.read(
                certificate, atMost: ServerCredentials.longestFile),
            key: try BoundedFile.read(key, atMost: ServerCredentials.longestFile))
        if let clientAuthorities {
            content.clientAuthorities = try BoundedFile.read(
                clientAuthorities, atMost: TrustedAuthorities.longestFile)
        }
        return content
    }

    /// - Throws: why the list of the revoked cannot be taken.
    func readRevoked() throws(TLSError) -> Revocations {
        guard let revoked else { return Revocations() }
        let bytes = try BoundedFile.read(
            revoked, atMost: Revocations.longestFile, mayBeEmpty: true)
        return try Revocations(bytes, of: revoked)
    }
}

/// The numbers of a port's TLS.
package struct TLSBounds: Sendable {
    /// From accepting a connection to the end of its handshake.
    package var handshakeTimeoutMilliseconds: Int64 = 10_000
    /// Handshakes under way at one time; of one address a quarter of them. Beyond it, the one that has taken longest
    /// makes room.
    package var maximumHandshakes = 1_024
    /// How long before a certificate ends that is said, seconds.
    package var expiryWarnings: [Int64] = [30 * 86_400, 7 * 86_400, 86_400]
    /// Between two looks at the files, milliseconds.
    package var watchMilliseconds: Int64 = 1_000

    package init() {}
}
