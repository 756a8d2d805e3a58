internal import Dispatch
internal import Foundation
internal import Logging
internal import Synchronization

/// New certificates while the service runs.
extension ServerTLS {
    /// What was read last, and what was told of it. Used on `queue` but for the first time.
    struct Loading: Sendable {
        /// Of the files as they were last tried, and as they were last looked at.
        var tried: [FileStamp]
        var seen: [FileStamp]
        var digest: [UInt8]
        /// The failure that was told last and has not passed.
        var failure: String?
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

    /// Takes what the files hold if it is in order; else everything stays as it is.
    ///
    /// - Parameter isAsked: somebody waits to hear what came of it.
    func load(isAsked: Bool) {
        let stamps = files.stamps
        do throws(TLSError) {
            let content = try files.read()
            let digest = content.digest
            let isNew = loading.withLock { $0.digest != digest }
            if isNew {
                let next = try TLSMaterial(content, files, applicationProtocol, now: now())
                current = next
                tellTaken(next, "certificates are loaded: new connections are made with them")
            } else if isAsked {
                logger.notice("the certificates have not changed")
            }
            loading.withLock { loading in
                loading.tried = stamps
                loading.digest = digest
                loading.failure = nil
            }
            if isNew { dismissPeers() }
        } catch {
            let isNews = loading.withLock { loading in
                loading.tried = stamps
                defer { loading.failure = error.description }
                return loading.failure != error.description
            }
            guard isNews || isAsked else { return }
            logger.error(
                "the certificates cannot be taken, and those that were loaded stay",
                metadata: ["error": "\(error)"])
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
        if material.strangeIssuers > 0 {
            logger.warning(
                "serial numbers are revoked of issuers that are none of the clients' CAs",
                metadata: ["issuers": "\(material.strangeIssuers)"])
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
            logger.error("a certificate has expired: peers refuse it", metadata: metadata)
        }
    }

    private static func text(_ seconds: Int64) -> String {
        CertificateText.text(Date(timeIntervalSince1970: TimeInterval(seconds)))
    }
}
