internal import Glibc
internal import NIOCore
package import NIOSSL
internal import ServerTrust
internal import Synchronization

extension ClientConfiguration {
    /// How a client verifies the service and identifies itself. TLS 1.2 or 1.3, with `h2` by ALPN.
    ///
    /// The files are read here, and again for a new connection once they have changed: a
    /// certificate is renewed by replacing its file. If the new files cannot be used, those read
    /// before stay in use.
    public struct TLS: Sendable {
        /// PEM: the only roots that are trusted; nil: the system's.
        public let caFile: String?
        /// PEM: this client's certificate, followed by its chain; nil: none.
        public let certificateFile: String?
        /// PEM, not encrypted: the certificate's key.
        public let keyFile: String?
        /// The name to expect in the service's certificate; nil: the endpoint's host.
        public let serverName: String?

        let material: ClientTLSMaterial

        /// - Throws: FAILED_PRECONDITION: a file cannot be read or used, the key does not belong to
        ///   its certificate, or the name is invalid.
        public init(
            caFile: String? = nil, certificateFile: String? = nil, keyFile: String? = nil,
            serverName: String? = nil
        ) throws(TollgateError) {
            guard (certificateFile == nil) == (keyFile == nil) else {
                throw TollgateError(
                    .failedPrecondition, "A client certificate and its key must be given together")
            }
            if let serverName, TLSNames.isDNSName(serverName) == false {
                throw TollgateError(
                    .failedPrecondition,
                    "The server name must be a DNS name, not \"\(serverName)\"")
            }
            self.caFile = caFile
            self.certificateFile = certificateFile
            self.keyFile = keyFile
            self.serverName = serverName
            material = try ClientTLSMaterial(
                caFile: caFile, certificateFile: certificateFile, keyFile: keyFile)
        }

        /// For an HTTP/1.1 client, whose library negotiates the protocol: the same roots and the
        /// same certificate.
        package var httpConfiguration: TLSConfiguration { material.configuration }

        /// The name for server name indication and in the certificate; nil: the host is an IP
        /// address, which the certificate must contain.
        func name(of endpoint: Endpoint) -> String? {
            serverName ?? (TLSNames.isAddress(endpoint.host) ? nil : endpoint.host)
        }
    }
}

/// Certificates and key, as in their files.
///
/// Thread safety: any thread. It reads files on the calling thread.
final class ClientTLSMaterial: Sendable {
    private struct Loaded {
        var configuration: TLSConfiguration
        var context: NIOSSLContext
        var stamps: [CredentialStamp?]
    }

    private let caFile: String?
    private let certificateFile: String?
    private let keyFile: String?
    private let loaded: Mutex<Loaded>

    init(caFile: String?, certificateFile: String?, keyFile: String?) throws(TollgateError) {
        self.caFile = caFile
        self.certificateFile = certificateFile
        self.keyFile = keyFile
        loaded = Mutex(try Self.load(caFile, certificateFile, keyFile))
    }

    var configuration: TLSConfiguration { loaded.withLock { $0.configuration } }

    /// For a new connection: from the current files, if they can be used.
    func context() -> NIOSSLContext {
        loaded.withLock { loaded in
            let stamps = Self.stamps(caFile, certificateFile, keyFile)
            if stamps != loaded.stamps {
                do throws(TollgateError) {
                    loaded = try Self.load(caFile, certificateFile, keyFile)
                } catch {
                    // Perhaps only some files are replaced yet: the next connection tries again.
                }
            }
            return loaded.context
        }
    }

    private static func stamps(_ files: String?...) -> [CredentialStamp?] {
        files.map { $0.flatMap(CredentialStamp.init) }
    }

    private static func load(
        _ caFile: String?, _ certificateFile: String?, _ keyFile: String?
    ) throws(TollgateError) -> Loaded {
        // Taken first: a file that changes while it is read is read again.
        let stamps = stamps(caFile, certificateFile, keyFile)
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        configuration.certificateVerification = .fullVerification
        configuration.shutdownTimeout = .seconds(1)
        if let caFile {
            configuration.trustRoots = .certificates(try certificates(caFile, "CA"))
        }
        if let certificateFile, let keyFile {
            configuration.certificateChain = try certificates(certificateFile, "certificate").map {
                .certificate($0)
            }
            configuration.privateKey = .privateKey(try key(keyFile))
        }
        var http2 = configuration
        http2.applicationProtocols = ["h2"]
        do {
            let context = try NIOSSLContext(configuration: http2)
            return Loaded(configuration: configuration, context: context, stamps: stamps)
        } catch {
            throw TollgateError(
                .failedPrecondition,
                keyFile.map { "The key \($0) does not belong to the certificate" }
                    ?? "TLS cannot be set up with \(caFile ?? "these settings")")
        }
    }

    private static func certificates(
        _ path: String, _ what: String
    ) throws(TollgateError) -> [NIOSSLCertificate] {
        let bytes = try contents(path, what)
        guard let found = try? NIOSSLCertificate.fromPEMBytes(bytes), found.isEmpty == false else {
            throw TollgateError(
                .failedPrecondition, "The \(what) file \(path) contains no PEM certificate")
        }
        return found
    }

    private static func key(_ path: String) throws(TollgateError) -> NIOSSLPrivateKey {
        let bytes = try contents(path, "key")
        if String(decoding: bytes, as: UTF8.self).contains("ENCRYPTED") {
            throw TollgateError(
                .failedPrecondition, "The key file \(path) is encrypted; use an unencrypted key")
        }
        guard let key = try? NIOSSLPrivateKey(bytes: bytes, format: .pem) else {
            throw TollgateError(
                .failedPrecondition, "The key file \(path) contains no PEM private key")
        }
        return key
    }

    /// Longer files are not certificates or keys.
    private static let maximumBytes = 4 << 20

    private static func contents(
        _ path: String, _ what: String
    ) throws(TollgateError) -> [UInt8] {
        func failure(_ reason: String) -> TollgateError {
            TollgateError(.failedPrecondition, "The \(what) file \(path) \(reason)")
        }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("cannot be read: \(ErrnoText.of(errno))") }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let count = read(descriptor, &piece, piece.count)
            if count < 0, errno == EINTR { continue }
            if count < 0 { throw failure("cannot be read: \(ErrnoText.of(errno))") }
            if count == 0 { return bytes }
            bytes += piece[..<count]
            if bytes.count > maximumBytes { throw failure("is too large") }
        }
    }
}

/// What changes when a file is replaced or rewritten.
private struct CredentialStamp: Equatable {
    private let device: UInt
    private let inode: UInt
    private let size: Int
    private let seconds: Int
    private let nanoseconds: Int

    /// nil: there is no such file.
    init?(_ path: String) {
        var found = stat()
        guard stat(path, &found) == 0 else { return nil }
        device = UInt(found.st_dev)
        inode = UInt(found.st_ino)
        size = Int(found.st_size)
        seconds = found.st_mtim.tv_sec
        nanoseconds = found.st_mtim.tv_nsec
    }
}

private enum ErrnoText {
    static func of(_ code: Int32) -> String {
        switch code {
        case ENOENT: "no such file"
        case EACCES, EPERM: "permission denied"
        case EISDIR: "it is a directory"
        default: String(cString: strerror(code))
        }
    }
}
