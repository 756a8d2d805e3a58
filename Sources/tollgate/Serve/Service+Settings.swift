internal import Logging

extension Service {
    /// Reads the settings again, and says which of them would be others after a restart. Nothing else comes of it: what a
    /// running service takes over is the content of files.
    func compareSettings() {
        guard let file = settings.sources.file else { return }
        settingsReloads.ask {
            try? Result { try ServeSettings(settings.sources) }.mapError { error -> any Error in
                logger.error(
                    "the configuration file has mistakes; a restart would fail",
                    metadata: ["file": "\(file)", "error": "\(error)"])
                return error
            }.get()
        } apply: { (found: ServeSettings) in
            let names = found.differing(from: settings).map(\.name)
            guard !names.isEmpty else {
                logger.info("the configuration file has no changes", metadata: ["file": "\(file)"])
                return
            }
            logger.notice(
                "changed settings take effect at the next start",
                metadata: ["file": "\(file)", "settings": "\(names.joined(separator: ","))"])
        }
    }
}
