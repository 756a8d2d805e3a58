import Crypto
import Foundation
import Logging
import SwiftASN1
import Synchronization
import X509

@testable import TransportSecurity

/// Certificates as a test wants them.
struct Issued {
    let certificate: Certificate
    let key: P256.Signing.PrivateKey

    var pem: String { (try? certificate.serializeAsPEM().pemString).map { $0 + "\n" } ?? "" }
    var keyPEM: String { key.pemRepresentation + "\n" }
    var der: [UInt8] { (try? CertificateText.bytes(of: certificate)) ?? [] }
    /// As `openssl x509 -fingerprint -sha256` has it.
    var fingerprint: String {
        Fingerprint(of: der).bytes.map { String(format: "%02X", $0) }.joined(separator: ":")
    }
}

/// The time of tests, Unix seconds.
let testNow: Int64 = 1_800_000_000
let day: Int64 = 86_400

struct TestAuthority {
    let root: Issued

    init(_ name: String = "Test CA", now: Int64 = testNow) throws {
        root = try Self.issue(name, by: nil, now: now, isAuthority: true)
    }

    func issue(
        _ name: String, names: [GeneralName] = [], usage: ExtendedKeyUsage.Usage? = .serverAuth,
        from: Int64 = -day, to: Int64 = 90 * day, serial: [UInt8]? = nil, isAuthority: Bool = false,
        by issuer: Issued? = nil, now: Int64 = testNow
    ) throws -> Issued {
        try Self.issue(
            name, by: issuer ?? root, names: names, usage: isAuthority ? nil : usage, from: from,
            to: to, serial: serial, now: now, isAuthority: isAuthority)
    }

    private static func issue(
        _ name: String, by issuer: Issued?, names: [GeneralName] = [],
        usage: ExtendedKeyUsage.Usage? = nil, from: Int64 = -day, to: Int64 = 90 * day,
        serial: [UInt8]? = nil, now: Int64, isAuthority: Bool
    ) throws -> Issued {
        let key = P256.Signing.PrivateKey()
        let subject = try DistinguishedName {
            OrganizationName("Example")
            CommonName(name)
        }
        let time = { (seconds: Int64) in Date(timeIntervalSince1970: TimeInterval(now + seconds)) }
        let certificate = try Certificate(
            version: .v3, serialNumber: serial.map { .init(bytes: $0) } ?? .init(),
            publicKey: .init(key.publicKey), notValidBefore: time(from), notValidAfter: time(to),
            issuer: issuer?.certificate.subject ?? subject, subject: subject,
            signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try .init {
                if isAuthority {
                    Critical(BasicConstraints.isCertificateAuthority(maxPathLength: nil))
                } else {
                    Critical(BasicConstraints.notCertificateAuthority)
                }
                if let usage { try ExtendedKeyUsage([usage]) }
                if !names.isEmpty { SubjectAlternativeNames(names) }
            }, issuerPrivateKey: .init(issuer?.key ?? key))
        return Issued(certificate: certificate, key: key)
    }
}

/// A directory of a test's own.
final class Directory {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "tollgate-tls-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func at(_ name: String) -> String { path + "/" + name }

    @discardableResult
    func write(_ name: String, _ text: String) throws -> String {
        try Data(text.utf8).write(to: URL(fileURLWithPath: at(name)), options: .atomic)
        return at(name)
    }

    /// The files of a server with a certificate of an authority.
    func files(_ own: Issued, chain: [Issued] = [], authorities: [Issued] = []) throws -> TLSFiles {
        var files = TLSFiles(
            certificate: try write("server.pem", ([own] + chain).map(\.pem).joined()),
            key: try write("server-key.pem", own.keyPEM))
        if !authorities.isEmpty {
            files.clientAuthorities = try write("ca.pem", authorities.map(\.pem).joined())
            files.clientAuthentication = .required
        }
        return files
    }
}

extension TLSFiles {
    /// Loads them as a port for gRPC would.
    func load(now: Int64 = testNow) throws(TLSError) -> TLSMaterial {
        try TLSMaterial(try read(), try readRevoked(), self, .http2, now: now)
    }
}

/// What was logged, as `level message key=value ...`.
final class LogLines: Sendable {
    private let lines = Mutex<[String]>([])

    var all: [String] { lines.withLock { $0 } }
    func count(_ part: String) -> Int { all.count { $0.contains(part) } }

    var logger: Logger { Logger(label: "test") { _ in Handler(lines: self) } }

    private struct Handler: LogHandler {
        let lines: LogLines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.debug

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let all = metadata.merging(event.metadata ?? [:]) { $1 }
            let text = all.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            lines.lines.withLock {
                $0.append(
                    (["\(event.level)", "\(event.message)"] + text).joined(separator: " "))
            }
        }
    }
}
