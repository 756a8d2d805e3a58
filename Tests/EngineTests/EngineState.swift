import Journal

@testable import Engine
@testable import Reservations

/// Everything that a checkpoint of an engine would hold, whatever its order: equal for engines that know the same.
struct EngineState: Equatable {
    private(set) var entries = 0
    private var sum: UInt64 = 0

    /// Nobody else uses the engine meanwhile.
    init(_ engine: Engine) throws {
        let control = engine.control.withLock { control in
            (control.tenants, control.profiles, control.settings, control.settingsVersion)
        }
        var state = EngineState()
        try engine.recover(now: engine.clock.now) { (replayer) throws(EngineError) in
            (replayer.tenants, replayer.profiles) = (control.0, control.1)
            (replayer.settings, replayer.settingsVersion) = (control.2, control.3)
            replayer.forEachEntry(
                now: EngineTime(windows: replayer.now, lives: replayer.now)
            ) { state.add($0) }
        }
        self = state
    }

    private init() {}

    private mutating func add(_ words: UnsafeBufferPointer<UInt64>) {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325 ^ UInt64(words.recordKind)
        for index in 1..<words.count {
            var word = words[index]
            if words.recordKind == CheckpointEntry.Kind.reservation.rawValue && index == 4 {
                // Which of the bodies holds its other amounts is chance.
                word = SlotWord(word: word).replacingBody(0).word
            }
            // For whom a key counts goes by those around it.
            if words.recordKind == CheckpointEntry.Kind.key.rawValue && index == 3 { word = 0 }
            hash = (hash ^ word) &* 0x0000_0100_0000_01b3
            hash ^= hash >> 29
        }
        entries += 1
        sum &+= hash &* 0x9e37_79b9_7f4a_7c15
    }
}

extension Engine {
    /// The records that the lanes of an engine without a journal's thread have published since the last call, in the order of
    /// their versions; their place in the rings is free again.
    func takeRecords() -> [[UInt64]] {
        var records: [[UInt64]] = []
        for ring in rings {
            while ring.durable < ring.published {
                let start = ring.durable
                let count = UInt64(RecordWords.count(ring[start]))
                records.append((0..<count).map { ring[start + $0] })
                ring.setDurable(start + count)
            }
        }
        return records.sorted { $0[1] < $1[1] }
    }
}
