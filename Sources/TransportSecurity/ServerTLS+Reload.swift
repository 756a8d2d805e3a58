internal import Dispatch
internal import Foundation
internal import LogLines
internal import Logging
internal import Notation
internal import Synchronization

/// New certificates while the service runs.
extension ServerTLS {
    /// What was read last, and what was told of it. Used on `queue` but for the first time.
    struct Loading: Sendable {
        /// Of the files as they were last tried, and as they were last looked at.
        var tried: [FileStamp]
        var seen: [FileStamp]
        var digest: [UInt8]
        var expiry: ExpiryNotices
        var authoritiesExpiry: ExpiryNotices

        init(stamps: [FileStamp], digest: [UInt8], edges: [Int64]) {
            tried = stamps
            seen = stamps
            self.digest = digest
            expiry = ExpiryNotices(edges)
            authoritiesExpiry = ExpiryNotices(edges)
        }
    }

    /// Begins to watch the files, the times at which certificates end, and the peers. To be called once.
    package func startWatching() {
        isWatching.store(true, ordering: .relaxed)
        lookLater()
    }

    package func stopWatching() { isWatching.store(false, ordering: .relaxed) }

    private func lookLater() {
        let interval = DispatchTimeInterval.milliseconds(Int(bounds.watchMilliseconds))
        queue.asyncAfter(deadline: .now() + interval) { [weak self] in
            // ORDERING: relaxed because it goes with no other data; it is seen in time.
            guard let self, isWatching.load(ordering: .relaxed) else { return }
            look()
            lookLater()
        }
    }

    /// Reads the files soon, changed or not, and says what came of it.
    package func reloadSoon() { queue.async { [self] in load(isAsked: true) } }

    /// Returns when the reloads that were asked for are done.
    package func reloaded() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            queue.async { continuation.resume() }
        }
    }

    /// One look at the files and the clock.
    func look() {
        let stamps = files.stamps
        let isDue = loading.withLock { loading in
            // Who replaces two files does not do it at once: they are read when they have been the same for two looks.
            let isSettled = loading.seen == stamps
            loading.seen = stamps
            return isSettled && loading.tried != stamps
        }
        if isDue { load(isAsked: false) }
        tellExpiry()
        dismissPeers()
    }

    /// Takes what the files hold if it is in order; else everything stays as it is, and a file that could not be read is
    /// tried again by the next look. The list of the revoked counts by
    /// itself: what is wrong with the certificates does not keep it out.
    ///
    /// - Parameter isAsked: somebody waits to hear what came of it.
    func load(isAsked: Bool) {
        let stamps = files.stamps
        loading.withLock { $0.tried = stamps }
        let revocations = loadRevocations(isAsked: isAsked)
        let certificates = loadCertificates(isAsked: isAsked)
        if isAsked, revocations == .same, certificates == .same {
            logger.notice("the certificates have not changed")
        }
        if revocations == .taken || certificates == .taken { dismissPeers() }
    }

    private enum Outcome { case taken, same, failed }

    /// What could not be read may be read the next time, without another change of the file: for want of a descriptor
    /// above all.
    private func readAgain(after error: TLSError) {
        if error.code == .unreadable { loading.withLock { $0.tried = [] } }
    }

    private func loadCertificates(isAsked: Bool) -> Outcome {
        do throws(TLSError) {
            let content = try files.read()
            let digest = content.digest
            let isNew = loading.withLock { $0.digest != digest }
            if isNew {
                let next = try TLSMaterial(
                    content, current.revocations, files, applicationProtocol, now: now(),
                    toleratesTime: true)
                current = next
                tellTaken(next, "certificates are loaded and used for new connections")
            }
            loading.withLock { $0.digest = digest }
            certificateTrouble.look(nil, logger)
            return isNew ? .taken : .same
        } catch {
            readAgain(after: error)
            certificateTrouble.look(error.description, logger, isAsked: isAsked)
            return .failed
        }
    }

    private func loadRevocations(isAsked: Bool) -> Outcome {
        do throws(TLSError) {
            let (last, next) = (current.revocations.count, try files.readRevoked())
            // A file that is being written is empty for a while, and would set everybody free.
            if next.count == 0, last > 0, !isAsked {
                throw TLSError(
                    .malformed,
                    "\(files.revoked ?? "") has become empty, which takes effect only on SIGHUP")
            }
            revocationTrouble.look(nil, logger)
            guard next != current.revocations else { return .same }
            var material = current
            material.revoke(next)
            current = material
            logger.notice(
                "the list of revoked certificates is loaded", metadata: ["revoked": "\(next.count)"]
            )
            if next.count < last {
                logger.warning(
                    "fewer certificates are revoked than before",
                    metadata: ["before": "\(last)", "revoked": "\(next.count)"])
            }
            tellIneffective(material)
            return .taken
        } catch {
            readAgain(after: error)
            revocationTrouble.look(error.description, logger, isAsked: isAsked)
            return .failed
        }
    }

    // MARK: The log

    func tellTaken(_ material: TLSMaterial, _ message: Logger.Message) {
        logger.notice(
            message,
            metadata: [
                "certificate": "\(files.certificate)", "sha256": "\(material.fingerprint)",
                "not_after": "\(Self.text(material.notAfter))",
                "client_certificates": "\(files.clientAuthentication.rawValue)",
                "revoked": "\(material.revocations.count)",
            ])
        let invalid = material.invalidAuthorities
        if !invalid.isEmpty {
            logger.warning(
                "client CAs are not valid now: their clients are refused",
                metadata: ["authorities": "\(invalid.prefix(8))", "count": "\(invalid.count)"])
        }
        tellIneffective(material)
    }

    /// What stands in the list of the revoked and has no effect.
    private func tellIneffective(_ material: TLSMaterial) {
        if material.strangeIssuers > 0 {
            logger.warning(
                "serial numbers are revoked for issuers that are not client CAs",
                metadata: ["issuers": "\(material.strangeIssuers)"])
        }
        let authorities = material.revokedAuthorities
        if authorities > 0 {
            logger.warning(
                "client CAs are revoked, which has no effect: remove them from the bundle",
                metadata: ["authorities": "\(authorities)"])
        }
    }

    func tellExpiry() {
        let (material, now) = (current, now())
        let (own, authorities) = loading.withLock { loading in
            (
                loading.expiry.look(at: material.notAfter, now: now),
                material.authoritiesNotAfter.flatMap {
                    loading.authoritiesExpiry.look(at: $0, now: now)
                }
            )
        }
        tell(own, files.certificate, material.notAfter)
        tell(authorities, files.clientAuthorities ?? "", material.authoritiesNotAfter ?? 0)
    }

    private func tell(_ notice: ExpiryNotices.Notice?, _ file: String, _ notAfter: Int64) {
        var metadata: Logger.Metadata = ["file": "\(file)", "not_after": "\(Self.text(notAfter))"]
        switch notice {
        case nil: break
        case .soon(let days):
            metadata["days"] = "\(days)"
            logger.warning("a certificate expires soon", metadata: metadata)
        case .ended:
            logger.error("a certificate has expired: peers will reject it", metadata: metadata)
        }
    }

    private static func text(_ seconds: Int64) -> String {
        Instant.wholeSeconds(seconds * 1_000)
    }
}
