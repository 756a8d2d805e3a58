internal import CLinux
internal import Access
internal import Foundation
internal import Journal
internal import Logging
internal import TransportSecurity

/// Says which secrets on the disk others can read. What the service makes itself is nobody else's, by its umask.
struct Secrecy {
    let logger: Logger

    func check(_ settings: ServeSettings) {
        if settings.durability != .memory {
            check(settings.dataDirectory, "the data directory", "chmod 700")
            for name in [CompanionFiles.webhookKey, CompanionFiles.operatorToken] {
                check(settings.dataDirectory + "/" + name, "a secret", "chmod 600")
            }
        }
        if let file = settings.smtpPasswordFile { check(file, "a secret", "chmod 600") }
        for key in Set([settings.grpcTLS, settings.httpTLS].compactMap { $0?.key }) {
            check(key, "a private key", "chmod 600")
        }
    }

    private func check(_ path: String, _ what: String, _ remedy: String) {
        var found = stat()
        // Not there yet, or not to be seen.
        guard stat(path, &found) == 0, found.st_mode & 0o077 != 0 else { return }
        let mode = String(found.st_mode & 0o777, radix: 8)
        logger.warning(
            "other users of this machine can access \(what)",
            metadata: ["path": "\(path)", "mode": "\(mode)", "remedy": "\(remedy) \(path)"])
    }
}
