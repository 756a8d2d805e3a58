internal import Admission
internal import Dispatch
internal import Foundation
internal import LogLines
package import Logging
package import NIOCore
internal import NIOSSL
internal import Synchronization

/// TLS of one port: its certificates, which can be exchanged while connections are open, and its handshakes.
///
/// A connection keeps what it was made with; new connections are made with the latest certificates. Peers whose
/// certificate is revoked or ends while they are connected are told (`PeerDismissed`).
///
/// Thread safety: any thread, but for `secure`.
package final class ServerTLS: Sendable {
    let files: TLSFiles
    let bounds: TLSBounds
    let applicationProtocol: ApplicationProtocol
    let logger: Logger
    /// "grpc" or "http", for logs.
    let port: String
    /// The wall clock, Unix seconds.
    let now: @Sendable () -> Int64
    /// Connections that have not finished their handshakes.
    let handshakes: ConnectionPlaces
    let handshakeLog: HandshakeLog
    private let material: Mutex<TLSMaterial>
    private let peers = Mutex<[ObjectIdentifier: Peer]>([:])
    let loading: Mutex<Loading>
    /// What could not be read when it was last tried: the certificates, and the list of the revoked.
    let certificateTrouble = StateLog(
        begins: "the new certificates cannot be used; the loaded ones stay in use",
        ends: "the certificate files can be used again", tellsChanges: true)
    let revocationTrouble = StateLog(
        begins:
            "the new list of revoked certificates cannot be used; the loaded one stays in use",
        ends: "the list of revoked certificates can be used again", tellsChanges: true)
    /// Reads files, and waits for nobody else.
    let queue = DispatchQueue(label: "tollgate.tls")
    let isWatching = Atomic<Bool>(false)

    private struct Peer: Sendable {
        let channel: any Channel
        let identity: PeerIdentity
    }

    /// Reads the files and checks them.
    ///
    /// - Parameters:
    ///   - port: what the port is called in logs.
    ///   - now: the wall clock, Unix seconds.
    /// - Throws: what is wrong with the files.
    package init(
        _ files: TLSFiles, _ bounds: TLSBounds = TLSBounds(),
        speaking protocol: ApplicationProtocol,
        port: String, logger: Logger,
        now: @escaping @Sendable () -> Int64 = { Int64(Date.now.timeIntervalSince1970) }
    ) throws(TLSError) {
        self.files = files
        self.bounds = bounds
        self.port = port
        self.now = now
        applicationProtocol = `protocol`
        var logger = logger
        logger[metadataKey: "port"] = "\(port)"
        self.logger = logger
        handshakeLog = HandshakeLog(logger)
        handshakes = ConnectionPlaces(
            total: bounds.maximumHandshakes, perAddress: max(1, bounds.maximumHandshakes / 4)
        ) { [logger] in Self.tell($0, logger) }
        let stamps = files.stamps
        let content = try files.read()
        let first = try TLSMaterial(
            content, try files.readRevoked(), files, `protocol`, now: now())
        material = Mutex(first)
        loading = Mutex(
            Loading(stamps: stamps, digest: content.digest, edges: bounds.expiryWarnings))
        tellTaken(first, "certificates are loaded")
        tellExpiry()
    }

    private static func tell(_ notice: ConnectionPlaces.Notice, _ logger: Logger) {
        switch notice {
        case .full(let places):
            logger.warning(
                "the maximum number of TLS handshakes is in progress: the oldest are closed for new ones",
                metadata: ["handshakes": "\(places)"])
        case .addressFull(let address, let places):
            logger.warning(
                "an address has reached its maximum number of TLS handshakes",
                metadata: ["address": "\(address)", "handshakes": "\(places)"])
        case .roomAgain:
            logger.notice("the number of TLS handshakes is below its maximum again")
        }
    }

    // MARK: What holds now

    var current: TLSMaterial {
        get { material.withLock { $0 } }
        set { material.withLock { $0 = newValue } }
    }

    /// When the first certificate of the server's chain ends, Unix seconds.
    package var notAfter: Int64 { current.notAfter }

    /// The server's certificate that new connections are made with.
    package var fingerprint: Fingerprint { current.fingerprint }

    /// Handshakes under way, and those that failed ever.
    package var counts: (underWay: Int, failed: UInt64) { (handshakes.count, handshakeLog.count) }

    // MARK: Peers

    /// Who the peer of a channel is; nil: it has shown no certificate.
    package func identity(of channel: any Channel) -> PeerIdentity? {
        peers.withLock { $0[ObjectIdentifier(channel)]?.identity }
    }

    /// Why a peer is not served any more; nil: it is.
    func fault(of identity: PeerIdentity) -> HandshakeFault? {
        if identity.notAfter < now() { return .expired }
        return current.revocations.contain(identity) ? .revoked : nil
    }

    func add(_ identity: PeerIdentity, of channel: any Channel) {
        let key = ObjectIdentifier(channel)
        peers.withLock { $0[key] = Peer(channel: channel, identity: identity) }
        channel.closeFuture.whenComplete { [weak self] _ in
            self?.peers.withLock { $0[key] = nil }
        }
    }

    /// Dismisses the peers whose certificates do not count any more. O(peers with a certificate)
    func dismissPeers() {
        let all = peers.withLock { Array($0.values) }
        var dismissed: [HandshakeFault: Int] = [:]
        for peer in all {
            guard let fault = fault(of: peer.identity) else { continue }
            dismissed[fault, default: 0] += 1
            // Once: whoever lingers is not told again.
            peers.withLock { $0[ObjectIdentifier(peer.channel)] = nil }
            peer.channel.pipeline.fireUserInboundEventTriggered(PeerDismissed())
        }
        for (fault, count) in dismissed {
            logger.notice(
                fault == .revoked
                    ? "connections were closed: their client certificates are revoked"
                    : "connections were closed: their client certificates have expired",
                metadata: ["connections": "\(count)"])
        }
    }
}

/// Tells a connection that its peer's certificate does not count any more: it ends.
package struct PeerDismissed: Sendable {
    package init() {}
}

/// An inbound event that ends a connection which is not through its handshake.
package protocol EndsHandshake: Sendable {}

/// A handshake's place is another's.
struct HandshakeEvicted: EndsHandshake {}
