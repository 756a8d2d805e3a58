import Reservations

extension Engine {
    /// Plays records back before the engine serves. Returns what was played.
    @discardableResult
    func recover(
        now: Int64, _ play: (inout Replayer) throws(EngineError) -> Void
    ) throws(EngineError) -> Replayer.Statistics {
        try control.withLock { control throws(EngineError) in
            var replayer = Replayer(control.lane, schedules, now: now)
            try play(&replayer)
            control.tenants = replayer.tenants
            control.profiles = replayer.profiles
            control.settings = replayer.settings
            control.settingsVersion = replayer.settingsVersion
            return replayer.statistics
        }
    }
}
