package import Engine
import Journal
package import Limits

extension Engine {
    /// An engine over a simulated disk, without threads: who has it does the rounds of its journal (`runJournal`).
    ///
    /// Small segments, and so the smallest rings: what fills them, and what seals a segment, comes soon.
    ///
    /// - Parameters:
    ///   - stallMilliseconds: by default never while a test lasts.
    ///   - configure: changes what else is set.
    package static func simulated(
        _ capacity: TableCapacity, on disk: SimulatedDisk, clock: EngineClock.Source = .system,
        segmentBytes: Int = 64 << 10, stallMilliseconds: Int64 = 3_600_000,
        configure: (inout EngineConfiguration, inout DurabilitySettings) -> Void = { _, _ in }
    ) throws(EngineError) -> (engine: Engine, report: RecoveryReport) {
        var settings = DurabilitySettings()
        settings.journal.segmentBytes = segmentBytes
        settings.journal.maximumBytes = 64 << 20
        settings.stallMilliseconds = stallMilliseconds
        settings.hasThreads = false
        var configuration = EngineConfiguration(capacity: capacity)
        configure(&configuration, &settings)
        return try Engine.open(
            configuration: configuration, clock: clock, disk: disk, settings: settings)
    }
}
