internal import LogLines
internal import Logging

extension Service {
    /// Reads the settings again, and says which of them would be others after a restart. Nothing else comes of it: what a
    /// running service takes over is the content of files.
    func compareSettings() {
        guard let file = settings.sources.file else { return }
        settingsReloads.ask { () -> ServeSettings? in
            do {
                let found = try ServeSettings(settings.sources)
                settingsTrouble.look(nil, logger, ["file": "\(file)"])
                return found
            } catch {
                settingsTrouble.look("\(error)", logger, ["file": "\(file)"], isAsked: true)
                return nil
            }
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
